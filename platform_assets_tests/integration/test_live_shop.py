"""The living shop, followed from its database, its API and its files to the last row."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from platform_assets.demo.live import LiveShop
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation, lake_in
from platform_assets_tests.warm import programs

ROOT = Path(__file__).resolve().parents[2]


def follow(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Live some days with the shop, and keep in step."""
    return subprocess.run(
        [
            programs() / "python",
            "-m",
            "examples.live_shop",
            "--root",
            str(root),
            "--json",
            *options,
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_row_of_a_shop_that_goes_on_is_accounted_for(installation: Installation) -> None:
    root = installation.root
    done = follow(root, "--days", "4", "--orders-per-day", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    told = {each["dataset"]: each for each in json.loads(done.stdout.splitlines()[-1])}
    assert "marketing_events" in (root / "report.html").read_text(encoding="utf-8")
    truth = LiveShop.open(root / "shop").truth()
    assert all(each["agrees"] for each in told.values())
    assert {name: each["in_shop"] for name, each in told.items()} == {
        "customers": truth.customers,
        "products": truth.products,
        "orders": truth.orders,
        "tickets": truth.tickets,
        "marketing_events": sum(truth.marketing_events.values()),
    }
    with connect(lake_in(root)) as lake:
        rows = lake.execute(
            "SELECT customer_id, bool_or(is_current) FROM lake.history.customers GROUP BY ALL"
        ).fetchall()
    seen = dict(rows)
    # Who is forgotten was a customer once. One who came and went between two syncs was never seen.
    forgotten = {customer for customer, current in seen.items() if not current}
    assert forgotten
    assert forgotten == set(truth.deleted["customers"]) & set(seen)
