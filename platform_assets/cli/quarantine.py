"""``platform-assets quarantine``: rows that broke a rule, listed, shown and exported.

Belongs here: arguments and output, with personal data masked. Does not belong here: picking rows
(``warehouse.quarantine_work``), and the commands that do something with them (``quarantine_acts``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.console import Json, console, explained
from platform_assets.cli.lake import open_lake
from platform_assets.cli.quarantine_acts import acts_app
from platform_assets.cli.quarantine_options import (
    DatasetOption,
    OlderOption,
    PartitionOption,
    RuleOption,
    RunOption,
    StatusOption,
    masked,
    picked_rows,
)
from platform_assets.errors import PartitionError

if TYPE_CHECKING:
    from platform_assets.warehouse.lake import Connection
    from platform_assets.warehouse.quarantine_work import Picked, QuarantinedRow

quarantine_app = typer.Typer(no_args_is_help=True, help="Rows that broke a rule.")
quarantine_app.add_typer(acts_app)

SHOWN_ID = 12


@quarantine_app.command("list")
@explained
def list_rows(
    dataset: DatasetOption = None,
    partition: PartitionOption = None,
    rule: RuleOption = None,
    run: RunOption = None,
    older_than: OlderOption = None,
    status: StatusOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Show quarantined rows: where each is from and what it broke; personal data masked."""
    picked = picked_rows((), dataset, partition, rule, run, older_than, status)
    with _rows(picked, limit) as (_, found, _):
        if as_json:
            typer.echo(json.dumps(found, indent=2, default=str))
        else:
            console.print(_as_table(found))


@quarantine_app.command("show")
@explained
def show_row(
    row: Annotated[str, typer.Argument(help="The row's id; its beginning is enough.")],
    as_json: Json = False,
) -> None:
    """Show one quarantined row: all that is known of it, and what was done with it."""
    from platform_assets.warehouse import corrections
    from platform_assets.warehouse.quarantine import RowStatus
    from platform_assets.warehouse.quarantine_work import Picked, actions

    picked = Picked(ids=[row], statuses=tuple(RowStatus))
    with _rows(picked, limit=2) as (connection, found, visible):
        if len(found) != 1:
            raise PartitionError(
                "There is no such row in the quarantine"
                if not found
                else "Several rows of the quarantine begin so",
                where=f"argument {row}",
                expected="the id of one row, or enough of its beginning",
                found="none" if not found else "at least two",
                fix="platform-assets quarantine list --json shows whole ids",
            )
        told = found[0]
        identity, safe = told["quarantine_id"], visible.get(told["dataset"], frozenset())
        told["corrections"] = [
            {**vars(each), "corrected_row": masked(each.corrected_row, safe)}
            for each in corrections.of_row(connection, identity)
        ]
        told["actions"] = [vars(each) for each in actions(connection, identity)]
    if as_json:
        typer.echo(json.dumps(told, indent=2, default=str))
        return
    for name, value in told.items():
        if name == "original_row":
            console.print("original row:" + (" erased" if value is None else ""))
            _print_values(value or {})
        elif name == "corrections":
            for each in value:
                erased = " (erased)" if each["corrected_row"] is None else ""
                console.print(
                    f"{each['recorded_at']:%Y-%m-%d %H:%M} correction by "
                    f"{escape(each['author'])}, {each['status']}{erased}:"
                )
                _print_values(each["corrected_row"] or {})
        elif name == "actions":
            for each in value:
                console.print(
                    f"{each['recorded_at']:%Y-%m-%d %H:%M} {each['action']} by "
                    f"{escape(each['author'])}: {escape(each['reason'])}"
                )
        else:
            shown = ", ".join(value) if isinstance(value, list) else value
            console.print(f"{name.replace('_', ' ')}: {escape(str(shown))}")


def _print_values(values: Mapping[str, Any]) -> None:
    for column, text in values.items():
        console.print(f"  {escape(column)} = {escape(json.dumps(text, ensure_ascii=False))}")


@quarantine_app.command("export")
@explained
def export_rows(
    to: Annotated[Path, typer.Option(help="File to write: .csv, or .ndjson for one JSON a line.")],
    dataset: Annotated[str, typer.Option("--dataset", help="Of this dataset.")],
    partition: PartitionOption = None,
    rule: RuleOption = None,
    run: RunOption = None,
    older_than: OlderOption = None,
    status: StatusOption = None,
) -> None:
    """Write quarantined rows to a file, with id and broken rules; personal data masked."""
    from platform_assets.declared.catalogue import dataset_named
    from platform_assets.warehouse.edited_rows import examine_ending
    from platform_assets.warehouse.quarantine_export import export

    examine_ending(to, "option --to")
    visible = dataset_named(dataset, f"option --dataset {dataset}").compiled.shown_columns
    picked = picked_rows((), dataset, partition, rule, run, older_than, status)
    to.parent.mkdir(parents=True, exist_ok=True)
    with open_lake() as connection:
        written = export(connection, dataset, picked, to, visible)
    console.print(f"{written:,} rows written to {escape(str(to))}")


@contextmanager
def _rows(
    picked: Picked, limit: int | None
) -> Iterator[tuple[Connection, list[dict[str, Any]], Mapping[str, Collection[str]]]]:
    """Rows as a person may see them, the lake that they are from, and which columns are shown."""
    from platform_assets.declared.catalogue import every_dataset
    from platform_assets.warehouse.quarantine_work import find

    with open_lake() as connection:
        safe = {each.name: each.compiled.shown_columns for each in every_dataset()}
        found = find(connection, picked, limit)
        shown = [_masked(row, safe.get(row.dataset, frozenset())) for row in found]
        yield connection, shown, safe


def _masked(row: QuarantinedRow, visible: Collection[str]) -> dict[str, Any]:
    """A row without personal values; a key may be one."""
    told = {**vars(row), "rules": list(row.rules), "status": str(row.status)}
    told.pop("row_key")
    told["original_row"] = masked(row.original_row, visible)
    return told


def _as_table(shown: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as a table for the terminal."""
    table = Table(title=f"{len(shown)} quarantined rows")
    for name in (
        "id", "partition", "dataset", "status", "broken rules", "file", "row", "original row",
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for row in shown:
        original = row["original_row"]
        table.add_row(
            row["quarantine_id"][:SHOWN_ID],
            row["partition"],
            row["dataset"],
            row["status"],
            "\n".join(row["rules"]),
            row["source_file"],
            str(row["row_number"]),
            "erased" if original is None else json.dumps(original, ensure_ascii=False),
        )
    return table
