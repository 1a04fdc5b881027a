"""Source → raw, where a source gives what has changed: versions appended, the cursor with them.

Belongs here: one load of a change source. Does not belong here: loading whole partitions of files
(``raw``), or what follows from the versions (``clean``).

A load reads everything that has changed since the cursor, also in partitions that nobody asked for:
they are published with it, and told of. Partitions that are asked for and were never loaded are
read whole in the same load. A change log cannot be read again for one of them: what it tells of a
day that the dataset does not have, such as today, waits in the raw table for that day's first load.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from platform_assets.errors import PlatformError, SchemaDriftError, SourceError
from platform_assets.observability.traces import span
from platform_assets.partitions import Daily
from platform_assets.pipeline import drift
from platform_assets.pipeline.change_request import Load, request_of
from platform_assets.pipeline.drift import Judged, SchemaBook
from platform_assets.pipeline.loaded import Loaded
from platform_assets.pipeline.raw_table import align_raw
from platform_assets.pipeline.steps import (
    CONTROL_TOTAL,
    BatchReport,
    Step,
    describe,
    ensure_tables,
    record_alone,
    tells,
    traced,
)
from platform_assets.provenance import (
    CHANGE,
    CHANGED_COLUMN,
    FILE_COLUMN,
    LOAD_COLUMN,
    OP_COLUMN,
    PARTITION_COLUMN,
    PLATFORM_COLUMNS,
    POSITION_COLUMN,
    PROVENANCE,
)
from platform_assets.sources.base import SourceColumn
from platform_assets.sources.change_source import (
    Changes,
    ChangeSource,
    Control,
    Ended,
    MissingColumnsError,
)
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal
from platform_assets.warehouse import cursors, ledger, stage, tables, threads
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.cursors import Cursor
from platform_assets.warehouse.lake import (
    Connection,
    current_snapshot,
    in_transaction,
    one_state,
)
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.publish import count_rows, in_partitions
from platform_assets.warehouse.stage import Stage

# What tells of a load, and not of a row.
_OF_A_LOAD = PLATFORM_COLUMNS - {PARTITION_COLUMN}


@dataclass(frozen=True)
class _Read:
    """What a load has read.

    Attributes:
        changes: What the source gave.
        rows: The staged rows.
        ended: Where the load ended.
        judged: What became of the source's schema.
    """

    changes: Changes
    rows: Stage
    ended: Ended
    judged: Judged


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
    with one_state(step.lake):
        snapshot = current_snapshot(step.lake)
        cursor = cursors.current(step.lake, step.dataset.name)
        standing = ledger.published(step.lake, asset)
    load = Load(
        asset=asset,
        number=cursor.load + 1,
        cursor=cursor,
        standing=standing,
        partitions=partitions,
        windows=tuple(key for key in partitions if key not in standing),
        started=time.perf_counter(),
        snapshot=snapshot,
    )
    if not cursor.load:
        # Most often the whole table; how large it is, nobody has asked.
        threads.use_all(step.lake)
    try:
        entries, changes, ended = _read_and_publish(step, load)
    except (PlatformError, duckdb.Error, OSError) as error:
        failed = _failed(step, load, error)
        record_alone(step, failed)
        return traced(
            BatchReport(asset, {entry.partition: entry for entry in failed}), step.dataset.name
        )
    notes = (*ended.notes, *_acknowledged(step, changes))
    compact(step.lake, asset)
    asked = {key: entries[key] for key in partitions}
    also = {key: entry for key, entry in entries.items() if key not in asked}
    return traced(BatchReport(asset, asked, also, ended.controls, notes), step.dataset.name)


def _acknowledged(step: Step, changes: Changes) -> list[str]:
    """Tell the source that its changes are kept; what is committed stays, whatever it answers."""
    if changes.acknowledge is None:
        return []
    try:
        step.guard(
            step.dataset.source.connection,
            changes.acknowledge,
            where=f"dataset {step.dataset.name}, after its commit",
        )
    except (PlatformError, duckdb.Error, OSError) as error:
        said = str(error) if tells(error) else type(error).__name__
        return [f"The source was not told that its changes are kept, the next load will: {said}"]
    return []


def _waiting(step: Step, load: Load, rows: Stage) -> tuple[str, ...]:
    """What came for partitions that the dataset does not have (yet)."""
    counted = step.lake.execute(
        f"SELECT {PARTITION_COLUMN}, count(*) FROM {rows.relation} GROUP BY 1"
    ).fetchall()
    known = _known(step, load)
    outside = {str(key): int(count) for key, count in counted if key not in known}
    if not outside:
        return ()
    return (
        f"{sum(outside.values()):,} versions wait in the raw table for partitions that the dataset "
        f"does not have (yet): {min(outside)} to {max(outside)}",
    )


def _known(step: Step, load: Load) -> set[str]:
    """The partitions that can be published."""
    return {*step.dataset.partitions.keys(), *load.standing, *load.partitions}


class _UncontrolledError(SourceError):
    """What arrived is not what the source says that it gave."""


def _failed(step: Step, load: Load, error: Exception) -> list[LedgerEntry]:
    if not tells(error):
        error = SourceError(
            "The engine cannot read a source",
            where=f"dataset {step.dataset.name}, connection {step.dataset.source.connection!r}",
            expected="rows that can be read",
            found=f"{type(error).__name__} (its text is withheld: it may hold a row's value)",
            fix="look at the source's own log; nothing was loaded",
        )
    stopped_by = "source"
    if isinstance(error, _UncontrolledError):
        stopped_by = CONTROL_TOTAL
    elif isinstance(error, SchemaDriftError):
        stopped_by = drift.STOPPED_BY
    return [
        replace(
            step.entry(load.asset, key, Status.FAILED),
            stopped_by=stopped_by,
            message=describe(error),
        )
        for key in load.partitions
    ]


def _read_and_publish(step: Step, load: Load) -> tuple[dict[str, LedgerEntry], Changes, Ended]:
    name = step.dataset.name
    with stage.room(step.lake, "raw", name) as file:
        source = step.dataset.source.connection
        with span("extract", partitions=load.partitions) as extract:
            read = step.guard(source, lambda: _read(step, load, file), where=f"dataset {name}")
            extract.set(rows=read.rows.rows)
        with span("audit"):
            _examine(step, read.ended.controls)
            waiting = _waiting(step, load, read.rows) if read.rows.rows else ()
        with span("publish", table=tables.raw_table(name)):
            entries = _publish(step, load, read)
    return entries, read.changes, replace(read.ended, notes=(*read.ended.notes, *waiting))


def _read(step: Step, load: Load, file: Path) -> _Read:
    """Read everything into the stage; may be done again where the source fails on the way.

    Raises:
        SchemaDriftError: The source's schema has changed in a way that the policy does not allow.
    """
    source = step.dataset.source
    assert isinstance(source, ChangeSource)  # the caller has looked
    try:
        with source.reading(step.access, request_of(step, load)) as changes:
            judged = _judge(step, load, changes.columns)
            held = align_raw(step, changes.columns, (*PROVENANCE, *CHANGE))
            with one_state(step.lake):
                rows = stage.write(step.lake, file, *_select(step, load, changes, held, judged))
                ended = changes.ended(rows.relation)
        return _Read(changes, rows, ended, judged)
    except MissingColumnsError as error:
        # Most often they were taken away, which is told as any other drift.
        _judge(step, load, error.columns)
        raise


def _judge(step: Step, load: Load, columns: tuple[SourceColumn, ...]) -> Judged:
    """Hold the source's schema against the last one; a drift that stops the load is recorded."""
    judged = SchemaBook(step).judge({key: {"": columns} for key in load.partitions})
    for key, error in judged.blocked.items():
        in_transaction(step.lake, lambda con, key=key: judged.record(con, {key: 0}))  # type: ignore[misc] # mypy cannot infer a lambda with a default
        raise error
    return judged


def _select(
    step: Step, load: Load, changes: Changes, held: Mapping[str, str], judged: Judged
) -> tuple[str, str]:
    """The rows as the raw table takes them, and their order: that of the partitions."""
    types = {name.lower(): (name, sql_type) for name, sql_type in held.items()}
    own = []
    for given, named in zip(changes.columns, _present_names(step, changes.columns), strict=True):
        name, sql_type = types[named.lower()]
        value = q(given.name)
        if sql_type != given.sql_type:
            value = f"CAST({value} AS {sql_type})"
        own.append(f"{value} AS {q(name)}")
    # All partitions of a load have the source's columns, and lack the same ones.
    for column, default in next(iter(judged.defaults.values()), {}).items():
        name, sql_type = types[column.lower()]
        own.append(f"CAST({quote_literal(default)} AS {sql_type}) AS {q(name)}")
    told = (
        PARTITION_COLUMN,
        # A load is to its rows what a file is: within it, a row has a number.
        f"{FILE_COLUMN} || '#{load.number}' AS {FILE_COLUMN}",
        OP_COLUMN,
        f"coalesce({POSITION_COLUMN}, {load.number}) AS {POSITION_COLUMN}",
        CHANGED_COLUMN,
        f"CAST({load.number} AS BIGINT) AS {LOAD_COLUMN}",
    )
    daily = isinstance(step.dataset.partitions, Daily)
    order = ", ".join([*([PARTITION_COLUMN] if daily else []), *filter(None, [changes.order])])
    return f"SELECT {', '.join([*own, *told])} FROM ({changes.read()})", order


def _present_names(step: Step, columns: Sequence[SourceColumn]) -> list[str]:
    """What the raw table calls the source's columns: a former name is that of its column."""
    present = {
        former.lower(): column.source
        for column in step.dataset.compiled.columns
        for former in column.former
    }
    return [present.get(column.name.lower(), column.name) for column in columns]


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


def _publish(step: Step, load: Load, read: _Read) -> dict[str, LedgerEntry]:
    """Commit a load: rows, cursor and ledger together."""
    name = step.dataset.name
    table = tables.raw_table(name)
    changes, rows, ended = read.changes, read.rows, read.ended
    windows = list(load.partitions if changes.replaces else load.windows)
    touched = _touched(step, load, rows)
    if changes.replaces and not step.force and _is_held(step, load, rows):
        windows, touched, rows = [], set(), replace(rows, rows=0)
    entries: dict[str, LedgerEntry] = {}

    def work(connection: Connection) -> None:
        entries.clear()
        if _is_overtaken(connection, name, load):
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
        # What changed at the source shows in all that was asked for, however little was new.
        read.judged.record(connection, {key: counts.get(key, 0) for key in load.partitions})

    in_transaction(step.lake, work)
    return entries


def _is_overtaken(connection: Connection, dataset: str, load: Load) -> bool:
    """Whether another load was committed since; most often nothing was committed at all."""
    if current_snapshot(connection) == load.snapshot:
        return False
    return cursors.last_load(connection, dataset) != load.cursor.load


def _is_held(step: Step, load: Load, rows: Stage) -> bool:
    """Whether rows that would replace what is held are just those."""
    table = tables.raw_table(step.dataset.name)
    return all(key in load.standing for key in load.partitions) and stage.holds(
        step.lake, rows, f"{table} WHERE {in_partitions(load.partitions)}", besides=_OF_A_LOAD
    )


def _touched(step: Step, load: Load, rows: Stage) -> set[str]:
    """Partitions whose cleaned rows may change: those of the new versions, and of the old ones."""
    keys = [step.dataset.compiled.column(name).source for name in step.dataset.compiled.key]
    queries = [f"SELECT DISTINCT {PARTITION_COLUMN} FROM {rows.relation}"]
    if keys and load.standing and isinstance(step.dataset.partitions, Daily):
        same = " AND ".join(f"h.{q(key)} = s.{q(key)}" for key in keys)
        queries.append(
            f"SELECT DISTINCT h.{PARTITION_COLUMN} "
            f"FROM {tables.raw_table(step.dataset.name)} AS h JOIN {rows.relation} AS s "
            f"ON {same} AND h.{PARTITION_COLUMN} <> s.{PARTITION_COLUMN}"
        )
    found = step.lake.execute(" UNION ".join(queries)).fetchall() if rows.rows else []
    return {str(key) for (key,) in found} & _known(step, load)


def _entries(
    step: Step, load: Load, rows: Stage, windows: Sequence[str], counts: Mapping[str, int]
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
