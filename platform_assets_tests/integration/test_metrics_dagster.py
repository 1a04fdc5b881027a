"""Metrics of Dagster and of the breakers, held against a real instance and a real file."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.timestamp import TimestampWithTimezone
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._daemon.types import DaemonHeartbeat

from platform_assets.observability.metrics.backfills import BackfillCollector
from platform_assets.observability.metrics.breakers import BreakerCollector
from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.runs import REASONS, RunCollector
from platform_assets.sensors.dead_runs import end_dead_runs
from platform_assets.sources.breaker import FAILURES, BreakerStore
from platform_assets.workers import PID_TAG, worker_tags
from platform_assets_tests.scraped import Scrape

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


# Only what comes from a code location waits in the queue.
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository"), "work"
)


@dg.asset
def good() -> None:
    return


@dg.asset
def bad() -> None:
    raise ValueError("bad")


@dg.job
def work() -> None:
    return


@pytest.fixture
def exporter(instance: dg.DagsterInstance) -> Iterator[Exporter]:
    made = Exporter([RunCollector(instance), BackfillCollector(instance)], budget=60)
    yield made
    made.close()


def materialize(instance: dg.DagsterInstance, asset: dg.AssetsDefinition) -> dg.DagsterRun:
    done = dg.materialize([asset], instance=instance, raise_on_error=False, run_config=QUIET)
    return done.dagster_run


def killed(instance: dg.DagsterInstance) -> None:
    """A run whose worker was killed, and which was found and failed."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    tags = worker_tags() | {PID_TAG: str(process.pid)}
    process.wait()
    run = instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert end_dead_runs(instance) == [run.run_id]


def test_runs_are_counted_as_they_end(instance: dg.DagsterInstance, exporter: Exporter) -> None:
    began = time.time()
    told = Scrape.of(exporter)
    assert told.all("ended_runs_total", "status") == {"success": 0, "failure": 0, "canceled": 0}
    assert told.all("unfinished_runs", "status") == dict.fromkeys(
        ("queued", "not_started", "starting", "started", "canceling"), 0
    )
    for absent in ("oldest_queued_run", "oldest_started_run", "last_success"):
        assert told.get(f"{absent}_timestamp_seconds") is None

    materialize(instance, good)
    failed = materialize(instance, bad)
    killed(instance)
    told = Scrape.of(exporter)
    assert told.all("ended_runs_total", "status") == {"success": 1, "failure": 2, "canceled": 0}
    reasons = told.all("run_failures_total", "reason")
    assert set(reasons) == set(REASONS)
    assert {name for name, count in reasons.items() if count} == {"step_failure", "outside"}
    success = told.get("last_success_timestamp_seconds")
    assert began <= success <= time.time()

    # A counter does not fall where a run is deleted.
    instance.delete_run(failed.run_id)
    waits = {"status": dg.DagsterRunStatus.QUEUED, "remote_job_origin": ORIGIN}
    queued = instance.create_run_for_job(work, **waits)
    instance.create_run_for_job(work, **waits)
    running = instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTING)
    start = dg.DagsterEvent("PIPELINE_START", "work")
    instance.report_dagster_event(start, run_id=running.run_id)
    # One of which nobody knows when it was started does not hide the other.
    instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTED)
    instance.add_daemon_heartbeat(DaemonHeartbeat(began, "SENSOR", "id", []))
    told = Scrape.of(exporter)
    assert told.all("ended_runs_total", "status") == {"success": 1, "failure": 2, "canceled": 0}
    assert told.get("last_success_timestamp_seconds") == success
    assert told.get("unfinished_runs", status="queued") == 2
    assert told.get("unfinished_runs", status="started") == 2
    record = instance.get_run_record_by_id(queued.run_id)
    waiting = told.get("oldest_queued_run_timestamp_seconds")
    assert waiting == pytest.approx(record.create_timestamp.timestamp(), abs=0.001)
    assert began - 1 <= waiting <= time.time()
    started = instance.get_run_record_by_id(running.run_id).start_time
    assert told.get("oldest_started_run_timestamp_seconds") == pytest.approx(started)
    assert told.get("daemon_heartbeat_timestamp_seconds", daemon="SENSOR") == began

    # A program that is started later counts what is there.
    later = Exporter([RunCollector(instance)], budget=60)
    counted = Scrape.of(later).all("ended_runs_total", "status")
    assert counted == {"success": 1, "failure": 1, "canceled": 0}
    later.close()


def test_backfills_in_progress_are_told_together(
    instance: dg.DagsterInstance, exporter: Exporter
) -> None:
    days = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-02-01")
    key = dg.AssetKey("daily")

    def subset(count: int) -> AssetGraphSubset:
        own = days.subset_with_partition_keys(days.get_partition_keys()[:count])
        return AssetGraphSubset(partitions_subsets_by_asset_key={key: own})

    def backfill(name: str, status: BulkActionStatus, done: int, failed: int, at: float) -> None:
        data = AssetBackfillData(
            target_subset=subset(10),
            requested_runs_for_target_roots=True,
            latest_storage_id=None,
            materialized_subset=subset(done),
            requested_subset=subset(10),
            failed_and_downstream_subset=subset(failed),
            backfill_start_time=TimestampWithTimezone(at, "UTC"),
        )
        instance.add_backfill(
            PartitionBackfill(
                backfill_id=name,
                status=status,
                from_failure=False,
                tags={},
                backfill_timestamp=at,
                asset_selection=[key],
                asset_backfill_data=data,
            )
        )

    told = Scrape.of(exporter)
    assert told.get("unfinished_backfills") == 0
    assert told.all("backfill_partitions", "status") == {"target": 0, "done": 0, "failed": 0}
    assert told.get("oldest_unfinished_backfill_timestamp_seconds") is None
    backfill("one", BulkActionStatus.REQUESTED, 4, 1, 2_000.0)
    backfill("two", BulkActionStatus.CANCELING, 2, 0, 1_000.0)
    backfill("over", BulkActionStatus.COMPLETED_SUCCESS, 10, 0, 10.0)
    told = Scrape.of(exporter)
    assert told.get("unfinished_backfills") == 2
    assert told.all("backfill_partitions", "status") == {"target": 20, "done": 6, "failed": 1}
    assert told.get("oldest_unfinished_backfill_timestamp_seconds") == 1_000


def test_a_database_of_dagster_that_is_broken_costs_its_own_metrics(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    store = BreakerStore(tmp_path / "breakers.sqlite")
    exporter = Exporter([RunCollector(instance), BreakerCollector(store)], budget=60)
    assert Scrape.of(exporter).get("collector_success", collector="runs") == 1
    (database,) = (tmp_path / "dagster").rglob("runs.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE runs RENAME TO hidden")
    told = Scrape.of(exporter)
    assert told.all("collector_success", "collector") == {"runs": 0, "breakers": 1}
    assert told.get("unfinished_runs", status="queued") is None
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO runs")
    assert Scrape.of(exporter).get("collector_success", collector="runs") == 1
    exporter.close()


def test_breakers_are_told_by_their_state(tmp_path: Path) -> None:
    store = BreakerStore(tmp_path / "breakers.sqlite", clock=lambda: 1_000.0)
    exporter = Exporter([BreakerCollector(store)], budget=60)
    assert Scrape.of(exporter).get("collector_success", collector="breakers") == 1
    # Where no connection has failed yet, no file is made.
    assert not store.path.exists()
    for _ in range(FAILURES):
        store.failed(store.admit("shop"), "timeout")
    store.failed(store.admit("crm"), "timeout")
    store.succeeded(store.admit("crm"))
    told = Scrape.of(exporter)
    assert told.get("breaker_state", connection="shop", state="opened") == 1
    assert told.get("breaker_state", connection="shop", state="closed") == 0
    assert told.get("breaker_state", connection="crm", state="closed") == 1
    assert told.all("breaker_failing_since_timestamp_seconds", "connection") == {"shop": 1_000}
    assert told.values_of("state") == {"opened", "closed", "half-opened"}
    exporter.close()
