"""The console script: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from platform_assets.cli import main
from platform_assets.demo import ShopReport, generate
from platform_assets.settings import load_settings
from platform_assets_tests.conftest import Installation
from platform_assets_tests.warm import programs_of

ROOT = Path(__file__).resolve().parents[2]
DAYS = ("2025-01-01", "2025-01-02", "2025-01-03")
LAYERS = "group:raw or group:cleaned or group:quarantine"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, list(arguments))


@pytest.fixture
def shop(installation: Installation) -> ShopReport:
    """Three days of a small shop, the second spoiled; the commands work on it."""
    return generate(
        installation.settings.shop,
        start=date(2025, 1, 1),
        days=3,
        orders_per_day=60,
        spoil=[date(2025, 1, 2)],
    )


def platform_assets(
    installation: Installation, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own."""
    plain = {"NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [programs_of(ROOT, **plain) / "platform-assets", *arguments],
        cwd=installation.root,
        env={**os.environ, "PYTHONPATH": str(ROOT), **plain},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_day_of_work(installation: Installation, shop: ShopReport) -> None:
    """Fill a range with a spoiled day, see what failed, see the rows, mend it, fill it again."""
    filled = platform_assets(
        installation, "backfill", "--from", DAYS[0], "--to", DAYS[2], "--select", LAYERS
    )
    assert filled.returncode == 1, filled.stderr
    assert "2025-01-02: stopped by status__isin" in filled.stderr
    assert "Traceback" not in filled.stderr + filled.stdout

    summed = call("summary", "--json")
    assert summed.exit_code == 0, summed.output
    figures = json.loads(summed.stdout)
    assert figures["failed"] == [
        {"asset": "cleaned/orders", "partition": DAYS[1], "stopped_by": "status__isin"}
    ]
    for each in figures["datasets"]:
        truth = shop.totals[each["dataset"]]
        assert each["adds_up"]
        assert each["extracted"] == truth.rows
        assert each["cleaned"] == truth.cleaned
        assert each["quarantined"] == truth.quarantined
        assert each["deduplicated"] == truth.deduplicated
        assert each["extracted"] == each["cleaned"] + each["quarantined"] + each["deduplicated"]
    table = call("summary")
    assert "NO" not in table.output
    assert f"failed cleaned/orders {DAYS[1]}: status__isin" in table.output

    listed = json.loads(call("quarantine", "list", "--json", "--limit", "500").stdout)
    blocked = [each for each in listed if each["status"] == "blocked"]
    assert {each["dataset"] for each in blocked} == {"orders"}
    assert {each["partition"] for each in blocked} == {DAYS[1]}
    customers = json.loads(call("quarantine", "list", "--dataset", "customers", "--json").stdout)
    assert len(customers) == shop.totals["customers"].quarantined
    for each in customers:
        row = each["original_row"]
        assert {row["email"], row["full_name"], row["phone"]} <= {"***", None}
        assert row["country"] != "***"
    assert call("quarantine", "list", "--partition", DAYS[2], "--limit", "1").exit_code == 0

    generate(installation.settings.shop, start=date(2025, 1, 1), days=3, orders_per_day=60)
    again = platform_assets(
        installation, "backfill", "--from", DAYS[0], "--to", DAYS[2], "--select", LAYERS
    )
    assert again.returncode == 0, again.stderr
    assert again.stderr.strip() == ""
    assert json.loads(call("summary", "--json").stdout)["failed"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["backfill", "--from", "2024-12-31", "--to", DAYS[0]],
            ["There is no such partition", "partition 2024-12-31", "a day from 2025-01-01 to"],
        ),
        (
            ["backfill", "--from", "yesterday", "--to", DAYS[0]],
            ["There is no such partition", "partition yesterday", "YYYY-MM-DD"],
        ),
        (
            ["backfill", "--from", DAYS[1], "--to", DAYS[0]],
            ["The range of partitions is empty", f"--from {DAYS[1]}", "exchange the two"],
        ),
        (
            ["backfill", "--from", DAYS[0], "--to", DAYS[0], "--select", "group:(raw"],
            ["The selection of assets cannot be understood", "--select group:(raw", "'*' selects"],
        ),
        (
            ["contracts", "show", "ordres"],
            ["There is no such dataset", "one of customers, orders, products", "ordres"],
        ),
        (
            ["quarantine", "list", "--dataset", "[ordres]"],
            ["There is no such dataset", "option --dataset [ordres]", "correct the name"],
        ),
        (
            ["generate", "--start", "[tomorrow]"],
            ["An option is not a day", "option --start", "[tomorrow]", "YYYY-MM-DD"],
        ),
        (
            ["generate", "--days", "0"],
            ["A parameter of the demo shop is too small", "days", "at least 1"],
        ),
    ],
)
def test_wrong_arguments_are_explained(
    installation: Installation, arguments: list[str], said: list[str]
) -> None:
    called = call(*arguments)
    assert called.exit_code == 2
    assert called.stdout == ""
    for part in ("error:", *said):
        assert part in called.stderr
    assert "Traceback" not in called.output


def test_an_unknown_setting_is_explained(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_ASSETS_DATA_DRI", "elsewhere")
    load_settings.cache_clear()
    called = call("summary")
    assert called.exit_code == 2
    assert "Unknown setting" in called.stderr
    assert "rename it to PLATFORM_ASSETS_DATA_DIR" in called.stderr
    assert "Traceback" not in called.output


def test_a_lake_that_cannot_be_opened_is_explained(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installation.root / "broken.sqlite").write_text("no catalog at all, only text\n" * 50)
    monkeypatch.setenv("PLATFORM_ASSETS_LAKE_CATALOG", str(installation.root / "broken.sqlite"))
    load_settings.cache_clear()
    called = call("summary", "--json")
    assert called.exit_code == 2
    assert "The lake cannot be opened" in called.stderr
    assert "broken.sqlite" in called.stderr


def test_an_empty_lake_adds_up(installation: Installation) -> None:
    called = call("summary", "--json")
    assert called.exit_code == 0, called.output
    assert {each["extracted"] for each in json.loads(called.stdout)["datasets"]} == {0}
    assert json.loads(call("quarantine", "list", "--json").stdout) == []


def test_a_backfill_without_the_shop_says_what_is_missing(installation: Installation) -> None:
    called = platform_assets(
        installation, "backfill", "--from", DAYS[0], "--to", DAYS[0], "--select", "key:raw/products"
    )
    assert called.returncode == 1
    assert "The folder of a source does not exist" in called.stderr
    assert "make demo" in called.stderr
    assert "Traceback" not in called.stderr


def test_a_backfill_of_a_bad_file_says_where_and_what_to_do(installation: Installation) -> None:
    folder = installation.settings.shop / "products"
    folder.mkdir(parents=True)
    (folder / "products.csv").write_text(
        "product_id,name,category,unit_price,cost,active\np1,Cup,[kitchen],1.00,0.50\n"
    )
    called = platform_assets(
        installation, "backfill", "--from", DAYS[0], "--to", DAYS[0], "--select", "key:raw/products"
    )
    assert called.returncode == 1
    assert f"dataset products, file {folder / 'products.csv'}, line 2" in called.stderr
    assert "found: 5 columns" in called.stderr
    assert "fix: have the file delivered again" in called.stderr
    assert "kitchen" not in called.stderr + called.stdout
    assert "Traceback" not in called.stderr


def test_a_contract_is_shown_as_markdown(installation: Installation) -> None:
    called = call("contracts", "show", "customers")
    assert called.exit_code == 0
    assert "| email |" in called.stdout or "`email`" in called.stdout
    assert "hash" in called.stdout
