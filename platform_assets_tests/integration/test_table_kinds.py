"""Tables of each kind of database: after every sync the cleaned table is what the source is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given

from platform_assets.pipeline import clean, load_raw
from platform_assets.sources.connections import Database
from platform_assets.sources.retrying import Guard, RetryPolicy
from platform_assets.sources.tables import SnapshotTable, WatermarkTable
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.servers import mariadb_executable
from platform_assets_tests.source_tables import BAD, DAYS, row, sales
from platform_assets_tests.table_shop import (
    ACTIONS,
    READERS,
    Happening,
    ShopMaker,
    database_of,
    one_full_example,
    shops,
)

KINDS = (
    "sqlite",
    "postgres",
    pytest.param(
        "mysql",
        marks=pytest.mark.skipif(
            mariadb_executable() is None, reason="MariaDB is not installed: apt-get mariadb-server"
        ),
    ),
)


@pytest.fixture(scope="module", params=KINDS)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of each kind."""
    with database_of(request.param, tmp_path_factory.mktemp("source")) as found:
        yield found


@pytest.fixture
def shop_of(database: Database, tmp_path: Path) -> Iterator[ShopMaker]:
    """Makes shops; each with an empty table and a lake of its own."""
    with shops(database, tmp_path) as make:
        yield make


@pytest.mark.parametrize("reader", READERS)
def test_after_every_sync_the_cleaned_table_is_what_the_source_is(
    shop_of: ShopMaker, database: Database, reader: str
) -> None:
    # What differs between the kinds is how they are asked, not what follows from the answer.
    whole = database.kind == "sqlite"

    @one_full_example
    @given(history=ACTIONS)
    def check(history: Happening) -> None:
        shop = shop_of(reader)
        table = shop.table
        for batch in history if whole else history[:2]:
            # Between two syncs only the last state can be seen.
            for what, key, day, status in batch:
                if what == "put":
                    amount = Decimal(table.clock.minute) / 100
                    table.put(row(key, day, status=status, amount=amount))
                elif key in table.rows and reader != "watermark":
                    table.delete(key)
            shop.note()
            loaded, cleaned = shop.sync()
            assert not loaded.failed
            assert not cleaned.failed
            assert all(control.holds for control in loaded.controls)
            good = (
                {k: r for k, r in table.rows.items() if r.status != BAD}
                if reader == "full"
                else shop.last_good
            )
            assert shop.cleaned() == {key: each.values for key, each in good.items()}
            for entry in cleaned.entries.values():
                accounted = entry.cleaned + entry.quarantined + entry.deduplicated
                assert entry.extracted == accounted
            bad = {str(k) for k, each in table.rows.items() if each.status == BAD}
            assert {key for key, *_ in shop.quarantine()} == bad
        before = shop.cleaned(), shop.quarantine()
        _, again = shop.sync()
        if reader != "full":
            assert {e.status for e in again.entries.values()} == {Status.UNCHANGED}
        if whole:
            clean(shop.step(force=True), DAYS)
        assert (shop.cleaned(), shop.quarantine()) == before

    check()


def test_exact_values_outlive_an_outage_and_the_overlap_sees_what_was_committed_late(
    shop_of: ShopMaker, tmp_path: Path
) -> None:
    shop = shop_of("watermark")
    values = [Decimal("0.10"), Decimal("99999999.99"), Decimal("0.30"), Decimal("1234567.89")]
    for key, amount in enumerate(values, start=1):
        shop.table.put(row(key, amount=amount, note="naïve 'quoted' \\ \"text\" 日本"))
    shop.table.clock = shop.table.clock.replace(minute=30)
    shop.table.put(row(5))
    loaded, _ = shop.sync()
    before = shop.cleaned()
    assert [before[key][1] for key in (1, 2, 3, 4)] == values
    assert {before[key][3] for key in (1, 2, 3, 4)} == {"naïve 'quoted' \\ \"text\" 日本"}
    total = next(c for c in loaded.controls if "amount" in c.name)
    assert total.at_source == total.arrived == str(sum(values) + row(5).amount)

    down = replace(shop.table.database, port=1, path=tmp_path / "nothing.sqlite")
    at_once = Guard(policy=RetryPolicy(wait_initial=0, wait_max=0, jitter=0))
    loaded = load_raw(shop.step(connections={"database": down}, guard=at_once), DAYS)
    assert set(loaded.failed) == set(DAYS)
    message = loaded.failed[DAYS[0]].message
    assert "A source does not answer" in message or "is not there" in message
    assert "a-secret" not in message
    state = at_once.breakers.state("database")
    assert state.failures == 3, state
    assert shop.cleaned() == before

    shop.table.clock = shop.table.clock.replace(minute=27)  # before the newest that was seen
    shop.table.put(row(6))
    loaded, _ = shop.sync()
    assert loaded.entries[DAYS[0]].extracted == 6
    assert sorted(shop.cleaned()) == [1, 2, 3, 4, 5, 6]


def test_a_table_that_is_not_there_or_lacks_a_column(shop_of: ShopMaker) -> None:
    shop = shop_of("watermark")
    shop.dataset = sales(WatermarkTable("nowhere"))
    loaded, _ = shop.sync()
    assert "expected: a table nowhere" in loaded.failed[DAYS[0]].message
    shop.dataset = sales(WatermarkTable("sales", watermark="touched_at"))
    loaded, _ = shop.sync()
    assert "A table lacks a column: touched_at" in loaded.failed[DAYS[0]].message
    shop.dataset = sales(WatermarkTable("sales", columns=("sale_id", "amount", "updated_at")))
    loaded, _ = shop.sync()
    assert "The source has no column sold_at" in loaded.failed[DAYS[0]].message


def test_a_key_that_is_not_unique_is_refused_where_rows_are_compared(
    shop_of: ShopMaker,
) -> None:
    shop = shop_of("snapshot")
    shop.table.put(row(1))
    shop.table.put(row(2))
    duplicated = "SELECT 7 AS sale_id, amount, status, note, sold_at, updated_at FROM sales"
    shop.table.execute(f"CREATE VIEW doubled AS {duplicated}")
    shop.dataset = sales(SnapshotTable("doubled"))
    loaded, _ = shop.sync()
    assert "is not unique" in loaded.failed[DAYS[0]].message
    assert "1 keys that several rows have" in loaded.failed[DAYS[0]].message


def test_only_a_range_of_keys_is_compared(shop_of: ShopMaker) -> None:
    shop = shop_of("snapshot")
    for key in (1, 2, 3):
        shop.table.put(row(key))
    shop.sync()
    shop.dataset = sales(SnapshotTable("sales", key_range=("2", "3")))
    shop.table.delete(1)
    shop.table.delete(2)
    shop.table.put(row(3, note="changed"))
    shop.sync()
    assert {key: values[3] for key, values in shop.cleaned().items()} == {1: None, 3: "changed"}
