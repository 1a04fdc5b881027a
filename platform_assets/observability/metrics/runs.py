"""Metrics of Dagster: runs, the queue, failures, daemons.

Belongs here: which metrics, and their values. Does not belong here: backfills (``backfills``), and
the queries (``dagster_tables``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

import dagster as dg

from platform_assets.observability.metrics.dagster_tables import (
    ended_runs,
    failure_reasons,
    unfinished_runs,
)
from platform_assets.observability.metrics.declared import Kind, Metric, Reading

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
ENDED = {
    dg.DagsterEventType.RUN_SUCCESS: "success",
    dg.DagsterEventType.RUN_FAILURE: "failure",
    dg.DagsterEventType.RUN_CANCELED: "canceled",
}
OUTSIDE = "outside"
"""The reason of a run that was failed from outside: its worker is gone."""
REASONS = (
    "step_failure", "run_exception", "unexpected_termination", "job_initialization_failure",
    "start_timeout", "run_worker_restart", "unknown", OUTSIDE,
)  # fmt: skip

RUNS = Metric(
    "platform_assets_unfinished_runs",
    "Runs that are not over, by status; those that are queued are the depth of the queue.",
    ("status",),
)
ENDED_RUNS = Metric(
    "platform_assets_ended_runs_total",
    "Runs that ended, by how: success, failure, canceled.",
    ("status",),
    Kind.COUNTER,
)
FAILURES = Metric(
    "platform_assets_run_failures_total",
    "Runs that failed, by Dagster's reason; `outside`: its worker was killed, and it was failed "
    "from outside.",
    ("reason",),
    Kind.COUNTER,
)
OLDEST_QUEUED = Metric(
    "platform_assets_oldest_queued_run_timestamp_seconds",
    "When the run that waits longest was made; absent where none waits.",
)
OLDEST_STARTED = Metric(
    "platform_assets_oldest_started_run_timestamp_seconds",
    "When the run that has been at work longest was started; absent where none is at work.",
)
LAST_SUCCESS = Metric(
    "platform_assets_last_success_timestamp_seconds",
    "When a run succeeded last, whichever it was.",
)
HEARTBEAT = Metric(
    "platform_assets_daemon_heartbeat_timestamp_seconds",
    "When a daemon of Dagster was alive last, by its type.",
    ("daemon",),
)


class RunCollector:
    """Metrics of runs and daemons.

    Runs that ended are counted in the event log from where the last scrape ended, so that a counter
    does not fall where a run is deleted: Prometheus would take that for a restart.

    Args:
        instance: Dagster's instance.
    """

    name = "runs"
    source = "dagster"
    metrics = (
        RUNS, ENDED_RUNS, FAILURES, OLDEST_QUEUED, OLDEST_STARTED, LAST_SUCCESS, HEARTBEAT
    )  # fmt: skip

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._cursor = 0
        self._ended: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._last_success: datetime | None = None

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        return tuple(self._readings())

    def _readings(self) -> Iterator[Reading]:
        yield from self._unfinished()
        self._count()
        for ending in ENDED.values():
            yield ENDED_RUNS.at(self._ended[ending], ending)
        for reason in REASONS:
            yield FAILURES.at(self._reasons[reason], reason)
        if self._last_success is not None:
            yield LAST_SUCCESS.at(self._last_success.timestamp())
        for name, heartbeat in self._instance.get_daemon_heartbeats().items():
            yield HEARTBEAT.at(heartbeat.timestamp, name)

    def _count(self) -> None:
        """Add what ended since the last look."""
        found = ended_runs(self._instance, self._cursor, ENDED)
        reasons = failure_reasons(self._instance, found.failed)
        for status, count in found.counts.items():
            self._ended[status] += count
        for run in found.failed:
            reason = reasons.get(run, OUTSIDE).lower()
            self._reasons[reason if reason in REASONS else "unknown"] += 1
        self._last_success = found.last_success or self._last_success
        self._cursor = found.cursor

    def _unfinished(self) -> Iterator[Reading]:
        found = unfinished_runs(self._instance, UNFINISHED)
        for status in UNFINISHED:
            count = found[status].count if status in found else 0
            yield RUNS.at(count, status.value.lower())
        queued = found.get(dg.DagsterRunStatus.QUEUED)
        if queued is not None:
            yield OLDEST_QUEUED.at(queued.made.timestamp())
        started = found.get(dg.DagsterRunStatus.STARTED)
        if started is not None and started.started is not None:
            yield OLDEST_STARTED.at(started.started)
