"""A shop that lived two weeks undisturbed, for tests that only look at it."""

from __future__ import annotations

import pytest

from platform_assets.demo.live import LiveShop
from platform_assets_tests.unit.demo.live.reading import founded


@pytest.fixture(scope="session")
def quiet_shop(tmp_path_factory: pytest.TempPathFactory) -> LiveShop:
    """A shop of 14 days without misbehaviour."""
    shop = founded(tmp_path_factory.mktemp("quiet") / "shop")
    shop.advance(14)
    return shop
