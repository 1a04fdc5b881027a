"""Runs that take longer than was promised, or than they usually do: told while they run.

Belongs here: the steps of running runs held against their SLA and their history, and what finished
runs add to that. Does not belong here: the baseline (``alerts.durations``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from platform_assets.alerts import durations
from platform_assets.alerts.database import Database
from platform_assets.alerts.durations import Duration, size_of
from platform_assets.alerts.signals import Kind, Severity, Signal
from platform_assets.quality.sla import SLA_METADATA
from platform_assets.sensors.alerting.runs import partition_label, planned_assets
from platform_assets.sensors.alerting.wording import in_words
from platform_assets.sensors.alerting.world import Collected, World, transitions

MINIMUM_HISTORY = 5
PAGE = 100
FIRST_LOOK = 500
"""Runs of the past that are learnt from when there is no history at all."""


@dataclass(frozen=True)
class _Step:
    """A step of a run."""

    what: str
    assets: tuple[str, ...]
    size: int
    partitions: int
    started: float
    ended: float | None

    @property
    def seconds(self) -> float:
        """How long it took, where it has ended."""
        return (self.ended or self.started) - self.started


class Durations:
    """The collector of durations.

    Args:
        database: Where durations are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, world: World, cursor: str | None) -> Collected:
        """Runs that newly take too long, or that have ended.

        Args:
            world: What there is to look at.
            cursor: The end of a run that was learnt from last.
        """
        cursor = self._learn(world, cursor)
        present = []
        running = world.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        for run in running:
            for step in _steps(world, run):
                if step.ended is None:
                    present += self._judged(world, run, step)
        known = world.of(Kind.DURATION).values()
        return Collected(transitions(present, known, world.now), cursor)

    def _learn(self, world: World, cursor: str | None) -> str:
        """Keep what finished runs took; writing it twice does no harm."""
        if cursor is None:
            records = world.instance.fetch_run_status_changes(
                dg.DagsterEventType.RUN_SUCCESS, limit=FIRST_LOOK
            ).records
        else:
            records = world.instance.fetch_run_status_changes(
                dg.RunStatusChangeRecordsFilter(
                    dg.DagsterEventType.RUN_SUCCESS, after_storage_id=int(cursor)
                ),
                limit=PAGE,
                ascending=True,
            ).records
        taken = []
        for record in records:
            run = world.instance.get_run_by_id(record.run_id)
            if run is not None:
                taken += [
                    Duration(
                        step.what, step.size, run.run_id, step.ended, step.ended - step.started
                    )
                    for step in _steps(world, run)
                    if step.ended is not None
                ]
        durations.record(self._database, taken)
        newest = max((record.storage_id for record in records), default=int(cursor or 0))
        return str(newest)

    def _judged(self, world: World, run: dg.DagsterRun, step: _Step) -> list[Signal]:
        seconds = world.now.timestamp() - step.started
        sla = _sla(world, step)
        usual = durations.usual(self._database, step.what, step.size)
        if sla is not None and seconds > sla:
            promised = f"{_span(sla / step.partitions)} for each partition"
            return [self._signal(world, run, step, f"over its SLA of {promised}", _span(sla))]
        if usual is None or usual.history < MINIMUM_HISTORY:
            return []
        dataset = step.what.partition("/")[2]
        factor = world.thresholds.of(dataset).duration_factor
        if seconds <= usual.limit(factor):
            return []
        expected = f"{_span(usual.seconds)}, as of {usual.history} earlier runs"
        return [self._signal(world, run, step, "takes longer than it usually does", expected)]

    def _signal(
        self, world: World, run: dg.DagsterRun, step: _Step, title: str, expected: str
    ) -> Signal:
        begun = datetime.fromtimestamp(step.started, UTC)
        signal = Signal(
            kind=Kind.DURATION,
            subject=step.what if step.assets else f"run/{run.run_id}",
            at=world.now,
            part=run.run_id,
            partition=partition_label(run),
            severity=Severity.WARN,
            title=title,
            detail=f"expected: {expected}\n"
            f"found: still running, after {in_words(world.now - begun)}",
            run_id=run.run_id,
        )
        return world.assets.described(signal)


def _steps(world: World, run: dg.DagsterRun) -> list[_Step]:
    planned = planned_assets(world.instance, run.run_id)
    found = []
    for stats in world.instance.get_run_step_stats(run.run_id):
        if stats.start_time is None:
            continue
        assets = planned.get(stats.step_key, ())
        partitions = _partitions(world, run, assets)
        found.append(
            _Step(
                what=assets[0] if assets else f"{run.job_name}.{stats.step_key}",
                assets=assets,
                size=size_of(partitions),
                partitions=partitions,
                started=stats.start_time,
                ended=stats.end_time,
            )
        )
    return found


def _partitions(world: World, run: dg.DagsterRun, assets: tuple[str, ...]) -> int:
    first, _, last = partition_label(run).partition("..")
    key = world.assets.key(assets[0]) if assets and last else None
    cut = world.assets.graph.get(key).partitions_def if key is not None else None
    if cut is None:
        return 1
    span = dg.PartitionKeyRange(first, last)
    return len(cut.get_partition_keys_in_range(span))


def _sla(world: World, step: _Step) -> float | None:
    """Seconds that a step may take: the shortest of what was promised of its assets."""
    promised = []
    for asset in step.assets:
        key = world.assets.key(asset)
        metadata: Mapping[str, object] = {} if key is None else world.assets.graph.get(key).metadata
        value = metadata.get(SLA_METADATA)
        number = getattr(value, "value", value)
        if isinstance(number, (int, float)):
            promised.append(float(number) * step.partitions)
    return min(promised, default=None)


def _span(seconds: float) -> str:
    return in_words(timedelta(seconds=seconds))
