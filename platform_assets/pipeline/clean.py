"""Raw → cleaned and quarantine: rows typed, judged, deduplicated, reconciled, published.

Belongs here: the second step of a row and its gate. Does not belong here: what a rule is
(``contracts``), or how rows are replaced and kept (``warehouse``).

A batch is judged in one scan that keeps only the verdicts on rows that break something; the good
rows are then cast again on their way into the table. Both scans of the columnar raw table
together cost a fraction of laying out all typed rows in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from platform_assets.errors import PartitionError, PublishError
from platform_assets.observability.traces import span
from platform_assets.pipeline import gates, history, overlay, versions
from platform_assets.pipeline.contract_plan import follow_contract
from platform_assets.pipeline.due import due, fingerprint
from platform_assets.pipeline.gates import CONTRACT, ENGINE
from platform_assets.pipeline.judging import Judgement, Scope, judge, row_key
from platform_assets.pipeline.merging import Waiting, can_still_merge, onto
from platform_assets.pipeline.noticing import Noticed, OddError, notice
from platform_assets.pipeline.reconcile import UnreconciledError, unreconciled
from platform_assets.pipeline.standing import (
    Standing,
    has_moved,
    standing_of,
)
from platform_assets.pipeline.steps import (
    BatchReport,
    Step,
    batches,
    describe,
    ensure_tables,
    isolate,
    record_alone,
    traced,
    with_seconds,
)
from platform_assets.pipeline.temporary import CARRIED
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import ledger, quarantine, tables, threads
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import Connection, one_state
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.newest import newest_events
from platform_assets.warehouse.publish import Publish, count_rows, in_partitions, publish
from platform_assets.warehouse.quarantine import Resolved, RowStatus
from platform_assets.warehouse.tally import Tally

# Each time another run publishes the raw rows, or a dataset referred to, the judgement is stale.
JUDGEMENTS = 5


class _MovedError(Exception):
    """Stops a transaction: what its rows were judged against is no longer what stands."""


class _StoppedError(Exception):
    """Stops a judgement: a partition of the batch takes no values, as others were told it does.

    Those before it, it, and those after it are judged one after the other.
    """

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at


def clean(step: Step, partitions: Sequence[str]) -> BatchReport:
    """Judge partitions of a dataset and publish those that pass, with their quarantine.

    A partition is stopped where its share of rejected rows is above the dataset's limit, where a
    rule's rows are above that rule's, or where its rows do not add up; it keeps what it had, and
    the rows that stopped it are in the quarantine as ``blocked``.

    Args:
        step: What to work on and with.
        partitions: The partitions' keys.

    Returns:
        What became of each partition.
    """
    ensure_tables(step)
    name = step.dataset.name
    asset = f"cleaned/{name}"
    try:
        follow_contract(step)
        history.ensure(step)
    except PublishError as error:
        return _refused(step, asset, partitions, error)
    with one_state(step.lake):
        idle, groups = due(step, asset, partitions)
    record_alone(step, idle)
    entries = {entry.partition: entry for entry in idle}
    for since, group in groups.items():
        for batch in batches(group, lambda each: each.raw.bytes, step.batch_bytes):
            threads.use_all(step.lake, sum(each.raw.bytes for each in batch))
            for entry in _clean_batch(step, asset, batch, since):
                entries[entry.partition] = entry
    if groups:
        compact(step.lake, asset, *([f"history/{name}"] if step.dataset.history else []))
    return traced(BatchReport(asset, {key: entries[key] for key in partitions}), name)


def _refused(step: Step, asset: str, partitions: Sequence[str], error: PublishError) -> BatchReport:
    """The report where the table cannot take rows of the contract as it is now."""
    stopped = [
        replace(step.entry(asset, key, Status.FAILED), stopped_by=CONTRACT, message=describe(error))
        for key in partitions
    ]
    record_alone(step, stopped)
    return traced(
        BatchReport(asset, {entry.partition: entry for entry in stopped}), step.dataset.name
    )


def _clean_batch(
    step: Step, asset: str, batch: Sequence[Waiting], since: int | None
) -> Iterator[LedgerEntry]:
    started = time.perf_counter()

    def failed(each: Waiting, error: Exception) -> LedgerEntry:
        entry = replace(
            step.entry(asset, each.key, Status.FAILED),
            bytes=each.raw.bytes,
            stopped_by=ENGINE,
            message=describe(error),
        )
        record_alone(step, [entry])
        return entry

    def work(part: Sequence[Waiting]) -> list[LedgerEntry]:
        return _judge_and_publish(step, asset, part, since, started)

    yield from isolate(batch, work, failed)


def _judge_and_publish(
    step: Step, asset: str, batch: Sequence[Waiting], since: int | None, started: float
) -> list[LedgerEntry]:
    for _ in range(JUDGEMENTS):
        with one_state(step.lake):
            standing = standing_of(step, [each.key for each in batch])
        raw, corrected = standing.raw, standing.corrections
        batch = [
            Waiting(raw[e.key], fingerprint(step, raw[e.key], corrected), e.last) for e in batch
        ]
        if since is not None and not can_still_merge(standing.cleaned, batch, since):
            since = None
        try:
            judging = replace(step, raw_columns=standing.raw_columns)
            with overlay.corrected(judging, [each.key for each in batch]) as own:
                return _publish_judged(own, asset, batch, standing, since, started)
        except _MovedError:
            continue
        except _StoppedError as stop:
            at = stop.at
            return [
                entry
                for part in (batch[:at], batch[at : at + 1], batch[at + 1 :])
                if part
                for entry in _judge_and_publish(step, asset, part, since, started)
            ]
    raise PartitionError(
        "Other runs kept changing what the rows are judged against",
        where=f"dataset {step.dataset.name}, partition {batch[0].key}",
        expected=f"rows that stay for the time of a judgement, within {JUDGEMENTS} attempts",
        found="a new publish of its raw rows, or of a dataset referred to, during each",
        fix="run the partition again when the other runs are done",
    )


def _publish_judged(
    step: Step,
    asset: str,
    batch: Sequence[Waiting],
    standing: Standing,
    since: int | None,
    started: float,
) -> list[LedgerEntry]:
    with judge(step, Scope([each.key for each in batch], since)) as judgement:
        resolved = _resolved(step, judgement)
        entries = {
            each.key: _entry(step, asset, each, judgement, resolved.get(each.key, Resolved()))
            for each in batch
        }
        odd: list[OddError] = []
        gates.hold_back(step, entries.values())
        while True:
            stopped = [n for n, e in enumerate(batch) if entries[e.key].status is Status.FAILED]
            if step.dataset.unique_across and stopped and len(batch) > 1:
                raise _StoppedError(stopped[0])
            timed = with_seconds(list(entries.values()), started)
            try:
                _publish(step, judgement, timed, standing, odd)
            except (UnreconciledError, history.InconsistentError) as stop:
                stops = {key: (stop.stopped_by, each) for key, each in stop.messages.items()}
            except OddError as stop:
                stops = stop.stops
                odd.append(stop)
            else:
                return timed
            for key, (stopped_by, message) in stops.items():
                entries[key] = replace(
                    entries[key], status=Status.FAILED, stopped_by=stopped_by, message=message
                )


def _resolved(step: Step, judgement: Judgement) -> dict[str, Resolved]:
    """Rejected rows that a person has resolved, by partition."""
    counts = judgement.counts
    if judgement.scope.since is not None:
        # What is rejected is what is held, and the new versions, which nobody has seen yet.
        return quarantine.count_resolved(step.lake, step.dataset.name, list(counts))
    rejecting = [key for key, found in counts.items() if found.rejected]
    if not rejecting:
        return {}
    return quarantine.resolved_among(step.lake, judgement.rejected(step), rejecting)


def _entry(
    step: Step, asset: str, each: Waiting, judgement: Judgement, resolved: Resolved
) -> LedgerEntry:
    """What becomes of a partition; rejected rows that a person has resolved do not stop it."""
    counts = onto(judgement.counts[each.key], each, judgement.scope)
    entry = replace(
        step.entry(asset, each.key, Status.PUBLISHED),
        extracted=counts.extracted,
        quarantined=counts.rejected,
        deduplicated=counts.deduplicated,
        broken=counts.broken,
        bytes=each.raw.bytes,
        input_fingerprint=each.fingerprint,
    )
    found = gates.stop(step.dataset, each.key, counts, resolved)
    if found is None:
        return entry
    return replace(entry, status=Status.FAILED, stopped_by=found.rule, message=found.message)


def _newest_events(
    connection: Connection, step: Step, partitions: Sequence[str]
) -> dict[str, datetime]:
    """The newest event of each partition as it is to be published."""
    column = step.dataset.compiled.event_time
    if column is None:
        return {}
    return newest_events(
        connection,
        tables.cleaned_table(step.dataset.name),
        quote_identifier(column.name),
        partitions,
    )


def _publish(
    step: Step,
    judgement: Judgement,
    entries: list[LedgerEntry],
    standing: Standing,
    odd: Sequence[OddError],
) -> None:
    """Commit a batch: rows, quarantine and ledger together; fills in what was counted there."""
    name = step.dataset.name
    good = [entry.partition for entry in entries if entry.status is Status.PUBLISHED]
    statuses = {
        entry.partition: RowStatus.OPEN if entry.status is Status.PUBLISHED else RowStatus.BLOCKED
        for entry in entries
    }
    columns = [column for column, _ in step.dataset.compiled.published_columns]

    merging = judgement.scope.since is not None
    if merging:
        versions.note_decided(step, judgement.condition, row_key(step))
    deduplicated = {entry.partition: entry.deduplicated for entry in entries}
    chosen = judgement.good_rows(in_partitions(good))
    carried: dict[str, int] = {}
    if merging and step.dataset.marks_deletes:
        carried = versions.carry_marked(step, in_partitions(good))
        chosen = f"{chosen} UNION ALL BY NAME FROM {CARRIED}"
    kept: list[LedgerEntry] = []
    noticed = Noticed()
    tally = Tally(step.dataset.published_key)

    def audit(connection: Connection, rows: Mapping[str, int], removed: Mapping[str, int]) -> None:
        if has_moved(step, standing):
            raise _MovedError
        overlay.settle(step, list(statuses))
        stored = quarantine.store(
            connection,
            judgement.rejected(step),
            statuses,
            judged=versions.decided_quarantine() if merging else "true",
        )
        raw = tables.raw_table(name)
        extracted = count_rows(connection, raw, good) if merging else {}
        newest = _newest_events(connection, step, good)
        for number, entry in enumerate(entries):
            key = entry.partition
            if key in rows:
                # A version that a newer one stands for was published, or in quarantine, or is new.
                counted = replace(
                    entry,
                    extracted=extracted.get(key, entry.extracted),
                    cleaned=rows[key],
                    quarantined=stored.held.get(key, 0),
                    deduplicated=deduplicated[key]
                    + (removed.get(key, 0) + stored.released.get(key, 0) if merging else 0)
                    - carried.get(key, 0),
                )
                counted = replace(counted, newest_event=newest.get(key))
                entries[number] = ledger.tallied(counted, tally.changes[key])
        off = {e.partition: unreconciled(name, e) for e in entries if e.partition in rows}
        messages = {key: message for key, message in off.items() if message}
        if messages:
            raise UnreconciledError(messages)
        if step.dataset.history:
            kept[:] = history.keep(step, judgement, entries)
        nonlocal noticed
        new = {k: n.extracted for k, n in judgement.counts.items()} if merging else None
        published = [each for each in entries if each.partition in rows]
        with span("notice"):
            noticed = notice(connection, step, entries[0].asset, published, standing.raw, new=new)

    def commit_with(connection: Connection) -> None:
        ledger.record(connection, [*entries, *kept])
        noticed.with_stopped(odd).record(connection, step, entries[0].asset)

    publish(
        step.lake,
        Publish(
            tables.cleaned_table(name),
            good,
            chosen,
            [*columns, *(name for name, _ in step.dataset.cleaned_provenance)],
            versions.decided_rows(step) if merging else "",
            tally,
        ),
        audit=audit,
        commit_with=commit_with,
    )
