"""``platform-assets diff`` and ``rollback``: what they print, tell Dagster, and end with."""

from __future__ import annotations

import json
from datetime import date

import dagster as dg
import pytest

from platform_assets.cli import downstream
from platform_assets.datasets.customers import customers
from platform_assets.demo import generate
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.resources import lake_config
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.test_cli import call

DAYS = ("2025-01-01", "2025-01-02")
ASSET = "cleaned/customers"
PERSONAL = {"full_name", "email", "phone"}


@pytest.fixture
def wrong(installation: Installation) -> Installation:
    """Customers of two days; then the first again, of which half is lost and some changed."""
    shop = installation.settings.shop
    generate(shop, start=date(2025, 1, 1), days=2, orders_per_day=40)
    file = shop / "customers" / f"{DAYS[0]}.csv"
    with connect(lake_config(installation.settings)) as lake:
        for run in ("first-run", "second-run"):
            step = Step(customers, lake, run, {"shop": shop})
            load_raw(step, DAYS)
            clean(step, DAYS)
            lines = file.read_text(encoding="utf-8").splitlines()
            kept = [lines[0], *lines[1 : len(lines) // 2]]
            file.write_text("\n".join(kept).replace("@", "@new.") + "\n", encoding="utf-8")
    return installation


def said(*arguments: str, code: int = 0) -> dict[str, object]:
    called = call(*arguments, "--json")
    assert called.exit_code == code, called.output
    found: dict[str, object] = json.loads(called.stdout)
    return found


@pytest.mark.usefixtures("wrong")
def test_a_bad_day_is_compared_rolled_back_and_told() -> None:
    told = said("diff", ASSET, "--from", "second-run", code=1)
    rows = told["rows"]
    assert isinstance(rows, dict)
    assert (rows["added"], rows["removed"] > 0, rows["changed"] > 0) == (0, True, True)
    assert told["partitions"] == {DAYS[0]: rows}
    assert told["key"] == ["customer_id"]
    (column,) = told["columns"]  # type: ignore[misc]  # a list of one
    assert (column["column"], column["rows"], column["share"]) == ("email", rows["changed"], 1.0)
    assert {s["before"] for s in column["samples"]} == {"***"}

    shown = call("diff", ASSET, "--from", "second-run", "--limit", "1", "--exit-zero")
    assert shown.exit_code == 0
    assert f"0 rows added, {rows['removed']} removed, {rows['changed']} changed" in shown.stdout
    assert "*** → ***" in shown.stdout
    assert "@" not in shown.stdout
    assert not said("diff", ASSET, "--from", "second-run", "--partition", DAYS[1])["partitions"]
    two = f"{DAYS[0]}...{DAYS[1]}"
    assert said("diff", ASSET, "--from", "second-run", "--partitions", two, code=1)["rows"] == rows
    raw = said("diff", "raw/customers", "--from", "second-run", code=1)
    names = {each["column"] for each in raw["columns"]}  # type: ignore[attr-defined]  # a list
    assert names == {"email"}
    assert said("diff", "quarantine/customers", "--from", "first-run", code=1)["key"] == [
        "quarantine_id"
    ]

    listed = said("rollback", ASSET, "--partition", DAYS[0], "--list")
    assert [(p["run"], p["rows_removed"]) for p in listed] == [  # type: ignore[index,union-attr]
        ("first-run", 0),
        ("second-run", rows["removed"]),
    ]
    back = {"added": rows["removed"], "removed": 0, "changed": rows["changed"]}
    dry = said("rollback", ASSET, "--partition", DAYS[0], "--dry-run")
    assert (dry["done"], dry["rows"]) == (False, back)
    follows = [(f["asset"], f["partition"]) for f in dry["out_of_date"]]  # type: ignore[attr-defined]
    assert ("cleaned/orders", DAYS[0]) in follows
    assert ("aggregated/customer_metrics", "all") in follows
    assert not {("quarantine/customers", DAYS[0]), ("raw/orders", DAYS[0])} & set(follows)

    done = call(
        "rollback", ASSET, "--partition", DAYS[0], "--reason", "half a file", "--author", "me"
    )
    assert done.exit_code == 0, done.output
    assert f"{ASSET} {DAYS[0]} rolled back" in done.stdout
    assert f"out of date by it:\n  quarantine/orders {DAYS[0]}" in done.stdout or (
        f"  cleaned/orders {DAYS[0]}" in done.stdout
    )
    assert not said("diff", ASSET, "--from", "second-run")["columns"]
    with dg.DagsterInstance.get() as instance:
        for asset in (ASSET, "quarantine/customers"):
            event = instance.get_latest_materialization_event(dg.AssetKey(asset.split("/")))
            assert event is not None
            assert event.asset_materialization is not None
            assert event.asset_materialization.partition == DAYS[0]
            metadata = {k: v.value for k, v in event.asset_materialization.metadata.items()}
            assert metadata["rollback_reason"] == "half a file"
            assert metadata["rollback_author"] == "me"
            assert metadata["rolled_back_to"] == dry["rolled_back_to"]
            assert metadata.get("rows_added") == (rows["removed"] if asset == ASSET else None)
    again = call(
        "rollback", ASSET, "--partition", DAYS[0], "--to", "first-run", "--reason", "once more"
    )
    assert again.exit_code == 0
    assert "already; nothing was changed" in again.stdout
    table = call("rollback", ASSET, "--partition", DAYS[0], "--list").stdout
    assert "by me: half a file" in table


@pytest.mark.usefixtures("wrong")
def test_wrong_arguments_are_explained() -> None:
    for arguments, expected in (
        (["diff", "cleaned/custmers", "--from", "0"], ["no such table", "cleaned/customers"]),
        (["diff", "aggregated/x", "--from", "0"], ["no such table", "aggregated/daily_sales"]),
        (["diff", ASSET, "--from", "77777"], ["A snapshot was never there"]),
        (["diff", ASSET, "--from", "second-run", "--to", "1"], ["comes before its start"]),
        (["diff", ASSET, "--from", "0", "--column", "nam"], ["no such column", "customer_id, "]),
        (["diff", ASSET, "--from", "0", "--partitions", "jan"], ["not a range of days"]),
        (["rollback", ASSET, "--partition", DAYS[0]], ["with a reason", "--dry-run"]),
        (["rollback", ASSET, "--partition", DAYS[1], "--reason", "r"], ["no earlier publish"]),
    ):
        called = call(*arguments)
        assert called.exit_code == 2, called.output
        for part in ("error:", *expected):
            assert part in called.stderr
        assert "Traceback" not in called.output


@pytest.mark.usefixtures("installation")
def test_what_follows_is_done_again_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def note(first: str, last: str, *, select: str) -> bool:
        asked.append((first, last, select))
        return True

    monkeypatch.setattr(downstream, "run_backfill", note)
    assert downstream.redo_downstream([ASSET, "quarantine/customers"], DAYS[1])
    ((first, last, select),) = asked
    assert (first, last) == (DAYS[1], DAYS[1])
    assert 'key:"cleaned/orders"' in select
    assert "customers" not in select.replace("staging/stg_customers", "")
    # Models that dbt makes together are not made again: that would undo the rollback.
    asked.clear()
    orders = ["aggregated/fct_orders"]
    assert downstream.made_together(orders, DAYS[1]) == ["aggregated/daily_sales"]
    assert downstream.redo_downstream(orders, DAYS[1])
    assert asked == [(DAYS[1], DAYS[1], 'key:"aggregated/customer_metrics"')]
    asked.clear()
    assert downstream.redo_downstream(["aggregated/customer_metrics"], "all")
    assert asked == []
