"""The database of what is being watched: one SQLite file that several processes write to.

Belongs here: opening it, its tables, transactions. Does not belong here: what the tables mean
(``book`` for problems and messages, ``heartbeats``).

It is a file of its own and not part of the lake: an alert must get out while the lake is what is
broken, and state that changes every few seconds would leave a snapshot each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from platform_assets.errors import SettingsError

BUSY_SECONDS = 30.0
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
METADATA = sa.MetaData()
"""Every module's tables: each is declared beside the code that writes it."""


class Moment(sa.types.TypeDecorator[datetime]):
    """A moment, to the microsecond: kept as a number, so that the earliest can be asked for."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: object) -> int | None:
        """As it is kept: microseconds since 1970."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: object) -> datetime | None:
        """As it is used (UTC)."""
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


class Database:
    """An open database.

    Args:
        file: The SQLite file; it and its folder are made where they are missing.

    Raises:
        SettingsError: The file cannot be opened, or is no database.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        # No pool: a connection costs 0.1 ms, and one that is left open outlives a fork.
        self._engine = sa.create_engine(
            f"sqlite:///{file}",
            poolclass=sa.NullPool,
            connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        )
        sa.event.listen(self._engine, "begin", _begin)
        try:
            # Readers do not wait for the writer; it stays so, in the file. Not by the engine, which
            # would begin a transaction first.
            with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as plain:
                plain.execute("PRAGMA journal_mode=wal")
            with self.transaction() as connection:
                METADATA.create_all(connection)
            self._made = set(METADATA.tables)
        except (sqlite3.Error, sa.exc.DBAPIError) as error:
            raise SettingsError(
                "The database of alerts and heartbeats cannot be opened",
                where=str(file),
                expected="a SQLite file that may be written to",
                found=str(getattr(error, "orig", error)),
                fix="move the file away, or point PLATFORM_ASSETS_DATA_DIR at another folder",
            ) from None

    def ensure(self, *tables: sa.Table) -> None:
        """Make tables that are missing: whose module was imported after the database was opened.

        Args:
            tables: Tables of ``METADATA``.
        """
        missing = [each for each in tables if each.name not in self._made]
        if missing:
            with self.transaction() as connection:
                METADATA.create_all(connection, missing)
            self._made |= {each.name for each in missing}

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that writes: one at a time in all processes, undone where it raises."""
        with self._engine.begin() as connection:
            yield connection


def _begin(connection: sa.Connection) -> None:
    # Taken at once: a transaction that reads before it writes could otherwise not be told to wait.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
