"""The public names, listed by hand: what dashboards, alerts and other code rely on.

A change here is a change for everybody who selects assets or watches checks by these names.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster_dbt import dbt_assets

from platform_assets.assets import dbt_project
from platform_assets.assets.dbt_project import prepare_dbt_project
from platform_assets.assets.dbt_specs import read_specs
from platform_assets.assets.dbt_translation import LakeTranslator
from platform_assets_tests.conftest import Installation

ASSETS = {
    "aggregated/customer_metrics",
    "aggregated/daily_sales",
    "aggregated/fct_orders",
    "cleaned/customers",
    "cleaned/orders",
    "cleaned/products",
    "quarantine/customers",
    "quarantine/orders",
    "quarantine/products",
    "raw/customers",
    "raw/orders",
    "raw/products",
    "report/status_page",
    "staging/stg_customers",
    "staging/stg_orders",
    "staging/stg_products",
}
STATISTICS = {
    "categories",
    "distinct",
    "distribution",
    "duration",
    "event_time",
    "mean",
    "null_share",
    "outliers",
    "rejected",
    "volume",
}
CHECKS = {
    "raw/customers": {"control_total", "partitions_published", "schema"},
    "raw/orders": {"control_total", "partitions_published", "schema"},
    "raw/products": {"control_total", "partitions_published", "schema"},
    "cleaned/customers": STATISTICS
    | {
        "consent__castable",
        "consent__not_null",
        "country__not_null",
        "country__str_length",
        "customer_id__not_null",
        "email__not_null",
        "email__str_matches",
        "full_name__not_null",
        "partitions_published",
        "reconciliation",
        "signed_up_at__castable",
        "signed_up_at__not_null",
        "updated_after_signed_up",
        "updated_at__castable",
        "updated_at__not_null",
    },
    "cleaned/orders": STATISTICS
    | {
        "channel__isin",
        "channel__not_null",
        "country__not_null",
        "country__str_length",
        "currency__isin",
        "currency__not_null",
        "customer_id__not_null",
        "customer_id__references_customers",
        "order_id__not_null",
        "ordered_at__castable",
        "ordered_at__not_null",
        "partitions_published",
        "product_id__not_null",
        "product_id__references_products",
        "quantity__castable",
        "quantity__ge",
        "quantity__not_null",
        "reconciliation",
        "status__isin",
        "status__not_null",
        "total_amount__castable",
        "total_amount__ge",
        "total_amount__not_null",
        "unit_price__castable",
        "unit_price__ge",
        "unit_price__not_null",
        "updated_after_ordered",
        "updated_at__castable",
        "updated_at__not_null",
    },
    "cleaned/products": STATISTICS
    | {
        "active__castable",
        "active__not_null",
        "category__not_null",
        "cost__castable",
        "cost__ge",
        "cost__not_null",
        "name__not_null",
        "partitions_published",
        "product_id__not_null",
        "reconciliation",
        "unit_price__castable",
        "unit_price__ge",
        "unit_price__not_null",
    },
    "aggregated/customer_metrics": {
        "columns",
        "customer_id__not_null",
        "days_since_last_order__ge",
        "days_since_last_order__not_null",
        "first_order_at__not_null",
        "first_order_is_not_after_last",
        "frequency_score__in_range",
        "frequency_score__not_null",
        "last_order_at__not_null",
        "lifetime_value_eur__ge",
        "lifetime_value_eur__not_null",
        "lifetime_value_gbp__ge",
        "lifetime_value_gbp__not_null",
        "lifetime_value_usd__ge",
        "lifetime_value_usd__not_null",
        "main_currency__isin",
        "main_currency__not_null",
        "monetary_score__in_range",
        "monetary_score__not_null",
        "orders__ge",
        "orders__not_null",
        "recency_score__in_range",
        "recency_score__not_null",
    },
    "aggregated/daily_sales": {
        "not_negative_daily_sales_sales",
        "not_null_daily_sales_order_date",
        "sales_equal_orders_daily_sales_ref_fct_orders_",
    },
    "aggregated/fct_orders": {
        "accepted_values_fct_orders_currency__GBP__EUR__USD",
        "accepted_values_fct_orders_status__placed__paid__shipped__delivered__cancelled__returned",
        "not_null_fct_orders_customer_id",
        "not_null_fct_orders_order_date",
        "not_null_fct_orders_order_id",
        "not_null_fct_orders_total_amount",
        "relationships_fct_orders_customer_id__customer_id__source_cleaned_customers_",
        "relationships_fct_orders_product_id__product_id__source_cleaned_products_",
        "unique_in_run_fct_orders_order_id",
    },
}


@pytest.fixture
def defs(installation: Installation) -> dg.Definitions:
    """The code location, of an isolated installation."""
    prepare_dbt_project()
    found: dg.Definitions = importlib.import_module("platform_assets.definitions").defs
    return found


def test_the_public_names(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == ASSETS
    checks: dict[str, set[str]] = {}
    for key in graph.asset_check_keys:
        checks.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    assert checks == CHECKS
    assert {sensor.name for sensor in defs.sensors or ()} >= {"dead_runs"}
    assert {schedule.name for schedule in defs.schedules or ()} >= {"status_page"}


def test_the_definitions_are_valid(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_loading_the_definitions_loads_no_dbt(installation: Installation) -> None:
    """It is two thirds of what a start of any process would cost."""
    prepare_dbt_project()
    code = (
        "import sys, platform_assets.definitions; "
        "print([m for m in ('dbt.cli', 'dagster_dbt') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=installation.root, capture_output=True, check=True
    )
    assert loaded.stdout.decode().strip() == "[]"


def test_models_are_what_dagster_dbt_makes_of_them() -> None:
    prepare_dbt_project()
    manifest = dbt_project.load_manifest()

    @dbt_assets(manifest=manifest, dagster_dbt_translator=LakeTranslator())
    def made() -> Iterator[Any]:
        yield from ()

    read = read_specs(dbt_project.load_translation(), lambda _: None)
    assert {each.key for each in read.assets} == {each.key for each in made.specs}
    for spec in read.assets:
        theirs = made.get_asset_spec(spec.key)
        own = ("dagster_dbt/manifest", "dagster_dbt/dagster_dbt_translator")
        assert spec.metadata == {k: v for k, v in theirs.metadata.items() if k not in own}
        assert {d.asset_key for d in spec.deps} == {d.asset_key for d in theirs.deps}
        for name in ("description", "group_name", "code_version", "tags", "owners"):
            assert getattr(spec, name) == getattr(theirs, name), name
    assert sorted(read.checks, key=lambda c: c.key) == sorted(made.check_specs, key=lambda c: c.key)
