"""The lake: DuckLake files and catalog, opened as one DuckDB connection, offline.

Belongs here: opening, attaching, transactions and their retry. Does not belong here: what is in
the tables (``tables``), and any knowledge of Dagster.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import duckdb
import stamina

from platform_assets.errors import PublishError, SettingsError
from platform_assets.extensions import load_extension
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import threads

LAKE = "lake"
_ATTACHING = "lake_attaching"
"""The session variable that keeps how the lake was attached."""
EXTENSIONS = ("sqlite_scanner", "ducklake")
# A commit takes 10 to 30 ms; with several writers the queue drains in far less than this.
CONTENTION_ATTEMPTS = 60
OPENING_ATTEMPTS = 10
CONTENTION_TIMEOUT_SECONDS = 120.0

T = TypeVar("T")
Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True)
class LakeConfig:
    """Where a lake is and what its engine may use.

    Attributes:
        catalog: The SQLite catalog file.
        files: The folder of the Parquet files.
        scratch: The folder that the engine spills to.
        memory_limit: What the engine may hold before it spills, such as ``700MB``.
        threads: Threads of the engine; None: one for a small lake, one per processor for others.
        variables: Session variables (``getvariable``): how a secret reaches a query without
            being in its text.
    """

    catalog: Path
    files: Path
    scratch: Path
    memory_limit: str = "600MB"
    threads: int | None = None
    variables: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def _prepare_catalog(catalog: Path) -> None:
    """Put the catalog in WAL mode, which lets readers read while a writer writes."""
    catalog.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(catalog, timeout=60)
    try:
        # A change of mode does not wait for others as all else does: it is asked for only once.
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode=wal")
    finally:
        connection.close()


def engine_options(config: LakeConfig) -> dict[str, str | bool | int | float | list[str]]:
    """What an engine is opened with: limits, where it spills, and no downloads."""
    config.scratch.mkdir(parents=True, exist_ok=True)
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": config.memory_limit,
        "temp_directory": str(config.scratch),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        # A signature guards what is downloaded, and nothing is. Checking it takes 80 ms for each
        # extension and connection; the lock holds the wheels by their hash (ADR 0011).
        "allow_unsigned_extensions": True,
    }
    if config.threads:
        options["threads"] = config.threads
    return options


def _may_be_a_race(error: Exception) -> bool:
    """Whether another process that opens the same new lake may be the cause."""
    return isinstance(error, duckdb.Error) or (
        isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
    )


def attach(connection: Connection, config: LakeConfig, *, read_only: bool = False) -> None:
    """Attach the lake to an engine opened with ``engine_options``, offline.

    Args:
        connection: The engine.
        config: Where the lake is.
        read_only: Whether it is only looked at: it has to be there, and nothing of it is changed.
    """
    for name in EXTENSIONS:
        load_extension(connection, name)
    if not read_only:
        config.files.mkdir(parents=True, exist_ok=True)
    attaching = (
        f"ATTACH IF NOT EXISTS {quote_literal(f'ducklake:sqlite:{config.catalog}')} AS {LAKE} "
        f"(DATA_PATH {quote_literal(str(config.files))}, OVERRIDE_DATA_PATH true, "
        f"DATA_INLINING_ROW_LIMIT 0{', READ_ONLY' if read_only else ''})"
    )
    # Two processes that meet a new catalog both want to set its mode and to create its tables. The
    # catalog remembers where its files were; the setting decides, so that a lake can be moved.
    for attempt in stamina.retry_context(
        on=_may_be_a_race, attempts=OPENING_ATTEMPTS, wait_initial=0.05, wait_max=1.0
    ):
        with attempt:
            if not read_only:
                _prepare_catalog(config.catalog)
            connection.execute(attaching)
    connection.execute(f"SET VARIABLE {_ATTACHING} = ?", [attaching])
    for name, value in config.variables.items():
        connection.execute(f"SET VARIABLE {quote_identifier(name)} = ?", [value])


def attach_again(connection: Connection) -> None:
    """Let go of all that the engine remembers of the lake's tables; temporary tables stay.

    Args:
        connection: An open lake, outside of a transaction.
    """
    row = connection.execute(f"SELECT getvariable({quote_literal(_ATTACHING)})").fetchone()
    assert row is not None  # a SELECT without FROM has a row
    connection.execute(f"DETACH {LAKE}")
    connection.execute(str(row[0]))


@contextmanager
def connect(config: LakeConfig, *, read_only: bool = False) -> Iterator[Connection]:
    """Open the lake; it is closed when the block ends, however it ends.

    Args:
        config: Where the lake is and what the engine may use.
        read_only: Whether it is only looked at: it has to be there, and nothing of it is changed.

    Raises:
        SettingsError: The lake cannot be opened.
    """
    connection = duckdb.connect(":memory:", config=engine_options(config))
    try:
        try:
            attach(connection, config, read_only=read_only)
            if config.threads is None:
                threads.begin(connection, _bytes_held(connection))
        except (duckdb.Error, sqlite3.Error, OSError) as error:
            raise SettingsError(
                "The lake cannot be opened",
                where=f"catalog {config.catalog}, files {config.files}",
                expected="a DuckLake catalog in a folder that can be written",
                found=str(error).splitlines()[0],
                fix="correct PLATFORM_ASSETS_LAKE_CATALOG and PLATFORM_ASSETS_LAKE_FILES, "
                "or the rights of the folder",
            ) from error
        yield connection
    finally:
        connection.close()


def _bytes_held(connection: Connection) -> int:
    """About how many bytes the lake's tables have, by the catalog alone."""
    catalog = quote_identifier(f"__ducklake_metadata_{LAKE}")
    row = connection.execute(
        f"SELECT sum(file_size_bytes) FROM {catalog}.ducklake_table_stats"
    ).fetchone()
    return int(row[0] or 0) if row else 0


def current_snapshot(connection: Connection) -> int:
    """The lake's newest snapshot as this connection, or its open transaction, sees it."""
    row = connection.execute(f"SELECT id FROM {LAKE}.current_snapshot()").fetchone()
    assert row is not None  # attaching a new catalog makes snapshot 0
    return int(row[0])


def is_contention(error: BaseException) -> bool:
    """Whether an error only says that another writer came first."""
    if not isinstance(error, duckdb.Error):
        return False
    text = str(error).lower()
    return any(
        phrase in text
        for phrase in ("database is locked", "transaction conflict", "database table is locked")
    )


def _sqlite_catalog(connection: Connection) -> Path | None:
    """The catalog's file; None where the catalog is another kind of database."""
    row = connection.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = ?", [LAKE]
    ).fetchone()
    kind, _, path = str(row[0]).partition(":") if row else ("", "", "")
    return Path(path) if kind == "sqlite" else None


@contextmanager
def _turn_to_write(connection: Connection) -> Iterator[None]:
    """Wait until no other writer of the platform is at work; readers never wait.

    SQLite commits a transaction only where nothing was committed since it began to read. Side by
    side, all writers but one would work for nothing, and a long transaction would lose to a
    stream of short ones for ever. A lock of the operating system makes them queue instead, and
    is free again the moment its holder is killed.
    """
    catalog = _sqlite_catalog(connection)
    if catalog is None:
        yield
        return
    with catalog.with_name(catalog.name + ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _rollback(connection: Connection) -> None:
    try:
        connection.execute("ROLLBACK")
    except duckdb.TransactionException:
        # A failed COMMIT has already ended the transaction; there is nothing to roll back.
        return


@contextmanager
def one_state(connection: Connection) -> Iterator[None]:
    """A transaction that only reads: every query in it sees one state of the lake, and of a source.

    A question that is asked by itself begins a transaction in the catalog by itself, which takes
    longer than many an answer. Temporary tables may be made; those of a block that fails are gone.

    Args:
        connection: An open lake, outside of a transaction.
    """
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        _rollback(connection)
        raise
    connection.execute("COMMIT")


def in_transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction; where another writer came first, all of it again.

    Writers of the platform take turns; those that do not ask, such as dbt, can still come first.

    Args:
        connection: An open lake.
        work: What to do; it may run several times, so it must depend on nothing that an earlier
            attempt of it has changed outside the transaction.

    Returns:
        What ``work`` returned in the attempt that was committed.

    Raises:
        PublishError: Other writers kept coming first for two minutes.
    """
    try:
        for attempt in stamina.retry_context(
            on=is_contention,
            attempts=CONTENTION_ATTEMPTS,
            timeout=CONTENTION_TIMEOUT_SECONDS,
            wait_initial=0.02,
            wait_max=2.0,
            wait_jitter=0.2,
        ):
            with attempt:
                # Refused inside another transaction, which would wait for its own turn to end;
                # what it reads is what is there once its turn has come.
                connection.execute("BEGIN TRANSACTION")
                try:
                    with _turn_to_write(connection):
                        result = work(connection)
                        connection.execute("COMMIT")
                except BaseException:
                    _rollback(connection)
                    raise
    except duckdb.Error as error:
        if is_contention(error):
            raise PublishError(
                "The catalog stayed locked by other writers",
                where="the lake's catalog",
                expected=f"a free moment within {CONTENTION_TIMEOUT_SECONDS:.0f} s",
                found=str(error).splitlines()[0],
                fix="run fewer writers at once, or use a Postgres catalog; nothing was published",
            ) from error
        raise
    return result
