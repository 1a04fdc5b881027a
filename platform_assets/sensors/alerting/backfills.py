"""Backfills that are over: how many partitions are good, and how many are not.

Belongs here: the backfills of Dagster's daemon, and of the command. Does not belong here: the
failures of their partitions, which are told one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import duckdb
from dagster._core.execution.backfill import (
    BULK_ACTION_TERMINAL_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from dagster._core.storage.tags import BACKFILL_ID_TAG

from platform_assets.alerts.signals import Kind, Severity, Signal, Standing
from platform_assets.errors import PlatformError
from platform_assets.sensors.alerting.runs import partition_label
from platform_assets.sensors.alerting.wording import first_lines, plural, without_values
from platform_assets.sensors.alerting.world import Collected, World
from platform_assets.warehouse import ledger_feed
from platform_assets.warehouse.ledger_feed import Outcome
from platform_assets.workers import BACKFILL, COMMAND_TAG

SHOWN = 5
RUNS = 1_000
# What is written down late is not missed: so far is looked back, and what was told is remembered.
LATE = timedelta(minutes=5)
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
_AT_WORK = tuple(s for s in BulkActionStatus if s not in BULK_ACTION_TERMINAL_STATUSES)


def collect(world: World, cursor: str | None) -> Collected:
    """Backfills that are over since the last look; the first time, none.

    Args:
        world: What there is to look at.
        cursor: When that was, which were at work then, and which were told of lately.
    """
    held = json.loads(cursor) if cursor else {"at": world.now.timestamp(), "open": [], "done": []}
    back = datetime.fromtimestamp(held["at"], UTC) - LATE
    first, done = cursor is None, set(held["done"])
    found = {
        each.backfill_id: each
        for each in world.instance.get_backfills(filters=BulkActionsFilter(created_after=back))
    }
    begun = [world.instance.get_backfill(name) for name in held["open"] if name not in found]
    if first:
        begun = list(world.instance.get_backfills(filters=BulkActionsFilter(statuses=_AT_WORK)))
    found |= {each.backfill_id: each for each in begun if each is not None}
    ended = {k: v for k, v in found.items() if v.status in BULK_ACTION_TERMINAL_STATUSES}
    runs = {
        each.dagster_run.run_id: each
        for each in world.instance.get_run_records(
            dg.RunsFilter(
                tags={COMMAND_TAG: BACKFILL}, statuses=list(_FINISHED), updated_after=back
            )
        )
    }
    told = [_of_daemon(world, each) for k, each in ended.items() if k not in done]
    told += [_of_command(world, each) for k, each in runs.items() if k not in done]
    remembered = {
        "at": world.now.timestamp(),
        "open": sorted(found.keys() - ended.keys()),
        "done": sorted({*runs, *ended}),
    }
    return Collected([] if first else told, json.dumps(remembered))


def _of_daemon(world: World, backfill: PartitionBackfill) -> Signal:
    records = world.instance.get_run_records(
        dg.RunsFilter(tags={BACKFILL_ID_TAG: backfill.backfill_id}), limit=RUNS
    )
    failed = sum(r.dagster_run.status is dg.DagsterRunStatus.FAILURE for r in records)
    lines = [f"{plural(len(records), 'run')}, {failed} of them failed"]
    if backfill.error is not None:
        lines.append(without_values(backfill.error.message))
    bad = backfill.status not in (BulkActionStatus.COMPLETED_SUCCESS, BulkActionStatus.COMPLETED)
    ended = backfill.backfill_end_timestamp or world.now.timestamp()
    return _told(
        world,
        backfill.backfill_id,
        [each.dagster_run.run_id for each in records],
        lines,
        datetime.fromtimestamp(ended, UTC),
        bad=bad or failed > 0,
        how=backfill.status.value.lower().replace("_", " "),
    )


def _of_command(world: World, record: dg.RunRecord) -> Signal:
    run = record.dagster_run
    bad = run.status is dg.DagsterRunStatus.FAILURE
    ended = datetime.fromtimestamp(record.end_time or world.now.timestamp(), UTC)
    lines = [f"one run, of {partition_label(run)}"]
    how = "completed failed" if bad else "completed success"
    return _told(world, run.run_id, [run.run_id], lines, ended, bad=bad, how=how)


def _told(
    world: World,
    name: str,
    runs: Sequence[str],
    lines: Sequence[str],
    ended: datetime,
    *,
    bad: bool,
    how: str,
) -> Signal:
    outcome = _outcome(world, runs)
    shown = list(lines)
    if outcome.failed:
        keys = ", ".join(outcome.failed[:SHOWN])
        rest = len(outcome.failed) - SHOWN
        shown.append(f"failed: {keys}" + (f" and {rest} more" if rest > 0 else ""))
    counts = f"{outcome.good:,} good, {len(outcome.failed):,} failed"
    counted = f": partitions {counts}" if outcome.good or outcome.failed else ""
    return Signal(
        kind=Kind.BACKFILL_FINISHED,
        subject=f"backfill/{name}",
        at=ended,
        standing=Standing.ONCE,
        severity=Severity.WARN if bad or outcome.failed else Severity.INFO,
        title=f"{how}{counted}",
        detail=first_lines("\n".join(shown)),
        run_id=runs[0] if len(runs) == 1 else "",
    )


def _outcome(world: World, runs: Sequence[str]) -> Outcome:
    try:
        return ledger_feed.outcome(world.lake, runs)
    except (PlatformError, duckdb.Error):
        # That the lake cannot be asked is told by those who only read it; the end is told now.
        return Outcome(0, ())
