"""The history in Dagster: an asset of the cleaned step, with its rows and its check."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets import describe
from platform_assets.assets.build import build_definitions
from platform_assets.assets.reporting import FORCE_TAG
from platform_assets.resources import DatabaseResource, LakeResource
from platform_assets.sources.connections import Database
from platform_assets.sources.tables import WatermarkTable
from platform_assets.warehouse.history import history_table
from platform_assets_tests.conftest import Installation
from platform_assets_tests.source_tables import DAYS, SourceTable, row, sales

HISTORY = describe.history_key("sales")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[SourceTable]:
    path = tmp_path / "shop.sqlite"
    sqlite3.connect(path).close()
    with SourceTable(Database("sqlite", path=path)).opened() as opened:
        yield opened


def definitions(table: SourceTable, **options: Any) -> dg.Definitions:
    database = DatabaseResource(kind="sqlite", path=str(table.database.path))
    dataset = sales(WatermarkTable("sales"), **options)
    return build_definitions([dataset], resources={"database": database})


def run(
    found: dg.Definitions, instance: dg.DagsterInstance, *days: str, force: bool = False
) -> dg.ExecuteInProcessResult:
    tags = {
        "dagster/asset_partition_range_start": days[0],
        "dagster/asset_partition_range_end": days[-1],
        FORCE_TAG: str(force).lower(),
    }
    job = found.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_it_is_an_asset_only_where_it_is_asked_for(table: SourceTable) -> None:
    graph: Any = definitions(table, history=True).resolve_asset_graph()
    found = graph.get(HISTORY)
    assert found.group_name == "history"
    assert found.parent_keys == graph.get(describe.cleaned_key("sales")).parent_keys
    schema = found.metadata["dagster/column_schema"]
    assert [c.name for c in schema.columns][-4:] == [
        "_partition",
        "valid_from",
        "valid_to",
        "is_current",
    ]
    assert all(column.description for column in schema.columns[-4:])
    assert found.metadata["dagster/table_name"] == "lake.history.sales"
    without: Any = definitions(table).resolve_asset_graph()
    assert not without.has(HISTORY)


@pytest.mark.usefixtures("installation")
def test_a_run_tells_its_rows_and_a_contradiction_fails_it(
    table: SourceTable, instance: dg.DagsterInstance, installation: Installation
) -> None:
    del installation
    found = definitions(table, history=True)
    table.put(row(1, 1))
    table.put(row(2, 2))
    table.put(row(3, 1))
    assert run(found, instance, *DAYS[:2]).success
    table.put(row(1, 1, note="changed"))
    assert run(found, instance, *DAYS[:2]).success
    records = instance.fetch_materializations(HISTORY, limit=4).records
    told = {
        record.partition_key: record.asset_materialization.metadata
        for record in reversed(records)
        if record.asset_materialization
    }
    assert {k: m["dagster/partition_row_count"].value for k, m in told.items()} == {
        DAYS[0]: 3,
        DAYS[1]: 1,
    }
    assert told[DAYS[0]]["rows_current"].value == 2
    assert told[DAYS[1]]["unchanged"].value is True
    with LakeResource().get_connection() as lake:
        lake.execute(f"DELETE FROM {history_table('sales')}")
    table.put(row(1, 1, note="changed again"))
    result = run(found, instance, *DAYS[:2])
    assert not result.success
    (check,) = [
        each
        for each in result.get_asset_check_evaluations()
        if each.check_name == "history_is_consistent"
    ]
    assert check.asset_key == HISTORY
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert "contradicts itself or the cleaned table" in str(check.description)
