"""What a history costs, how it is counted, and what stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_assets.sources.tables import WatermarkTable
from platform_assets.warehouse import ledger
from platform_assets_tests.history_shop import HISTORY, periods, shops
from platform_assets_tests.source_tables import DAYS
from platform_assets_tests.source_tables import row as sale
from platform_assets_tests.table_shop import Shop

CURRENT = "sale_id = 1 AND is_current"


@pytest.fixture
def shop_of(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes shops; each with an empty table and a lake of its own."""
    with shops(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def good_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop of two sales; whoever damages its history leaves it good."""
    with shops(tmp_path_factory.mktemp("damaged")) as make:
        made = make(WatermarkTable("sales"))
        made.table.put(sale(1))
        made.table.put(sale(2))
        made.sync()
        yield made


def rows_written(shop: Shop) -> int:
    """Rows of all files that the history was ever written to."""
    row = shop.lake.execute(
        "SELECT sum(record_count) FROM __ducklake_metadata_lake.ducklake_data_file AS f "
        "JOIN __ducklake_metadata_lake.ducklake_table AS t USING (table_id) "
        "JOIN __ducklake_metadata_lake.ducklake_schema AS s USING (schema_id) "
        "WHERE s.schema_name = 'history'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_what_is_written_is_what_is_new(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    for key in range(20):
        shop.table.put(sale(key))
    shop.sync()
    for round_ in range(3):
        before = rows_written(shop)
        shop.table.put(sale(1, note=str(round_)))
        shop.table.put(sale(100 + round_))
        shop.sync()
        # The row that ends, the one that begins, and the new one.
        assert rows_written(shop) - before == 3


def test_the_ledger_counts_the_rows_by_partition(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1, 1))
    shop.table.put(sale(2, 2))
    shop.sync()
    shop.table.put(sale(1, 1, note="again"))
    shop.table.put(sale(1, 1, note="and again"))
    shop.sync()
    counted = {k: e.cleaned for k, e in ledger.published(shop.lake, "history/sales").items()}
    assert counted == {DAYS[0]: 2, DAYS[1]: 1, DAYS[2]: 0, DAYS[3]: 0}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (f"DELETE FROM {HISTORY} WHERE sale_id = 2", "1 current rows and 2 cleaned ones"),
        (f"UPDATE {HISTORY} SET sale_id = 7 WHERE sale_id = 2", "not of the same keys"),
        (f"INSERT INTO {HISTORY} FROM {HISTORY} WHERE {CURRENT}", "several current rows"),
        (
            f"INSERT INTO {HISTORY} SELECT * REPLACE (valid_from + INTERVAL 1 DAY AS valid_to, "
            f"false AS is_current) FROM {HISTORY} WHERE {CURRENT}",
            "at odds with others",
        ),
        (
            f"INSERT INTO {HISTORY} SELECT * REPLACE (valid_from - INTERVAL 1 DAY AS valid_to, "
            f"false AS is_current) FROM {HISTORY} WHERE {CURRENT}",
            "at odds with others",
        ),
    ],
)
def test_a_history_that_contradicts_stops_the_publish_and_is_made_anew(
    good_shop: Shop, damage: str, told: str
) -> None:
    shop, good = good_shop, periods(good_shop)
    shop.lake.execute(damage)
    assert periods(shop) != good
    shop.table.put(sale(1, note=f"changed {len(good)}"))
    before = shop.cleaned()
    _, cleaned = shop.sync()
    assert {k: e.stopped_by for k, e in cleaned.failed.items()} == {
        DAYS[0]: "history_is_consistent"
    }
    assert told in cleaned.failed[DAYS[0]].message
    assert shop.cleaned() == before
    _, cleaned = shop.sync()
    assert not cleaned.failed
    assert {values[0]: values[:-3] for values in periods(shop) if values[-1]} == shop.cleaned()
    # One period more: the change.
    assert len(periods(shop)) == len(good) + 1
