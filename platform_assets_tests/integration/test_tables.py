"""Tables of a database: which partitions a change opens again, and what stops a load.

What could differ between kinds of databases is in ``test_table_kinds``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from platform_assets.contracts import DriftPolicy
from platform_assets.warehouse import schemas, tables
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, row, sales
from platform_assets_tests.table_shop import READERS, ShopMaker, database_of, shops


@pytest.fixture
def shop_of(tmp_path: Path) -> Iterator[ShopMaker]:
    """Makes shops of a SQLite file."""
    with database_of("sqlite", tmp_path) as database, shops(database, tmp_path) as make:
        yield make


@pytest.mark.parametrize("reader", ["watermark", "snapshot"])
def test_a_change_opens_again_exactly_the_partitions_that_it_touches(
    shop_of: ShopMaker, reader: str
) -> None:
    shop = shop_of(reader)
    for key in (1, 2, 3):
        shop.table.put(row(key, key))
    shop.sync()
    shop.table.put(row(1, 1, note="changed"))  # in its day
    shop.table.put(row(2, 3))  # from one day to another
    loaded, cleaned = shop.sync((DAYS[0],))
    assert list(loaded.entries) == [DAYS[0]]
    assert sorted(loaded.also) == [DAYS[1], DAYS[2]]
    assert {k: e.status for k, e in cleaned.entries.items()} == dict.fromkeys(
        DAYS[:3], Status.PUBLISHED
    )
    notes = {key: values[3] for key, values in shop.cleaned().items()}
    assert notes == {1: "changed", 2: None, 3: None}
    loaded, _ = shop.sync()
    assert {e.status for e in loaded.entries.values()} == {Status.UNCHANGED}


def test_a_change_of_a_day_that_was_never_loaded_waits_for_its_load(
    shop_of: ShopMaker,
) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1, 1))
    shop.sync((DAYS[0],))
    shop.table.put(row(2, 2))
    loaded, _ = shop.sync((DAYS[0],))
    assert not loaded.also
    assert list(shop.cleaned()) == [1]
    shop.sync(DAYS[:2])
    assert sorted(shop.cleaned()) == [1, 2]


def test_a_watermark_of_the_future_hides_nothing(shop_of: ShopMaker) -> None:
    shop = shop_of("watermark")
    shop.table.clock = datetime(2037, 1, 1)
    shop.table.put(row(1))
    shop.sync()
    shop.table.clock = datetime(2025, 1, 1, 12)
    shop.table.put(row(2))
    shop.sync()
    assert sorted(shop.cleaned()) == [1, 2]


def test_a_forced_sync_by_watermark_sees_deletes(shop_of: ShopMaker) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1))
    shop.table.put(row(2, 2))
    shop.sync()
    shop.table.delete(2)
    shop.sync()
    assert sorted(shop.cleaned()) == [1, 2]
    _, cleaned = shop.sync(force=True)
    assert sorted(shop.cleaned()) == [1]
    assert (cleaned.entries[DAYS[1]].extracted, cleaned.entries[DAYS[1]].deduplicated) == (2, 2)


def test_a_column_that_rows_are_found_by_is_missed_as_any_other(shop_of: ShopMaker) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1))
    shop.sync((DAYS[0],))
    before = shop.cleaned()
    for column in ("sale_id", "sold_at", "updated_at"):
        shop.table.execute(f"ALTER TABLE sales RENAME COLUMN {column} TO gone")
        loaded, _ = shop.sync((DAYS[0],))
        assert loaded.failed[DAYS[0]].stopped_by == "schema"
        assert f"The source has no column {column}" in loaded.failed[DAYS[0]].message
        events = schemas.drifts_in(shop.lake, "sales", f"run-{shop.runs}")
        assert column in {each.column_name for each in events if each.decision == "blocked"}
        assert shop.cleaned() == before
        shop.table.execute(f"ALTER TABLE sales RENAME COLUMN gone TO {column}")


@pytest.mark.parametrize("reader", READERS)
def test_a_column_that_is_gone_gets_the_value_that_the_policy_gives(
    shop_of: ShopMaker, reader: str
) -> None:
    shop = shop_of(reader, drift=DriftPolicy(not_null={"status": "placed"}))
    shop.table.put(row(1))
    shop.sync((DAYS[0],))
    shop.table.execute("ALTER TABLE sales DROP COLUMN status")
    shop.table.without.add("status")
    shop.table.put(row(2, 2))
    loaded, _ = shop.sync((DAYS[1],))
    assert not loaded.failed, loaded.failed[DAYS[1]].message
    assert {key: values[2] for key, values in shop.cleaned().items()} == {1: GOOD, 2: "placed"}
    # Without one, nothing is loaded, and the error says which column and what helps.
    shop.dataset = sales(READERS[reader]())
    loaded, _ = shop.sync((DAYS[1],))
    assert loaded.failed[DAYS[1]].stopped_by == "schema"
    assert "The source has no column status" in loaded.failed[DAYS[1]].message


def test_rows_that_do_not_arrive_are_missed(
    shop_of: ShopMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from platform_assets.sources.table_reading import TableReading

    shop = shop_of("full")
    shop.table.put(row(1))
    shop.table.put(row(2))
    source = TableReading.source
    monkeypatch.setattr(
        TableReading, "source", lambda self, where: f"(FROM {source(self, where)} LIMIT 1)"
    )
    loaded, _ = shop.sync()
    assert {e.stopped_by for e in loaded.failed.values()} == {"control_total"}
    assert "rows: 2" in loaded.failed[DAYS[0]].message
    assert "rows: 1" in loaded.failed[DAYS[0]].message
    assert not shop.lake.execute(f"FROM {tables.raw_table('sales')}").fetchall()


def test_a_table_that_is_as_it_was_is_not_published_again(shop_of: ShopMaker) -> None:
    shop = shop_of("full")
    shop.table.put(row(1))
    shop.table.put(row(2, 2, status=BAD))
    shop.sync()
    tables_of = ("raw", "cleaned")
    before = [shop.lake.execute(f"FROM lake.{each}.sales").fetchall() for each in tables_of]
    for _ in range(2):
        loaded, cleaned = shop.sync()
        for report in (loaded, cleaned):
            assert {entry.status for entry in report.entries.values()} == {Status.UNCHANGED}
    after = [shop.lake.execute(f"FROM lake.{each}.sales").fetchall() for each in tables_of]
    assert after == before
    quarantine = "SELECT status, count(*) FROM lake.platform.quarantine GROUP BY ALL"
    assert shop.lake.execute(quarantine).fetchall() == [("open", 1)]
    # As many rows, of which one is another.
    shop.table.put(row(1, note="changed"))
    loaded, _ = shop.sync()
    assert Status.PUBLISHED in {entry.status for entry in loaded.entries.values()}
