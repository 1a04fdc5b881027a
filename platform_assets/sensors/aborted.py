"""Steps of a run whose process was killed, told to whoever collects lineage.

Belongs here: which of its steps had begun and not ended. Does not belong here: finding dead runs
(``dead_runs``), and events of steps that live (``assets.lineage_events``).
"""

from __future__ import annotations

import logging

import dagster as dg

from platform_assets.observability import openlineage_sending as sending
from platform_assets.observability.openlineage_names import DBT_STEP, job_namespace, model_job

MESSAGE = "The process of the run was killed. What it had published is complete."


def tell_aborted(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """End, in lineage, what a dead run had begun; where nobody listens, do nothing.

    Args:
        instance: Dagster's instance.
        run: The run.

    Returns:
        The jobs that were told of.
    """
    if not sending.is_on():
        return []
    from platform_assets.observability.openlineage_events import Work, ended

    jobs = _begun(instance, run.run_id)
    works = [Work(run.run_id, run.job_name, job_namespace(), job, message=MESSAGE) for job in jobs]
    sender = sending.sender()
    sender.send([ended(work, "ABORT") for work in works])
    if said := sender.settle():
        logging.getLogger(__name__).warning(said)
    return jobs


def _begun(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The jobs of steps that began and did not end."""
    open_steps = {
        stats.step_key
        for stats in instance.get_run_step_stats(run_id)
        if stats.start_time is not None and stats.end_time is None
    }
    jobs = sorted(open_steps - {DBT_STEP})
    if DBT_STEP in open_steps:
        planned = instance.all_logs(
            run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        )
        events = [each.dagster_event for each in planned if each.step_key == DBT_STEP]
        assets = {e.asset_key.to_user_string() for e in events if e and e.asset_key}
        jobs += [model_job(asset) for asset in sorted(assets)]
    return jobs
