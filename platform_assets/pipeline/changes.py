"""Source → raw, where a source gives what has changed: versions appended, the cursor with them.

Belongs here: one load of a change source. Does not belong here: loading whole partitions of files
(``raw``), or what follows from the versions (``clean``).

A load reads everything that has changed since the cursor, also in partitions that nobody asked for:
they are published with it, and told of. Partitions that are asked for and were never loaded are
read whole in the same load.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from platform_assets.contracts.casts import TEXT, cast
from platform_assets.contracts.types import column_type
from platform_assets.errors import PlatformError, SourceError
from platform_assets.partitions import UNPARTITIONED_KEY, Daily
from platform_assets.pipeline.alignment import align_raw, source_names
from platform_assets.pipeline.loaded import Loaded
from platform_assets.pipeline.steps import (
    BatchReport,
    Step,
    describe,
    ensure_tables,
    record_alone,
    tells,
)
from platform_assets.provenance import (
    CHANGE,
    CHANGED_COLUMN,
    DELETED,
    FILE_COLUMN,
    LOAD_COLUMN,
    OP_COLUMN,
    PARTITION_COLUMN,
    PLATFORM_COLUMNS,
    POSITION_COLUMN,
    PROVENANCE,
)
from platform_assets.sources.base import (
    ChangeRequest,
    Changes,
    ChangeSource,
    Control,
    Ended,
    Held,
    TellsChanges,
)
from platform_assets.sources.retrying import ONCE
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal
from platform_assets.warehouse import cursors, ledger, migrate, stage, tables
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.cursors import Cursor
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.publish import count_rows, in_partitions
from platform_assets.warehouse.stage import Stage

CONTROL_TOTAL = "control_total"


@dataclass(frozen=True)
class _Load:
    """One load: what it continues, and what it was asked for.

    Attributes:
        asset: The raw asset's key.
        number: Of the load.
        cursor: Where reading stands before it.
        standing: The publish that each loaded partition stands at.
        partitions: The partitions that are asked for.
        windows: Those of them that were never loaded, and are read whole.
        started: When it began, by the clock of ``time.perf_counter``.
    """

    asset: str
    number: int
    cursor: Cursor
    standing: Mapping[str, LedgerEntry]
    partitions: Sequence[str]
    windows: tuple[str, ...]
    started: float


def load_changes(step: Step, partitions: Sequence[str]) -> BatchReport:
    """Load what has changed at a dataset's source into its raw table.

    Args:
        step: What to work on and with; its dataset's source is a ``ChangeSource``.
        partitions: The partitions that are asked for.

    Returns:
        What became of each of them, and of every other one that the changes touched. Where the
        source fails, all that were asked for are failed and keep what they had.
    """
    ensure_tables(step)
    asset = f"raw/{step.dataset.name}"
    cursor = cursors.current(step.lake, step.dataset.name)
    standing = ledger.published(step.lake, asset)
    load = _Load(
        asset=asset,
        number=cursor.load + 1,
        cursor=cursor,
        standing=standing,
        partitions=partitions,
        windows=tuple(key for key in partitions if key not in standing),
        started=time.perf_counter(),
    )
    try:
        entries, changes, ended = _read_and_publish(step, load)
    except (PlatformError, duckdb.Error, OSError) as error:
        failed = _failed(step, load, error)
        record_alone(step, failed)
        return BatchReport(asset, {entry.partition: entry for entry in failed})
    changes.acknowledge()
    compact(step.lake, asset)
    asked = {key: entries[key] for key in partitions}
    also = {key: entry for key, entry in entries.items() if key not in asked}
    return BatchReport(asset, asked, also, ended.controls)


def touched_partitions(step: Step, candidates: Sequence[str]) -> list[str]:
    """Partitions in which something has changed at the source since the last load.

    Args:
        step: What to look with; nothing is written.
        candidates: The partitions that exist, in order.

    Returns:
        Those of them with changes, also such that were never loaded and come after the first that
        was: a new day is loaded by itself, the past only when it is asked for. Empty for a source
        that cannot tell cheaply, and where nothing was ever loaded.

    Raises:
        SourceError: The source cannot be read.
    """
    asset = f"raw/{step.dataset.name}"
    tables.ensure_platform_tables(step.lake)
    standing = ledger.published(step.lake, asset)
    source = step.dataset.source
    if not isinstance(source, TellsChanges) or not standing:
        return []
    cursor = cursors.current(step.lake, step.dataset.name)
    load = _Load(asset, cursor.load + 1, cursor, standing, (), (), time.perf_counter())
    reachable = tuple(key for key in candidates if key >= min(standing))
    request = replace(_request(step, load), loaded=reachable)
    found = step.guard(source.connection, lambda: source.touched(step.access, request), policy=ONCE)
    return [key for key in candidates if key in found]


class _UncontrolledError(SourceError):
    """What arrived is not what the source says that it gave."""


def _failed(step: Step, load: _Load, error: Exception) -> list[LedgerEntry]:
    if not tells(error):
        error = SourceError(
            "The engine cannot read a source",
            where=f"dataset {step.dataset.name}, connection {step.dataset.source.connection!r}",
            expected="rows that can be read",
            found=f"{type(error).__name__} (its text is withheld: it may hold a row's value)",
            fix="look at the source's own log; nothing was loaded",
        )
    stopped_by = CONTROL_TOTAL if isinstance(error, _UncontrolledError) else "source"
    return [
        replace(
            step.entry(load.asset, key, Status.FAILED),
            stopped_by=stopped_by,
            message=describe(error),
        )
        for key in load.partitions
    ]


def _read_and_publish(step: Step, load: _Load) -> tuple[dict[str, LedgerEntry], Changes, Ended]:
    name = step.dataset.name
    with stage.room(step.lake, "raw", name) as file:
        changes, rows, ended = step.guard(
            step.dataset.source.connection, lambda: _read(step, load, file), where=f"dataset {name}"
        )
        _examine(step, ended.controls)
        entries = _publish(step, load, changes, rows, ended)
    return entries, changes, ended


def _read(step: Step, load: _Load, file: Path) -> tuple[Changes, Stage, Ended]:
    """Read everything into the stage; may be done again where the source fails on the way."""
    source = step.dataset.source
    assert isinstance(source, ChangeSource)  # the caller has looked
    with source.reading(step.access, _request(step, load)) as changes:
        held = align_raw(step, changes.columns, (*PROVENANCE, *CHANGE))
        with _one_state(step.lake):
            rows = stage.write(step.lake, file, _select(step, load, changes, held))
            ended = changes.ended(rows.relation)
    return changes, rows, ended


@contextmanager
def _one_state(connection: Connection) -> Iterator[None]:
    """A transaction that reads: every query in it sees one state of the source."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _request(step: Step, load: _Load) -> ChangeRequest:
    compiled = step.dataset.compiled
    event_time = compiled.event_time if isinstance(step.dataset.partitions, Daily) else None
    decimals = {
        column.source: column.type.scale if column.type.python is Decimal else 0
        for column in compiled.columns
        if column.type.python in (Decimal, int) and not column.key
    }
    return ChangeRequest(
        dataset=step.dataset.name,
        key=tuple(compiled.column(name).source for name in compiled.key),
        columns=tuple(source_names(step)),
        decimals=decimals,
        event_time=event_time.source if event_time else None,
        cursor=load.cursor.position,
        requested=tuple(load.partitions),
        windows=load.windows,
        again=tuple(key for key in load.partitions if step.force and key in load.standing),
        loaded=tuple(load.standing),
        held=_held(step) if load.standing else None,
        time_sql=lambda column, types: _time_sql(step, column, types),
        partition_sql=lambda types, changed: _partition_sql(step, types, changed),
    )


def _time_sql(step: Step, column: str, types: Mapping[str, str]) -> str:
    """A column's value as a time in UTC: by the contract where it says how to read it."""
    for each in step.dataset.compiled.columns:
        if each.source.lower() == column.lower() and each.type.python in (date, datetime):
            typed = step.dataset.compiled.cast_sql(each, source_types=types)
            return f"CAST({typed} AS TIMESTAMP)"
    instant = column_type(datetime, None)
    assert instant is not None  # a contract knows times
    return cast(q(column), instant, None, types.get(column.lower(), TEXT)).sql


def _partition_sql(step: Step, types: Mapping[str, str], changed: str) -> str:
    event_time = step.dataset.compiled.event_time
    if not isinstance(step.dataset.partitions, Daily) or event_time is None:
        return quote_literal(UNPARTITIONED_KEY)
    happened = step.dataset.compiled.cast_sql(event_time, source_types=types)
    return (
        f"coalesce(CAST(CAST({happened} AS DATE) AS VARCHAR), "
        f"CAST(CAST({changed} AS DATE) AS VARCHAR))"
    )


def _held(step: Step) -> Held:
    """What the raw table holds, with the newest version of every key.

    Nearly all keys have one version: those with several are found by a hash first, and only their
    rows are ranked.
    """
    table = tables.raw_table(step.dataset.name)
    types = migrate.table_columns(step.lake, table)
    own = {name: kind for name, kind in types.items() if name not in PLATFORM_COLUMNS}
    spelled = {name.lower(): name for name in own}
    compiled = step.dataset.compiled
    keys = [q(spelled[compiled.column(name).source.lower()]) for name in compiled.key]
    key = ", ".join(keys)
    older = (
        f"SELECT rowid FROM {table} WHERE hash({key}) IN "
        f"(SELECT hash({key}) FROM {table} GROUP BY 1 HAVING count(*) > 1) "
        + "".join(f"AND {each} IS NOT NULL " for each in keys)
        + f"QUALIFY row_number() OVER (PARTITION BY {key} "
        f"ORDER BY {POSITION_COLUMN} DESC, {LOAD_COLUMN} DESC, rowid DESC) > 1"
        if keys
        else "SELECT NULL WHERE false"
    )
    listed = ", ".join(q(name) for name in (*own, PARTITION_COLUMN))
    current = (
        f"SELECT {listed} FROM {table} WHERE {OP_COLUMN} <> '{DELETED}' AND rowid NOT IN ({older})"
    )
    return Held(table, current, own)


def _select(step: Step, load: _Load, changes: Changes, held: Mapping[str, str]) -> str:
    """The rows as the raw table takes them, in the order of the partitions."""
    types = {name.lower(): (name, sql_type) for name, sql_type in held.items()}
    own = []
    for column in changes.columns:
        name, sql_type = types[column.name.lower()]
        value = q(column.name)
        if sql_type != column.sql_type:
            value = f"CAST({value} AS {sql_type})"
        own.append(f"{value} AS {q(name)}")
    told = (
        PARTITION_COLUMN,
        # A load is to its rows what a file is: within it, a row has a number.
        f"{FILE_COLUMN} || '#{load.number}' AS {FILE_COLUMN}",
        OP_COLUMN,
        f"coalesce({POSITION_COLUMN}, {load.number}) AS {POSITION_COLUMN}",
        CHANGED_COLUMN,
        f"CAST({load.number} AS BIGINT) AS {LOAD_COLUMN}",
    )
    order = f" ORDER BY {PARTITION_COLUMN}" if isinstance(step.dataset.partitions, Daily) else ""
    return f"SELECT {', '.join([*own, *told])} FROM ({changes.read()}){order}"


def _examine(step: Step, controls: Sequence[Control]) -> None:
    """Stop a load whose rows are not those that the source counts and sums.

    Raises:
        _UncontrolledError: A control total does not hold.
    """
    off = [control for control in controls if not control.holds]
    if off:
        raise _UncontrolledError(
            "What was read is not what the source says that it holds",
            where=f"dataset {step.dataset.name}, connection {step.dataset.source.connection!r}",
            expected="; ".join(f"{each.name}: {each.at_source}" for each in off),
            found="; ".join(f"{each.name}: {each.arrived}" for each in off),
            fix="run it again; if it stays, hold the column's type at the source against the "
            "contract's",
        )


def _publish(
    step: Step, load: _Load, changes: Changes, rows: Stage, ended: Ended
) -> dict[str, LedgerEntry]:
    """Commit a load: rows, cursor and ledger together."""
    name = step.dataset.name
    table = tables.raw_table(name)
    windows = list(load.partitions if changes.replaces else load.windows)
    touched = _touched(step, load, rows)
    entries: dict[str, LedgerEntry] = {}

    def work(connection: Connection) -> None:
        entries.clear()
        if cursors.current(connection, name).load != load.cursor.load:
            raise SourceError(
                "Another run has loaded the same changes meanwhile",
                where=f"dataset {name}",
                expected="one load of a dataset at a time",
                found="two",
                fix="run it again: only what is new since will be read",
            )
        if changes.replaces and any(key in load.standing for key in windows):
            connection.execute(f"DELETE FROM {table} WHERE {in_partitions(windows)}")
        stage.add(connection, "raw", name, rows)
        moved = sorted({*touched, *windows})
        counts = count_rows(connection, table, moved)
        entries.update(_entries(step, load, rows, windows, counts))
        if moved or ended.cursor != load.cursor.position:
            cursor = Cursor(load.number, ended.cursor)
            cursors.record(connection, name, cursor, step.run_id)
        ledger.record(connection, list(entries.values()))

    in_transaction(step.lake, work)
    return entries


def _touched(step: Step, load: _Load, rows: Stage) -> set[str]:
    """Partitions whose cleaned rows may change: those of the new versions, and of the old ones."""
    keys = [step.dataset.compiled.column(name).source for name in step.dataset.compiled.key]
    queries = [f"SELECT DISTINCT {PARTITION_COLUMN} FROM {rows.relation}"]
    if keys and len({*load.standing, *load.partitions}) > 1 and load.standing:
        same = " AND ".join(f"h.{q(key)} = s.{q(key)}" for key in keys)
        queries.append(
            f"SELECT DISTINCT h.{PARTITION_COLUMN} "
            f"FROM {tables.raw_table(step.dataset.name)} AS h JOIN {rows.relation} AS s "
            f"ON {same} AND h.{PARTITION_COLUMN} <> s.{PARTITION_COLUMN}"
        )
    found = step.lake.execute(" UNION ".join(queries)).fetchall() if rows.rows else []
    return {str(key) for (key,) in found}


def _entries(
    step: Step, load: _Load, rows: Stage, windows: Sequence[str], counts: Mapping[str, int]
) -> dict[str, LedgerEntry]:
    seconds = time.perf_counter() - load.started
    entries = {}
    for key in dict.fromkeys((*load.partitions, *counts)):
        if key not in counts:
            entries[key] = replace(load.standing[key], run_id=step.run_id, status=Status.UNCHANGED)
            continue
        last = load.standing.get(key)
        whole = load.number if key in windows or last is None else Loaded.of(last).whole
        entries[key] = replace(
            step.entry(load.asset, key, Status.PUBLISHED),
            extracted=counts[key],
            bytes=rows.bytes // len(counts),
            seconds=round(seconds / len(counts), 6),
            input_fingerprint=Loaded(load.number, whole).fingerprint,
        )
    return entries
