"""Rolling back: the history, the statistics and the ledger go along; and aggregates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_assets.assets import aggregate_plan, describe
from platform_assets.assets.aggregate_plan import Plan
from platform_assets.assets.dbt_project import project_version
from platform_assets.cli.lake_tables import of_dataset, target_of
from platform_assets.errors import PartitionError, PublishError
from platform_assets.pipeline.rollback import Done, roll_back
from platform_assets.pipeline.rollback_plan import plan
from platform_assets.quality import findings, profiles
from platform_assets.sources.tables import WatermarkTable
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import (
    Connection,
    current_snapshot,
    in_transaction,
)
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.snapshots import Asked
from platform_assets.warehouse.tally import RowChanges
from platform_assets_tests.history_shop import periods
from platform_assets_tests.history_shop import shops as history_shops
from platform_assets_tests.rolled import LOOSE, back, published_wrong
from platform_assets_tests.source_tables import DAYS as SALE_DAYS
from platform_assets_tests.source_tables import row as sale
from platform_assets_tests.support import D1, D2, Site
from platform_assets_tests.table_shop import Shop

prepare = published_wrong


@pytest.fixture
def wrong(copied: Site) -> Site:
    """A day that was published right and then wrong, and another one."""
    return copied


@pytest.fixture
def shop_of(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    with history_shops(tmp_path) as make:
        yield make


def back_in(shop: Shop, day: str, to: int | None = None) -> Done:
    asked = Asked(str(to), "option --to") if to is not None else None
    chosen = plan(shop.lake, of_dataset(shop.dataset, "cleaned"), day, asked)
    return roll_back(shop.lake, chosen, reason="r", author="a")


def test_the_history_goes_along_and_goes_on(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1))
    shop.table.put(sale(2, 2))
    shop.sync()
    cleaned, kept = shop.cleaned(), periods(shop)
    shop.table.put(sale(1, note="wrong"))
    shop.table.put(sale(3))
    shop.sync()
    after = shop.cleaned(), periods(shop)
    back_in(shop, SALE_DAYS[0])
    assert (shop.cleaned(), periods(shop)) == (cleaned, kept)
    entry = ledger.published(shop.lake, "history/sales")[SALE_DAYS[0]]
    assert entry.cleaned == 1
    shop.sync()
    assert (shop.cleaned(), periods(shop)) == (cleaned, kept), "nothing new came"
    # What comes now is put on all that ever came: the partition is judged whole.
    shop.table.put(sale(4))
    shop.sync()
    assert shop.cleaned().keys() == {1, 2, 3, 4}
    assert {each[0] for each in periods(shop)} == {1, 2, 3, 4}
    assert {k: shop.cleaned()[k] for k in (1, 2, 3)} == after[0]


def test_a_row_that_has_moved_is_not_restored_twice(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1, 1))
    shop.table.put(sale(2, 2))
    shop.sync()
    shop.table.put(sale(1, 2))
    shop.sync()
    before = shop.cleaned(), periods(shop)
    with pytest.raises(PublishError, match="moved to other partitions") as raised:
        back_in(shop, SALE_DAYS[0])
    assert f"1 in {SALE_DAYS[1]}" in raised.value.found
    assert (shop.cleaned(), periods(shop)) == before


def test_raw_changes_cannot_be_rolled_back(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1))
    shop.sync()
    with pytest.raises(PartitionError, match="read by its changes") as raised:
        plan(shop.lake, of_dataset(shop.dataset, "raw"), SALE_DAYS[0])
    assert raised.value.fix == "roll cleaned/sales back, which keeps all versions"


# What belongs to a publish.


def test_statistics_learn_from_what_stands(wrong: Site) -> None:
    asset = "cleaned/things"
    known = finding(asset, "rows")
    in_transaction(wrong.lake, lambda con: findings.record(con, asset, [D1], [known], []))
    noted = current_snapshot(wrong.lake)
    back(wrong)
    seen = profiles.newest(wrong.lake, asset, D1)
    assert seen is not None
    assert (seen.profile.rows, seen.extracted, seen.quarantined) == (2, 4, 1)
    # It was about rows that do not stand any more, and is open again once they do.
    (over,) = findings.find(wrong.lake, statuses=(findings.Standing.OVER,))
    assert over.finding_id == known.finding_id
    for statuses in ((findings.Standing.OPEN,), (findings.Standing.OVER,)):
        snapshot = noted if statuses == (findings.Standing.OPEN,) else noted - 1
        in_transaction(
            wrong.lake,
            lambda con, snapshot=snapshot: findings.restore(con, asset, D1, snapshot),
        )
        (found,) = findings.find(wrong.lake, statuses=statuses)
        assert found.finding_id == known.finding_id


def finding(asset: str, column: str) -> findings.Finding:
    return findings.Finding(
        dataset="things", asset=asset, partition=D1, check_name="volume", column_name=column,
        run_id="run-2", severity="warn", observed=2.0, expected_low=0.0, expected_high=1.0,
        confidence=0.9, history=3, message="more than expected",
    )  # fmt: skip


def test_a_run_tells_what_it_changed(wrong: Site) -> None:
    told = {
        (entry.run_id, entry.partition): (entry.rows_added, entry.rows_removed, entry.rows_changed)
        for day in (D1, D2)
        for entry in ledger.publishes(wrong.lake, "cleaned/things", day)
    }
    assert told == {
        ("run-1", D1): (2, 0, 0),
        ("run-1", D2): (2, 0, 0),
        ("run-2", D1): (1, 1, 1),
    }
    _, report = wrong.run(LOOSE, [D1, D2])
    for entry in report.entries.values():
        metadata = describe.partition_metadata(entry, "cleaned")
        assert [metadata[f"rows_{what}"] for what in ("added", "removed", "changed")] == [0, 0, 0]
        assert "held_by_rollback" not in metadata
    back(wrong)
    _, report = wrong.run(LOOSE, [D1])
    assert describe.partition_metadata(report.entries[D1], "cleaned")["held_by_rollback"]
    assert "rows_added" not in describe.partition_metadata(report.entries[D1], "raw")


def test_a_lake_of_an_earlier_version_gets_what_it_lacks(wrong: Site) -> None:
    for column in ("rows_added", "rows_removed", "rows_changed"):
        wrong.lake.execute(f"ALTER TABLE {tables.LEDGER} DROP COLUMN {column}")
    wrong.lake.execute(f"DROP TABLE {tables.ROLLBACKS}")
    tables.ensure_platform_tables(wrong.lake)
    (first, _) = ledger.publishes(wrong.lake, "cleaned/things", D1)
    assert first.rows_added is None
    assert "rows_added" not in describe.partition_metadata(first, "cleaned")
    back(wrong)
    assert wrong.published("cleaned")[D1].rows_added == 1


# Aggregates.


def aggregate(site: Site, name: str, rows: str, entries: list[LedgerEntry]) -> None:
    """Publish an aggregate as dbt does: its rows and what the ledger says of them."""

    def work(con: Connection) -> None:
        con.execute(f"CREATE OR REPLACE TABLE {tables.aggregated_table(name)} AS {rows}")
        ledger.record(con, entries)

    in_transaction(site.lake, work)


def entry_of(asset: str, rows: int, fingerprint: str = "") -> LedgerEntry:
    return LedgerEntry(
        asset, D1, f"of-{fingerprint}", Status.PUBLISHED, cleaned=rows,
        contract_version=project_version(), input_fingerprint=fingerprint,
    )  # fmt: skip


def planned(site: Site) -> Plan:
    return aggregate_plan.plan(
        site.lake, run_id="run", requested=[D1], force=False,
        selected={"aggregated/daily_sales", "aggregated/fct_orders"},
    )  # fmt: skip


def test_an_aggregate_is_rolled_back_by_its_own_key_and_partition(site: Site) -> None:
    tables.ensure_platform_tables(site.lake)
    sold = f"SELECT DATE '{D1}' AS order_date, 'GBP' AS currency"
    orders = f"SELECT 'o1' AS order_id, '{D1}' AS _partition"
    for sales in (1, 2):
        in_transaction(
            site.lake,
            lambda con: ledger.record(con, [entry_of("cleaned/orders", 1)]),
        )
        made_of = ledger.published(site.lake, "cleaned/orders")[D1].snapshot
        fingerprint = f"{made_of}-{project_version()}"
        aggregate(site, "fct_orders", orders, [entry_of("aggregated/fct_orders", 1, fingerprint)])
        aggregate(
            site, "daily_sales",
            f"{sold}, {sales} AS sales UNION ALL SELECT DATE '{D2}', 'GBP', {sales}",
            [entry_of("aggregated/daily_sales", 1, fingerprint)],
        )  # fmt: skip
    assert planned(site).stale == ()
    chosen = plan(site.lake, target_of("aggregated/daily_sales", "argument"), D1)
    done = roll_back(site.lake, chosen, reason="r", author="a")
    assert done.changes == RowChanges(changed=1)
    assert site.select(
        f"SELECT sales FROM {tables.aggregated_table('daily_sales')} ORDER BY 1"
    ) == [
        (1,),
        (2,),
    ]
    # The orders are those that it was refused for.
    assert planned(site).stale == ()
    in_transaction(
        site.lake, lambda con: ledger.record(con, [entry_of("cleaned/orders", 1, "new")])
    )
    assert planned(site).stale == (D1,)
