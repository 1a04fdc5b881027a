"""History: every good version of a row with the time that it held, kept with the cleaned table."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from platform_assets.contracts import EventTime, Field, Key
from platform_assets.pipeline import clean, load_raw
from platform_assets.sources.change_source import ChangeSource
from platform_assets.sources.tables import SnapshotTable, WatermarkTable
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.history_shop import HISTORY, periods, shops, with_partitions
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, NOON, Row, Sale, sales
from platform_assets_tests.source_tables import row as sale
from platform_assets_tests.table_shop import ACTIONS, SEEDS, Happening, Shop, one_full_example
from platform_assets_tests.told_source import Told, ToldChanges, history_of

AS_OF = "valid_from <= $at AND (valid_to > $at OR valid_to IS NULL)"


@pytest.fixture
def shop_of(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes shops; each with an empty table and a lake of its own."""
    with shops(tmp_path) as make:
        yield make


def as_of(shop: Shop, at: datetime) -> dict[int, tuple[Any, ...]]:
    """The rows that held at a time."""
    found = shop.lake.execute(
        "SELECT * EXCLUDE (_partition, valid_from, valid_to, is_current) "
        f"FROM {HISTORY} WHERE {AS_OF}",
        {"at": at},
    ).fetchall()
    assert len({key for key, *_ in found}) == len(found)
    return {values[0]: values for values in found}


def assert_made_anew_it_is_the_same(shop: Shop) -> None:
    before = with_partitions(shop)
    cleaned = clean(shop.step(force=True), DAYS)
    assert not cleaned.failed
    assert with_partitions(shop) == before


READERS: dict[str, Callable[[], ChangeSource]] = {
    "watermark": lambda: WatermarkTable("sales"),
    "snapshot": lambda: SnapshotTable("sales"),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_history_as_of_a_time_is_what_the_cleaned_table_was(
    shop_of: Callable[..., Shop], reader: str
) -> None:
    @one_full_example
    @given(actions=ACTIONS, order=SEEDS.map(random.Random))
    def check(actions: Happening, order: random.Random) -> None:
        shop = shop_of(READERS[reader]())
        table, past = shop.table, []
        told: dict[int, list[Row | None]] = {}
        for batch in actions:
            for what, key, day, status in batch:
                if what == "put":
                    table.put(sale(key, day, status=status))
                elif key in table.rows and reader == "snapshot":
                    table.delete(key)
            shop.note()
            loaded = load_raw(shop.step(), DAYS)
            touched = [*loaded.good, *loaded.also]
            order.shuffle(touched)
            # Days are published one by one, or together, or some of them later.
            one, other = touched[: order.randrange(5)], touched[order.randrange(5) :]
            for days in [[day] for day in one], [other]:
                for each in days:
                    assert not clean(shop.step(), each).failed
            now = datetime.now(UTC).replace(tzinfo=None) if reader == "snapshot" else table.clock
            past.append((now, {key: each.values for key, each in shop.last_good.items()}))
            for key in {*told, *shop.last_good}:
                states = told.setdefault(key, [None])
                if states[-1] != shop.last_good.get(key):
                    states.append(shop.last_good.get(key))
        assert not clean(shop.step(), DAYS).failed
        for at, rows in past:
            assert as_of(shop, at) == rows
        assert {values[0]: values[:-3] for values in periods(shop) if values[-1]} == shop.cleaned()
        expected = [(k, *s.values[1:]) for k in sorted(told) for s in told[k] if s is not None]
        assert [values[:-3] for values in periods(shop)] == expected
        if reader == "watermark":
            assert all(values[-3] == values[5] for values in periods(shop))
        assert_made_anew_it_is_the_same(shop)

    check()


Loads = list[dict[tuple[int, int], tuple[int, str, int]]]


def _told(seed: int) -> Loads:
    """Loads of few keys and positions, so that most come again, and otherwise."""
    rng = random.Random(seed)
    return [
        {
            (rng.randint(1, 2), rng.randint(1, 5)): (
                rng.randint(1, 3),
                rng.choice([GOOD, GOOD, "placed", BAD, "deleted"]),
                rng.randint(0, 9),
            )
            for _ in range(rng.randint(5, 8))
        }
        for _ in range(3)
    ]


@settings(one_full_example, max_examples=2)
@given(loads=SEEDS.map(_told), order=SEEDS.map(random.Random))
def test_events_that_come_late_again_or_from_another_clock(
    loads: Loads, order: random.Random, shop_of: Callable[..., Shop]
) -> None:
    source = ToldChanges()
    shop = shop_of(source)
    seen: list[list[Told]] = []
    for load in loads:
        seen.append(
            [
                Told(
                    sale(key, day, status=GOOD if what == "deleted" else what),
                    position,
                    NOON + timedelta(minutes=minute),
                    what == "deleted",
                )
                for (key, position), (day, what, minute) in load.items()
            ]
        )
        source.waiting.extend(seen[-1])
        loaded = load_raw(shop.step(), DAYS)
        days = [*loaded.good, *loaded.also]
        order.shuffle(days)
        cut = order.randrange(5)
        for each in days[:cut], days[cut:]:
            assert not clean(shop.step(), each).failed
        assert sorted(periods(shop), key=str) == history_of(seen)
    assert_made_anew_it_is_the_same(shop)


def test_a_key_that_comes_back_and_one_that_stays(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(ToldChanges())
    source = shop.dataset.source
    assert isinstance(source, ToldChanges)
    noon = [NOON + timedelta(minutes=minute) for minute in range(9)]
    one, two = sale(1), sale(2)
    for load in (
        [Told(one, 1, noon[1]), Told(two, 1, noon[1])],
        [Told(one, 2, noon[2], deleted=True), Told(two, 2, noon[5])],
        [Told(replace(one, status=BAD), 3, noon[3]), Told(two, 2, noon[5])],
        [Told(one, 4, noon[4])],
    ):
        source.waiting.extend(load)
        shop.sync()
    assert periods(shop) == [
        (*one.values, noon[1], noon[2], False),
        (*one.values, noon[4], None, True),
        (*two.values, noon[1], None, True),
    ]


def test_a_clock_that_goes_back_makes_no_period_end_before_it_begins(
    shop_of: Callable[..., Shop],
) -> None:
    shop = shop_of(WatermarkTable("sales"))
    first = shop.table.put(sale(1))
    shop.sync()
    shop.table.clock -= timedelta(minutes=3)
    second = shop.table.put(sale(1, note="from another clock"))
    assert second.updated_at < first.updated_at
    shop.sync()
    assert [values[-3:] for values in periods(shop)] == [
        (first.updated_at, first.updated_at, False),
        (first.updated_at, None, True),
    ]
    assert as_of(shop, first.updated_at) == shop.cleaned() == {1: second.values}


def test_a_version_in_a_partition_that_is_stopped_is_shown_once_it_is_published(
    shop_of: Callable[..., Shop],
) -> None:
    shop = shop_of(WatermarkTable("sales"), max_bad_share=0.5)
    first = shop.table.put(sale(1, 1))
    shop.table.put(sale(2, 1))
    shop.sync()
    moved = shop.table.put(sale(1, 2))
    for key in (3, 4, 5):
        shop.table.put(sale(key, 2, status=BAD))
    _, cleaned = shop.sync()
    assert set(cleaned.failed) == {DAYS[1]}
    assert set(shop.cleaned()) == set(as_of(shop, shop.table.clock)) == {2}
    for key in (3, 4, 5):
        shop.table.put(sale(key, 2))
    _, cleaned = shop.sync()
    assert not cleaned.failed
    assert [values for values in periods(shop) if values[0] == 1] == [
        (*first.values, first.updated_at, moved.updated_at, False),
        (*moved.values, moved.updated_at, None, True),
    ]
    assert_made_anew_it_is_the_same(shop)


def test_a_history_that_is_asked_for_later_is_made_of_all_versions(
    shop_of: Callable[..., Shop],
) -> None:
    shop = shop_of(WatermarkTable("sales"), history=False)
    first = shop.table.put(sale(1, 1))
    shop.sync()
    second = shop.table.put(sale(1, 2))
    shop.sync()
    assert not shop.lake.execute(
        "SELECT * FROM information_schema.schemata WHERE schema_name = 'history'"
    ).fetchall()
    shop.dataset = replace(shop.dataset, history=True)
    _, cleaned = shop.sync()
    assert {e.status for e in cleaned.entries.values()} == {Status.PUBLISHED}
    assert periods(shop) == [
        (*first.values, first.updated_at, second.updated_at, False),
        (*second.values, second.updated_at, None, True),
    ]


class Noted(Sale):
    """With one more column that may be null."""

    paid_at: datetime = Field(nullable=True)


def test_a_column_that_the_contract_gains_is_added(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1))
    shop.sync()
    shop.table.execute("ALTER TABLE sales ADD COLUMN paid_at timestamp")
    shop.dataset = sales(WatermarkTable("sales"), contract=Noted, history=True)
    shop.table.execute("UPDATE sales SET paid_at = '2025-01-01 11:00:00'")
    shop.table.clock += timedelta(minutes=1)
    shop.table.execute(f"UPDATE sales SET updated_at = '{shop.table.clock}'")
    _, cleaned = shop.sync()
    assert not cleaned.failed
    found = shop.lake.execute(f"SELECT paid_at, is_current FROM {HISTORY} ORDER BY 2").fetchall()
    assert found == [(None, False), (datetime(2025, 1, 1, 11), True)]


class Private(Sale):
    """Whose key and note are personal."""

    sale_id: int = Key(pii="hash")
    note: str = Field(nullable=True, pii="mask")
    sold_at: datetime = EventTime()


def test_personal_data_is_as_in_the_cleaned_table(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(SnapshotTable("sales"), contract=Private)
    for note in ("sentinel one", "sentinel two"):
        shop.table.put(sale(1, note=note, amount=len(note)))
        shop.sync()
    shop.table.put(sale(1, 2, note="sentinel three"))
    shop.sync()
    found = with_partitions(shop)
    assert "sentinel" not in str(found)
    key = shop.lake.execute("SELECT sale_id FROM lake.cleaned.sales").fetchall()
    assert {values[0] for values in found} == {key[0][0]}
    assert len(key[0][0]) == 64
    # The masked notes are one value: only when it was changed differs.
    assert [values[3] for values in found] == ["***"] * 3
    assert_made_anew_it_is_the_same(shop)


class Masked(Sale):
    """Whose key is masked: in the cleaned table all rows have the same."""

    sale_id: int = Key(pii="mask")


def test_rows_whose_key_is_masked_are_judged_whole(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"), contract=Masked, history=False)
    for key in (1, 2):
        shop.table.put(sale(key))
    shop.sync()
    shop.table.put(sale(1, note="changed"))
    _, cleaned = shop.sync()
    assert not cleaned.failed
    notes = shop.lake.execute("SELECT note FROM lake.cleaned.sales ORDER BY 1").fetchall()
    assert notes == [("changed",), (None,)]


def test_the_query_of_the_how_to_gives_the_past(shop_of: Callable[..., Shop]) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "keep-history.md"
    queries = re.findall(r"^```sql\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    shop = shop_of(WatermarkTable("sales"))
    shop.table.clock = datetime(2025, 2, 28, 12)
    shop.table.put(sale(1, note="then"))
    shop.sync()
    shop.table.clock = datetime(2025, 3, 2, 12)
    shop.table.put(sale(1, note="now"))
    shop.sync()
    found = [shop.lake.execute(query).fetchall() for query in queries]
    assert [[values[3] for values in rows] for rows in found[:2]] == [["then"], ["then", "now"]]
