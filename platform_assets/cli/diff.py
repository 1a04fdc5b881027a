"""``platform-assets diff``: what differs between two states of a table.

Belongs here: arguments and output. Does not belong here: comparing (``warehouse.diff``).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.console import EXIT_PARTIAL, Json, console, explained
from platform_assets.cli.lake import open_lake
from platform_assets.errors import SettingsError

if TYPE_CHECKING:
    from platform_assets.warehouse.diff import Diff

RANGE = "..."
SHOWN_PARTITIONS = 20
# A year is 366; more than this is a slip of the hand.
MAX_DAYS = 40_000

AssetArgument = Annotated[str, typer.Argument(help="The table's asset, such as cleaned/orders.")]


@explained
def diff(
    asset: AssetArgument,
    start: Annotated[
        str, typer.Option("--from", help="A snapshot's number, a run (its state before), a time.")
    ],
    end: Annotated[
        str, typer.Option("--to", help="The same; a run means the state after it.")
    ] = "now",
    partition: Annotated[str | None, typer.Option(help="Only rows of this partition.")] = None,
    partitions: Annotated[
        str | None, typer.Option(help="Only rows of these days: 2025-01-01...2025-01-31.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="Only changes of this column.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Changed rows to show for each column.")] = 3,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="End with 0 also where something differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare two states of a table: rows added, removed and changed, by key and by column.

    Ends with 0 where nothing differs and with 1 where something does. Personal data is masked.
    """
    from platform_assets.cli.lake_tables import target_of
    from platform_assets.warehouse.diff import compare
    from platform_assets.warehouse.snapshots import Asked, find

    table = target_of(asset, f"argument {asset}").table
    chosen = days_between(partitions) if partitions else [partition] if partition else None
    with open_lake() as connection:
        found = compare(
            connection,
            table,
            find(connection, table.publishes, Asked(start, f"option --from {start}", begins=True)),
            find(connection, table.publishes, Asked(end, f"option --to {end}")),
            partitions=chosen,
            column=column,
            samples=limit,
        )
    if as_json:
        typer.echo(json.dumps(told(found), indent=2))
    else:
        show(found)
    if found.any and not exit_zero:
        raise typer.Exit(EXIT_PARTIAL)


def days_between(text: str) -> list[str]:
    """The days of a range such as ``2025-01-01...2025-01-31``.

    Args:
        text: The range, both ends included.

    Raises:
        SettingsError: It is no range of days.
    """
    first, _, last = text.partition(RANGE)
    try:
        begin, finish = date.fromisoformat(first), date.fromisoformat(last)
        days = (finish - begin).days + 1
    except ValueError:
        days = 0
    if not 0 < days <= MAX_DAYS:
        raise SettingsError(
            "An option is not a range of days",
            where=f"option --partitions {text}",
            expected="the first and the last day, as YYYY-MM-DD...YYYY-MM-DD",
            found=text,
            fix="correct it; --partition takes a single one",
        )
    return [str(begin + timedelta(days=number)) for number in range(days)]


def told(found: Diff) -> dict[str, Any]:
    """The differences as plain data."""
    return {
        "asset": found.compared.asset,
        "from_snapshot": found.start,
        "to_snapshot": found.end,
        "key": list(found.key),
        "rows": asdict(found.total),
        "partitions": {key: asdict(each) for key, each in found.partitions.items()},
        "columns": [
            {
                "column": each.column,
                "rows": each.rows,
                "share": round(each.share, 6),
                "samples": [
                    {"key": key, "before": before, "after": after}
                    for key, before, after in each.samples
                ],
            }
            for each in found.columns
        ],
        "schema": [asdict(each) for each in found.schema],
    }


def show(found: Diff) -> None:
    """Print the differences for a person."""
    total = found.total
    console.print(
        f"{found.compared.asset}, snapshot {found.start} → {found.end}: {total.added:,} rows "
        f"added, {total.removed:,} removed, {total.changed:,} changed",
        highlight=False,
    )
    if not found.key:
        console.print("(no key tells rows apart: whole rows are compared, none is changed)")
    for each in found.schema:
        console.print(
            f"column {escape(each.column)}: {each.before or 'not there'} → {each.after or 'gone'}",
            highlight=False,
        )
    if found.columns:
        console.print(_columns(found))
    if found.partitions:
        console.print(_partitions(found))


def _columns(found: Diff) -> Table:
    table = Table(title="Changed columns", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("column", "rows", "share", "samples: key: before → after"):
        table.add_column(name, justify="right" if name in ("rows", "share") else "left")
    for each in found.columns:
        samples = (
            f"{key}: {_value(before)} → {_value(after)}" for key, before, after in each.samples
        )
        table.add_row(
            escape(each.column), f"{each.rows:,}", f"{each.share:.1%}", escape("\n".join(samples))
        )
    return table


def _value(text: str | None) -> str:
    return "null" if text is None else text


def _partitions(found: Diff) -> Table:
    table = Table(title="Partitions", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("partition", "added", "removed", "changed"):
        table.add_column(name, justify="left" if name == "partition" else "right")
    for key, each in list(found.partitions.items())[:SHOWN_PARTITIONS]:
        table.add_row(key, f"{each.added:,}", f"{each.removed:,}", f"{each.changed:,}")
    if len(found.partitions) > SHOWN_PARTITIONS:
        table.add_row(f"and {len(found.partitions) - SHOWN_PARTITIONS} more: --json", "", "", "")
    return table
