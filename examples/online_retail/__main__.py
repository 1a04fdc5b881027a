"""The command: a year from source files to published tables, held against its control totals.

Belongs here: the command line, and the order of things. Does not belong here: what is run
(``definitions``), what is counted (``totals``) and how it is told (``report``).
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer

from examples.online_retail.dataset import invoice_lines
from examples.online_retail.definitions import FOLDER_VARIABLE, defs
from examples.online_retail.delivery import Delivery, look_at
from examples.online_retail.report import Report, as_json, as_text
from examples.online_retail.totals import count_totals, is_known
from platform_assets.cli import summary
from platform_assets.cli.console import EXIT_PARTIAL, console, explained
from platform_assets.cli.instance import ensure_home, run_range
from platform_assets.errors import PartitionError
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.resources import lake_config
from platform_assets.settings import Settings, load_settings
from platform_assets.warehouse.lake import Connection, connect

DAGSTER_YAML = Path(__file__).parents[2] / "dagster.yaml"


app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
@explained
def main(
    data: Annotated[Path, typer.Option(help="Folder of the daily files.")],
    lake: Annotated[Path, typer.Option(help="Folder for everything that the run makes.")] = Path(
        "data/online_retail"
    ),
    *,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    through_dagster: Annotated[
        bool,
        typer.Option(
            "--through-dagster/--engine-only",
            help="Run the assets, so that Dagster's UI shows the year; or only what they do.",
        ),
    ] = True,
) -> None:
    """Run a retailer's year from source files to published tables, and count its control totals.

    Ends with status 0 where every partition is published and every figure agrees, 1 where one
    does not, and 2 where the input cannot be used.
    """
    days = invoice_lines.partitions.keys()
    delivery = look_at(data, days)
    settings = _configure(delivery, lake.absolute())
    started = time.perf_counter()
    run_id, error = _run_dagster(days) if through_dagster else _run_engine(days, delivery, settings)
    seconds = time.perf_counter() - started
    with connect(lake_config(settings)) as connection:
        report = _report(connection, delivery, run_id, seconds, error)
    if as_data:
        typer.echo(json.dumps(as_json(report), indent=2))
    else:
        console.print(as_text(report))
    if not report.ok:
        raise typer.Exit(EXIT_PARTIAL)


def _configure(delivery: Delivery, lake: Path) -> Settings:
    """Set this process up as ``dagster dev`` would be: everything comes from the environment."""
    os.environ |= {
        FOLDER_VARIABLE: str(delivery.folder),
        "DAGSTER_HOME": str(lake / "dagster_home"),
        "PLATFORM_ASSETS_DATA_DIR": str(lake),
        # A lake configured elsewhere, for the shop's datasets, is none of this command's business.
        "PLATFORM_ASSETS_LAKE_CATALOG": str(lake / "lake" / "catalog.sqlite"),
        "PLATFORM_ASSETS_LAKE_FILES": str(lake / "lake" / "files"),
    }
    load_settings.cache_clear()
    return load_settings()


def _run_dagster(days: list[str]) -> tuple[str, str]:
    """Materialize every asset over all days in one run; its id, and its error if it has one."""
    ensure_home(DAGSTER_YAML)
    result = run_range(defs, days)
    errors = (event.step_failure_data.error for event in result.all_events if event.is_step_failure)
    messages = [error.message.strip().splitlines()[0] for error in errors if error is not None]
    return result.run_id, "" if result.success else next(iter(messages), "no step says why")


def _run_engine(days: list[str], delivery: Delivery, settings: Settings) -> tuple[str, str]:
    """Do what the assets do, without Dagster's events."""
    run_id = f"engine-only-{uuid.uuid4()}"
    with connect(lake_config(settings)) as connection:
        step = Step(
            dataset=invoice_lines,
            lake=connection,
            run_id=run_id,
            connections={"retail": delivery.folder},
            batch_bytes=settings.batch_bytes,
        )
        clean(step, list(load_raw(step, days).good))
    return run_id, ""


def _report(
    connection: Connection, delivery: Delivery, run_id: str, seconds: float, error: str
) -> Report:
    failed = summary.failures(connection, [invoice_lines])
    if error and not failed:
        raise PartitionError(
            "The run broke before it could say what became of each partition",
            where=f"run {run_id}",
            expected="every partition published, or stopped with its reason in the ledger",
            found=error,
            fix="see the run in Dagster's UI; what was published before stays",
        )
    known = is_known(delivery)
    return Report(
        delivery=delivery,
        known=known,
        run_id=run_id,
        seconds=seconds,
        totals=count_totals(connection, known=known),
        ledger=summary.summarise(connection, [invoice_lines])[0],
        failed=failed,
    )


if __name__ == "__main__":
    app(prog_name="python -m examples.online_retail")
