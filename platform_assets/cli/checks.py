"""``platform-assets checks``: what statistics found, what a partition looks like, what was fine.

Belongs here: arguments and output. Does not belong here: finding anything (``quality``).
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.alerts.redaction import redacted
from platform_assets.cli import ROOT
from platform_assets.cli.console import EXIT_PARTIAL, Json, console, explained
from platform_assets.cli.lake import open_lake
from platform_assets.errors import PartitionError, SettingsError

if TYPE_CHECKING:
    from platform_assets.assets.acceptance import Verdicts
    from platform_assets.quality.findings import Finding
    from platform_assets.quality.profiles import Observed

checks_app = typer.Typer(
    no_args_is_help=True, help="What statistics found odd, and what of it was fine."
)

SHOWN_CATEGORIES = 5
_LATER = "its UI follows with the next run of these partitions"


@checks_app.command("list")
@explained
def list_findings(
    dataset: Annotated[str | None, typer.Option(help="Only of this dataset.")] = None,
    partition: Annotated[str | None, typer.Option(help="Only of this partition.")] = None,
    check: Annotated[str | None, typer.Option(help="Only of this check.")] = None,
    run: Annotated[str | None, typer.Option(help="Only what this run found.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="open, accepted or over; default: open.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is odd: observed, expected, the history used, and how sure; exit 1 where any is."""
    from platform_assets.quality import findings
    from platform_assets.quality.findings import Standing

    for each in status or ():
        if each not in {known.value for known in Standing}:
            raise SettingsError(
                "An option is not a status",
                where=f"option --status {each}",
                expected=", ".join(Standing),
                found=each,
                fix="correct the option",
            )
    statuses = [Standing(each) for each in status] if status else [Standing.OPEN]
    with open_lake() as connection:
        found = findings.find(
            connection,
            dataset=dataset,
            partition=partition,
            check=check,
            run=run,
            statuses=statuses,
        )
    if as_json:
        typer.echo(json.dumps([_as_json(each) for each in found], indent=2, default=str))
    else:
        console.print(_as_table(found))
    if any(each.status is Standing.OPEN for each in found):
        raise typer.Exit(EXIT_PARTIAL)


@checks_app.command("accept")
@explained
def accept_findings(
    found: Annotated[list[str], typer.Argument(help="Ids of findings; their beginning is enough.")],
    reason: Annotated[str, typer.Option(help="Why it was fine.")],
    author: Annotated[
        str | None, typer.Option("--author", help="Who says so; default: your login.")
    ] = None,
) -> None:
    """Say that it was fine: from now on values that are no farther off are expected.

    The checks in Dagster's UI say so at once, without a run.
    """
    from platform_assets.assets import acceptance
    from platform_assets.quality import findings

    with open_lake() as connection:
        accepted = findings.accept(
            connection, found, reason=reason, author=author or getpass.getuser()
        )
        verdicts = acceptance.verdicts(connection, accepted)
    for each in accepted:
        console.print(f"accepted: {each.dataset} {each.partition}: {escape(each.message)}")
    stopped = sorted({(e.dataset, e.partition) for e in accepted if e.severity == "error"})
    for dataset, partition in stopped:
        console.print(
            "publish it: platform-assets backfill "
            f"--from {partition} --to {partition} --select 'key:\"cleaned/{dataset}\"+'"
        )
    _tell_dagster(verdicts)


def _tell_dagster(verdicts: Verdicts) -> None:
    """Have the checks say so in Dagster's UI, and tell where they do not yet."""
    from platform_assets.assets import acceptance
    from platform_assets.cli.instance import instance_if_there

    try:
        with instance_if_there(ROOT / "dagster.yaml") as instance:
            if instance is None:
                console.print(f"there is no Dagster instance yet: {_LATER}")
                return
            done = acceptance.tell(instance, verdicts)
    except Exception as error:  # each of Dagster's storages has errors of its own
        # It is accepted: what the UI shows follows from that, and must not make it look undone.
        why = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        console.print(f"Dagster could not be told: {_LATER}")
        console.print(f"  {escape(redacted(why))}", highlight=False)
        return
    if done.told:
        console.print(f"Dagster was told: {len(done.told)} checks")
    if done.left_to_runs:
        console.print(f"{len(done.left_to_runs)} checks are told by the run that works on them")


@checks_app.command("profile")
@explained
def show_profile(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    partition: Annotated[
        str | None, typer.Option(help="The partition; default: the newest one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a published partition looks like, column by column."""
    from platform_assets.declared.catalogue import dataset_named
    from platform_assets.quality import profiles

    dataset_named(dataset, f"argument {dataset}")
    with open_lake() as connection:
        found = profiles.newest(connection, f"cleaned/{dataset}", partition)
    if found is None:
        raise PartitionError(
            "Nothing is known of this partition: it was never published",
            where=f"dataset {dataset}, partition {partition or '(any)'}",
            expected="a publish of its cleaned rows",
            found="no profile",
            fix="materialize it first; platform-assets summary shows what is published",
        )
    if as_json:
        typer.echo(json.dumps(found, default=vars, indent=2))
    else:
        console.print(_profile_table(dataset, found))


def _as_json(finding: Finding) -> dict[str, Any]:
    return {"finding_id": finding.finding_id, **vars(finding)}


def _as_table(found: Sequence[Finding]) -> Table:
    table = Table(title=f"{len(found)} findings")
    for name in ("id", "partition", "dataset", "check", "severity", "status", "what"):
        table.add_column(name, overflow="fold")
    for each in found:
        table.add_row(
            each.finding_id[:8],
            each.partition,
            each.dataset,
            each.check_name,
            each.severity,
            str(each.status),
            escape(each.message) + (f"\nfine: {escape(each.reason)}" if each.reason else ""),
        )
    return table


def _profile_table(dataset: str, seen: Observed) -> Table:
    rows = seen.profile.rows
    table = Table(title=f"{dataset} {seen.partition}: {rows:,} rows")
    for name in ("column", "nulls", "distinct", "min", "median", "max", "mean", "deviation", "top"):
        table.add_column(name, overflow="fold")
    for name, column in seen.profile.columns.items():
        middle = column.quantiles[len(column.quantiles) // 2] if column.quantiles else None
        top = list({**column.top, **column.frequent}.items())[:SHOWN_CATEGORIES]
        table.add_row(
            name,
            f"{column.nulls / rows:.2%}" if rows else "",
            f"{column.distinct:,}",
            *(
                "" if value is None else f"{value:,.6g}"
                for value in (column.low, middle, column.high, column.mean, column.deviation)
            ),
            escape(", ".join(f"{value} {count:,}" for value, count in top)),
        )
    return table
