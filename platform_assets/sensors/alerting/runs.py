"""Runs that failed for good: what failed in them, and until when that is a problem.

Belongs here: the failures of runs in Dagster's event log. Does not belong here: ending runs whose
process is gone (``sensors.dead_runs``), which then fail like any other.

What a run failed at are its steps' assets. Such a failure is over as soon as each partition that
the run was for was materialized after it, by whichever runs. A run that only says that some of its
partitions failed is caused by them, and is over as it begins. A run that somebody cancelled is no
failure, and neither is one that Dagster will try again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import duckdb
from dagster._core.events import JobFailureData
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)

from platform_assets.alerts.signals import Kind, Signal
from platform_assets.errors import PlatformError
from platform_assets.sensors.alerting.partitions import causes_in
from platform_assets.sensors.alerting.wording import first_lines, plural, retry, without_values
from platform_assets.sensors.alerting.world import Collected, World, over

PAGE = 200
ENDED_LOOKED_AT = 100
ROUND_SECONDS = 30
# How long Dagster takes at most, after a failure, to write down whether it will try again.
DECIDED_AFTER = timedelta(seconds=60)
_WRITTEN_BY_US = "platform_assets.errors."
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


def collect(world: World, cursor: str | None) -> Collected:
    """Runs that failed since the last look; the first time, none: what stands is told elsewhere.

    Args:
        world: What there is to look at.
        cursor: The event that was looked at last.
    """
    if cursor is None:
        newest = world.instance.fetch_run_status_changes(
            dg.DagsterEventType.RUN_FAILURE, limit=1
        ).records
        return Collected([], str(newest[0].storage_id if newest else 0))
    records = world.instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(
            dg.DagsterEventType.RUN_FAILURE, after_storage_id=int(cursor)
        ),
        limit=PAGE,
        ascending=True,
    ).records
    signals = []
    for record in records:
        at = datetime.fromtimestamp(record.timestamp, UTC)
        run = world.instance.get_run_by_id(record.run_id)
        if run is not None:
            decided = WILL_RETRY_TAG in run.tags or not world.instance.run_retries_enabled
            if not decided and world.now - at < DECIDED_AFTER:
                break
            if run.tags.get(WILL_RETRY_TAG, "").lower() != "true":
                signals += _told(world, run, at, record.event_log_entry)
        cursor = str(record.storage_id)
    return Collected([*signals, *_ended(world)], cursor)


@dataclass(frozen=True)
class _Failure:
    """A step that failed."""

    assets: tuple[str, ...]
    text: str
    of_partitions: bool


def partition_label(run: dg.DagsterRun) -> str:
    """The partitions that a run is for: one, ``first..last``, or empty where nothing is cut."""
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first is None or last is None:
        return run.tags.get(PARTITION_NAME_TAG, "")
    return first if first == last else f"{first}..{last}"


def planned_assets(instance: dg.DagsterInstance, run_id: str) -> dict[str, tuple[str, ...]]:
    """The assets that each step of a run is to materialize, in order, by step."""
    found: dict[str, list[str]] = {}
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    for entry in instance.all_logs(run_id, of_type=planned):
        event = entry.get_dagster_event()
        assert event.asset_key is not None  # such an event is of an asset
        name = event.asset_key.to_user_string()
        if name not in found.setdefault(str(event.step_key), []):
            found[str(event.step_key)].append(name)
    return {step: tuple(names) for step, names in found.items()}


def _told(world: World, run: dg.DagsterRun, at: datetime, event: dg.EventLogEntry) -> list[Signal]:
    planned = planned_assets(world.instance, run.run_id)
    failures = _failures(world.instance, run, planned, event)
    label, causes = partition_label(run), _causes(world, run.run_id)
    subjects = {(f.assets[0] if f.assets else f"run/{run.job_name}"): f for f in failures}
    if causes and all(each.of_partitions for each in failures):
        # Nothing went wrong but the partitions, which are told of one by one, and end one by one.
        subject, failure = next(iter(subjects.items()))
        signal = world.assets.described(
            Signal(
                kind=Kind.RUN_FAILED,
                subject=subject,
                at=at,
                partition=label,
                title="the run left partitions unpublished",
                detail=failure.text,
                cause=causes[""],
                run_id=run.run_id,
            )
        )
        return [signal, over(signal, at)]
    told: list[Signal] = []
    for subject, failure in subjects.items():
        if failure.of_partitions and causes:
            continue
        others = len(failure.assets) - 1
        more = f", with {plural(others, 'asset')} more" if others > 0 else ""
        told.append(
            world.assets.described(
                Signal(
                    kind=Kind.RUN_FAILED,
                    subject=subject,
                    at=at,
                    partition=label,
                    title=f"the run failed{more}",
                    detail=failure.text,
                    # One run is one alert: its other steps follow from the first.
                    cause=told[0].fingerprint if told else "",
                    run_id=run.run_id,
                    command=retry(subject, label)
                    if failure.assets
                    else f"dagster job launch -m platform_assets.definitions -j {run.job_name}",
                )
            )
        )
    return told


def _causes(world: World, run_id: str) -> dict[str, str]:
    try:
        return dict(causes_in(world, run_id))
    except (PlatformError, duckdb.Error):
        # That the lake cannot be asked is told by those who only read it; the failure is told now.
        return {}


def _failures(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    planned: dict[str, tuple[str, ...]],
    event: dg.EventLogEntry,
) -> list[_Failure]:
    """What failed; where no step says so, as its process was killed, what it was at work on."""
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    if entries:
        return [_of_step(entry, planned) for entry in entries]
    text = _of_run(event)
    if not planned:
        return [_Failure((), text, of_partitions=False)]
    done = {
        each.step_key
        for each in instance.get_run_step_stats(run.run_id)
        if each.end_time is not None
    }
    assets = [name for step, names in planned.items() if step not in done for name in names]
    return [_Failure(tuple(assets or next(iter(planned.values()))), text, of_partitions=False)]


def _of_run(event: dg.EventLogEntry) -> str:
    """What is said of a run that failed as a whole, such as by whoever found its process gone."""
    failed = event.get_dagster_event()
    told = failed.event_specific_data
    error = told.error if isinstance(told, JobFailureData) else None
    text = failed.message or event.user_message if error is None else error.message
    return without_values(text)


def _of_step(entry: dg.EventLogEntry, planned: dict[str, tuple[str, ...]]) -> _Failure:
    event = entry.get_dagster_event()
    data = event.step_failure_data
    assets = planned.get(str(event.step_key), ())
    told = data.user_failure_data
    if told is not None:
        text = first_lines(told.description or "")
        return _Failure(assets, text, of_partitions="partitions" in told.metadata)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return _Failure(assets, f"step {event.step_key} failed", of_partitions=False)
    ours = error.message.startswith(_WRITTEN_BY_US)
    text = first_lines(error.message) if ours else without_values(error.message)
    return _Failure(assets, text, of_partitions=False)


def _ended(world: World) -> Iterable[Signal]:
    """Failures of runs that are over by now."""
    known = list(world.of(Kind.RUN_FAILED).values())
    # Of very many, others are looked at each time.
    rounds = -(-len(known) // ENDED_LOOKED_AT) or 1
    first = int(world.now.timestamp()) // ROUND_SECONDS % rounds * ENDED_LOOKED_AT
    looked_at = known[first : first + ENDED_LOOKED_AT]
    return [over(each, world.now) for each in looked_at if _is_over(world, each)]


def _is_over(world: World, problem: Signal) -> bool:
    record = world.instance.get_run_record_by_id(problem.run_id)
    if record is None:
        # Nobody can look at it any more.
        return True
    failed_at = record.end_time or record.update_timestamp.timestamp()
    if problem.subject.startswith("run/"):
        return _job_succeeded(world.instance, record.dagster_run, failed_at)
    key, own = dg.AssetKey.from_user_string(problem.subject), world.assets.key(problem.subject)
    # Of another code location's asset it is not known how it is cut.
    cut = None if own is None else world.assets.graph.get(own).partitions_def
    if cut is None or not problem.partition:
        event = world.instance.get_latest_materialization_event(key)
        return event is not None and event.timestamp > failed_at
    first, _, last = problem.partition.partition("..")
    return _all_materialized(world.instance, key, _between(cut, first, last), failed_at)


def _between(cut: dg.PartitionsDefinition[str], first: str, last: str) -> Sequence[str]:
    if not last:
        return [first]
    span = dg.PartitionKeyRange(first, last)
    return cut.get_partition_keys_in_range(span)


def _all_materialized(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str], after: float
) -> bool:
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions=set(partitions)
    )
    if len(newest) < len(partitions):
        return False
    # Ids grow with time: the oldest of them decides.
    oldest = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, storage_ids=[min(newest.values())]), limit=1
    ).records
    return bool(oldest) and oldest[0].timestamp > after


def _job_succeeded(instance: dg.DagsterInstance, failed: dg.DagsterRun, after: float) -> bool:
    tag = failed.tags.get(PARTITION_NAME_TAG)
    runs = instance.get_run_records(
        dg.RunsFilter(
            job_name=failed.job_name,
            statuses=list(_FINISHED),
            tags={PARTITION_NAME_TAG: tag} if tag else {},
        ),
        limit=1,
    )
    newest = runs[0] if runs else None
    return (
        newest is not None
        and newest.dagster_run.status is dg.DagsterRunStatus.SUCCESS
        and (newest.end_time or 0.0) > after
    )
