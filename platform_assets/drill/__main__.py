"""``python -m platform_assets.drill``: build the clean year, let incidents happen, say.

Belongs here: the command line. Does not belong here: the order of a drill (``harness``).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from platform_assets.cli.console import EXIT_PARTIAL, console, errors, explained
from platform_assets.drill import harness, report
from platform_assets.drill.datasets import ALL
from platform_assets.drill.incident import Incident
from platform_assets.drill.incidents import CATALOGUE
from platform_assets.drill.judgement import Outcome, false_alarms
from platform_assets.drill.plan import Plan
from platform_assets.errors import SettingsError

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
_MOST_WORKERS = 2


@app.command()
@explained
def main(
    seed: Annotated[int, typer.Option(help="Another seed is another year.")] = Plan.seed,
    days: Annotated[int, typer.Option(help="Clean days before, in whole weeks.")] = Plan.days,
    orders_per_day: Annotated[
        int, typer.Option(help="Mean orders a day; all else follows from it.")
    ] = Plan.orders_per_day,
    only: Annotated[
        list[str] | None, typer.Option(help="Part of an incident's name; may be given again.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where everything is made.")] = Path("data/drill"),
    out: Annotated[Path | None, typer.Option(help="Write the report as Markdown.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that let incidents happen.")] = min(
        _MOST_WORKERS, os.cpu_count() or 1
    ),
    *,
    day_by_day: Annotated[
        bool, typer.Option("--day-by-day", help="Run each day of the history by itself.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only list the incidents.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let known incidents happen to a clean simulated year, one at a time, and see what is noticed.

    Ends with status 0 where the goals are met, and 1 where an incident is missed that can be seen
    in the first partition that it touches, or clean days raise more alarms than they may.
    """
    chosen = choose(only or [])
    if listed:
        for incident in chosen:
            console.print(
                f"{incident.name} ({incident.dataset}): {incident.story}", highlight=False
            )
        return
    started = time.perf_counter()
    plan = Plan(seed=seed, days=days, orders_per_day=orders_per_day)
    errors.print(f"The clean year: {plan.days} days …", highlight=False)
    days_after = max(incident.last for incident in chosen) + 1
    year = harness.build(folder.absolute(), plan, days_after=days_after, day_by_day=day_by_day)

    def tell(outcome: Outcome) -> None:
        errors.print(report.line(outcome), highlight=False, markup=False)

    outcomes = harness.drill(year, chosen, workers=workers, told=tell)
    told = report.Report(
        plan=plan,
        rows=year.rows,
        outcomes=tuple(outcomes),
        alarms=tuple(
            false_alarms(
                [dataset.name for dataset in ALL], len(plan.history) + days_after, year.signals
            )
        ),
        signals=tuple(year.signals),
        build_seconds=year.seconds,
        seconds=time.perf_counter() - started,
    )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(report.as_markdown(told), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(report.as_json(told), indent=1))
    else:
        console.print(report.as_text(told))
    if told.failures:
        raise typer.Exit(EXIT_PARTIAL)


def choose(parts: list[str]) -> list[Incident]:
    """The incidents whose names have one of these parts; without parts all.

    Args:
        parts: Parts of names, in lower or upper case.

    Raises:
        SettingsError: No incident has one of them.
    """
    for part in parts:
        if not any(part.lower() in incident.name.lower() for incident in CATALOGUE):
            raise SettingsError(
                "The drill knows no such incident",
                where="--only",
                expected="a part of the name of an incident",
                found=repr(part),
                fix="see their names: python -m platform_assets.drill --list",
            )
    return [
        incident
        for incident in CATALOGUE
        if not parts or any(part.lower() in incident.name.lower() for part in parts)
    ]


if __name__ == "__main__":
    app(prog_name="python -m platform_assets.drill")
