"""``platform-assets quarantine``: what a person does with rows: resolve, replay, withdraw, expire.

Belongs here: arguments and output. Does not belong here: doing it (``assets.replays``,
``warehouse``), which jobs in the UI share.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from platform_assets.cli import ROOT
from platform_assets.cli.console import (
    EXIT_BAD_INPUT,
    EXIT_PARTIAL,
    console,
    errors,
    explained,
)
from platform_assets.cli.lake import open_lake
from platform_assets.cli.quarantine_options import (
    AuthorOption,
    DatasetOption,
    IdsArgument,
    OlderOption,
    PartitionOption,
    RuleOption,
    RunOption,
    StatusOption,
    picked_rows,
)

if TYPE_CHECKING:
    from platform_assets.assets.replays import Replayed, Site

acts_app = typer.Typer()


@acts_app.command("resolve")
@explained
def resolve_rows(
    reason: Annotated[str, typer.Option(help="Why they are to stay out.")],
    rows: IdsArgument = None,
    dataset: DatasetOption = None,
    partition: PartitionOption = None,
    rule: RuleOption = None,
    run: RunOption = None,
    older_than: OlderOption = None,
    author: AuthorOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Close rows: they stay out, and no longer count towards what stops a partition."""
    from platform_assets.assets.replays import rerun_commands
    from platform_assets.declared.catalogue import every_dataset
    from platform_assets.warehouse.quarantine import RowStatus
    from platform_assets.warehouse.quarantine_work import count, resolve

    picked = picked_rows(rows, dataset, partition, rule, run, older_than, None)
    with open_lake() as connection:
        number = sum(count(connection, picked).values())
        if number and not picked.is_everything and not yes:
            typer.confirm(f"Resolve {number:,} rows?", abort=True)
        blocked = count(connection, replace(picked, statuses=(RowStatus.BLOCKED,)))
        done = resolve(connection, picked, reason=reason, author=author or getpass.getuser())
    for (name, key), closed in done.items():
        console.print(f"{name} {key}: {closed:,} resolved")
    if not done:
        console.print("no row is open or blocked that fits")
        raise typer.Exit(EXIT_BAD_INPUT)
    if blocked:
        console.print("they had stopped their partitions; to run these again:")
        for command in rerun_commands(blocked, every_dataset()):
            console.print(f"  {escape(command)}", highlight=False)


@acts_app.command("replay")
@explained
def replay_rows(
    reason: Annotated[str, typer.Option(help="Why they may pass now.")],
    rows: IdsArgument = None,
    edited: Annotated[
        Path | None,
        typer.Option("--from", help="A file from `export`, edited: rows are read as it says."),
    ] = None,
    dataset: DatasetOption = None,
    partition: PartitionOption = None,
    rule: RuleOption = None,
    run: RunOption = None,
    older_than: OlderOption = None,
    status: StatusOption = None,
    author: AuthorOption = None,
) -> None:
    """Judge rows again by the contract as it is now, or as a file corrects them.

    What passes is published, and what follows from it is made anew. Their partitions are judged
    whole, as by any run, so one that would be stopped stays as it was.
    """
    from platform_assets.assets import replays

    picked = picked_rows(rows, dataset, partition, rule, run, older_than, status)
    who = author or getpass.getuser()
    if edited is None:
        with _site() as site:
            _tell(replays.replay_rows(site, picked, reason=reason, author=who))
        return
    if not picked.is_everything or status:
        raise replays.file_says_which(f"option --from {edited}")
    with _site() as site:
        replayed, taken = replays.replay_file(site, edited, reason=reason, author=who)
    corrected = sum(taken.replay.rows.values())
    console.print(f"{corrected:,} rows corrected; {taken.unchanged:,} say what is there already")
    if corrected:
        _tell(replayed)


@acts_app.command("withdraw")
@explained
def withdraw_corrections(
    reason: Annotated[str, typer.Option(help="Why they are taken back.")],
    rows: IdsArgument = None,
    dataset: DatasetOption = None,
    partition: PartitionOption = None,
    author: AuthorOption = None,
) -> None:
    """Take corrections of rows back: the rows are judged as they came."""
    from platform_assets.assets import replays
    from platform_assets.warehouse.quarantine import RowStatus

    every = [str(each) for each in RowStatus]
    picked = picked_rows(rows, dataset, partition, None, None, None, every)
    with _site() as site:
        done = replays.replay_withdrawn(
            site, picked, reason=reason, author=author or getpass.getuser()
        )
    if done is None:
        console.print("no row that fits has a correction")
        raise typer.Exit(EXIT_BAD_INPUT)
    _tell(done, withdrawn=True)


@acts_app.command("expire")
@explained
def expire_rows(
    dataset: DatasetOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Erase; without it, it is only counted.")
    ] = False,
) -> None:
    """Erase the content of closed rows that are over their dataset's quarantine_retention."""
    from platform_assets.declared.catalogue import dataset_named, every_dataset
    from platform_assets.warehouse.quarantine_retention import expire

    chosen = [dataset_named(dataset, f"option --dataset {dataset}")] if dataset else every_dataset()
    ages = {each.name: each.quarantine_retention for each in chosen}
    with open_lake() as connection:
        found = expire(
            connection, {name: age for name, age in ages.items() if age}, dry_run=not yes
        )
    for name, age in ages.items():
        if age is None:
            console.print(f"{name}: kept for ever")
            continue
        each = found[name]
        console.print(
            f"{name}: {each.rows:,} rows and {each.corrections:,} corrections "
            + ("erased" if yes else "to erase")
            + (f"; {each.waiting:,} as old are open, and kept" if each.waiting else "")
        )
    if not yes and any(each.rows or each.corrections for each in found.values()):
        console.print("nothing was erased: say --yes")


@contextmanager
def _site() -> Iterator[Site]:
    """Where the commands replay: the code location of the settings, on DAGSTER_HOME's instance."""
    import dagster as dg

    from platform_assets.assets.replays import Site
    from platform_assets.cli.instance import ensure_home
    from platform_assets.declared.catalogue import every_dataset
    from platform_assets.sensors.dead_runs import end_dead_runs

    ensure_home(ROOT / "dagster.yaml")
    # A code location reads the instance's environment, which is there only now.
    from platform_assets.definitions import defs

    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        yield Site(defs, every_dataset(), instance, open_lake)


def _tell(done: Replayed | None, *, withdrawn: bool = False) -> None:
    """Print what came of a replay; ends with 1 where not all of it went well."""
    from platform_assets.warehouse.quarantine import RowStatus

    if done is None:
        console.print("no row of the quarantine fits")
        raise typer.Exit(EXIT_BAD_INPUT)
    for text in done.failures:
        errors.print(f"[bold red]failed:[/] {escape(text)}", highlight=False)
    console.print(done.summary)
    for name, keys in done.changed.items():
        console.print(f"{name}: {len(keys):,} partitions have other rows now")
    if done.failures or (not withdrawn and set(done.rows) - {RowStatus.RELEASED}):
        raise typer.Exit(EXIT_PARTIAL)
