"""Builds of the aggregates are killed at every stage, and meet: who reads sees one state, whole."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from platform_assets.assets.dbt_project import prepare_dbt_project
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection
from platform_assets_tests.faults.aggregate_work import Building, in_turn
from platform_assets_tests.faults.conftest import Delivery
from platform_assets_tests.faults.processes import PATIENCE_SECONDS, context, in_thread, worker
from platform_assets_tests.faults.site import Site, Work

FACTS, SALES = "aggregated/fct_orders", "aggregated/daily_sales"
MOMENTS = {
    "between the models": r'delete from "lake"."aggregated"."daily_sales"',
    "the first test": r"as failures",
    "all tests have passed, all is staged": r"^COMMIT$",
}
_SALES = """
    SELECT order_date, currency, count(*) FILTER (status <> 'cancelled'),
        coalesce(sum(total_amount) FILTER (status <> 'cancelled'), 0)
    FROM lake.aggregated.fct_orders GROUP BY ALL ORDER BY ALL
"""


def look(lake: Connection) -> dict[str, Any]:
    """Both tables and their ledger, in one state of the lake."""
    lake.execute("BEGIN TRANSACTION")
    try:
        return {
            "facts": lake.execute("FROM lake.aggregated.fct_orders ORDER BY ALL").fetchall(),
            "sales": lake.execute(
                "SELECT order_date, currency, orders, sales "
                "FROM lake.aggregated.daily_sales ORDER BY ALL"
            ).fetchall(),
            "sales of the facts": lake.execute(_SALES).fetchall(),
            "rows": dict(
                lake.execute(
                    "SELECT _partition, count(*) FROM lake.aggregated.fct_orders GROUP BY 1"
                ).fetchall()
            ),
            "told": {
                asset: {k: (e.cleaned, e.snapshot) for k, e in ledger.latest(lake, asset).items()}
                for asset in (FACTS, SALES)
            },
        }
    finally:
        lake.execute("ROLLBACK")


def is_one_state(seen: dict[str, Any]) -> bool:
    """Whether tables and ledger are those of one build."""
    facts, sales = seen["told"][FACTS], seen["told"][SALES]
    return (
        seen["sales"] == seen["sales of the facts"]
        and {k: rows for k, (rows, _) in facts.items() if rows} == seen["rows"]
        and {k: at for k, (_, at) in facts.items()} == {k: at for k, (_, at) in sales.items()}
    )


@contextmanager
def watched(site: Site) -> Iterator[list[dict[str, Any]]]:
    """What a reader sees for the time of a block."""
    seen: list[dict[str, Any]] = []
    stop = threading.Event()

    def read() -> None:
        with site.open() as lake:
            while not stop.wait(0.2):
                seen.append(look(lake))

    reader = in_thread(read)
    try:
        yield seen
    finally:
        stop.set()
        reader.join()


@pytest.mark.xdist_group("aggregate_kills")
def test_killed_at_any_stage_or_met_by_another_a_build_is_seen_whole_or_not_at_all(
    deliveries: tuple[Delivery, Delivery], tmp_path: Path
) -> None:
    prepare_dbt_project()
    site, (before, after) = Site(tmp_path / "site"), deliveries
    site.root.mkdir()
    days = [day for day in before.days if day not in (before.days[2], before.days[7])][:4]
    Work(site, before.folder, days, batch_bytes=10**9).do()
    phases = [
        [Building(site, days)],
        [Building(site, days[:3], "killed", tuple(MOMENTS.values()))],
        [Building(site, days[:3], "one"), Building(site, days[1:], "other")],
    ]
    barrier = context().Barrier(2)

    def phase() -> None:
        barrier.wait(PATIENCE_SECONDS)
        barrier.wait(PATIENCE_SECONDS)

    with worker(functools.partial(in_turn, phases, barrier), tmp_path / "errors.txt") as building:
        phase()
        with site.open() as lake:
            old = look(lake)
        assert is_one_state(old)
        assert old["facts"]
        Work(site, after.folder, days, datasets=("orders",), batch_bytes=10**9).do()
        with watched(site) as seen:
            phase()
            with site.open() as lake:
                assert look(lake) == old, "what was killed has left nothing"
            phase()
        building.finish()

    with site.open() as lake:
        new = look(lake)
        newest = lake.execute(
            "SELECT order_id, total_amount, status, _partition FROM lake.staging.stg_orders "
            "QUALIFY row_number() OVER "
            "(PARTITION BY order_id ORDER BY updated_at DESC, _partition DESC) = 1 ORDER BY 1"
        ).fetchall()
        facts = lake.execute(
            "SELECT order_id, total_amount, status, _partition "
            "FROM lake.aggregated.fct_orders ORDER BY 1"
        ).fetchall()
    assert facts == newest
    assert new["facts"] != old["facts"]
    assert all(map(is_one_state, [*seen, new]))
    assert len(seen) > 10
