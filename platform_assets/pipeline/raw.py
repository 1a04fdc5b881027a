"""Source → raw: rows as they came, in the source's own types, with where they came from.

Belongs here: the first step of a row. Does not belong here: any judgement of a row (``clean``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import duckdb

from platform_assets.errors import CountError, SchemaDriftError, SourceError
from platform_assets.observability.traces import span
from platform_assets.pipeline import drift
from platform_assets.pipeline.changes import load_changes
from platform_assets.pipeline.drift import Judged, SchemaBook
from platform_assets.pipeline.raw_table import align_raw, raw_rows
from platform_assets.pipeline.steps import (
    CONTROL_TOTAL,
    BatchReport,
    Step,
    batches,
    describe,
    ensure_tables,
    isolate,
    record_alone,
    tells,
    traced,
    with_seconds,
)
from platform_assets.provenance import FILE_COLUMN
from platform_assets.sources.base import Layouts, SourceInput, WindowSource
from platform_assets.sources.change_source import ChangeSource
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import hold, ledger, tables, threads
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.publish import Publish, in_partitions, publish

# What a source may raise that is no defect of the program.
_SOURCE_ERRORS = (SourceError, duckdb.Error, OSError)


class _UnreadableError(Exception):
    """Stops a transaction: partitions of it turned out not to have been read right."""

    def __init__(self, errors: Mapping[str, SourceError]) -> None:
        super().__init__()
        self.errors = errors


def load_raw(step: Step, partitions: Sequence[str]) -> BatchReport:
    """Load partitions of a dataset from its source into its raw table.

    A partition whose input is that of its last publish is left alone; one for which nothing came
    becomes empty; one that cannot be read, or whose schema has changed in a way that the dataset's
    policy does not allow, keeps what it had. Where the source is down, that is all of them: each
    is noted as failed, and why.

    Args:
        step: What to work on and with.
        partitions: The partitions' keys.

    Returns:
        What became of each partition.
    """
    source = step.dataset.source
    if isinstance(source, ChangeSource):
        return load_changes(step, partitions)
    ensure_tables(step)
    asset = f"raw/{step.dataset.name}"
    # A source that answers late does so where it is asked what there is.
    started = time.perf_counter()
    try:
        with span("look", partitions=partitions):
            inputs = source.inputs(step.access, partitions)
    except _SOURCE_ERRORS as error:
        down = [_failed(step, asset, key, error) for key in partitions]
        record_alone(step, down)
        return traced(
            BatchReport(asset, {entry.partition: entry for entry in down}), step.dataset.name
        )
    standing = ledger.published(step.lake, asset, partitions)
    columns = _source_columns(step)
    unchanged, waiting, failed = [], [], []
    for each in inputs:
        last = standing.get(each.partition)
        if each.error is not None:
            failed.append(_failed(step, asset, each.partition, each.error))
        elif last and not step.force and hold.refused_input(last) == _fingerprint(each, columns):
            unchanged.append(ledger.unchanged(last, step.run_id))
        else:
            waiting.append(each)
    entries = {entry.partition: entry for entry in (*unchanged, *failed)}
    record_alone(step, [*unchanged, *failed])
    book = SchemaBook(step)
    for batch in batches(waiting, lambda each: each.bytes, step.batch_bytes):
        threads.use_all(step.lake, sum(each.bytes for each in batch))
        for entry in _load_batch(step, asset, batch, columns, book, started):
            entries[entry.partition] = entry
        started = time.perf_counter()
    if waiting:
        compact(step.lake, asset)
    return traced(BatchReport(asset, {key: entries[key] for key in partitions}), step.dataset.name)


def _failed(step: Step, asset: str, partition: str, error: Exception) -> LedgerEntry:
    return replace(
        step.entry(asset, partition, Status.FAILED),
        stopped_by=_stop(error),
        message=describe(error),
    )


def _stop(error: Exception) -> str:
    if isinstance(error, SchemaDriftError):
        return drift.STOPPED_BY
    return CONTROL_TOTAL if isinstance(error, CountError) else "source"


def _source_columns(step: Step) -> list[str]:
    return [name for column in step.dataset.compiled.columns for name in column.sources]


def _fingerprint(each: SourceInput, columns: Sequence[str]) -> str:
    """What the raw rows depend on: the input, and which columns are asked of it."""
    names = hashlib.sha256("\x1f".join(columns).encode()).hexdigest()[:8]
    return f"{each.fingerprint}-{names}"


def _windows(step: Step) -> WindowSource:
    source = step.dataset.source
    assert isinstance(source, WindowSource)  # load_raw has looked
    return source


def _load_batch(
    step: Step,
    asset: str,
    batch: Sequence[SourceInput],
    columns: Sequence[str],
    book: SchemaBook,
    started: float,
) -> Iterator[LedgerEntry]:
    source = _windows(step)
    judged = Judged(step.dataset.name, step.run_id)
    layouts: Layouts = {}

    def failed(each: SourceInput, error: Exception) -> LedgerEntry:
        if not tells(error):
            error = source.explain(step.dataset.name, each, error)
        entry = replace(_failed(step, asset, each.partition, error), bytes=each.bytes)

        def record(connection: Connection) -> None:
            ledger.record(connection, [entry])
            if each.partition in judged.blocked:
                judged.record(connection, {each.partition: 0})

        in_transaction(step.lake, record)
        return entry

    def work(part: Sequence[SourceInput]) -> list[LedgerEntry]:
        """Publish a part without those of it that turn out unreadable while they are read."""
        refused: list[LedgerEntry] = []
        while part:
            try:
                return refused + _publish_batch(step, asset, part, judged, layouts, started)
            except _UnreadableError as stop:
                errors = stop.errors
            refused += [failed(e, errors[e.partition]) for e in part if e.partition in errors]
            part = [e for e in part if e.partition not in errors]
        return refused

    faults: dict[str, Exception] = {}
    try:
        with span("inspect", partitions=[each.partition for each in batch]):
            faults |= source.inspect(step.access, step.dataset.name, batch, columns)
    except _SOURCE_ERRORS as error:
        for each in batch:
            yield failed(each, error)
        return
    layouts, unread = drift.read_layouts(step, [e for e in batch if e.partition not in faults])
    judged = book.judge(layouts)
    faults |= {**unread, **judged.blocked}
    for each in batch:
        if each.partition in faults:
            yield failed(each, faults[each.partition])
    readable = [each for each in batch if each.partition not in faults]
    if readable:
        yield from isolate(readable, work, failed)


def _publish_batch(
    step: Step,
    asset: str,
    batch: Sequence[SourceInput],
    judged: Judged,
    layouts: Layouts,
    started: float,
) -> list[LedgerEntry]:
    table = tables.raw_table(step.dataset.name)
    by_key = {each.partition: each for each in batch}
    present = drift.names_in(step.dataset.compiled.columns, layouts, list(by_key))
    extract = (
        _windows(step).extract(step.access, step.dataset.name, batch, present)
        if any(each.items for each in batch)
        else None
    )
    held = align_raw(step, extract.columns if extract else None)
    rows = (
        raw_rows(step, extract.relation, extract.columns, held, judged.defaults)
        if extract
        else _no_rows(held)
    )
    entries: list[LedgerEntry] = []

    def audit(connection: Connection, rows: Mapping[str, int], removed: Mapping[str, int]) -> None:
        del removed  # whole partitions are replaced
        if extract is not None:
            by_file = connection.execute(
                f"SELECT {FILE_COLUMN}, count(*) FROM {table} "
                f"WHERE {in_partitions(list(by_key))} GROUP BY 1"
            ).fetchall()
            errors = extract.verify(connection, {str(k): int(v) for k, v in by_file})
            if errors:
                raise _UnreadableError(errors)
        entries[:] = with_seconds(
            [
                replace(
                    step.entry(asset, key, Status.PUBLISHED),
                    extracted=count,
                    bytes=by_key[key].bytes,
                    input_fingerprint=_fingerprint(by_key[key], _source_columns(step)),
                )
                for key, count in rows.items()
            ],
            started,
        )

    def commit_with(connection: Connection) -> None:
        ledger.record(connection, entries)
        judged.record(connection, {entry.partition: entry.extracted for entry in entries})

    publish(
        step.lake,
        Publish(table, list(by_key), rows, list(held), writing="extract"),
        audit=audit,
        commit_with=commit_with,
    )
    return entries


def _no_rows(held: Mapping[str, str]) -> str:
    return (
        "SELECT "
        + ", ".join(f"CAST(NULL AS VARCHAR) AS {quote_identifier(name)}" for name in held)
        + " WHERE false"
    )
