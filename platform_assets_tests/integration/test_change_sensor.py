"""The sensor of changed sources, and a run over them, as Dagster sees both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from platform_assets.assets.build import build_definitions
from platform_assets.assets.datasets import LAKE_KEY
from platform_assets.resources import DatabaseResource, LakeResource
from platform_assets.sensors.changes import CLEANED_LAYERS, NAME
from platform_assets.sensors.requests import DATASET_TAG
from platform_assets.sources.connections import Database
from platform_assets.sources.tables import WatermarkTable
from platform_assets_tests.conftest import Installation
from platform_assets_tests.source_tables import DAYS, SourceTable, row, sales

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
RANGE = {START: DAYS[0], END: DAYS[2]}
ALL_LAYERS = {"raw", *CLEANED_LAYERS}


@dataclass
class Project:
    """A code location over a source table, and an instance that runs it."""

    table: SourceTable
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    database: Path

    def run(
        self, tags: dict[str, str] | None = None, **options: object
    ) -> dg.ExecuteInProcessResult:
        """Run all assets, by default over three days."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            tags=RANGE if tags is None else tags,
            raise_on_error=False,
            **options,
        )

    def tick(self) -> SensorExecutionData:
        """One look of the sensor."""
        sensor = self.definitions.resolve_sensor_def(NAME)
        with dg.build_sensor_context(
            instance=self.instance,
            definitions=self.definitions,
            resources={
                LAKE_KEY: LakeResource(),
                "database": DatabaseResource(kind="sqlite", path=str(self.database)),
            },
        ) as context:
            return sensor.evaluate_tick(context)


def asked(result: SensorExecutionData) -> list[tuple[set[str], str]]:
    """Layers and partitions of what was asked for."""
    assert result.run_requests, result.skip_message
    requests = result.run_requests or []
    return [
        (
            {key.path[0] for key in request.asset_selection or []},
            request.partition_key or f"{request.tags[START]}..{request.tags[END]}",
        )
        for request in requests
    ]


@pytest.fixture
def project(installation: Installation, instance: dg.DagsterInstance) -> Iterator[Project]:
    """Three sales on three days, not loaded yet."""
    path = installation.root / "shop.sqlite"
    sqlite3.connect(path).close()
    with SourceTable(Database("sqlite", path=path)).opened() as table:
        for key in (1, 2, 3):
            table.put(row(key, key))
        definitions = build_definitions(
            [sales(WatermarkTable("sales"))],
            resources={"database": DatabaseResource(kind="sqlite", path=str(path))},
        )
        yield Project(table, definitions, instance, path)


def test_a_run_tells_of_partitions_that_nobody_asked_for_and_of_control_totals(
    project: Project,
) -> None:
    first = project.run()
    assert first.success
    checks = {e.check_name: e for e in first.get_asset_check_evaluations()}
    assert checks["control_total"].passed
    project.table.put(row(3, 3, note="changed"))
    raw = dg.AssetKey(["raw", "sales"])
    second = project.run(tags={}, asset_selection=[raw], partition_key=DAYS[0])
    assert second.success
    events = [e for e in second.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
    materialized = {event.partition for event in events}
    assert materialized == {DAYS[0], DAYS[2]}
    # Its cleaned rows still stand at what was before: the sensor asks for exactly that.
    assert asked(project.tick()) == [(set(CLEANED_LAYERS), DAYS[2])]


def test_the_sensor_is_silent_until_something_changes(project: Project) -> None:
    assert not project.tick().run_requests  # nothing was ever loaded: that is asked for
    project.run()
    silent = project.tick()
    assert not silent.run_requests
    assert "0 partition(s) changed, 0 to be cleaned" in str(silent.skip_message)
    project.table.put(row(1, 1, note="changed"))
    project.table.put(row(2, 2, note="changed"))
    project.table.put(row(9, 4))  # a day that has come since
    assert asked(project.tick()) == [
        (ALL_LAYERS, f"{DAYS[0]}..{DAYS[1]}"),
        (ALL_LAYERS, DAYS[3]),
    ]


def test_the_sensor_waits_for_a_run_and_after_a_failure(project: Project) -> None:
    project.run()
    project.table.put(row(1, note="changed"))
    job = project.definitions.resolve_implicit_global_asset_job_def()
    run = project.instance.create_run_for_job(
        job, tags={DATASET_TAG: "sales"}, status=dg.DagsterRunStatus.STARTED
    )
    waiting = project.tick()
    assert not waiting.run_requests
    assert "a run of it is at work" in str(waiting.skip_message)
    project.instance.report_run_failed(run)
    waiting = project.tick()
    assert not waiting.run_requests
    assert "failed a short time ago" in str(waiting.skip_message)
    project.instance.delete_run(run.run_id)
    assert asked(project.tick()) == [(ALL_LAYERS, DAYS[0])]


def test_the_sensor_says_that_a_source_is_down(project: Project) -> None:
    project.run()
    project.database.rename(project.database.with_suffix(".away"))
    said = project.tick()
    assert not said.run_requests
    assert "The database of a source is not there" in str(said.skip_message)


def test_a_run_whose_source_is_down_fails_and_says_where(project: Project) -> None:
    project.run()
    project.database.rename(project.database.with_suffix(".away"))
    result = project.run()
    assert not result.success
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert not checks["control_total"].passed
    failures = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert "raw/sales" in str(failures[0].step_failure_data.user_failure_data)
