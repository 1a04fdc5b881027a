"""The commands about contracts: show one, compare it with the lake, bring the lake to it.

Belongs here: output and confirmation. Does not belong here: the plan (``pipeline.contract_plan``).
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from platform_assets.cli.console import EXIT_PARTIAL, Json, console, explained

if TYPE_CHECKING:
    from platform_assets.dataset import Dataset
    from platform_assets.pipeline.contract_plan import Plan

contracts_app = typer.Typer(no_args_is_help=True, help="Contracts: what a good row looks like.")

Which = Annotated[str | None, typer.Argument(help="The dataset's name; without one, all.")]


def _chosen(dataset: str | None) -> list[Dataset]:
    from platform_assets.declared.catalogue import dataset_named, every_dataset

    if dataset is None:
        return list(every_dataset())
    return [dataset_named(dataset, f"argument {dataset}")]


@contracts_app.command("show")
@explained
def show(dataset: Annotated[str, typer.Argument(help="The dataset's name.")]) -> None:
    """Print a dataset's contract as Markdown."""
    from platform_assets.declared.catalogue import dataset_named

    typer.echo(dataset_named(dataset, f"argument {dataset}").compiled.markdown())


@contracts_app.command("diff")
@explained
def diff(
    dataset: Which = None,
    as_json: Json = False,
) -> None:
    """Print what a changed contract asks for: statements on its table, partitions to redo."""
    from platform_assets.pipeline.contract_plan import plan
    from platform_assets.resources import lake_config
    from platform_assets.settings import load_settings
    from platform_assets.warehouse.lake import connect

    chosen = _chosen(dataset)
    with connect(lake_config(load_settings())) as connection:
        plans = [plan(connection, each) for each in chosen]
    if as_json:
        typer.echo(json.dumps([_as_json(each) for each in plans], indent=2))
    else:
        for each in plans:
            _print(each)
    if not all(each.is_empty for each in plans):
        raise typer.Exit(EXIT_PARTIAL)


@contracts_app.command("apply")
@explained
def apply(
    dataset: Which = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Redo the partitions, too, in this process.")
    ] = False,
) -> None:
    """Do what `contracts diff` prints: the statements, in one transaction for each table."""
    from platform_assets.pipeline import contract_plan
    from platform_assets.resources import lake_config
    from platform_assets.settings import load_settings
    from platform_assets.warehouse.lake import connect

    chosen = _chosen(dataset)
    with connect(lake_config(load_settings())) as connection:
        plans = [contract_plan.plan(connection, each) for each in chosen]
        for each in plans:
            _print(each)
        if any(each.to_apply for each in plans) and not yes:
            typer.confirm("Do this?", abort=True)
        for which, each in zip(chosen, plans, strict=True):
            if each.to_apply:
                contract_plan.apply(connection, which, each)
                console.print(f"{each.dataset} follows version {each.version}")
    if backfill:
        _redo(plans)


def _redo(plans: list[Plan]) -> None:
    from platform_assets.cli.backfill import days_of, run_backfill

    # All of them, although one may fail: each is told by its own run.
    results = [
        run_backfill(*days_of((each.redo[0], each.redo[-1])), select=_selection(each))
        for each in plans
        if each.redo
    ]
    if not all(results):
        raise typer.Exit(EXIT_PARTIAL)


def _selection(plan: Plan) -> str:
    return f'key:"raw/{plan.dataset}"+'


def backfill_command(plan: Plan) -> str:
    """The command that redoes a plan's partitions."""
    from platform_assets.cli.backfill import days_of

    first, last = days_of((plan.redo[0], plan.redo[-1]))
    return (
        f"platform-assets backfill --from {first} --to {last} "
        f"--select {shlex.quote(_selection(plan))}"
    )


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "dataset": plan.dataset,
        "recorded": plan.recorded,
        "version": plan.version,
        "changes": [
            {"subject": each.subject, "text": each.text, "judged": each.judged}
            for each in plan.changes
        ],
        "statements": list(plan.statements),
        "redo": {
            "partitions": list(plan.redo),
            "why": list(plan.why),
            "command": backfill_command(plan) if plan.redo else None,
        },
        "offered": [
            {"column": each.column, "type": each.sql_type, "line": each.line}
            for each in plan.offered
        ],
    }


def _print(plan: Plan) -> None:
    def say(text: str) -> None:
        console.print(escape(text), highlight=False)

    if plan.is_empty:
        say(f"{plan.dataset}: nothing to do; version {plan.version}")
    else:
        of = f"version {plan.recorded}" if plan.recorded else "no recorded version"
        say(f"{plan.dataset}: {of} → {plan.version}")
    for change in plan.changes:
        say(f"  {change.subject}: {change.text}")
    if plan.statements:
        say("  in one transaction:")
        for statement in plan.statements:
            say(f"    {statement};")
    if plan.redo:
        say(f"  to redo: {len(plan.redo)} partitions, {plan.redo[0]} to {plan.redo[-1]}, because")
        for reason in plan.why:
            say(f"    {reason}")
        say(f"    {backfill_command(plan)}")
    for offer in plan.offered:
        say(f"  offered: {offer.column} ({offer.sql_type}) is in the raw table; to publish it:")
        say(f"    {offer.line}")
