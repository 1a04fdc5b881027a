"""How much is measured, and the folders and instances that it happens in.

Belongs here: sizes, generated shops, new lakes and Dagster instances. Does not belong here: what is
compared (``cases``). Only the standard library is imported.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.measure import ROOT, run, run_module

DAYS = 365
ORDERS_PER_DAY = 27_397
STOCK_DAYS = 30
PII_KEY = "benchmark key, not a secret"


@dataclass(frozen=True)
class Plan:
    """How much of everything a run of the benchmark does.

    Attributes:
        work: Folder of everything generated.
        input: The main shop's folder; None: generated below ``work``.
        days: Days of the main shop.
        orders_per_day: Its orders a day.
        pairs: How often the platform and the bare script are run.
        next_days: Days timed after each history.
        scale: Divides the sizes of histories, for a quick look.
        aggregates: Whether both sides build the aggregates too.
        stock_days: Days of the comparison with the stock pattern.
    """

    work: Path
    input: Path | None
    days: int = DAYS
    orders_per_day: int = ORDERS_PER_DAY
    pairs: int = 3
    next_days: int = 7
    scale: int = 1
    aggregates: bool = True
    stock_days: int = STOCK_DAYS

    def shop(self, days: int, orders_per_day: int) -> Path:
        """A shop's folder; its files are made where they are missing."""
        root = self.work / f"shop-{days}x{orders_per_day}"
        if not (root / "_truth.json").is_file():
            arguments = ("--root", root, "--days", days, "--orders-per-day", orders_per_day)
            run_module("bench.shop", *arguments)
        return root

    def main_shop(self) -> Path:
        """The main shop's folder."""
        return self.input or self.shop(self.days, self.orders_per_day)

    def fresh(self, name: str) -> Path:
        """A folder that is empty."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def instance(self, name: str, shop: Path, settings: str | None = None) -> dict[str, str]:
        """The environment of a Dagster instance and a lake of their own, made and migrated.

        Args:
            name: The folder's name.
            shop: What the platform's source reads.
            settings: The instance's ``dagster.yaml``; None: the project's own.
        """
        folder = self.fresh(name)
        home = folder / "dagster_home"
        home.mkdir()
        text = settings or (ROOT / "dagster.yaml").read_text(encoding="utf-8")
        (home / "dagster.yaml").write_text(text, encoding="utf-8")
        environment = {
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "PLATFORM_ASSETS_DATA_DIR": str(folder / "data"),
            "PLATFORM_ASSETS_SHOP_DIR": str(shop),
            "PLATFORM_ASSETS_PII_KEY": PII_KEY,
        }
        # An installation makes its instance once; its first opening creates the databases.
        making = "import dagster as dg; dg.DagsterInstance.get().get_runs(limit=1)"
        preparing = "from platform_assets.assets.dbt_project import prepare_dbt_project as p; p()"
        for code in (making, preparing):
            run([sys.executable, "-c", code], env=environment)
        return environment
