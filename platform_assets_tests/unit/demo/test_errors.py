"""Every parameter that makes no shop has an error with where, expected, found and fix."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from platform_assets.demo import DirtRates, ShopReport, generate
from platform_assets.errors import SettingsError
from platform_assets_tests.unit.demo.conftest import START


def assert_complete(error: SettingsError, where: str, found: str) -> None:
    """The message has every part, and the two that vary hold what they should."""
    message = str(error)
    for part in ("where", "expected", "found", "fix"):
        assert f"\n  {part}: " in message
    lines = dict(line.strip().split(": ", 1) for line in message.splitlines()[1:])
    assert where in lines["where"]
    assert found in lines["found"]


@pytest.mark.parametrize(
    ("parameters", "where", "found"),
    [
        ({"days": 0}, "days", "0"),
        ({"days": -3}, "days", "-3"),
        ({"orders_per_day": 0}, "orders_per_day", "0"),
        ({"seed": -1}, "seed", "-1"),
        ({"spoil": [date(2024, 12, 31)]}, "spoil", "2024-12-31"),
        ({"spoil": [date(2025, 1, 2), date(2025, 1, 4)]}, "spoil", "2025-01-04"),
        ({"start": date(1969, 12, 31)}, "start", "1969-12-31"),
        ({"start": date(9999, 12, 30)}, "start", "9999-12-30"),
        ({"days": 10**7}, "days", "10000000 days"),
    ],
)
def test_a_parameter_that_makes_no_shop(
    tmp_path: Path, parameters: dict[str, Any], where: str, found: str
) -> None:
    root = tmp_path / "shop"
    with pytest.raises(SettingsError) as caught:
        generate(root, **{"start": START, "days": 3, "orders_per_day": 5, **parameters})
    assert_complete(caught.value, where, found)
    assert not root.exists()


@pytest.mark.parametrize(
    ("rates", "where", "found"),
    [
        ({"late": -0.001}, "DirtRates.late", "-0.001"),
        ({"orphan": math.nan}, "DirtRates.orphan", "nan"),
        ({"duplicate": math.inf}, "DirtRates.duplicate", "inf"),
        ({"null_key": 0.3, "late": 0.3}, "orders", "0.6"),
        ({"customer_duplicate": 0.6}, "customers", "0.6"),
        ({"product_null_name": -1}, "DirtRates.product_null_name", "-1"),
        ({"product_negative_price": 0.5}, "DirtRates.product_negative_price", "0.5"),
        ({"product_negative_price": 101}, "DirtRates.product_negative_price", "101"),
    ],
)
def test_rates_that_make_no_shop(rates: dict[str, Any], where: str, found: str) -> None:
    with pytest.raises(SettingsError) as caught:
        DirtRates(**rates)
    assert_complete(caught.value, where, found)


def test_rates_at_their_limit_make_a_shop(tmp_path: Path) -> None:
    rates = DirtRates(**{**vars(DirtRates.none()), "orphan": 0.25, "duplicate": 0.25})
    truth = generate(tmp_path, start=START, days=2, orders_per_day=40, rates=rates)
    assert truth.totals["orders"].quarantined == pytest.approx(0.25 * 75, abs=2)


@pytest.mark.parametrize("name", ["shop", "shop/below"])
def test_a_root_that_is_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "shop").write_text("not a folder")
    with pytest.raises(SettingsError) as caught:
        generate(tmp_path / name, start=START, days=1, orders_per_day=1)
    assert_complete(caught.value, str(tmp_path / name), "shop is a file")
    assert (tmp_path / "shop").read_text() == "not a folder"


def test_files_of_something_else_are_kept(tmp_path: Path) -> None:
    precious = tmp_path / "orders" / "2024-12-31.csv"
    precious.parent.mkdir()
    precious.write_text("precious")
    with pytest.raises(SettingsError) as caught:
        generate(tmp_path, start=START, days=1, orders_per_day=1)
    assert_complete(caught.value, str(tmp_path), str(precious))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [precious]


@pytest.mark.parametrize(
    "content", [None, "", "{}", "[]", '{"format": 0}', '{"format": 1, "business": 3}']
)
def test_a_report_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "_truth.json").write_text(content)
    with pytest.raises(SettingsError) as caught:
        ShopReport.read(tmp_path)
    assert_complete(caught.value, str(tmp_path / "_truth.json"), "")


def test_an_unreadable_report_does_not_stop_a_new_shop(tmp_path: Path) -> None:
    (tmp_path / "_truth.json").write_text("{")
    truth = generate(tmp_path, start=START, days=1, orders_per_day=5)
    assert ShopReport.read(tmp_path) == truth


def test_the_report_is_there_only_when_all_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path, start=START, days=1, orders_per_day=5)

    def full(*_: object) -> int:
        raise OSError("no space left")

    monkeypatch.setattr("platform_assets.demo.text.write_whole", full)
    with pytest.raises(OSError, match="no space left"):
        generate(tmp_path, start=START, days=2, orders_per_day=5)
    assert not (tmp_path / "_truth.json").exists()


def test_a_moment_stands_for_its_day(tmp_path: Path) -> None:
    noon = datetime(2025, 1, 1, 12)
    truth = generate(tmp_path, start=noon, days=1, orders_per_day=5, spoil=[noon])
    assert list(truth.partitions["orders"]) == ["2025-01-01"]
    assert json.loads(truth.to_json())["parameters"]["spoil"] == ["2025-01-01"]
