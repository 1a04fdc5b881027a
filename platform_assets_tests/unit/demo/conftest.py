"""The shops that several tests look at, made once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from platform_assets.demo import ShopReport, generate
from platform_assets_tests.unit.demo.recount import Recount

START = date(2025, 1, 1)
SPOILED = (date(2025, 1, 4), date(2025, 1, 5))


@dataclass(frozen=True)
class Shop:
    """A shop on disk, its report, and its files counted independently."""

    root: Path
    truth: ShopReport
    counted: Recount


def made(root: Path, *, days: int, orders_per_day: int, spoil: tuple[date, ...] = ()) -> Shop:
    """Make a shop and count it."""
    truth = generate(root, start=START, days=days, orders_per_day=orders_per_day, spoil=spoil)
    return Shop(root, truth, Recount(root, [day.isoformat() for day in spoil]))


@pytest.fixture(scope="session")
def corner_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A small shop: 30 days of 50 orders."""
    return made(tmp_path_factory.mktemp("corner"), days=30, orders_per_day=50)


@pytest.fixture(scope="session")
def big_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop of 12 days of 6,000 orders, large enough for orders that are updated twice."""
    return made(tmp_path_factory.mktemp("big"), days=12, orders_per_day=6_000)


@pytest.fixture(scope="session")
def spoiled_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The first 9 days of the big shop, two of them spoiled."""
    root = tmp_path_factory.mktemp("spoiled")
    return made(root, days=9, orders_per_day=6_000, spoil=SPOILED)


@pytest.fixture(params=["corner_shop", "big_shop", "spoiled_shop"])
def shop(request: pytest.FixtureRequest) -> Shop:
    """Each of the shops."""
    fixture: Shop = request.getfixturevalue(request.param)
    return fixture
