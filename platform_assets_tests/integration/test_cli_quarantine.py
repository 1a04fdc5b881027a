"""``platform-assets quarantine``: what it shows, writes and closes, and its exit status."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from platform_assets.datasets.customers import customers
from platform_assets.demo import generate
from platform_assets.partitions import spans
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.resources import lake_config
from platform_assets.warehouse.lake import connect
from platform_assets.warehouse.quarantine_export import MASK
from platform_assets_tests.conftest import Installation, copy_catalog, lake_in
from platform_assets_tests.integration.test_cli import call, platform_assets

DAYS = ("2025-01-01", "2025-01-02", "2025-01-03")
PERSONAL = {"email", "full_name", "phone"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake and a shop, with customers of three days, some of them rejected; for copies only."""
    root = tmp_path_factory.mktemp("made")
    generate(root / "shop", start=date(2025, 1, 1), days=3, orders_per_day=60)
    with connect(lake_in(root)) as lake:
        step = Step(customers, lake, "run-1", {"shop": root / "shop"})
        load_raw(step, DAYS)
        clean(step, DAYS)
    return root


@pytest.fixture
def filled(installation: Installation, made: Path) -> Installation:
    """Customers of three days, some of them rejected, in an installation of the test's own."""
    settings = installation.settings
    shutil.copytree(made / "shop", settings.shop)
    shutil.copytree(made / "lake" / "files", settings.files, dirs_exist_ok=True)
    copy_catalog(made / "lake" / "catalog.sqlite", settings.catalog, settings.files)
    return installation


def listed(*options: str) -> list[dict[str, object]]:
    called = call("quarantine", "list", "--json", "--limit", "500", *options)
    assert called.exit_code == 0, called.output
    rows: list[dict[str, object]] = json.loads(called.stdout)
    return rows


@pytest.mark.usefixtures("filled")
def test_a_row_is_listed_shown_and_resolved(tmp_path: Path) -> None:
    rows = listed()
    assert rows
    first = rows[0]
    rule = first["rules"][0]  # type: ignore[index]  # a list of names
    assert first in listed("--rule", rule, "--dataset", "customers", "--run", "run-1")
    assert listed("--older-than", "1d") == []
    assert len(listed("--older-than", "0m")) == len(rows)
    assert listed("--status", "resolved") == []
    table = call("quarantine", "list").output
    identity = str(first["quarantine_id"])
    assert identity[:12] in table

    shown = call("quarantine", "show", identity[:12])
    assert shown.exit_code == 0, shown.output
    assert f"quarantine id: {identity}" in shown.output
    assert f"rules: {', '.join(first['rules'])}" in shown.output  # type: ignore[arg-type]
    told = json.loads(call("quarantine", "show", identity, "--json").stdout)
    assert {told["original_row"][name] for name in PERSONAL} <= {MASK, None}
    assert told["actions"] == []

    asked = call("quarantine", "resolve", identity, "--reason", "a test account")
    assert asked.exit_code == 1, "nobody has said yes"
    done = call(
        "quarantine", "resolve", identity, "--reason", "a test account", "--author", "me", "--yes"
    )
    assert done.exit_code == 0, done.output
    assert f"customers {first['partition']}: 1 resolved" in done.output
    assert len(listed()) == len(rows) - 1
    assert [each["quarantine_id"] for each in listed("--status", "resolved")] == [identity]
    shown = call("quarantine", "show", identity)
    assert "resolve by me: a test account" in shown.output
    again = call("quarantine", "resolve", identity, "--reason", "once more", "--yes")
    assert again.exit_code == 2
    assert "no row is open or blocked that fits" in again.output


def test_what_is_replayed_is_judged_again_and_what_follows_is_told(filled: Installation) -> None:
    assert platform_assets(filled, "setup").returncode == 0
    known = {each["quarantine_id"]: each["partition"] for each in listed()}
    day = max(known.values())
    done = platform_assets(
        filled, "quarantine", "replay", "--dataset", "customers", "--partition", str(day),
        "--reason", "to see",
    )  # fmt: skip
    number = sum(each == day for each in known.values())
    # The contract is what it was: nothing passes, which is told and no success.
    assert f"0 rows released; {number} open" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    after = {each["quarantine_id"]: each["attempts"] for each in listed()}
    assert after == {name: 2 if each == day else 1 for name, each in known.items()}
    nothing = call("quarantine", "replay", "--rule", "no_such", "--reason", "r")
    assert nothing.exit_code == 2
    assert "no row of the quarantine fits" in nothing.output


def test_rows_are_corrected_in_a_file(filled: Installation, tmp_path: Path) -> None:
    assert platform_assets(filled, "setup").returncode == 0
    chosen = listed("--rule", "email__str_matches")[0]
    identity, day = str(chosen["quarantine_id"]), str(chosen["partition"])
    assert chosen["rules"] == ["email__str_matches"]
    path = tmp_path / "rows.csv"
    exported = call(
        "quarantine", "export", "--dataset", "customers", "--partition", day,
        "--rule", "email__str_matches", "--to", str(path),
    )  # fmt: skip
    assert exported.exit_code == 0, exported.output
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for each in rows:
        if each["_quarantine_id"] == identity:
            assert each["email"] == MASK
            each["email"] = "right@example.com"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    done = platform_assets(
        filled, "quarantine", "replay", "--from", str(path), "--reason", "asked", "--author", "me"
    )
    assert f"1 rows corrected; {len(rows) - 1} say what is there" in done.stdout, done.stderr
    # The customer had mended it: a newer row stands for this one, and that is told.
    assert "1 rows released (1 deduplicated); none left" in done.stdout
    assert done.returncode == 0
    # What was corrected is told, and the address is shown nowhere.
    shown = call("quarantine", "show", identity)
    assert "status: released" in shown.output
    assert "correction by me, standing:" in shown.output
    assert f'email = "{MASK}"' in shown.output
    assert "correct by me: asked" in shown.output
    assert "right@example.com" not in shown.output + done.stdout + done.stderr
    again = call("quarantine", "replay", "--from", str(path), "--reason", "asked")
    assert again.exit_code == 0, again.output
    assert f"0 rows corrected; {len(rows)} say what is there" in again.output
    other = next(str(each["quarantine_id"]) for each in listed())
    nothing = call("quarantine", "withdraw", other, "--reason", "r")
    assert nothing.exit_code == 2
    assert "no row that fits has a correction" in nothing.output


@pytest.mark.usefixtures("filled")
def test_what_would_be_erased_is_counted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = call("quarantine", "expire", "--dataset", "customers")
    assert (kept.exit_code, kept.stdout.strip()) == (0, "customers: kept for ever")
    shown = replace(customers, quarantine_retention=timedelta(microseconds=1))
    monkeypatch.setattr("platform_assets.declared.catalogue.dataset_named", lambda *_: shown)
    row = str(listed()[0]["quarantine_id"])
    assert call("quarantine", "resolve", row, "--reason", "r", "--yes").exit_code == 0
    left = len(listed())
    asked = call("quarantine", "expire", "--dataset", "customers")
    assert f"1 rows and 0 corrections to erase; {left} as old are open, and kept" in asked.stdout
    assert "nothing was erased: say --yes" in asked.stdout
    assert "original row: erased" not in call("quarantine", "show", row).output
    done = call("quarantine", "expire", "--dataset", "customers", "--yes")
    assert "1 rows and 0 corrections erased" in done.stdout
    assert "original row: erased" in call("quarantine", "show", row).output
    assert "expire by retention" in call("quarantine", "show", row).output
    assert "erased" in call("quarantine", "list", "--status", "resolved").output


def test_how_to_run_stopped_partitions_again_is_told(installation: Installation) -> None:
    settings = installation.settings
    generate(settings.shop, start=date(2025, 1, 1), days=3, orders_per_day=60)
    strict = replace(customers, max_bad_share=0.0)
    with connect(lake_config(settings)) as lake:
        step = Step(strict, lake, "run-1", {"shop": settings.shop})
        load_raw(step, DAYS)
        stopped = sorted(clean(step, DAYS).failed)
    assert stopped
    done = call("quarantine", "resolve", "--dataset", "customers", "--reason", "r", "--yes")
    assert "to run these again:" in done.stdout
    for first, last in spans(stopped):
        assert f"platform-assets backfill --from {first} --to {last} --select" in done.stdout


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_rows_are_exported_masked(tmp_path: Path, ending: str) -> None:
    target = tmp_path / "out" / f"rows.{ending}"
    called = call("quarantine", "export", "--dataset", "customers", "--to", str(target))
    assert called.exit_code == 0, called.output
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file)) if ending == "csv" else [json.loads(x) for x in file]
    assert f"{len(rows)} rows written" in called.output
    expected = {each["quarantine_id"]: each for each in listed()}
    assert {each["_quarantine_id"] for each in rows} == set(expected)
    for each in rows:
        known = expected[each["_quarantine_id"]]
        assert each["_rules"].split() == known["rules"]
        assert {each[name] for name in PERSONAL} <= {MASK, None, ""}


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--older-than", "soon"], ["An option is not an age", "such as 7d"]),
        (["list", "--status", "lost"], ["An option is not a status", "open, blocked"]),
        (["show", "nothing"], ["There is no such row", "argument nothing"]),
        (["show", ""], ["Several rows of the quarantine begin so", "at least two"]),
        (
            ["export", "--dataset", "customers", "--to", "rows.xlsx"],
            ["an ending that is not known", ".csv or .ndjson"],
        ),
        (["replay", "--from", "rows.csv", "--reason", "r"], ["no file of edited rows", "rows.csv"]),
        (
            ["replay", "--from", "rows.csv", "--dataset", "customers", "--reason", "r"],
            ["says itself which rows are meant"],
        ),
        (["withdraw", "--reason", "r"], ["never all of it at once"]),
        (["expire", "--dataset", "nothing"], ["nothing"]),
        (["resolve", "--reason", "r", "--yes"], ["never all of it at once", "no rows"]),
        (["resolve", "--dataset", "customers", "--reason", " ", "--yes"], ["no reason"]),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], said: list[str]) -> None:
    called = call("quarantine", *arguments)
    assert called.exit_code == 2
    for part in ("error:", *said):
        assert part in called.stderr
    assert "Traceback" not in called.output
