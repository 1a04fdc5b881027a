"""A shop lives: the same days for the same seed, with changes and deletions as shops have them."""

from __future__ import annotations

import gzip
import hashlib
import re
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.demo.live import INJECTIONS, LiveShop
from platform_assets.demo.live import outbox as outbox_module
from platform_assets_tests.unit.demo.live.reading import (
    START,
    everything,
    files,
    founded,
    orders,
    query,
    tables,
)

NEXT = {
    "placed": {"paid", "cancelled"},
    "paid": {"shipped", "cancelled"},
    "shipped": {"delivered"},
    "delivered": {"returned"},
    "returned": set(),
    "cancelled": set(),
}

GOLDEN = "91dbe5eb74c5c6e8ba3bc2e289987b77025c5e28ebd5921e5e786d3328530dc7"
"""What `quiet_shop` holds. It changes on purpose only: others keep figures of this shop."""


def readable(name: str, content: bytes) -> bytes:
    """The content of a file, not compressed."""
    return gzip.decompress(content) if name.endswith(".gz") else content


def test_equal_seeds_make_equal_shops(quiet_shop: LiveShop, tmp_path: Path) -> None:
    other = founded(tmp_path / "shop")
    reports = [report for _ in range(14) for report in other.advance()]
    assert everything(other.folder) == everything(quiet_shop.folder)
    assert other.truth() == quiet_shop.truth()
    assert [report.day.day for report in reports] == list(range(1, 15))


def test_the_days_of_a_seed_never_change(quiet_shop: LiveShop) -> None:
    digest = hashlib.sha256()
    for name, rows in tables(quiet_shop.folder).items():
        digest.update(f"{name} {rows if name else ''}\n".encode())
    for name, content in files(quiet_shop.folder).items():
        # Compressed bytes are zlib's affair.
        digest.update(f"{name} ".encode() + readable(name, content))
    assert digest.hexdigest() == GOLDEN


def test_another_seed_makes_another_shop(quiet_shop: LiveShop, tmp_path: Path) -> None:
    other = founded(tmp_path / "shop", seed=8)
    other.advance(14)
    ours, theirs = tables(quiet_shop.folder), tables(other.folder)
    assert all(ours[name] != theirs[name] for name in ("orders", "customers", "_catalogue"))
    assert not set(files(quiet_shop.folder).items()) & {
        (name, content) for name, content in files(other.folder).items() if "flag" not in name
    }


injected = st.fixed_dictionaries(
    {
        "name": st.sampled_from(INJECTIONS),
        "after_days": st.integers(0, 3),
        "days": st.none() | st.integers(1, 3),
    }
)


@settings(max_examples=15, deadline=None)
@given(
    parts=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
    misbehaviours=st.lists(injected, max_size=3),
)
def test_days_add_up(parts: list[int], seed: int, misbehaviours: list[dict[str, object]]) -> None:
    """Advancing by a and then by b is advancing by a + b, whoever opens the shop in between."""
    with TemporaryDirectory() as folder:
        at_once, in_parts = (
            LiveShop.open(Path(folder) / name, seed=seed, orders_per_day=12)
            for name in ("at once", "in parts")
        )
        for shop in (at_once, in_parts):
            for each in misbehaviours:
                shop.inject(**each)  # type: ignore[arg-type] # as the strategy makes them
        at_once.advance(sum(parts))
        for days in parts:
            LiveShop.open(in_parts.folder).advance(days)
        assert everything(at_once.folder) == everything(in_parts.folder)
        assert at_once.truth() == in_parts.truth()


def test_orders_move_on_from_day_to_day(tmp_path: Path) -> None:
    shop = founded(tmp_path)
    seen: dict[str, dict[str, object]] = {}
    moves = set()
    deleted: set[str] = set()
    for _ in range(20):
        (report,) = shop.advance()
        now = orders(shop)
        day = report.day.isoformat()
        changed = [key for key in now.keys() & seen.keys() if now[key] != seen[key]]
        for key in changed:
            before, after = seen[key], now[key]
            assert after["status"] in NEXT[str(before["status"])]
            assert str(before["updated_at"]) < str(after["updated_at"])
            assert str(after["updated_at"]).startswith(day)
            moves.add(after["status"])
            fixed = before.keys() - {"status", "updated_at"}
            assert all(before[name] == after[name] for name in fixed)
        new, gone = now.keys() - seen.keys(), seen.keys() - now.keys()
        assert all(str(now[key]["ordered_at"]).startswith(day) for key in new)
        counts = (report.orders.inserted, report.orders.updated, report.orders.deleted)
        assert counts == (len(new), len(changed), len(gone))
        assert not new & deleted
        deleted |= gone
        seen = now
    assert moves == {"paid", "shipped", "delivered", "returned", "cancelled"}
    assert deleted
    assert shop.truth().deleted["orders"] == tuple(sorted(deleted))


def test_customers_change_and_some_are_forgotten(tmp_path: Path) -> None:
    shop = founded(tmp_path, orders_per_day=120)

    def customers() -> dict[str, tuple[object, ...]]:
        return {row[0]: row for row in query(shop.database, "SELECT * FROM customers")}

    seen = customers()
    assert len(seen) == 600
    gone: set[str] = set()
    changed_columns = set()
    for _ in range(10):
        (report,) = shop.advance()
        now = customers()
        changed = [key for key in now.keys() & seen.keys() if now[key] != seen[key]]
        for key in changed:
            assert str(now[key][-1]).startswith(report.day.isoformat())
            assert str(now[key][-1]) > str(seen[key][-1])
            changed_columns |= {i for i in range(8) if now[key][i] != seen[key][i]}
        forgotten = seen.keys() - now.keys()
        assert set(report.customers.forgotten) == forgotten
        assert report.customers.inserted == len(now.keys() - seen.keys())
        assert report.customers.updated == len(changed)
        assert not (now.keys() - seen.keys()) & gone
        gone |= forgotten
        seen = now
    # phone, country, consent, updated_at
    assert changed_columns == {3, 4, 5, 7}
    assert gone == set(shop.truth().deleted["customers"])
    assert len(gone) == 5
    places = ("orders", "_tickets", "_orders_withheld")
    left = {
        row[0]
        for place in places
        for row in query(shop.database, f"SELECT DISTINCT customer_id FROM {place}")
    }
    assert not gone & left


def test_products_change(quiet_shop: LiveShop) -> None:
    updated = query(
        quiet_shop.database,
        "SELECT substr(updated_at, 1, 10), count(*) FROM _catalogue GROUP BY 1 ORDER BY 1",
    )
    assert next(day for day, _ in updated) == "2024-12-31"
    assert {f"2025-01-{day:02}" for day in range(1, 15)} <= {day for day, _ in updated}
    launched = quiet_shop.truth().products
    assert launched == sum(count for _, count in updated)
    assert launched < 202


def test_the_tables_are_declared_as_told(quiet_shop: LiveShop) -> None:
    assert query(quiet_shop.database, "PRAGMA journal_mode") == [("wal",)]
    keys = {
        name: [row[1] for row in query(quiet_shop.database, f"PRAGMA table_info({name})") if row[5]]
        for name in ("orders", "customers")
    }
    assert keys == {"orders": ["order_id"], "customers": ["customer_id"]}
    indexes = {
        row[0]
        for row in query(quiet_shop.database, "SELECT name FROM sqlite_master WHERE type = 'index'")
    }
    assert "orders_updated_at" in indexes
    for row in orders(quiet_shop).values():
        assert re.fullmatch(r"-?\d+\.\d\d", row["total_amount"])
        for name in ("ordered_at", "updated_at"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row[name])


def test_the_flag_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = founded(tmp_path)
    order: list[str] = []
    write = outbox_module.text.write_whole

    def recorded(path: Path, content: list[bytes]) -> int:
        order.append(path.name)
        return write(path, content)

    monkeypatch.setattr(outbox_module.text, "write_whole", recorded)
    shop.advance()
    assert order == [
        "00000002.ndjson",
        "00000003.ndjson",
        "events-01.csv.gz",
        "events-02.csv.gz",
        "events-03.csv.gz",
        "processing_complete.flag",
    ]


def test_what_was_founded_is_what_is_opened(tmp_path: Path) -> None:
    shop = founded(tmp_path, seed=3, orders_per_day=10, ticket_schema=True)
    again = LiveShop.open(tmp_path)
    assert again.parameters == shop.parameters
    assert (again.parameters.start, again.days, again.today) == (START, 0, None)
    again.advance(2)
    assert (shop.days, shop.today) == (2, START.replace(day=2))
    at_noon = datetime(START.year, START.month, START.day, 12)
    assert LiveShop.open(tmp_path, start=at_noon).parameters == shop.parameters
    assert repr(shop) == f"LiveShop({str(tmp_path)!r}, seed=3)"
