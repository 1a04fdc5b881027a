"""The command: live some days with the shop, keep in step with it, and hold both against another.

Belongs here: the command line, and the order of things. Does not belong here: the datasets
(``datasets``), and the shop (``platform_assets.demo.live``).
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from examples.live_shop.datasets import (
    ALL,
    START,
    customers,
    marketing_events,
    orders,
    products,
    tickets,
)
from examples.live_shop.definitions import API, DATABASE, FOLDER, TOKEN, defs
from platform_assets.assets.runs import why_failed
from platform_assets.cli.console import EXIT_PARTIAL, console, errors, explained
from platform_assets.cli.instance import ensure_home, run_range
from platform_assets.cli.summary import DatasetSummary, summarise
from platform_assets.demo.live import LiveShop, LiveTruth, serving
from platform_assets.resources import lake_config
from platform_assets.settings import load_settings
from platform_assets.warehouse.lake import connect

DAGSTER_YAML = Path(__file__).parents[2] / "dagster.yaml"
app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@dataclass(frozen=True)
class Compared:
    """A dataset's rows: as the shop counts them, and as the platform has them."""

    dataset: str
    in_shop: int
    cleaned: int
    quarantined: int

    @property
    def agrees(self) -> bool:
        """Whether every row of the shop is cleaned or in quarantine, and nothing else is."""
        return self.in_shop == self.cleaned + self.quarantined


@app.command()
@explained
def main(
    root: Annotated[Path, typer.Option(help="Folder of the shop and of all that is made.")] = Path(
        "data/live_shop"
    ),
    days: Annotated[int, typer.Option(min=2, help="Days to live.")] = 6,
    orders_per_day: Annotated[int, typer.Option(help="Mean orders a day.")] = 200,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Follow a shop that goes on: load it half-way, let it live on, load what has changed.

    Ends with status 0 where every row of the shop is accounted for, and 1 where one is not.
    """
    root = root.absolute()
    token = secrets.token_urlsafe()
    shop = LiveShop.open(root / "shop", start=START, orders_per_day=orders_per_day)
    with serving(shop, token=token) as api:
        _configure(root, shop, api.base_url, token)
        succeeded = True
        for target in (days // 2, days):
            shop.advance(max(0, target - shop.days))
            # The last sync compares whole days: a watermark does not see what was deleted.
            succeeded &= _sync(shop.days, force=target == days)
    with connect(lake_config(load_settings())) as connection:
        compared = _compare(summarise(connection, ALL), shop.truth())
    if as_json:
        typer.echo(json.dumps([vars(each) | {"agrees": each.agrees} for each in compared]))
    else:
        console.print(_table(compared, shop.days))
    if not succeeded or not all(each.agrees for each in compared):
        raise typer.Exit(EXIT_PARTIAL)


def _configure(root: Path, shop: LiveShop, api: str, token: str) -> None:
    """Set this process up as ``dagster dev`` would be: everything comes from the environment."""
    os.environ |= {
        FOLDER: str(shop.folder),
        DATABASE: str(shop.database),
        API: api,
        TOKEN: token,
        "DAGSTER_HOME": str(root / "dagster_home"),
        "PLATFORM_ASSETS_DATA_DIR": str(root),
        "PLATFORM_ASSETS_LAKE_CATALOG": str(root / "lake" / "catalog.sqlite"),
        "PLATFORM_ASSETS_LAKE_FILES": str(root / "lake" / "files"),
    }
    load_settings.cache_clear()


def _sync(days: int, *, force: bool) -> bool:
    ensure_home(DAGSTER_YAML)
    result = run_range(defs, [str(START + timedelta(days=n)) for n in range(days)], force=force)
    for text in why_failed(result):
        errors.print(text, highlight=False)
    return result.success


def _compare(figures: list[DatasetSummary], truth: LiveTruth) -> list[Compared]:
    in_shop = {
        customers.name: truth.customers,
        products.name: truth.products,
        orders.name: truth.orders,
        tickets.name: truth.tickets,
        marketing_events.name: sum(truth.marketing_events.values()),
    }
    return [
        Compared(each.dataset, in_shop[each.dataset], each.cleaned, each.quarantined)
        for each in figures
    ]


def _table(compared: list[Compared], days: int) -> Table:
    table = Table(title=f"The living shop after {days} days")
    for name in ("dataset", "in the shop", "cleaned", "quarantined", ""):
        table.add_column(name, justify="left" if name == "dataset" else "right")
    for each in compared:
        verdict = "[green]agrees[/]" if each.agrees else "[red]differs[/]"
        numbers = (each.in_shop, each.cleaned, each.quarantined)
        table.add_row(each.dataset, *(f"{number:,}" for number in numbers), verdict)
    return table


if __name__ == "__main__":
    app(prog_name="python -m examples.live_shop")
