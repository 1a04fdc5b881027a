"""The report says what the files hold: every figure counted again from the files by SQL."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.demo import DirtRates, PartitionTruth, ShopReport, generate
from platform_assets_tests.unit.demo.conftest import SPOILED, START, Shop
from platform_assets_tests.unit.demo.recount import RULES, Recount

DATASETS = tuple(RULES)
NO_ROWS = {"rows": 0, "cleaned": 0, "quarantined": 0, "deduplicated": 0, "by_rule": {}}


def assert_partitions(truth: ShopReport, counted: Recount) -> None:
    """Every file has the rows that the report says, of every kind."""
    for dataset in DATASETS:
        parts = counted.parts(dataset)
        assert parts.keys() <= truth.partitions[dataset].keys()
        assert counted.most_rules_of_a_row(dataset) <= 1
        for key, told in truth.partitions[dataset].items():
            # A file without rows has no rows to group.
            size = counted.file(dataset, key).stat().st_size
            found = asdict(parts[key]) if key in parts else {**NO_ROWS, "bytes": size}
            assert {name: getattr(told, name) for name in found} == found, (dataset, key)
            assert told.rows == told.cleaned + told.quarantined + told.deduplicated
    kinds = counted.order_kinds()
    for key, told in truth.partitions["orders"].items():
        found_kinds = kinds.get(key, (0, 0, 0, 0))
        told_kinds = (told.duplicates, told.in_file_updates, told.cross_day_updates, told.late)
        assert told_kinds == found_kinds, key


def assert_business(truth: ShopReport, counted: Recount) -> None:
    """The newest clean versions add up to the figures of the report, day by day."""
    business = truth.business
    assert business.orders == counted.value("select count(*) from newest")
    assert business.cancelled == counted.value(
        "select count(*) from newest where status = 'cancelled'"
    )
    assert business.customers == counted.value(
        "select count(distinct customer_id) from customers where email__str_matches = 0"
    )
    assert business.products == counted.parts("products")["all"].cleaned
    told = {
        (day, currency): (sales.orders, sales.cancelled, Decimal(sales.total))
        for day, by_currency in business.sales.items()
        for currency, sales in by_currency.items()
    }
    assert told == counted.sales()
    for currency, total in business.total_amount.items():
        amounts = [amount for (_, c), (_, _, amount) in told.items() if c == currency]
        assert Decimal(total) == sum(amounts)


def test_partitions_hold_what_the_report_says(shop: Shop) -> None:
    assert_partitions(shop.truth, shop.counted)


def test_business_comes_to_what_the_report_says(shop: Shop) -> None:
    assert_business(shop.truth, shop.counted)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    days=st.integers(1, 9),
    orders_per_day=st.one_of(st.integers(1, 12), st.integers(13, 400)),
    start=st.dates(date(1970, 1, 1), date(2060, 1, 1)),
    rate=st.sampled_from([0.0, 0.0009, 0.01, 0.045]),
    spoil=st.sets(st.integers(0, 8)),
)
def test_any_shop_is_what_its_report_says(
    *, seed: int, days: int, orders_per_day: int, start: date, rate: float, spoil: set[int]
) -> None:
    rates: dict[str, Any] = {
        name: rate for name in asdict(DirtRates()) if not name.startswith("product_")
    }
    spoiled = [start + timedelta(days=day) for day in spoil if day < days]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        truth = generate(
            root,
            start=start,
            days=days,
            orders_per_day=orders_per_day,
            seed=seed,
            rates=DirtRates(**rates),
            spoil=spoiled,
        )
        counted = Recount(root, [day.isoformat() for day in spoiled])
        assert_partitions(truth, counted)
        assert_business(truth, counted)


@pytest.mark.parametrize("weekday", range(7))
def test_a_small_shop_shows_every_kind_of_dirt(tmp_path: Path, weekday: int) -> None:
    start = START + timedelta(days=weekday)
    truth = generate(tmp_path, start=start, days=30, orders_per_day=50, seed=weekday)
    for dataset in DATASETS:
        assert truth.totals[dataset].by_rule.keys() == set(RULES[dataset])
    orders, customers = truth.totals["orders"], truth.totals["customers"]
    assert min(orders.duplicates, orders.in_file_updates) > 0
    assert min(orders.cross_day_updates, orders.late) > 0
    assert min(customers.duplicates, customers.cross_day_updates) > 0


def test_rates_are_kept_to(big_shop: Shop) -> None:
    orders = big_shop.truth.totals["orders"]
    new_orders = big_shop.counted.value("select count(distinct order_id) from orders")
    expected = pytest.approx(0.0009 * new_orders, abs=2)
    assert all(rows == expected for rows in orders.by_rule.values())
    assert orders.duplicates == expected
    assert orders.in_file_updates == expected
    dirty = orders.quarantined + orders.deduplicated + orders.cross_day_updates + orders.late
    assert 0.009 < dirty / orders.rows < 0.0105


def test_a_newer_version_is_always_newer(tmp_path: Path) -> None:
    # So many that some are placed in the last minutes of the day.
    rates = DirtRates(**{**vars(DirtRates.none()), "in_file_update": 0.5})
    truth = generate(tmp_path, start=START, days=2, orders_per_day=60_000, rates=rates)
    assert_partitions(truth, Recount(tmp_path))
    assert_business(truth, Recount(tmp_path))


def test_a_shop_without_rates_has_no_dirt(tmp_path: Path) -> None:
    truth = generate(tmp_path, start=START, days=3, orders_per_day=500, rates=DirtRates.none())
    for total in truth.totals.values():
        assert total.cleaned == total.rows
    assert_partitions(truth, Recount(tmp_path))


def test_spoiled_days_stand_apart(spoiled_shop: Shop) -> None:
    truth = spoiled_shop.truth
    keys = {day.isoformat() for day in SPOILED}
    parts = truth.partitions["orders"]
    assert {key for key, part in parts.items() if part.spoiled} == keys
    for key in keys:
        part = parts[key]
        assert part.by_rule == {"status__isin": -(-part.rows * 30 // 100)}
        assert part.deduplicated == part.cross_day_updates == part.late == 0
    assert truth.spoiled.rows == sum(parts[key].rows for key in keys)
    assert truth.totals["orders"].rows == sum(
        part.rows for part in parts.values() if not part.spoiled
    )


def test_no_later_file_refers_to_orders_of_spoiled_days(spoiled_shop: Shop) -> None:
    shared = spoiled_shop.counted.rows(
        f"select order_id from orders where day in {tuple(map(str, SPOILED))} and order_id in "
        f"(select order_id from orders where day not in {tuple(map(str, SPOILED))})"
    )
    assert shared == []


def test_some_orders_are_updated_twice_and_some_are_cancelled_late(big_shop: Shop) -> None:
    versions = big_shop.counted.rows(
        "select count(distinct day), any_value(status order by updated_at desc) from orders "
        "where order_id is not null group by order_id having count(distinct day) > 1"
    )
    assert {files for files, _ in versions} == {2, 3}
    assert {"paid", "shipped", "cancelled"} <= {status for _, status in versions}


def test_sales_of_a_day_add_up_over_currencies(big_shop: Shop) -> None:
    business = big_shop.truth.business
    sales = business.on(START)
    assert sales == business.on("2025-01-01")
    parts = business.sales["2025-01-01"].values()
    assert sales.orders == sum(part.orders for part in parts)
    assert Decimal(sales.total) == sum(Decimal(part.total) for part in parts)
    assert business.on("1999-01-01").orders == 0
    every = [business.on(START + timedelta(days=day)) for day in range(12)]
    assert sum(day.orders + day.cancelled for day in every) == business.orders


def test_report_is_read_as_it_was_written(shop: Shop) -> None:
    assert ShopReport.read(shop.root) == shop.truth
    assert ShopReport.from_json(shop.truth.to_json()) == shop.truth
    assert (shop.root / "_truth.json").read_text(encoding="utf-8") == shop.truth.to_json()


def test_totals_are_the_sum_of_the_partitions(big_shop: Shop) -> None:
    one = PartitionTruth(
        rows=3, bytes=9, cleaned=1, quarantined=1, deduplicated=1, by_rule={"a": 1}, late=1
    )
    two = PartitionTruth(
        rows=2, bytes=5, cleaned=0, quarantined=2, deduplicated=0, by_rule={"a": 1, "b": 1}
    )
    assert PartitionTruth.total([one, two]) == PartitionTruth(
        rows=5,
        bytes=14,
        cleaned=1,
        quarantined=3,
        deduplicated=1,
        by_rule={"a": 2, "b": 1},
        late=1,
    )
    orders = big_shop.truth.totals["orders"]
    assert orders.rows == big_shop.counted.value("select count(*) from orders")
