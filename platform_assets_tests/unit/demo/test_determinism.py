"""Equal parameters make equal bytes, and a longer run begins like a shorter one."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from platform_assets.demo import ShopReport, generate, text
from platform_assets_tests.unit.demo.conftest import SPOILED, START, Shop

GOLDEN = "cd689277ecf295a209d3250bbd5a9ca958e75bcc643df06f48277d2a99681d4d"
"""The bytes of `corner_shop`. They change on purpose only: others keep figures of this shop."""


def data_files(root: Path) -> dict[str, bytes]:
    """The data files of a shop by their relative names."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.csv"))
    }


def test_equal_parameters_make_equal_bytes(corner_shop: Shop, tmp_path: Path) -> None:
    truth = generate(tmp_path, start=START, days=30, orders_per_day=50)
    assert data_files(tmp_path) == data_files(corner_shop.root)
    assert truth == corner_shop.truth
    assert truth.to_json() == corner_shop.truth.to_json()


def test_the_bytes_of_a_seed_never_change(corner_shop: Shop) -> None:
    digest = hashlib.sha256()
    for name, content in data_files(corner_shop.root).items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    assert digest.hexdigest() == GOLDEN


@pytest.mark.parametrize(("days", "orders_per_day"), [(1, 50), (11, 50), (29, 50)])
def test_a_longer_run_begins_like_a_shorter_one(
    corner_shop: Shop, tmp_path: Path, days: int, orders_per_day: int
) -> None:
    generate(tmp_path, start=START, days=days, orders_per_day=orders_per_day)
    shorter, longer = data_files(tmp_path), data_files(corner_shop.root)
    assert len(shorter) == 1 + 2 * days
    assert shorter.items() <= longer.items()


def test_another_seed_makes_another_shop(corner_shop: Shop, tmp_path: Path) -> None:
    generate(tmp_path, start=START, days=30, orders_per_day=50, seed=8)
    first, second = data_files(corner_shop.root), data_files(tmp_path)
    assert first.keys() == second.keys()
    assert not [name for name in first if first[name] == second[name]]


def test_spoiling_a_day_changes_only_it_and_the_updates_near_it(
    big_shop: Shop, spoiled_shop: Shop
) -> None:
    whole, spoiled = data_files(big_shop.root), data_files(spoiled_shop.root)
    changed = {name for name in spoiled if spoiled[name] != whole[name]}
    # Updates come up to 3 days after an order, and up to 3 days after another update.
    near = {day + timedelta(days=after) for day in SPOILED for after in range(7)}
    assert {f"orders/{day}.csv" for day in SPOILED} <= changed
    assert changed <= {f"orders/{day}.csv" for day in near}
    for name in changed - {f"orders/{day}.csv" for day in SPOILED}:
        assert set(spoiled[name].splitlines()) < set(whole[name].splitlines())


def test_text_in_pieces_is_the_same_text(
    corner_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "CHUNK_ROWS", 7)
    generate(tmp_path, start=START, days=3, orders_per_day=50)
    assert data_files(tmp_path).items() <= data_files(corner_shop.root).items()


def test_a_second_run_touches_nothing(tmp_path: Path) -> None:
    generate(tmp_path, start=START, days=3, orders_per_day=20)
    before = {path: path.stat() for path in tmp_path.rglob("*.*")}
    generate(tmp_path, start=START, days=3, orders_per_day=20)
    after = {path: path.stat() for path in tmp_path.rglob("*.*")}
    assert {path: (stat.st_mtime_ns, stat.st_ino) for path, stat in before.items()} == {
        path: (stat.st_mtime_ns, stat.st_ino) for path, stat in after.items()
    }


def test_a_second_run_repairs_what_is_missing_or_changed(tmp_path: Path) -> None:
    generate(tmp_path, start=START, days=3, orders_per_day=20)
    whole = data_files(tmp_path)
    (tmp_path / "orders" / "2025-01-02.csv").unlink()
    damaged = tmp_path / "customers" / "2025-01-01.csv"
    damaged.write_bytes(damaged.read_bytes().replace(b"GB", b"XX"))
    generate(tmp_path, start=START, days=3, orders_per_day=20)
    assert data_files(tmp_path) == whole


def test_a_longer_run_leaves_the_first_days_untouched(tmp_path: Path) -> None:
    generate(tmp_path, start=START, days=2, orders_per_day=20)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.csv")}
    generate(tmp_path, start=START, days=4, orders_per_day=20)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(data_files(tmp_path)) == 9


def test_another_shop_takes_the_place_of_the_former(tmp_path: Path) -> None:
    generate(tmp_path / "a", start=START, days=5, orders_per_day=20)
    later = START + timedelta(days=3)
    truth = generate(tmp_path / "a", start=later, days=3, orders_per_day=30)
    generate(tmp_path / "b", start=later, days=3, orders_per_day=30)
    assert data_files(tmp_path / "a") == data_files(tmp_path / "b")
    assert ShopReport.read(tmp_path / "a") == truth
