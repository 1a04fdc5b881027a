"""The commands of ``platform-assets``.

Belongs here: arguments, and which function does the work. Does not belong here: the work.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from platform_assets.cli import ROOT
from platform_assets.cli.alerts import alerts_app
from platform_assets.cli.checks import checks_app
from platform_assets.cli.connections import connections_app
from platform_assets.cli.console import EXIT_PARTIAL, Json, console, explained
from platform_assets.cli.contracts import contracts_app
from platform_assets.cli.datasets import app as datasets_app
from platform_assets.cli.diff import diff
from platform_assets.cli.freshness import freshness_app
from platform_assets.cli.impact import impact
from platform_assets.cli.lineage import lineage_app
from platform_assets.cli.metrics import metrics_app
from platform_assets.cli.quarantine import quarantine_app
from platform_assets.cli.report import report
from platform_assets.cli.rollback import rollback
from platform_assets.cli.watchdog_command import watchdog
from platform_assets.errors import SettingsError
from platform_assets.observability.output import log_to

DEMO_START = date(2025, 1, 1)
# Where `--help` shows a command, in this order.
BEGIN = "Begin"
EVERY_DAY = "Every day"
INCIDENT = "When something is wrong"
WATCH = "Watch it from outside"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A data platform on Dagster: every row accounted for.",
    pretty_exceptions_show_locals=False,
)

Force = Annotated[bool, typer.Option(help="Do again what is unchanged.")]


def _ensure_env_file() -> None:
    """Make ``.env`` with a key of its own; an existing file is left alone."""
    target, example = Path(".env"), ROOT / ".env.example"
    if target.exists() or "PLATFORM_ASSETS_PII_KEY" in os.environ or not example.is_file():
        return
    text = example.read_text(encoding="utf-8")
    name = "PLATFORM_ASSETS_PII_KEY="
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text.replace(f"\n{name}\n", f"\n{name}{secrets.token_hex(32)}\n"))


@app.command(rich_help_panel=BEGIN)
@explained
def setup() -> None:
    """Make what an installation needs: .env with a key, DAGSTER_HOME, the dbt manifest."""
    from platform_assets.assets.dbt_project import prepare_dbt_project
    from platform_assets.cli.instance import ensure_home

    _ensure_env_file()
    home = ensure_home(ROOT / "dagster.yaml")
    prepare_dbt_project()
    console.print(f"ready: instance in {home}")


@app.command(rich_help_panel=BEGIN)
@explained
def generate(
    days: Annotated[int, typer.Option(help="Days of deliveries.")] = 60,
    orders_per_day: Annotated[int, typer.Option(help="Mean orders a day.")] = 500,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 7,
    start: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = str(DEMO_START),
    spoil: Annotated[
        list[str] | None, typer.Option(help="A day whose orders are 30 % dirt; repeatable.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder to deliver to.")] = None,
) -> None:
    """Deliver the demo shop's files: customers, products and orders, with known dirt."""
    from platform_assets.demo import generate as deliver
    from platform_assets.settings import load_settings

    folder = root or load_settings().shop
    report = deliver(
        folder,
        start=_day(start, "--start"),
        days=days,
        orders_per_day=orders_per_day,
        seed=seed,
        spoil=[_day(day, "--spoil") for day in spoil or []],
    )
    totals = ", ".join(f"{name}: {truth.rows:,} rows" for name, truth in report.totals.items())
    console.print(f"{days} days delivered to {folder}: {totals}")


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            "An option is not a day",
            where=f"option {option}",
            expected="YYYY-MM-DD",
            found=text,
            fix=f"write it like {DEMO_START}",
        ) from None


@app.command(rich_help_panel=EVERY_DAY)
@explained
def backfill(
    first: Annotated[str, typer.Option("--from", help="First partition, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last partition, YYYY-MM-DD.")],
    select: Annotated[str, typer.Option(help="Assets, in Dagster's selection syntax.")] = "*",
    force: Force = False,
    verbose: Annotated[bool, typer.Option(help="Show Dagster's log.")] = False,
) -> None:
    """Fill a range of partitions in one run; what is unchanged is left alone."""
    from platform_assets.cli.backfill import run_backfill

    if not run_backfill(first, last, select=select, force=force, verbose=verbose):
        raise typer.Exit(EXIT_PARTIAL)


@app.command(rich_help_panel=EVERY_DAY)
@explained
def summary(as_json: Json = False) -> None:
    """Count what is in the lake, and show what is failed."""
    from platform_assets.cli import summary as view
    from platform_assets.declared.catalogue import every_dataset
    from platform_assets.resources import lake_config
    from platform_assets.settings import load_settings
    from platform_assets.warehouse.lake import connect

    datasets = every_dataset()
    with connect(lake_config(load_settings())) as connection:
        figures = view.summarise(connection, datasets)
        failed = view.failures(connection, datasets)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "datasets": view.as_json(figures),
                    "failed": [
                        {"asset": e.asset, "partition": e.partition, "stopped_by": e.stopped_by}
                        for e in failed
                    ],
                },
                indent=2,
            )
        )
    else:
        console.print(view.as_table(figures))
        for entry in failed:
            console.print(
                f"[red]failed[/] {entry.asset} {entry.partition}: {entry.stopped_by}\n"
                f"{escape(entry.message)}",
                highlight=False,
            )
    if not all(each.adds_up for each in figures):
        raise typer.Exit(EXIT_PARTIAL)


@app.command(rich_help_panel=BEGIN)
@explained
def demo(
    days: Annotated[int, typer.Option(help="Days of deliveries.")] = 60,
    orders_per_day: Annotated[int, typer.Option(help="Mean orders a day.")] = 500,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 7,
) -> None:
    """The first useful day: deliver the demo shop, fill every day, count what came out."""
    from datetime import timedelta

    from platform_assets.cli.backfill import run_backfill

    setup()
    generate(days=days, orders_per_day=orders_per_day, seed=seed, start=str(DEMO_START))
    last = DEMO_START + timedelta(days=days - 1)
    console.print(f"filling {days} days, partition by partition, in one run …")
    succeeded = run_backfill(str(DEMO_START), str(last))
    summary()
    report()
    console.print("\nSee it in the asset graph: [bold]make dev[/], then http://localhost:3000")
    if not succeeded:
        raise typer.Exit(EXIT_PARTIAL)


@app.command(rich_help_panel=BEGIN)
@explained
def dev(
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Start the UI and the daemon; Ctrl-C or SIGTERM ends both."""
    import signal

    from platform_assets.cli.instance import ensure_home

    setup()
    ensure_home(ROOT / "dagster.yaml")
    # Started in the background, a shell leaves SIGINT ignored, and Dagster's processes inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    dagster = Path(sys.executable).with_name("dagster")
    arguments = [
        "dev",
        "--host",
        host,
        "--port",
        str(port),
        "--workspace",
        str(ROOT / "workspace.yaml"),
        *_log_format(),
    ]
    os.execv(dagster, [str(dagster), *arguments])  # noqa: S606 # the environment's own program


def _log_format() -> list[str]:
    """What Dagster's own processes are told of the format of their logs."""
    from platform_assets.settings import load_settings

    return ["--log-format", "json"] if load_settings().log_format == "json" else []


@app.command(hidden=True)
@explained
def reference(
    folder: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("docs/reference"),
) -> None:
    """Write the generated reference pages."""
    from platform_assets.cli.reference import write

    for path in write(app, folder):
        console.print(f"wrote {path}")


app.command(rich_help_panel=EVERY_DAY)(report)
app.add_typer(datasets_app, name="datasets", rich_help_panel=EVERY_DAY)
app.add_typer(contracts_app, name="contracts", rich_help_panel=EVERY_DAY)
app.add_typer(freshness_app, name="freshness", rich_help_panel=EVERY_DAY)
app.add_typer(lineage_app, name="lineage", rich_help_panel=EVERY_DAY)
app.add_typer(alerts_app, name="alerts", rich_help_panel=INCIDENT)
app.add_typer(checks_app, name="checks", rich_help_panel=INCIDENT)
app.add_typer(quarantine_app, name="quarantine", rich_help_panel=INCIDENT)
app.add_typer(connections_app, name="connections", rich_help_panel=INCIDENT)
app.command(rich_help_panel=INCIDENT)(diff)
app.command(rich_help_panel=INCIDENT)(rollback)
app.command(rich_help_panel=INCIDENT)(impact)
app.command(rich_help_panel=WATCH)(watchdog)
app.add_typer(metrics_app, name="metrics", rich_help_panel=WATCH)


def main() -> None:
    """Run the console script."""
    log_to("stderr")
    app()
