"""The event log on open connections: what Dagster's own storage keeps, and it is told at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import sqlalchemy as db
import yaml
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import (
    ConsolidatedSqliteEventLogStorage,
)

from platform_assets import event_log
from platform_assets.event_log import PooledSqliteEventLogStorage

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
WRITER = """
import dagster as dg, sys
job = dg.Definitions([dg.asset(name="one")(lambda: None)]).resolve_implicit_global_asset_job_def()
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    job.execute_in_process(instance=instance, run_id=sys.argv[2])
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the event log of the product's own ``dagster.yaml``."""
    product = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    storage = {**product["event_log_storage"], "config": {"base_dir": str(tmp_path)}}
    settings = {"telemetry": {"enabled": False}, "event_log_storage": storage}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return tmp_path


@pytest.fixture
def pooled(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        yield instance


def _materialized(storage: dg.DagsterInstance, key: str) -> set[str]:
    return storage.get_materialized_partitions(dg.AssetKey(key))


def test_dagsters_own_storage_reads_what_was_written(pooled: dg.DagsterInstance) -> None:
    for day in ("a", "b"):
        pooled.report_runless_asset_event(dg.AssetMaterialization("things", partition=day))
    theirs = ConsolidatedSqliteEventLogStorage(pooled.event_log_storage._base_dir)
    assert theirs.get_materialized_partitions(dg.AssetKey("things")) == {"a", "b"}
    assert theirs.all_asset_keys() == pooled.event_log_storage.all_asset_keys()


def test_connections_are_used_again(pooled: dg.DagsterInstance) -> None:
    opened: list[object] = []
    engine = pooled.event_log_storage._engine
    db.event.listen(engine, "connect", lambda connection, _: opened.append(connection))
    for number in range(20):
        pooled.report_runless_asset_event(dg.AssetMaterialization("things", partition=f"{number}"))
    assert len(opened) <= 1
    assert len(_materialized(pooled, "things")) == 20


def test_many_threads_write_at_once(pooled: dg.DagsterInstance) -> None:
    keys = [f"{number}" for number in range(60)]

    def report(key: str) -> None:
        pooled.report_runless_asset_event(dg.AssetMaterialization("things", partition=key))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(report, keys))
    assert _materialized(pooled, "things") == set(keys)


def test_a_failed_write_leaves_nothing_and_the_connection_usable(
    pooled: dg.DagsterInstance,
) -> None:
    storage = pooled.event_log_storage

    def fail() -> None:
        with storage.index_connection() as connection:
            connection.execute(db.text("INSERT INTO asset_keys (asset_key) VALUES ('half')"))
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert dg.AssetKey("half") not in storage.all_asset_keys()
    pooled.report_runless_asset_event(dg.AssetMaterialization("whole"))
    assert dg.AssetKey("whole") in storage.all_asset_keys()


def test_a_table_is_looked_for_until_it_is_there(pooled: dg.DagsterInstance) -> None:
    storage = pooled.event_log_storage
    assert storage.has_table("event_logs")
    assert not storage.has_table("later")
    with storage.index_connection() as connection:
        connection.execute(db.text("CREATE TABLE later (a INTEGER)"))
    assert storage.has_table("later")


def test_who_watches_a_run_hears_of_events_that_another_process_writes(
    home: Path, pooled: dg.DagsterInstance
) -> None:
    run_id = "0a1b2c3d-0000-4000-8000-000000000000"
    heard: list[str | None] = []
    over = threading.Event()

    def listen(entry: dg.EventLogEntry, cursor: str) -> None:
        assert cursor
        heard.append(entry.dagster_event_type and entry.dagster_event_type.value)
        if heard[-1] in ("PIPELINE_SUCCESS", "RUN_SUCCESS"):
            over.set()

    pooled.event_log_storage.watch(run_id, None, listen)
    command = [sys.executable, "-c", WRITER, str(home), run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as writer:
        try:
            # Its connection is open until it ends: its commits are beside the database.
            assert over.wait(SECONDS), heard
            assert writer.poll() is None
        finally:
            writer.communicate(timeout=SECONDS)
    assert "ASSET_MATERIALIZATION" in heard


def test_a_read_that_fails_does_not_end_the_watch(
    pooled: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(event_log, "_LOG", SimpleNamespace(exception=said.append))
    storage = pooled.event_log_storage
    heard, tried = threading.Event(), threading.Event()
    read = storage.get_records_for_run

    def fail(*_: object, **__: object) -> None:
        tried.set()
        raise db.exc.OperationalError("SELECT", {}, Exception("database is locked"))

    monkeypatch.setattr(storage, "get_records_for_run", fail)
    job = dg.Definitions(
        [dg.asset(name="one")(lambda: None)]
    ).resolve_implicit_global_asset_job_def()
    run_id = "0a1b2c3d-0000-4000-8000-000000000001"
    storage.watch(run_id, None, lambda *_: heard.set())
    assert tried.wait(SECONDS)
    monkeypatch.setattr(storage, "get_records_for_run", read)
    job.execute_in_process(instance=pooled, run_id=run_id)
    assert heard.wait(SECONDS)
    assert "could not be read for those who watch" in said[0]
