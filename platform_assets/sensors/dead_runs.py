"""Runs whose worker was killed: found by their process, and failed.

Belongs here: ending dead runs. Does not belong here: telling a dead process from a living one
(``workers``), or starting anything again.

Dagster's default launcher never notices that a worker was killed: its run stays STARTED, and keeps
its pool slots, until the maximum runtime is over.
"""

import dagster as dg

from platform_assets import run_log
from platform_assets.sensors.aborted import tell_aborted
from platform_assets.workers import is_gone

INTERVAL_SECONDS = 30
KILLED = (
    "The process of this run was killed. What it had published is complete; run it again to do the "
    "rest."
)
_UNFINISHED = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs of this machine whose process is gone, and free their pool slots.

    Args:
        instance: Dagster's instance.

    Returns:
        The runs that were ended.
    """
    ended = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(_UNFINISHED))):
        run = record.dagster_run
        if not is_gone(run.tags):
            continue
        instance.report_run_failed(run, KILLED)
        run_log.end_trace(run, started=record.start_time, error=KILLED)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        tell_aborted(instance, run)
        ended.append(run.run_id)
    return ended


@dg.sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose worker was killed, which would otherwise show as running.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Fail runs whose worker was killed."""
    ended = end_dead_runs(context.instance)
    return dg.SkipReason(f"ended {len(ended)} dead run(s): {', '.join(ended) or 'none'}")
