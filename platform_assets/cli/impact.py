"""``platform-assets impact``: what a bad partition touched, and the command that makes it again.

Belongs here: arguments and output. Does not belong here: following it (``observability.impact``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.console import Json, console, explained
from platform_assets.cli.diff import AssetArgument
from platform_assets.cli.lake import open_lake

if TYPE_CHECKING:
    from platform_assets.observability.column_lineage import ColumnLineage
    from platform_assets.observability.impact import Impact, Touched, Wiring

ROWS = "*"


@explained
def impact(
    asset: AssetArgument,
    partition: Annotated[str, typer.Option(help="The partition; 'all' of a table without days.")],
    publish: Annotated[
        str | None,
        typer.Option(
            help="Which publish was bad: a snapshot's number, a run or a time; default: the one "
            "that stands."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what was built from a partition: tables, partitions and columns, since when, and rows.

    The ledger says what really was. Nothing is changed; the command that makes it again is printed.
    """
    from platform_assets.cli.lineage import asset_named, known
    from platform_assets.observability.impact import impact_of
    from platform_assets.warehouse.snapshots import Asked, find

    lineage, wiring = known()
    name = asset_named(asset, wiring)
    with open_lake() as connection:
        told_by = wiring.ledgers.get(name, name)
        at = (
            find(connection, told_by, Asked(publish, f"option --publish {publish}"))
            if publish
            else None
        )
        found = impact_of(connection, wiring, name, partition, at)
    if as_json:
        typer.echo(json.dumps(_as_json(found, lineage, wiring), indent=2))
    else:
        _print(found, lineage, wiring)


def _columns(found: Impact, lineage: ColumnLineage) -> dict[str, tuple[str, ...]]:
    return lineage.touched([found.asset])


def _command(found: Impact, wiring: Wiring) -> str:
    """What makes again all that still stands as it was built from the bad rows."""
    from platform_assets.cli.backfill import days_of

    due = [each for each in found.touched if each.is_standing]
    if not due:
        return ""
    # A table without days is made in a run of any day.
    keys = sorted({each.partition for each in due if each.asset in wiring.cut})
    first, last = (
        days_of((keys[0], keys[-1])) if keys else days_of((found.partition, found.partition))
    )
    assets = list(dict.fromkeys(each.asset for each in due))
    selected = " or ".join(f'key:"{asset}"' for asset in assets)
    return f"platform-assets backfill --from {first} --to {last} --select '{selected}'"


def _as_json(found: Impact, lineage: ColumnLineage, wiring: Wiring) -> dict[str, Any]:
    columns = _columns(found, lineage)
    return {
        "asset": found.asset,
        "partition": found.partition,
        "bad": {
            "snapshot": found.bad.committed,
            "run": found.bad.run_id,
            "at": found.bad.at.isoformat(),
        },
        "mended_by": {"snapshot": found.mended.committed, "run": found.mended.run_id}
        if found.mended
        else None,
        "touched": [
            {
                "asset": each.asset,
                "partition": each.partition,
                "by": list(each.by),
                "how": each.how,
                "since": {
                    "snapshot": each.since.committed,
                    "run": each.since.run_id,
                    "at": each.since.at.isoformat(),
                }
                if each.since
                else None,
                "rows": each.rows,
                "standing": each.is_standing,
            }
            for each in found.touched
        ],
        "columns": {
            asset: [name for name in columns.get(asset, ()) if name != ROWS]
            for asset in dict.fromkeys(each.asset for each in found.touched)
        },
        "untouched": list(found.untouched),
        "command": _command(found, wiring),
    }


def _print(found: Impact, lineage: ColumnLineage, wiring: Wiring) -> None:
    bad = found.bad
    console.print(
        f"{found.asset} {found.partition}: published by run {bad.run_id} at "
        f"{bad.at:%Y-%m-%d %H:%M} UTC (snapshot {bad.committed})"
        + (f"; replaced by run {found.mended.run_id}" if found.mended else ""),
        highlight=False,
    )
    if found.touched:
        _print_touched(found)
        columns = _columns(found, lineage)
        for asset in dict.fromkeys(each.asset for each in found.touched):
            names = [name for name in columns.get(asset, ()) if name != ROWS]
            listed = ", ".join(names) or "not known"
            console.print(f"columns of {asset}: {escape(listed)}", highlight=False)
    else:
        console.print("nothing was built from it")
    if found.untouched:
        console.print(f"not built since: {', '.join(found.untouched)}", highlight=False)
    if command := _command(found, wiring):
        console.print(
            f"\nonce {found.asset} {found.partition} is right, what follows is made again by\n"
            f"  {escape(command)}",
            highlight=False,
        )


def _print_touched(found: Impact) -> None:
    table = Table(title="Built from it", title_justify="left", box=None)
    for name in ("asset", "partition", "rows", "how", "since (UTC)", "run", "now"):
        table.add_column(name, overflow="fold")
    for each in found.touched:
        table.add_row(
            escape(each.asset),
            escape(each.partition),
            "" if each.rows is None else f"{each.rows:,}",
            f"{each.how}: {', '.join(each.by)}",
            f"{each.since.at:%Y-%m-%d %H:%M}" if each.since else "at once",
            each.since.run_id if each.since else "",
            _now(each),
        )
    console.print(table)


def _now(each: Touched) -> str:
    return "stands" if each.is_standing else "made again"
