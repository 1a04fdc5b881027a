"""An installation with a small shop, its aggregates and its runs, for the tests of those.

Belongs here: what they share. Does not belong here: an assertion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType

from platform_assets.assets.aggregates import build_aggregates
from platform_assets.assets.build import build_definitions
from platform_assets.assets.customer_metrics import customer_metrics
from platform_assets.assets.dbt_project import prepare_dbt_project
from platform_assets.assets.reporting import FORCE_TAG
from platform_assets.datasets import all_datasets
from platform_assets.datasets.orders import orders
from platform_assets.demo import ShopReport, generate
from platform_assets.resources import FolderResource, lake_config
from platform_assets.settings import PREFIX, load_settings
from platform_assets.warehouse.lake import Connection, connect, in_transaction
from platform_assets_tests.support import PII_KEY

CUSTOMER_METRICS = "aggregated/customer_metrics"
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass
class World:
    """An installation with a small shop, and its runs."""

    report: ShopReport
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    data: Path

    def run(
        self, first: str, last: str, assets: Sequence[str] = (), *, force: bool = False
    ) -> dg.ExecuteInProcessResult:
        tags = {RANGE[0]: first, RANGE[1]: last, **({FORCE_TAG: "true"} if force else {})}
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            tags=tags,
            asset_selection=[dg.AssetKey(name.split("/")) for name in assets] or None,
            raise_on_error=False,
        )

    def ask(self, query: str) -> list[Any]:
        with connect(lake_config(load_settings())) as lake:
            return lake.execute(query).fetchall()

    def content(self) -> dict[str, list[Any]]:
        return {
            table: self.ask(f"SELECT * FROM lake.aggregated.{table} ORDER BY ALL")
            for table in ("fct_orders", "daily_sales", "customer_metrics")
        }

    def change(self, work: Callable[[Connection], object]) -> None:
        """Change the lake in one transaction."""
        with connect(lake_config(load_settings())) as lake:
            in_transaction(lake, work)

    def dbt_runs(self) -> set[str]:
        return {folder.name for folder in (self.data / "dbt").iterdir()}


@contextmanager
def open_world(
    root: Path, days: Sequence[str], *, orders_per_day: int, spoil: Sequence[str] = ()
) -> Iterator[World]:
    """An installation of its own, with deliveries and no run yet."""
    prepare_dbt_project()
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv(f"{PREFIX}DATA_DIR", str(root / "data"))
        patch.setenv(f"{PREFIX}PII_KEY", PII_KEY)
        patch.chdir(root)
        load_settings.cache_clear()
        report = generate(
            root / "shop",
            start=date.fromisoformat(days[0]),
            days=len(days),
            orders_per_day=orders_per_day,
            spoil=[date.fromisoformat(day) for day in spoil],
        )
        definitions = build_definitions(
            all_datasets(),
            resources={"shop": FolderResource(path=str(root / "shop"))},
            assets=[build_aggregates(orders.partitions), customer_metrics],
        )
        yield World(report, definitions, instance, root / "data")
    load_settings.cache_clear()


def materialized(result: dg.ExecuteInProcessResult, asset: str) -> dict[str | None, dict[str, Any]]:
    found = {}
    for event in result.all_events:
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION:
            made = event.step_materialization_data.materialization
            if made.asset_key.to_user_string() == asset:
                found[made.partition] = {k: v.value for k, v in made.metadata.items()}
    return found


def checks(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, bool]:
    return {
        e.check_name: e.passed
        for e in result.get_asset_check_evaluations()
        if e.asset_key.to_user_string() == asset
    }


def ran(result: dg.ExecuteInProcessResult, step: str) -> set[str]:
    return {
        event.event_type_value.removeprefix("STEP_").lower()
        for event in result.all_events
        if event.step_key == step and event.event_type_value.startswith("STEP_")
    }


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    """What a failed step says."""
    (event,) = [e for e in result.all_events if e.is_step_failure and e.step_key == step]
    data = event.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)
