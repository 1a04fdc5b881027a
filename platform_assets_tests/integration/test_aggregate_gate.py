"""Aggregates are staged, tested and swapped in: what a failing test, and a closed gate, leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.aggregate_plan import CLEANED_ORDERS, DAILY_SALES, FCT_ORDERS
from platform_assets.resources import lake_config
from platform_assets.settings import load_settings
from platform_assets.warehouse import gate, ledger
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets_tests.integration.aggregate_world import (
    CUSTOMER_METRICS,
    World,
    failure_of,
    materialized,
    open_world,
)

# The tests of this module share one lake: they stay on one worker, in their order.
pytestmark = pytest.mark.xdist_group("aggregate_gate")

DAYS = D1, D2, D3 = ("2025-01-01", "2025-01-02", "2025-01-03")
TABLES = [FCT_ORDERS, DAILY_SALES]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("gate"), DAYS, orders_per_day=60) as made:
        assert made.run(D1, D3).success
        yield made


def republish(
    world: World, day: str, assignment: str, *, rows: int = 1
) -> list[tuple[str, Any, Any]]:
    """Publish a day of the cleaned orders with some rows changed; what they were before."""
    column = assignment.split(" = ", maxsplit=1)[0]
    before = world.ask(
        f"SELECT order_id, {column} FROM lake.cleaned.orders WHERE _partition = '{day}' "
        f"AND CAST(ordered_at AS DATE) = '{day}' AND status <> 'cancelled' ORDER BY 1 LIMIT {rows}"
    )
    keys = ", ".join(f"'{key}'" for key, _ in before)

    def work(lake: Connection) -> None:
        lake.execute(
            f"UPDATE lake.cleaned.orders SET {assignment} "
            f"WHERE _partition = '{day}' AND order_id IN ({keys})"
        )
        told(lake, day, Status.PUBLISHED)

    world.change(work)
    return [(day, key, value) for key, value in before]


def restore(world: World, before: list[tuple[str, Any, Any]], column: str) -> None:
    def work(lake: Connection) -> None:
        for day, key, value in before:
            lake.execute(
                f"UPDATE lake.cleaned.orders SET {column} = ? "
                "WHERE _partition = ? AND order_id = ?",
                [value, day, key],
            )
        for day in {day for day, _, _ in before}:
            told(lake, day, Status.PUBLISHED)

    world.change(work)


def told(lake: Connection, day: str, status: Status, **values: Any) -> None:
    entry = LedgerEntry(CLEANED_ORDERS, day, "another run", status, cleaned=30, **values)
    ledger.record(lake, [entry])


def newest(world: World, asset: str, day: str) -> LedgerEntry:
    with connect(lake_config(load_settings())) as lake:
        return ledger.latest(lake, asset, [day])[day]


def of_day(world: World, table: str, day: str) -> list[Any]:
    column = "_partition" if table == "fct_orders" else "CAST(order_date AS VARCHAR)"
    return world.ask(f"SELECT * FROM lake.aggregated.{table} WHERE {column} = '{day}' ORDER BY ALL")


def test_a_bad_day_of_a_batch_keeps_what_it_had_and_the_good_days_are_published(
    world: World,
) -> None:
    bad = republish(world, D2, "status = 'lost'", rows=2)
    good = republish(world, D3, "quantity = quantity + 1", rows=1)
    before = world.content()
    result = world.run(D1, D3, TABLES)

    assert not result.success
    assert {day for day, *_ in good} == {D3}
    assert set(materialized(result, FCT_ORDERS)) == {D1, D3}
    assert set(materialized(result, DAILY_SALES)) == {D1, D3}
    after = world.content()
    assert after["fct_orders"] != before["fct_orders"]
    assert [row for row in after["fct_orders"] if D2 in row] == [
        row for row in before["fct_orders"] if D2 in row
    ]
    assert of_day(world, "daily_sales", D3) != [
        row for row in before["daily_sales"] if str(row[0]) == D3
    ]
    for asset in TABLES:
        entry = newest(world, asset, D2)
        assert entry.status is Status.FAILED
        assert "accepted_values" in entry.stopped_by
        assert entry.broken == {entry.stopped_by: 2}
        assert "the rows that were there before stay" in entry.message
        assert "lost" not in entry.message
        assert newest(world, asset, D3).status is Status.PUBLISHED
    said = failure_of(result, "dbt")
    assert f"{D2}: stopped by accepted_values" in said
    assert D3 not in said
    failed = [e for e in result.get_asset_check_evaluations() if not e.passed]
    (check,) = [e for e in failed if e.severity is dg.AssetCheckSeverity.ERROR]
    assert check.metadata["rows_broken"].value == 1, "one value that is not accepted"
    query = str(check.metadata["query"].value).removeprefix("```sql").removesuffix("```")
    assert world.ask(query) == [("lost", 2)], "the rows can be seen though they are not published"

    # Another run, in which nothing is built: what stands is not passed off as what was asked for.
    refused = world.run(D1, D3, [CUSTOMER_METRICS])
    assert not refused.success
    said = failure_of(refused, "customer_metrics")
    assert f"{FCT_ORDERS} {D2} is stopped by accepted_values" in said
    assert f"materialize {FCT_ORDERS} for {D2} until it passes" in said
    assert D3 not in said
    assert world.content() == after

    # Not forced, and with nothing new: it is tested again, and stopped again.
    assert not world.run(D1, D3, TABLES).success
    restore(world, bad, "status")
    repaired = world.run(D2, D2, [*TABLES, CUSTOMER_METRICS])
    assert repaired.success
    assert of_day(world, "fct_orders", D2) == [row for row in before["fct_orders"] if D2 in row]


def test_a_test_of_the_second_model_leaves_the_first_as_it_was(world: World) -> None:
    before = world.content()
    bad = republish(world, D1, "total_amount = -999999.00")
    result = world.run(D1, D1, TABLES)
    assert not result.success
    assert "stopped by not_negative_daily_sales_sales" in failure_of(result, "dbt")
    assert world.content() == before
    assert not materialized(result, FCT_ORDERS)
    restore(world, bad, "total_amount")


def test_a_test_that_warns_publishes(world: World) -> None:
    bad = republish(world, D1, "customer_id = 'C-nobody'")
    result = world.run(D1, D1, TABLES)
    assert result.success
    assert set(materialized(result, FCT_ORDERS)) == {D1}
    (check,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert check.severity is dg.AssetCheckSeverity.WARN
    query = str(check.metadata["query"].value).removeprefix("```sql").removesuffix("```")
    assert world.ask(query) == [("C-nobody",)]
    restore(world, bad, "customer_id")


def test_who_asks_for_one_table_gets_both(world: World) -> None:
    before = republish(world, D1, "quantity = quantity + 1")
    result = world.run(D1, D1, [FCT_ORDERS])
    assert result.success
    assert set(materialized(result, DAILY_SALES)) == {D1}
    restore(world, before, "quantity")
    assert world.run(D1, D1, [DAILY_SALES]).success
    assert newest(world, FCT_ORDERS, D1).run_id == newest(world, DAILY_SALES, D1).run_id


def test_a_day_whose_orders_failed_in_another_run_is_refused_until_they_pass(
    world: World,
) -> None:
    before = world.content()
    republish(world, D3, "quantity = quantity")
    world.change(lambda lake: told(lake, D2, Status.FAILED, stopped_by="currency__isin"))
    result = world.run(D1, D3, TABLES)
    assert not result.success
    assert set(materialized(result, FCT_ORDERS)) == {D1, D3}
    said = failure_of(result, "dbt")
    assert f"{D2}: stopped by {ledger.UPSTREAM}" in said
    assert f"{CLEANED_ORDERS} {D2} is stopped by currency__isin since" in said
    assert world.content() == before
    with (
        connect(lake_config(load_settings())) as lake,
        pytest.raises(gate.GateClosedError, match=r"currency__isin since .* UTC.*earlier publish"),
    ):
        gate.require_open(lake, DAILY_SALES, [D2])

    world.change(lambda lake: told(lake, D2, Status.UNCHANGED))
    lifted = world.run(D1, D3, TABLES)
    assert lifted.success
    assert materialized(lifted, FCT_ORDERS)[D2]["unchanged"], "nothing was new but the verdict"
    assert newest(world, FCT_ORDERS, D2).status is Status.UNCHANGED
