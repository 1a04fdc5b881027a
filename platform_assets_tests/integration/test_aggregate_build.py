"""A build whose test fails before there is a table, or where it cannot be told which partition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.assets import dbt, dbt_project, dbt_tests
from platform_assets.assets.aggregate_build import Built, build
from platform_assets.assets.aggregate_names import KEY_OF
from platform_assets.assets.aggregate_plan import (
    CLEANED_ORDERS,
    DAILY_SALES,
    FCT_ORDERS,
    TABLES,
    VIEWS,
    Plan,
    plan,
)
from platform_assets.cli.lake_tables import target_of
from platform_assets.provenance import PROVENANCE
from platform_assets.warehouse import gate, ledger
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets_tests.integration.order_versions import D1, D2, D3, Publish, Shop, Version

A, B, BAD = Version(1), Version(1, day=2), Version(1, status="lost")
OTHERS = ("customers", "products")


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    dbt_project.prepare_dbt_project()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Orders in a lake of which no aggregate was built."""
    with Shop.open(tmp_path, dbt=lambda *_: None) as made:
        for name in OTHERS:
            made.lake.execute(
                f"CREATE TABLE lake.cleaned.{name} ({name[:-1]}_id VARCHAR, updated_at TIMESTAMP, "
                + ", ".join(f"{column} {kind}" for column, kind in PROVENANCE)
                + ")"
            )
        yield made


def publish(shop: Shop, **rows: dict[str, Version]) -> None:
    """Publish partitions of the cleaned orders, and have the ledger say so."""
    days = {"d1": D1, "d2": D2, "d3": D3}
    for name, of_day in rows.items():
        shop.publish(Publish(days[name], of_day))
        entry = LedgerEntry(CLEANED_ORDERS, days[name], "r", Status.PUBLISHED, cleaned=len(of_day))
        in_transaction(shop.lake, lambda con, entry=entry: ledger.record(con, [entry]))


def run(shop: Shop, *days: str, force: bool = False) -> Built:
    """Build days, with the real dbt."""
    manifest = dbt_project.load_manifest()

    def ask(connection: Connection, left_out: frozenset[str]) -> Plan:
        return plan(
            connection,
            run_id="a run",
            requested=days,
            selected={*TABLES, *VIEWS},
            force=force,
            left_out=left_out,
        )

    def work(connection: Connection, todo: Plan) -> dbt_tests.DbtOutcome:
        return dbt.run_dbt(
            connection,
            todo.built,
            todo.held,
            ["--select", *todo.nodes, *(["--full-refresh"] if todo.everything else [])],
            manifest=manifest,
            target=shop.config.scratch / "dbt" / "run",
        )

    return build(shop.lake, ask, work)


def facts(shop: Shop) -> list[tuple[str, str]]:
    return shop.lake.execute(
        "SELECT order_id, _partition FROM lake.aggregated.fct_orders ORDER BY 1"
    ).fetchall()


def test_the_first_build_leaves_a_bad_partition_out(shop: Shop) -> None:
    publish(shop, d1={"a": A}, d2={"b": BAD, "a": Version(9, pence=9)}, d3={"c": B})
    built = run(shop, D1, D2)
    assert set(built.entries[FCT_ORDERS]) == {D1, D3}, "the first build is of all there is"
    assert {(e.asset, e.partition) for e in built.stopped} == {(t, D2) for t in TABLES}
    assert facts(shop) == [("a", D1), ("c", D3)], "no row of it comes in by an order of another"
    shop.built = {D1: {"a": A}, D3: {"c": B}}
    shop.check_state()
    assert set(gate.closed(shop.lake, FCT_ORDERS, [D1, D2, D3])) == {D2}


def test_of_a_first_build_that_is_all_bad_nothing_is_there(shop: Shop) -> None:
    publish(shop, d1={"a": BAD})
    built = run(shop, D1)
    assert built.entries == {FCT_ORDERS: {}, DAILY_SALES: {}}
    assert [e.status for e in built.stopped] == [Status.FAILED, Status.FAILED]
    tables = shop.lake.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'aggregated'"
    ).fetchall()
    assert tables == []
    publish(shop, d1={"a": A})
    assert run(shop, D1).stopped == ()
    assert facts(shop) == [("a", D1)]


def test_where_it_cannot_be_told_whose_rows_fail_all_stays_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(shop, d1={"a": A}, d2={"b": B})
    run(shop, D1, D2)
    before = facts(shop)
    publish(shop, d1={"a": BAD}, d2={"b": Version(2, day=3)})
    monkeypatch.setattr(dbt_tests, "_partitions", lambda *_: {})
    built = run(shop, D1, D2)
    assert built.entries == {}
    assert {(e.asset, e.partition) for e in built.stopped} == {
        (table, day) for table in TABLES for day in (D1, D2)
    }
    assert all("accepted_values" in e.stopped_by for e in built.stopped)
    assert all("all partitions of the run" in e.message for e in built.stopped)
    assert facts(shop) == before


def test_a_new_version_of_the_project_is_published_whole_or_not_at_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(shop, d1={"a": A}, d2={"b": B})
    run(shop, D1, D2)
    before = facts(shop)
    publish(shop, d2={"b": BAD})
    monkeypatch.setattr(
        "platform_assets.assets.aggregate_plan.project_version", lambda: "another version"
    )
    stopped = run(shop, D1)
    assert stopped.entries == {}
    assert facts(shop) == before, "a day that was there is not dropped for one that is bad now"
    publish(shop, d2={"c": B})
    assert set(run(shop, D1).entries[FCT_ORDERS]) == {D1, D2}
    assert facts(shop) == [("a", D1), ("c", D2)]


def test_a_model_that_breaks_stops_all_of_the_run(shop: Shop) -> None:
    publish(shop, d1={"a": A}, d2={"b": B})
    run(shop, D1, D2)
    before = shop.lake.execute("FROM lake.aggregated.fct_orders ORDER BY ALL").fetchall()
    publish(shop, d1={"a": Version(3, pence=5)})
    shop.lake.execute("ALTER TABLE lake.aggregated.daily_sales RENAME COLUMN units TO pieces")
    built = run(shop, D1)
    assert {e.stopped_by for e in built.stopped} == {"daily_sales"}
    after = shop.lake.execute("FROM lake.aggregated.fct_orders ORDER BY ALL").fetchall()
    assert after == before, "the model before it is as it was, too"
    assert set(gate.closed(shop.lake, FCT_ORDERS, [D1, D2])) == {D1}


def told(built: Built, asset: str, day: str) -> tuple[int | None, int | None, int | None]:
    entry = built.entries[asset][day]
    return entry.rows_added, entry.rows_removed, entry.rows_changed


def test_a_publish_tells_what_it_did_to_the_rows_that_were_there(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_day = Version(1, day=0)
    publish(shop, d1={"a": first_day, "b": first_day, "c": first_day}, d2={"d": B})
    first = run(shop, D1, D2)
    assert told(first, FCT_ORDERS, D1) == (3, 0, 0)
    assert told(first, FCT_ORDERS, D2) == (1, 0, 0)
    publish(shop, d1={"a": first_day, "b": Version(2, day=0, pence=7), "e": first_day})
    second = run(shop, D1, D2)
    assert told(second, FCT_ORDERS, D1) == (1, 1, 1)
    assert told(second, FCT_ORDERS, D2) == (0, 0, 0), "unchanged"
    assert told(second, DAILY_SALES, D1) == (0, 0, 1), "one day and currency, another sum"
    monkeypatch.setattr(
        "platform_assets.assets.aggregate_plan.project_version", lambda: "another version"
    )
    assert told(run(shop, D1, D2), FCT_ORDERS, D1) == (0, 0, 0), "built anew, and the same"
    assert [
        (entry.rows_added, entry.rows_removed, entry.rows_changed)
        for entry in ledger.publishes(shop.lake, FCT_ORDERS, D1)
    ] == [(3, 0, 0), (1, 1, 1), (0, 0, 0)]


def test_rows_are_told_apart_as_the_project_says() -> None:
    for asset in TABLES:
        compared = target_of(asset, "argument").table
        assert compared.key == KEY_OF[asset]
        assert compared.asset == asset
