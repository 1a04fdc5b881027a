"""The truth of a shop is what others find in its tables and files."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.demo import DirtRates
from platform_assets.demo.live import LIVE_RATES, LiveShop
from platform_assets_tests.unit.demo.live.reading import (
    by_status,
    events,
    founded,
    log,
    messages,
    orders,
    query,
    replayed,
    total,
    whole,
)


@pytest.fixture(params=["quiet", "noisy"])
def shop(request: pytest.FixtureRequest, quiet_shop: LiveShop, tmp_path: Path) -> LiveShop:
    """A shop without and one with all that can go wrong in tables and files."""
    if request.param == "quiet":
        return quiet_shop
    noisy = founded(tmp_path / "shop", ticket_schema=True)
    noisy.advance(2)
    for name in ("late", "dup", "drift", "garbage"):
        noisy.inject(name, days=4)
    noisy.advance(5)
    return noisy


def assert_orders_are_counted_right(shop: LiveShop) -> None:
    truth, found = shop.truth(), orders(shop)
    assert truth.orders == len(found)
    assert Decimal(truth.orders_total) == total(found)
    assert truth.orders_by_status == by_status(found)
    days = {str(row["ordered_at"])[:10] for row in found.values()}
    assert truth.orders_by_day.keys() == days
    for day, figures in truth.orders_by_day.items():
        of_day = {key: row for key, row in found.items() if row["ordered_at"].startswith(day)}
        assert (figures.orders, Decimal(figures.total)) == (len(of_day), total(of_day))
    assert not set(truth.deleted["orders"]) & found.keys()


def test_dirt_is_counted_right(tmp_path: Path) -> None:
    rates = DirtRates(
        **{
            **dict.fromkeys(DirtRates.__dataclass_fields__, 0),
            **dict.fromkeys(("null_customer", "wrong_type", "bad_date", "negative_total"), 0.02),
            **dict.fromkeys(("unknown_status", "orphan"), 0.02),
            **{"product_negative_price": 2, "product_null_name": 3},
        }
    )
    shop = founded(tmp_path, rates=rates)
    shop.advance(8)
    truth, found = shop.truth(), orders(shop)
    customers = {row[0] for row in query(shop.database, "SELECT customer_id FROM customers")}
    rules: Counter[str] = Counter()
    for row in found.values():
        # SQLite keeps a text that is no whole number as it is, whatever the column says.
        rules["quantity__castable"] += not isinstance(row["quantity"], int)
        rules["total_amount__ge"] += Decimal(row["total_amount"]) < 0
        rules["status__isin"] += row["status"] in {"unknown", "refunded", "on_hold"}
        rules["customer_id__not_null"] += row["customer_id"] is None
        rules["customer_id__references_customers"] += (
            row["customer_id"] is not None and row["customer_id"] not in customers
        )
        rules["ordered_at__castable"] += bool(re.match(r"2025-(02-30|13|06-31)", row["ordered_at"]))
    assert truth.orders_by_rule == dict(rules)
    assert all(rules.values())
    assert truth.rates == rates
    assert truth.products_by_rule == {"unit_price__ge": 2, "name__not_null": 3}


def test_customers_are_counted_right(shop: LiveShop) -> None:
    truth = shop.truth()
    ids = [row[0] for row in query(shop.database, "SELECT customer_id FROM customers")]
    assert truth.customers == len(ids)
    assert not set(truth.deleted["customers"]) & set(ids)
    assert truth.deleted["customers"]


def assert_the_log_leads_to_the_tickets(shop: LiveShop) -> None:
    truth, found = shop.truth(), replayed(shop)
    assert truth.tickets == len(found)
    assert truth.tickets_by_status == by_status(found)
    columns = "ticket_id, customer_id, order_id, status, updated_at"
    assert {tuple(row[name] for name in columns.split(", ")) for row in found.values()} == set(
        query(shop.database, f"SELECT {columns} FROM _tickets")
    )
    gone = {
        payload["before"]["ticket_id"]
        for message in messages(shop)
        if (payload := message["value"].get("payload", message["value"]))["op"] == "d"
    }
    assert gone == set(truth.deleted["tickets"])


def assert_events_are_counted_right(shop: LiveShop) -> None:
    truth = shop.truth()
    assert len(truth.marketing_events) == shop.days
    for day, count in truth.marketing_events.items():
        assert len(whole(events(shop, day))) == count


def test_every_figure_is_right(shop: LiveShop) -> None:
    assert_orders_are_counted_right(shop)
    assert_the_log_leads_to_the_tickets(shop)
    assert_events_are_counted_right(shop)
    assert shop.truth().deleted["tickets"]


steps = st.lists(
    st.tuples(
        st.sampled_from(["inject", "stop"]),
        st.sampled_from(["late", "dup", "drift", "down", "garbage"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=15, deadline=None)
@given(steps=steps)
def test_the_truth_holds_whatever_happens(steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = founded(Path(folder) / "shop", orders_per_day=15)
        for action, name, days in steps:
            if action == "inject":
                shop.inject(name)
            else:
                shop.stop(name)
            shop.advance(days)
        shop.stop("down")
        assert_orders_are_counted_right(shop)
        assert_the_log_leads_to_the_tickets(shop)
        assert_events_are_counted_right(shop)
        assert shop.truth().customers == len(query(shop.database, "SELECT 1 FROM customers"))


def test_orders_are_of_what_is_sold(quiet_shop: LiveShop) -> None:
    sold = {
        json.loads(body)["product_id"]
        for (body,) in query(quiet_shop.database, "SELECT body FROM _catalogue")
    }
    prices: dict[tuple[str, str, str], set[str]] = {}
    dirty = {row[0] for row in query(quiet_shop.database, "SELECT order_id FROM _order_dirt")}
    for key, row in orders(quiet_shop).items():
        assert row["product_id"] in sold
        if key not in dirty:
            assert row["quantity"] * Decimal(row["unit_price"]) == Decimal(row["total_amount"])
        product = (row["product_id"], row["currency"], row["ordered_at"][:10])
        prices.setdefault(product, set()).add(row["unit_price"])
    # On a day a product has one price; from day to day it may change.
    assert all(len(each) == 1 for each in prices.values())
    assert len({key[:2] for key in prices}) < len(
        {(*key[:2], price) for key, each in prices.items() for price in each}
    )


def test_the_flag_says_what_is_there(quiet_shop: LiveShop) -> None:
    for day, count in quiet_shop.truth().marketing_events.items():
        folder = quiet_shop.folder / "marketing" / day
        flag = json.loads((folder / "processing_complete.flag").read_bytes())
        assert flag == {"files": 3, "rows": count}
        assert len(events(quiet_shop, day)) == 3


def test_a_log_is_as_debezium_writes_it(quiet_shop: LiveShop) -> None:
    files = log(quiet_shop)
    assert next(iter(files)) == "00000001.ndjson"
    assert {each["value"]["op"] for each in files["00000001.ndjson"]} == {"r"}
    positions, seen = [], Counter[str]()
    state: dict[str, object] = {}
    for part in files.values():
        for index, message in enumerate(part):
            key, value = message["key"]["ticket_id"], message["value"]
            if value is None:
                assert part[index - 1]["value"]["op"] == "d"
                assert part[index - 1]["key"] == message["key"]
                continue
            seen[value["op"]] += 1
            assert value["before"] == state.get(key)
            assert (value["after"] is None) == (value["op"] == "d")
            state[key] = value["after"]
            assert (value["source"]["db"], value["source"]["table"]) == ("support", "tickets")
            assert value["ts_ms"] > value["source"]["ts_ms"]
            if value["op"] == "d":
                assert part[index + 1] == {"key": message["key"], "value": None}
            positions.append((value["source"]["lsn"], value["source"]["ts_ms"]))
    assert positions == sorted(positions)
    assert len({lsn for lsn, _ in positions}) == len(positions)
    assert seen.keys() == {"r", "c", "u", "d"}


def test_a_log_with_schemas_describes_each_message(tmp_path: Path) -> None:
    shop = founded(tmp_path / "with", ticket_schema=True)
    plain = founded(tmp_path / "without")
    for each in (shop, plain):
        each.advance(2)
    for message in messages(shop):
        key, value = message["key"], message["value"]
        assert [field["field"] for field in key["schema"]["fields"]] == list(key["payload"])
        declared = {field["field"]: field for field in value["schema"]["fields"]}
        assert declared.keys() == value["payload"].keys()
        for part in ("before", "after", "source"):
            names = [field["field"] for field in declared[part]["fields"]]
            assert value["payload"][part] is None or names == list(value["payload"][part])
    unwrapped = [
        {"key": each["key"]["payload"], "value": each["value"]["payload"]}
        for each in messages(shop)
    ]
    assert unwrapped == messages(plain)


def test_the_truth_of_a_new_shop(tmp_path: Path) -> None:
    truth = founded(tmp_path).truth()
    assert (truth.days, truth.last_day, truth.orders) == (0, None, 0)
    assert (truth.orders_total, truth.marketing_events) == ("0.00", {})
    assert truth.customers == 200
    assert truth.tickets > 0
    assert truth.rates == LIVE_RATES


def test_the_truth_as_json(shop: LiveShop) -> None:
    document = json.loads(shop.truth().to_json())
    assert document["orders"] == shop.truth().orders
    assert document["last_day"] == str(shop.today)
