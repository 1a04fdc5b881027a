"""What checks say of each partition of a run, told to Dagster.

Belongs here: the one way from results per check and partition to Dagster's events, and every name
of Dagster's that is not public and that this needs. Does not belong here: what a check says.

Dagster makes one evaluation of a check and a step, without a partition where the step has many. The
others are stored here, in one batch, before the step yields that one; the UI then shows a check's
result for each partition, and the run's as the latest (ADR on evaluations per partition).
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.events import DagsterEvent
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from platform_assets.partitions import UNPARTITIONED_KEY

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext
Severity = dg.AssetCheckSeverity


@dataclass(frozen=True)
class Verdict:
    """What a check says of one partition.

    Attributes:
        passed: Whether it is passed.
        severity: How bad it is where it is not.
        description: What is to be read of it.
        metadata: As of any check's result.
    """

    passed: bool
    severity: Severity = Severity.WARN
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """What a check says of a run: of all its partitions together, and of each.

    Attributes:
        result: Of all together, with its asset's key and its own name.
        partitions: Of each partition that was checked; one that is absent was not.
    """

    result: dg.AssetCheckResult
    partitions: Mapping[str, Verdict] = field(default_factory=dict)


def partitioned(
    specs: Iterable[dg.AssetCheckSpec], cut: dg.PartitionsDefinition[str] | None
) -> list[dg.AssetCheckSpec]:
    """Checks whose results are kept by partition.

    Args:
        specs: The checks.
        cut: The partitions of their asset; None: it has none.
    """
    if cut is None:
        return list(specs)
    with warnings.catch_warnings():
        # A preview feature of Dagster: should it change, test_evaluations.py fails.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [spec._replace(partitions_def=cut) for spec in specs]


def tell(context: Context, checks: Sequence[Checked]) -> Iterator[dg.AssetCheckResult]:
    """Tell Dagster of checks, partition by partition, and then of the run.

    To be called after the partitions were materialized: an evaluation names what it is of.

    Args:
        context: Of the step; the checks are its own.
        checks: What each says.

    Yields:
        What the step has to yield for each check.
    """
    step = context.op_execution_context
    if step.has_partition_key or step.has_partition_key_range:
        # In a run of one partition the result that is yielded is that partition's evaluation.
        _store(context, checks, without=step.partition_key if step.has_partition_key else None)
    for each in checks:
        yield each.result


def _store(context: Context, checks: Sequence[Checked], without: str | None) -> None:
    others = [
        replace(
            each,
            partitions={
                partition: verdict
                for partition, verdict in each.partitions.items()
                # A run over a range may also hold assets that are not cut.
                if partition not in (without, UNPARTITIONED_KEY)
            },
        )
        for each in checks
    ]
    targets = {key: _materializations(context, key, others) for key in {_key(c) for c in others}}
    events = [
        _event(context, _evaluation(each, partition, verdict, targets[_key(each)].get(partition)))
        for each in others
        for partition, verdict in each.partitions.items()
    ]
    if events:
        # Our storage writes them in one transaction (ADR 0006); any other, one by one.
        context.instance.event_log_storage.store_event_batch(events)


def _key(check: Checked) -> dg.AssetKey:
    assert check.result.asset_key is not None
    return check.result.asset_key


def _materializations(
    context: Context,
    key: dg.AssetKey,
    checks: Sequence[Checked],
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    """What stands of each checked partition; the UI shows only evaluations of that."""
    partitions = {p for each in checks if _key(each) == key for p in each.partitions}
    return _of_partitions(context.instance, key, partitions)


def _of_partitions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: set[str]
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    """The newest materialization of each partition; one without is absent."""
    if not partitions:
        return {}
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions=partitions
    )
    if not newest:
        return {}
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, storage_ids=list(newest.values())), limit=len(newest)
    )
    return {
        str(record.partition_key): AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        for record in found.records
    }


def _evaluation(
    check: Checked,
    partition: str,
    verdict: Verdict,
    target: AssetCheckEvaluationTargetMaterializationData | None,
) -> AssetCheckEvaluation:
    return AssetCheckEvaluation(
        asset_key=_key(check),
        check_name=str(check.result.check_name),
        passed=verdict.passed,
        metadata=verdict.metadata,
        target_materialization_data=target,
        severity=verdict.severity,
        description=verdict.description,
        partition=partition,
    )


def _event(
    context: Context,
    evaluation: AssetCheckEvaluation,
) -> dg.EventLogEntry:
    step = context.op_execution_context
    said = (
        f"Asset check '{evaluation.check_name}' on '{evaluation.asset_key.to_user_string()}' "
        f"{'passed' if evaluation.passed else 'did not pass'} for {evaluation.partition}."
    )
    return dg.EventLogEntry(  # type: ignore[no-untyped-call] # Dagster gives it no types
        error_info=None,
        level=logging.DEBUG,
        user_message=said,
        run_id=step.run_id,
        timestamp=time.time(),
        step_key=str(step.op_handle),
        job_name=step.job_name,
        dagster_event=DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            job_name=step.job_name,
            step_handle=None,
            event_specific_data=evaluation,
            message=said,
        ),
    )


@dataclass(frozen=True)
class ToldWithoutRun:
    """What became of checks that were to say something outside of any run.

    Attributes:
        told: Those that were told; one that said so already was not.
        left_to_runs: Those that a run is working on, which tells them itself.
    """

    told: tuple[dg.AssetCheckKey, ...] = ()
    left_to_runs: tuple[dg.AssetCheckKey, ...] = ()


def tell_without_run(
    instance: dg.DagsterInstance,
    verdicts: Mapping[dg.AssetCheckKey, Verdict],
    partition: str | None = None,
) -> ToldWithoutRun:
    """Have checks say something, outside of any run, where they do not yet.

    What a check says is told again after a new materialization of its asset, as the UI hides what
    was said of an earlier one. A check that a run is working on is left to that run.

    Args:
        instance: Dagster's instance.
        verdicts: What each check is to say.
        partition: Of which partition; None: of the whole asset.
    """
    storage = instance.event_log_storage
    said = storage.get_latest_asset_check_execution_by_key(
        list(verdicts), None if partition is None else PartitionKeyFilter(key=partition)
    )
    newest = _newest_ids(instance, {key.asset_key for key in verdicts}, partition)
    left = [key for key in verdicts if _is_worked_on(instance, said.get(key))]
    due = [
        key
        for key, verdict in verdicts.items()
        if key not in left
        and not _says(said.get(key), verdict, newest.get(key.asset_key), partition)
    ]
    targets = _newest_materializations(instance, {key.asset_key for key in due}, partition)
    for key in due:
        verdict = verdicts[key]
        if partition is not None:
            _make_room(instance, key, partition)
        instance.report_runless_asset_event(
            AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=verdict.passed,
                metadata=verdict.metadata,
                target_materialization_data=targets.get(key.asset_key),
                severity=verdict.severity,
                description=verdict.description,
                partition=partition,
            )
        )
    return ToldWithoutRun(tuple(due), tuple(left))


def _make_room(instance: dg.DagsterInstance, key: dg.AssetCheckKey, partition: str) -> None:
    """Take back what was said without a run before: Dagster's table has room for one.

    It stays in the event log. Of a whole asset there is room for many, as NULL is like no other.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    table = AssetCheckExecutionsTable
    with storage.index_connection() as connection:
        connection.execute(
            table.delete().where(
                table.c.asset_key == key.asset_key.to_string(),
                table.c.check_name == key.name,
                table.c.run_id == RUNLESS_RUN_ID,
                table.c.partition == partition,
            )
        )


def _is_worked_on(instance: dg.DagsterInstance, record: AssetCheckExecutionRecord | None) -> bool:
    """Whether a run is going to say what a check says; one that is over never will."""
    if record is None or isinstance(record.evaluation, AssetCheckEvaluation):
        return False
    run = instance.get_run_by_id(record.run_id)
    return run is not None and not run.is_finished


def _says(
    record: AssetCheckExecutionRecord | None,
    verdict: Verdict,
    newest: int | None,
    partition: str | None,
) -> bool:
    """Whether a check's newest execution says just that, of the newest materialization."""
    evaluation = None if record is None else record.evaluation
    if not isinstance(evaluation, AssetCheckEvaluation):
        return False
    target = evaluation.target_materialization_data
    return (
        (evaluation.passed, evaluation.severity, evaluation.description)
        == (verdict.passed, verdict.severity, verdict.description)
        and (target.storage_id if target else None) == newest
        and evaluation.partition == partition
    )


def _newest_ids(
    instance: dg.DagsterInstance, keys: set[dg.AssetKey], partition: str | None
) -> dict[dg.AssetKey, int]:
    """The newest materialization of each asset, or of its partition; one without is absent."""
    storage = instance.event_log_storage
    if partition is None:
        found = storage.get_latest_materialization_storage_ids(list(keys))
        return {key: newest for key, newest in found.items() if newest is not None}
    materialized = dg.DagsterEventType.ASSET_MATERIALIZATION
    return {
        key: newest
        for key in keys
        for newest in storage.get_latest_storage_id_by_partition(
            key, materialized, partitions={partition}
        ).values()
    }


def _newest_materializations(
    instance: dg.DagsterInstance, keys: set[dg.AssetKey], partition: str | None
) -> dict[dg.AssetKey, AssetCheckEvaluationTargetMaterializationData]:
    """What an evaluation names, so that the UI shows it."""
    if partition is not None:
        each = {key: _of_partitions(instance, key, {partition}) for key in keys}
        return {key: of[partition] for key, of in each.items() if of}
    found = {}
    for record in instance.get_asset_records(list(keys)) if keys else ():
        last = record.asset_entry.last_materialization_record
        if last is not None:
            found[record.asset_entry.asset_key] = AssetCheckEvaluationTargetMaterializationData(
                storage_id=last.storage_id, run_id=last.run_id, timestamp=last.timestamp
            )
    return found
