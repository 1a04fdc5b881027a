"""The aggregates in Dagster, with a real dbt: totals to the penny, per partition, and its gate."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.aggregate_plan import DAILY_SALES, FCT_ORDERS
from platform_assets.assets.customer_metrics import (
    CUSTOMER_METRICS as METRICS,
)
from platform_assets.assets.customer_metrics import (
    CustomerMetric,
    measure,
)
from platform_assets.contracts.frames import SHAPE, broken_rules
from platform_assets.observability.traces import trace_id
from platform_assets.resources import lake_config
from platform_assets.settings import load_settings
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import connect
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.collector import Collector, traced
from platform_assets_tests.integration.aggregate_world import (
    CUSTOMER_METRICS,
    World,
    checks,
    materialized,
    open_world,
    ran,
)

# The tests of this module share one lake: they stay on one worker.
pytestmark = pytest.mark.xdist_group("aggregates")

DAYS = tuple(f"2025-01-{day:02}" for day in range(1, 7))
SPOILED = "2025-01-03"
GOOD = tuple(day for day in DAYS if day != SPOILED)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("aggregates")
    with open_world(root, DAYS, orders_per_day=60, spoil=[SPOILED]) as made:
        yield made


@pytest.fixture(scope="module")
def spans() -> Collector:
    """What the first run told of itself."""
    return Collector("")


@pytest.fixture(scope="module")
def first(world: World, spans: Collector) -> dg.ExecuteInProcessResult:
    with traced() as collector:
        result = world.run(DAYS[0], DAYS[-1])
    spans.spans = collector.spans
    return result


def test_each_model_and_test_of_dbt_is_a_span(
    first: dg.ExecuteInProcessResult, spans: Collector
) -> None:
    root = spans.root(trace_id(first.run_id))
    steps = spans.below(root)
    step = steps["dbt"]
    (build,) = (s for s in spans.of_run(root.trace_id) if s.name == "build")
    assert [*spans.tree(step)] == ["publish", "compact"]
    assert spans.below(step)["publish"].span_id == build.parent_id
    nodes = spans.below(build)
    assert {n for n, s in nodes.items() if s["kind"] == "model"} == {
        "stg_customers",
        "stg_orders",
        "stg_products",
        "fct_orders",
        "daily_sales",
    }
    assert nodes["unique_in_run_fct_orders_order_id"]["kind"] == "test"
    assert all(build.started <= n.started <= n.ended <= build.ended for n in nodes.values())
    assert all(n.error is None for n in nodes.values())
    assert step["partitions"] == len(GOOD)
    assert step["rows_extracted"] == spans.below(root)["cleaned_orders"]["rows_cleaned"]
    assert set(spans.tree(steps["customer_metrics"])) == {"compute", "audit", "publish"}


def test_totals_and_days_equal_the_shops_books(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    business = world.report.business
    found = world.ask(
        "SELECT currency, sum(sales), sum(orders), sum(cancelled_orders) "
        "FROM lake.aggregated.daily_sales GROUP BY 1"
    )
    assert {currency: total for currency, total, *_ in found} == {
        currency: Decimal(total) for currency, total in business.total_amount.items()
    }
    assert sum(count for *_, count, _ in found) == business.orders - business.cancelled
    assert sum(cancelled for *_, cancelled in found) == business.cancelled
    by_day = world.ask(
        "SELECT CAST(order_date AS VARCHAR), currency, orders, cancelled_orders, sales "
        "FROM lake.aggregated.daily_sales"
    )
    assert {(d, c): (n, x, total) for d, c, n, x, total in by_day} == {
        (day, currency): (sales.orders, sales.cancelled, Decimal(sales.total))
        for day, currencies in business.sales.items()
        for currency, sales in currencies.items()
    }
    assert world.ask("SELECT count(*) FROM lake.aggregated.fct_orders") == [(business.orders,)]


def test_types_are_those_that_the_project_declares(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    graph = world.definitions.resolve_asset_graph()
    for asset in (FCT_ORDERS, DAILY_SALES):
        declared = graph.get(dg.AssetKey(asset.split("/"))).metadata["dagster/column_schema"]
        found = world.ask(
            f"SELECT column_name, column_type FROM (DESCRIBE lake.{asset.replace('/', '.')})"
        )
        assert [(c.name, c.type.upper()) for c in declared.columns] == found


def test_lineage_leads_from_cleaned_to_customer_metrics(world: World) -> None:
    graph = world.definitions.resolve_asset_graph()
    parents = {
        "staging/stg_orders": {"cleaned/orders"},
        "staging/stg_customers": {"cleaned/customers"},
        "staging/stg_products": {"cleaned/products"},
        FCT_ORDERS: {"staging/stg_orders"},
        DAILY_SALES: {FCT_ORDERS},
        CUSTOMER_METRICS: {FCT_ORDERS},
    }
    for asset, expected in parents.items():
        node = graph.get(dg.AssetKey(asset.split("/")))
        assert {key.to_user_string() for key in node.parent_keys} == expected
        assert node.group_name == asset.split("/")[0]


def test_exactly_the_good_days_are_materialized_each_with_its_rows(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    assert not first.success, "the spoiled day fails the run"
    assert "success" in ran(first, "dbt")
    facts = dict(
        world.ask("SELECT _partition, count(*) FROM lake.aggregated.fct_orders GROUP BY 1")
    )
    made = materialized(first, FCT_ORDERS)
    assert {k: m["dagster/partition_row_count"] for k, m in made.items()} == facts
    assert set(made) == set(GOOD)
    assert {m["dagster/row_count"] for m in made.values()} == {sum(facts.values())}
    sales = dict(
        world.ask(
            "SELECT CAST(order_date AS VARCHAR), count(*) "
            "FROM lake.aggregated.daily_sales GROUP BY 1"
        )
    )
    made = materialized(first, DAILY_SALES)
    assert {k: m["dagster/partition_row_count"] for k, m in made.items()} == {
        day: sales.get(day, 0) for day in GOOD
    }
    assert set(materialized(first, "staging/stg_orders")) == set(GOOD)
    assert set(materialized(first, "staging/stg_products")) == {None}
    with connect(lake_config(load_settings())) as lake:
        for asset in (FCT_ORDERS, DAILY_SALES):
            entries = ledger.published(lake, asset)
            assert set(entries) == set(GOOD)
            assert all(entry.seconds > 0 for entry in entries.values())
    assert all(checks(first, FCT_ORDERS).values())
    assert len(checks(first, FCT_ORDERS)) == 9
    assert len(checks(first, DAILY_SALES)) == 3


def test_customer_metrics_are_those_of_the_orders(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    rows = world.ask(
        "SELECT customer_id, ordered_at, currency, total_amount, status "
        "FROM lake.aggregated.fct_orders"
    )
    newest = max(row[1] for row in rows)
    expected: dict[str, list[Any]] = {}
    for customer, at, currency, total, status in rows:
        if status == "cancelled":
            continue
        kept = expected.setdefault(customer, [at, at, 0, {}])
        kept[0], kept[1], kept[2] = min(kept[0], at), max(kept[1], at), kept[2] + 1
        kept[3][currency] = kept[3].get(currency, Decimal("0.00")) + total
    found = world.ask("SELECT * EXCLUDE (_partition) FROM lake.aggregated.customer_metrics")
    assert len(found) == len(expected)
    for customer, start, end, count, gbp, eur, usd, main, days, *scores in found:
        kept = expected[customer]
        assert [start, end, count] == kept[:3]
        assert {c: v for c, v in (("GBP", gbp), ("EUR", eur), ("USD", usd)) if v} == {
            c: v for c, v in kept[3].items() if v
        }
        assert main in kept[3]
        assert days == (newest.date() - end.date()).days
        assert all(1 <= score <= 5 for score in scores)
    by_frequency = sorted((row[3], row[10]) for row in found)
    assert [score for _, score in by_frequency] == sorted(score for _, score in by_frequency)
    assert {row[9] for row in found} > {1, 5}
    assert set(checks(first, CUSTOMER_METRICS)) == {SHAPE, *(rule.name for rule in METRICS.rules)}


def test_a_broken_rule_is_named_and_counted_without_its_values(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    with connect(lake_config(load_settings())) as lake:
        frame = METRICS.compiled.to_frame(measure(lake))
    assert broken_rules(CustomerMetric, METRICS.rules, frame) == {}
    frame.loc[frame.index[:3], "orders"] = 0
    frame.loc[frame.index[:2], "recency_score"] = 6
    frame.loc[frame.index[0], "main_currency"] = None
    frame.loc[frame.index[5], "first_order_at"] = (
        frame["last_order_at"].max() + frame["last_order_at"].diff().abs().max()
    )
    found = broken_rules(CustomerMetric, METRICS.rules, frame)
    assert found == {
        "orders__ge": 3,
        "recency_score__in_range": 2,
        "main_currency__not_null": 1,
        "first_order_is_not_after_last": 1,
    }
    assert set(found) <= {rule.name for rule in METRICS.rules}
    assert list(frame.columns) == list(CustomerMetric.to_schema().columns)


def test_a_second_run_changes_nothing_and_starts_no_dbt(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    before, runs = world.content(), world.dbt_runs()
    again = world.run(DAYS[0], DAYS[-1])
    assert world.content() == before
    assert world.dbt_runs() == runs
    for asset in (FCT_ORDERS, DAILY_SALES):
        made = materialized(again, asset)
        assert set(made) == set(GOOD)
        assert all(m["unchanged"] for m in made.values())
    assert materialized(again, CUSTOMER_METRICS)[None]["unchanged"]


def test_a_failing_test_is_a_failed_check_and_blocks_what_is_downstream(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    day, assets = "2025-01-02", [FCT_ORDERS, DAILY_SALES, CUSTOMER_METRICS]
    before = world.content()
    order, status = world.ask(
        "SELECT order_id, status FROM lake.aggregated.fct_orders "
        f"WHERE _partition = '{day}' ORDER BY 1 LIMIT 1"
    )[0]

    def set_status(value: str) -> None:
        world.ask(
            f"UPDATE lake.cleaned.orders SET status = '{value}' "
            f"WHERE order_id = '{order}' AND _partition = '{day}'"
        )

    set_status("lost")
    stopped = world.run(day, day, assets, force=True)
    assert not stopped.success
    failed = {name for name, passed in checks(stopped, FCT_ORDERS).items() if not passed}
    assert failed == {
        name for name in checks(first, FCT_ORDERS) if "accepted_values" in name and "status" in name
    }
    assert not materialized(stopped, FCT_ORDERS)
    assert not ran(stopped, "customer_metrics") - {"skipped"}
    assert world.content() == before
    with connect(lake_config(load_settings())) as lake:
        entry = ledger.latest(lake, DAILY_SALES, [day])[day]
    assert entry.status is Status.FAILED
    assert "accepted_values" in entry.stopped_by

    set_status(status)
    repaired = world.run(day, day, assets)
    assert repaired.success
    assert world.content() == before
    assert list(materialized(repaired, FCT_ORDERS)) == [day]


def test_days_that_were_never_cleaned_are_named(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    result = world.run("2025-02-01", "2025-02-01", [FCT_ORDERS, DAILY_SALES])
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "2025-02-01: stopped by cleaned_missing" in str(
        failure.step_failure_data.user_failure_data
    )
    assert not materialized(result, FCT_ORDERS)
