"""Source → raw: rows as they came, in the source's own types, with where they came from.

Belongs here: the first step of a row. Does not belong here: any judgement of a row (``clean``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import duckdb

from platform_assets.errors import SourceError
from platform_assets.pipeline.alignment import align_raw, source_names
from platform_assets.pipeline.changes import load_changes
from platform_assets.pipeline.steps import (
    BatchReport,
    Step,
    batches,
    describe,
    ensure_tables,
    isolate,
    record_alone,
    tells,
    with_seconds,
)
from platform_assets.provenance import FILE_COLUMN, PROVENANCE_COLUMNS
from platform_assets.sources.base import ChangeSource, Extract, SourceInput, WindowSource
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import Connection
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
    becomes empty; one that cannot be read keeps what it had. Where the source is down, that is all
    of them: each is noted as failed, and why.

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
    try:
        inputs = source.inputs(step.access, partitions)
    except _SOURCE_ERRORS as error:
        down = [_failed(step, asset, key, error) for key in partitions]
        record_alone(step, down)
        return BatchReport(asset, {entry.partition: entry for entry in down})
    standing = ledger.published(step.lake, asset, partitions)
    columns = source_names(step)
    unchanged, waiting, failed = [], [], []
    for each in inputs:
        last = standing.get(each.partition)
        if each.error is not None:
            failed.append(_failed(step, asset, each.partition, each.error))
        elif last and not step.force and last.input_fingerprint == _fingerprint(each, columns):
            unchanged.append(replace(last, run_id=step.run_id, status=Status.UNCHANGED))
        else:
            waiting.append(each)
    entries = {entry.partition: entry for entry in (*unchanged, *failed)}
    record_alone(step, [*unchanged, *failed])
    for batch in batches(waiting, lambda each: each.bytes, step.batch_bytes):
        for entry in _load_batch(step, asset, batch, columns):
            entries[entry.partition] = entry
    if waiting:
        compact(step.lake, asset)
    return BatchReport(asset, {key: entries[key] for key in partitions})


def _failed(step: Step, asset: str, partition: str, error: Exception) -> LedgerEntry:
    return replace(
        step.entry(asset, partition, Status.FAILED), stopped_by="source", message=describe(error)
    )


def _fingerprint(each: SourceInput, columns: Sequence[str]) -> str:
    """What the raw rows depend on: the input, and which columns are asked of it."""
    names = hashlib.sha256("\x1f".join(columns).encode()).hexdigest()[:8]
    return f"{each.fingerprint}-{names}"


def _windows(step: Step) -> WindowSource:
    source = step.dataset.source
    assert isinstance(source, WindowSource)  # load_raw has looked
    return source


def _load_batch(
    step: Step, asset: str, batch: Sequence[SourceInput], columns: Sequence[str]
) -> Iterator[LedgerEntry]:
    started = time.perf_counter()
    source = _windows(step)

    def failed(each: SourceInput, error: Exception) -> LedgerEntry:
        if not tells(error):
            error = source.explain(step.dataset.name, each, error)
        entry = replace(_failed(step, asset, each.partition, error), bytes=each.bytes)
        record_alone(step, [entry])
        return entry

    def work(part: Sequence[SourceInput]) -> list[LedgerEntry]:
        """Publish a part without those of it that turn out unreadable while they are read."""
        refused: list[LedgerEntry] = []
        while part:
            try:
                return refused + _publish_batch(step, asset, part, columns, started)
            except _UnreadableError as stop:
                errors = stop.errors
            refused += [failed(e, errors[e.partition]) for e in part if e.partition in errors]
            part = [e for e in part if e.partition not in errors]
        return refused

    try:
        faults = source.inspect(step.access, step.dataset.name, batch, columns)
    except _SOURCE_ERRORS as error:
        for each in batch:
            yield failed(each, error)
        return
    for each in batch:
        if each.partition in faults:
            yield failed(each, faults[each.partition])
    readable = [each for each in batch if each.partition not in faults]
    if readable:
        yield from isolate(readable, work, failed)


def _publish_batch(
    step: Step, asset: str, batch: Sequence[SourceInput], columns: Sequence[str], started: float
) -> list[LedgerEntry]:
    table = tables.raw_table(step.dataset.name)
    by_key = {each.partition: each for each in batch}
    extract = (
        _windows(step).extract(step.access, step.dataset.name, batch, columns)
        if any(each.items for each in batch)
        else None
    )
    held = align_raw(step, extract.columns if extract else None)
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
                    input_fingerprint=_fingerprint(by_key[key], columns),
                )
                for key, count in rows.items()
            ],
            started,
        )

    publish(
        step.lake,
        Publish(table, list(by_key), _rows(extract, held), list(held)),
        audit=audit,
        commit_with=lambda connection: ledger.record(connection, entries),
    )
    return entries


def _rows(extract: Extract | None, held: Mapping[str, str]) -> str:
    """The SELECT of new rows with exactly the table's columns."""
    if extract is None:
        return (
            "SELECT "
            + ", ".join(f"CAST(NULL AS VARCHAR) AS {quote_identifier(name)}" for name in held)
            + " WHERE false"
        )
    given = {column.name.lower() for column in extract.columns} | set(PROVENANCE_COLUMNS)
    selected = ", ".join(
        quote_identifier(name) if name.lower() in given else f"NULL AS {quote_identifier(name)}"
        for name in held
    )
    return f"SELECT {selected} FROM ({extract.relation})"
