"""``platform-assets rollback``: an earlier publish of a partition restored, and what follows.

Belongs here: arguments and output, and telling Dagster. Does not belong here: restoring
(``pipeline.rollback``), and what is downstream of an asset (``downstream``).
"""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.console import EXIT_PARTIAL, Json, console, explained
from platform_assets.cli.diff import AssetArgument
from platform_assets.cli.lake import open_lake
from platform_assets.errors import SettingsError

if TYPE_CHECKING:
    from platform_assets.pipeline.rollback_plan import Plan, Target
    from platform_assets.warehouse.lake import Connection
    from platform_assets.warehouse.tally import RowChanges


@explained
def rollback(
    asset: AssetArgument,
    partition: Annotated[str, typer.Option(help="The partition; 'all' of a table without days.")],
    to: Annotated[
        str | None,
        typer.Option(
            help="A snapshot's number, a run (its state after) or a time; "
            "default: the publish before the one that stands."
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; needed to do it.")] = None,
    author: Annotated[str | None, typer.Option(help="Who says so; default: your login.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Materialize what follows from the partition, too.")
    ] = False,
    publishes: Annotated[
        bool, typer.Option("--list", help="Show the partition's publishes and rollbacks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore an earlier publish of a partition as a new publish, and say what follows from it.

    The partition stays so until its input or contract is another one, or a run is forced.
    """
    from platform_assets.cli.lake_tables import target_of
    from platform_assets.pipeline.rollback_plan import plan
    from platform_assets.warehouse.snapshots import Asked

    target = target_of(asset, f"argument {asset}")
    with open_lake() as connection:
        if publishes:
            _list(connection, asset, partition, as_json=as_json)
            return
        if reason is None and not dry_run:
            raise SettingsError(
                "A rollback is written down with a reason",
                where="option --reason",
                expected="why the earlier rows are to stand again",
                found="nothing",
                fix="give it, or --dry-run to see what would change",
            )
        asked = None if to is None else Asked(to, f"option --to {to}")
        chosen = plan(connection, target, partition, asked)
        changes = None if dry_run else _do(connection, chosen, reason or "", author)
        expected = _expected(connection, chosen) if dry_run else None
    _tell(chosen, changes, expected, as_json=as_json, redo=redo)


def _do(connection: Connection, chosen: Plan, reason: str, author: str | None) -> RowChanges:
    """Roll back, or find it done; Dagster is told either way, as a killed command may not have."""
    from platform_assets.cli.downstream import report_rollback
    from platform_assets.pipeline.rollback import roll_back
    from platform_assets.warehouse.tally import RowChanges

    by = author or getpass.getuser()
    if chosen.is_done:
        changes, rows = RowChanges(), chosen.target.rows_of(chosen.standing)
    else:
        done = roll_back(connection, chosen, reason=reason, author=by)
        changes, rows = done.changes, done.rows
    report_rollback(
        _together(chosen.target),
        chosen.partition,
        {
            "rolled_back_to": chosen.snapshot,
            "rolled_back_from": chosen.rolled_from,
            "rollback_reason": reason,
            "rollback_author": by,
            "held_by_rollback": True,
            "dagster/partition_row_count": rows,
            "rows_added": changes.added,
            "rows_removed": changes.removed,
            "rows_changed": changes.changed,
        },
    )
    return changes


def _together(target: Target) -> list[str]:
    """The assets that are rolled back with one, itself first."""
    if target.cleaned is None:
        return [target.asset]
    name = target.cleaned.name
    further = [f"history/{name}"] if target.cleaned.history else []
    return [target.asset, f"quarantine/{name}", *further]


def _expected(connection: Connection, chosen: Plan) -> RowChanges:
    """What a rollback would do to the rows: the inverse of what has happened since."""
    from platform_assets.warehouse.diff import compare
    from platform_assets.warehouse.lake import current_snapshot
    from platform_assets.warehouse.tally import RowChanges

    since = compare(
        connection,
        chosen.target.table,
        chosen.snapshot,
        current_snapshot(connection),
        partitions=[chosen.partition],
        samples=0,
    ).total
    return RowChanges(since.removed, since.added, since.changed)


def _tell(
    chosen: Plan,
    changes: RowChanges | None,
    expected: RowChanges | None,
    *,
    as_json: bool,
    redo: bool,
) -> None:
    from platform_assets.cli.downstream import made_together, out_of_date, redo_downstream

    shown = changes or expected
    assert shown is not None  # it was done, or looked at
    follows = (
        []
        if chosen.is_done and not redo
        else out_of_date(_together(chosen.target), chosen.partition)
    )
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "asset": chosen.target.asset,
                    "partition": chosen.partition,
                    "rolled_back_from": chosen.rolled_from,
                    "rolled_back_to": chosen.snapshot,
                    "done": changes is not None and not chosen.is_done,
                    "rows": vars(shown),
                    "out_of_date": [{"asset": a, "partition": key} for a, key in follows],
                },
                indent=2,
            )
        )
    else:
        _print(chosen, shown, follows, done=changes is not None)
        if follows and (beside := made_together(_together(chosen.target), chosen.partition)):
            console.print(
                f"made together with it by dbt, to be rolled back by itself: {', '.join(beside)}"
            )
    if redo and changes is not None:
        succeeded = redo_downstream(_together(chosen.target), chosen.partition)
        if not succeeded:
            raise typer.Exit(EXIT_PARTIAL)


def _print(chosen: Plan, shown: RowChanges, follows: list[tuple[str, str]], *, done: bool) -> None:
    what = f"{chosen.target.asset} {chosen.partition}"
    if chosen.is_done:
        console.print(f"{what} stands at snapshot {chosen.snapshot} already; nothing was changed")
    else:
        verb = "rolled back" if done else "would be rolled back"
        console.print(
            f"{what} {verb} from snapshot {chosen.rolled_from} to {chosen.snapshot}: "
            f"{shown.added:,} rows added, {shown.removed:,} removed, {shown.changed:,} changed",
            highlight=False,
        )
    if follows:
        console.print("out of date by it:" if done else "would be out of date by it:")
        for asset, key in follows:
            console.print(f"  {escape(asset)} {escape(key)}", highlight=False)


def _list(connection: Connection, asset: str, partition: str, *, as_json: bool) -> None:
    """Show every publish of a partition, and what is known of those that are rollbacks."""
    from platform_assets.warehouse import hold, ledger, rollbacks
    from platform_assets.warehouse.snapshots import told_at

    book = {each.rollback_id: each for each in rollbacks.of(connection, asset, partition)}
    rows: list[dict[str, Any]] = []
    for entry in ledger.publishes(connection, asset, partition):
        assert entry.snapshot is not None  # it was read back from the ledger
        at, noted = told_at(connection, entry.snapshot), book.get(entry.run_id)
        rows.append(
            {
                "snapshot": entry.snapshot,
                "at": str(at) if at else "gone",
                "run": entry.run_id,
                "rows": entry.cleaned or entry.extracted,
                "rows_added": entry.rows_added,
                "rows_removed": entry.rows_removed,
                "rows_changed": entry.rows_changed,
                "restored": noted.rolled_to if noted else hold.restored_snapshot(entry),
                "reason": noted.reason if noted else "",
                "author": noted.author if noted else "",
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(title=f"Publishes of {asset} {partition}", title_justify="left", box=None)
    for name in ("snapshot", "at (UTC)", "run", "rows", "added", "removed", "changed", "rollback"):
        table.add_column(name, overflow="fold")
    for row in rows:
        counts = (row[name] for name in ("rows", "rows_added", "rows_removed", "rows_changed"))
        why = f"to {row['restored']} by {row['author']}: {row['reason']}" if row["author"] else ""
        table.add_row(
            str(row["snapshot"]),
            row["at"][:19],
            row["run"],
            *("?" if count is None else f"{count:,}" for count in counts),
            escape(why),
        )
    console.print(table)
