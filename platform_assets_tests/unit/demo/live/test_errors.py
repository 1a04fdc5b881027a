"""A living shop says what is wrong with what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from platform_assets.demo import DirtRates
from platform_assets.demo.live import LIVE_RATES, LiveShop, serving
from platform_assets.demo.live.injections import parse
from platform_assets.errors import SettingsError
from platform_assets_tests.unit.demo.live.reading import founded


@pytest.mark.parametrize(
    ("ask", "what", "where", "fix"),
    [
        (
            lambda shop: shop.advance(-1),
            "The living shop cannot go back in time.",
            "advance",
            "found a new shop",
        ),
        (
            lambda shop: shop.inject("chaos"),
            "The living shop does not know this misbehaviour.",
            "inject",
            "choose one of these names",
        ),
        (
            lambda shop: shop.stop("chaos"),
            "The living shop does not know this misbehaviour.",
            "inject",
            "choose one of these names",
        ),
        (
            lambda shop: shop.inject("slow", milliseconds=-1),
            "A misbehaviour of the living shop has a wrong option.",
            "inject slow: milliseconds",
            "choose one of these values",
        ),
        (
            lambda shop: shop.inject("late", milliseconds=1),
            "A misbehaviour of the living shop has a wrong option.",
            "inject late: milliseconds",
            "leave the option out",
        ),
        (
            lambda shop: parse("down:api=slow"),
            "A misbehaviour of the living shop has a wrong option.",
            "inject down: api",
            "choose one of these values",
        ),
        (
            lambda shop: shop.inject("dup", days=0),
            "A misbehaviour of the living shop has no days.",
            "inject dup",
            "give it a day",
        ),
        (
            lambda shop: shop.inject("dup", after_days=-1),
            "A misbehaviour of the living shop has no days.",
            "inject dup",
            "give it a day",
        ),
        (
            lambda shop: serving(shop, token="").__enter__(),
            "The API of the living shop needs a token.",
            "token",
            "give it a token",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, ask: Callable[[LiveShop], object], what: str, where: str, fix: str
) -> None:
    shop = founded(tmp_path)
    with pytest.raises(SettingsError) as caught:
        ask(shop)
    assert (caught.value.what, caught.value.where) == (what, where)
    assert fix in caught.value.fix
    assert (shop.days, shop.acting) == (0, {})


def test_dirt_that_a_table_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot have this dirt") as caught:
        founded(tmp_path / "shop", rates=DirtRates())
    assert "null_key" in caught.value.where
    assert "orphan" not in caught.value.where
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize("parameters", [{"seed": -1}, {"orders_per_day": 0}])
def test_parameters_that_make_no_shop_are_refused(
    tmp_path: Path, parameters: dict[str, int]
) -> None:
    with pytest.raises(SettingsError, match="too small"):
        founded(tmp_path / "shop", **parameters)
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"orders_per_day": 41},
        {"start": date(2025, 2, 1)},
        {"ticket_schema": True},
        {"rates": replace(LIVE_RATES, orphan=0.1)},
    ],
)
def test_a_shop_keeps_its_parameters(tmp_path: Path, other: dict[str, object]) -> None:
    founded(tmp_path)
    with pytest.raises(SettingsError, match="a living shop with other parameters") as caught:
        LiveShop.open(tmp_path, **other)  # type: ignore[arg-type] # one of several types
    (name,) = other
    assert caught.value.expected.startswith(f"{name}=")
    assert caught.value.found == f"{name}={other[name]}"


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "shop.sqlite"
    other.write_bytes(b"of somebody else")
    with pytest.raises(SettingsError, match="holds another database"):
        founded(tmp_path)
    assert other.read_bytes() == b"of somebody else"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for path in (file, file / "shop"):
        with pytest.raises(SettingsError, match="needs a folder"):
            founded(path)
