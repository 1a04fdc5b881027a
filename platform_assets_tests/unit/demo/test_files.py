"""The files are what a careful shop would hand over, apart from the dirt."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.demo import generate, text
from platform_assets.demo.volume import WEEKDAY_PERCENT, Volume
from platform_assets_tests.unit.demo.conftest import START, Shop

HEADERS = {
    "products": "product_id,name,category,unit_price,cost,active",
    "customers": "customer_id,email,full_name,phone,country,consent,signed_up_at,updated_at",
    "orders": "order_id,customer_id,product_id,quantity,unit_price,total_amount,currency,status,"
    "channel,country,ordered_at,updated_at",
}


def count(shop: Shop, condition: str, table: str = "orders") -> int:
    """The number of rows that meet a condition."""
    return int(shop.counted.value(f"select count(*) from {table} where {condition}"))


def test_there_is_one_file_a_day_and_nothing_else(corner_shop: Shop) -> None:
    names = {path.relative_to(corner_shop.root).as_posix() for path in corner_shop.root.rglob("*")}
    days = [f"2025-01-{day:02d}" for day in range(1, 31)]
    by_day = {f"{name}/{day}.csv" for name in ("customers", "orders") for day in days}
    folders = {"products", "customers", "orders"}
    assert names == folders | by_day | {"products/products.csv", "_truth.json"}


def test_files_are_csv_in_utf8_with_plain_line_ends(corner_shop: Shop) -> None:
    for dataset, columns in HEADERS.items():
        for path in (corner_shop.root / dataset).iterdir():
            content = path.read_bytes()
            assert content.startswith(columns.encode() + b"\n")
            assert content.endswith(b"\n")
            assert b"\r" not in content
            rows = list(csv.reader(io.StringIO(content.decode("utf-8")), strict=True))
            assert {len(row) for row in rows} == {columns.count(",") + 1}
            assert content.count(b"\n") == len(rows)


def test_fields_are_quoted_only_where_they_must_be(corner_shop: Shop) -> None:
    for path in corner_shop.root.rglob("*.csv"):
        content = path.read_text(encoding="utf-8")
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(csv.reader(io.StringIO(content)))
        assert written.getvalue() == content


def test_names_are_not_all_plain(corner_shop: Shop) -> None:
    assert count(corner_shop, "full_name like '%,%'", "customers") > 0
    assert count(corner_shop, "full_name like '%\"%\"%'", "customers") > 0
    assert count(corner_shop, "length(full_name) < strlen(full_name)", "customers") > 0
    assert count(corner_shop, "name like '%\"%'", "products") > 0


def test_ids_and_amounts_have_their_form(shop: Shop) -> None:
    assert count(shop, "not regexp_full_match(order_id, 'O[0-9]{9}')") == 0
    assert count(shop, "not regexp_full_match(customer_id, 'C[0-9]{7}')") == 0
    assert count(shop, "not regexp_full_match(total_amount, '-?[0-9]+[.][0-9]{2}')") == 0
    assert count(shop, "not regexp_full_match(product_id, 'P[0-9]{5}')", "products") == 0
    assert count(shop, "not regexp_full_match(unit_price, '-?[0-9]+[.][0-9]{2}')", "products") == 0
    assert count(shop, "cost::decimal(9, 2) >= abs(unit_price::decimal(9, 2))", "products") == 0
    assert count(shop, "active not in ('true', 'false')", "products") == 0
    assert count(shop, "consent not in ('true', 'false')", "customers") == 0
    assert count(shop, "not regexp_full_match(country, '[A-Z]{2}')", "customers") == 0
    assert shop.counted.value("select count(distinct category) from products") == 8
    assert shop.counted.value("select count(distinct country) from customers") == 12


def test_totals_are_exact(shop: Shop) -> None:
    exact = "quantity::int * unit_price::decimal(18, 2)"
    assert (
        count(
            shop,
            f"quantity__castable = 0 and abs(total_amount::decimal(18, 2)) <> {exact}",
        )
        == 0
    )
    priced = "select product_id from products where unit_price__ge + name__not_null = 0"
    assert count(shop, f"product_id not in ({priced})") == 0
    gbp = (
        "from orders o join products p using (product_id) where currency = 'GBP' "
        "and o.unit_price <> p.unit_price"
    )
    assert shop.counted.value(f"select count(*) {gbp}") == 0


def test_times_are_in_order(shop: Shop) -> None:
    assert count(shop, "stamp(ordered_at) > stamp(updated_at)") == 0
    assert count(shop, "stamp(updated_at)::date <> day::date") == 0
    days_late = "date_diff('day', stamp(ordered_at)::date, day::date)"
    rows = shop.counted.rows(
        f"select distinct {days_late} from orders join (select order_id from orders "
        "group by order_id having count(*) = 1) using (order_id) where ordered_at__castable = 0"
    )
    assert {days for (days,) in rows} <= {0, 1, 2, 3}
    assert count(shop, f"ordered_at__castable = 0 and stamp(ordered_at) < date '{START}'") == 0


def test_nobody_orders_before_signing_up(shop: Shop) -> None:
    early = shop.counted.value(
        "select count(*) from orders o join (select distinct customer_id, signed_up_at "
        "from customers) c using (customer_id) where stamp(ordered_at) < stamp(signed_up_at)"
    )
    assert early == 0


def test_a_person_stays_the_same_person(shop: Shop) -> None:
    people = shop.counted.value(
        "select max(n) from (select count(distinct (email, full_name, consent, signed_up_at)) n "
        "from customers where customer_id is not null and email__str_matches = 0 "
        "group by customer_id)"
    )
    assert people == 1
    assert count(shop, "customer_id is null", "customers") == shop.counted.value(
        "select count(distinct email) from customers where customer_id is null"
    )
    shared = shop.counted.value(
        "select count(*) from (select email from customers group by email "
        "having count(distinct coalesce(customer_id, '')) > 1)"
    )
    assert shared == 0


def test_updates_of_customers_are_newer_and_change_something(big_shop: Shop) -> None:
    updates = big_shop.counted.rows(
        "select later.phone <> first.phone, later.country <> first.country, "
        "stamp(later.updated_at) > stamp(first.updated_at) "
        "from customers first join customers later using (customer_id) "
        "where first.day = '2025-01-01' and later.day > first.day"
    )
    assert len(updates) > 500
    assert all(phone and newer for phone, _, newer in updates)
    assert any(country for _, country, _ in updates)


def test_orphans_are_well_formed_ids_of_nobody(big_shop: Shop) -> None:
    orphans = big_shop.counted.rows(
        "select distinct customer_id from orders where customer_id__references_customers = 1"
    )
    assert len(orphans) > 10
    for (orphan,) in orphans:
        assert count(big_shop, f"customer_id = '{orphan}'", "customers") == 0


def test_later_versions_stand_later_in_the_file(big_shop: Shop) -> None:
    seen: dict[str, str] = {}
    for path in sorted((big_shop.root / "orders").iterdir()):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["order_id"]:
                    assert seen.get(row["order_id"], "") <= row["updated_at"]
                    seen[row["order_id"]] = row["updated_at"]


def test_orders_per_day_is_the_mean_over_weeks() -> None:
    assert sum(WEEKDAY_PERCENT) == 700
    volume = Volume(date(2025, 1, 1), 50)
    assert volume.orders_before(7) == 350
    assert volume.orders_before(28) == 1_400
    for day in range(28):
        assert abs(volume.orders_on(day) - 50) <= 50 * 0.15 + 1
    saturday = Volume(date(2025, 1, 4), 100)
    assert [saturday.orders_on(day) for day in range(7)] == [115, 97, 98, 94, 92, 97, 107]


@pytest.mark.parametrize(
    ("orders_per_day", "products"), [(1, 200), (27_397, 1_046), (10_000_000, 5_000)]
)
def test_the_catalogue_grows_slowly(orders_per_day: int, products: int) -> None:
    assert Volume(START, orders_per_day).products == products


def test_a_file_that_cannot_be_finished_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "orders" / "2025-01-01.csv"
    text.write_whole(path, [b"whole\n"])

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        text.write_whole(path, broken())
    assert path.read_bytes() == b"whole\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_never_sees_a_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "orders" / "2025-01-01.csv"
    seen: list[list[Path]] = []

    def watched() -> Iterator[bytes]:
        for part in (b"first\n", b"second\n"):
            yield part
            seen.append(list(tmp_path.rglob("*.csv")))

    assert text.write_whole(path, watched()) == len(b"first\nsecond\n")
    assert seen == [[], []]
    assert path.read_bytes() == b"first\nsecond\n"


def test_text_of_values() -> None:
    cents = np.array([0, 5, -5, 123_456, -100, 2**62], dtype=np.int64)
    assert text.amounts(cents).to_pylist() == [
        "0.00",
        "0.05",
        "-0.05",
        "1234.56",
        "-1.00",
        "46116860184273879.04",
    ]
    numbers = np.array([1, 999_999_999, 1_234_567_890], dtype=np.int64)
    assert text.identifiers("O", numbers, 9).to_pylist() == [
        "O000000001",
        "O999999999",
        "O1234567890",
    ]
    moments = np.array([0, 951_827_696], dtype=np.int64)
    assert text.times(moments).to_pylist() == ["1970-01-01 00:00:00", "2000-02-29 12:34:56"]
    assert [text.quoted(word) for word in ("a", "a,b", 'a"b', "a\nb")] == [
        "a",
        '"a,b"',
        '"a""b"',
        '"a\nb"',
    ]
    assert bytes(text.lines({"a": pa.array([], pa.string())})) == b""


def test_memory_does_not_grow_with_the_days(tmp_path: Path) -> None:
    def peak(days: int) -> int:
        tracemalloc.start()
        try:
            generate(tmp_path / str(days), start=START, days=days, orders_per_day=20_000)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    # From the busiest day of the week on there is nothing more to come.
    assert peak(21) < 1.1 * peak(7)
