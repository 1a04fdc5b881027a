"""``platform-assets quarantine``: rows that broke a rule, and what a person does with them.

Belongs here: arguments and output, with personal data masked. Does not belong here: picking and
resolving rows (``warehouse.quarantine_work``).
"""

from __future__ import annotations

import csv
import getpass
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.console import EXIT_BAD_INPUT, EXIT_PARTIAL, Json, console, explained
from platform_assets.errors import PartitionError, SettingsError

if TYPE_CHECKING:
    from platform_assets.dataset import Dataset
    from platform_assets.warehouse.lake import Connection
    from platform_assets.warehouse.quarantine_work import Picked, QuarantinedRow

quarantine_app = typer.Typer(no_args_is_help=True, help="Rows that broke a rule.")

MASK = "***"
SHOWN_ID = 12
# No column of a source begins with an underscore.
EXPORTED = ("_quarantine_id", "_partition", "_rules")
_AGE = re.compile(r"(\d+)([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}

DatasetOption = Annotated[str | None, typer.Option("--dataset", help="Only of this dataset.")]
PartitionOption = Annotated[str | None, typer.Option("--partition", help="Only of this partition.")]
RuleOption = Annotated[str | None, typer.Option("--rule", help="Only those that break this rule.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Only those that this run judged.")]
OlderOption = Annotated[
    str | None,
    typer.Option("--older-than", help="Only those first seen longer ago: 7d, 12h or 30m."),
]
StatusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--status", help="open, blocked, released or resolved; default: open and blocked."
    ),
]
AuthorOption = Annotated[
    str | None, typer.Option("--author", help="Who says so; default: your login.")
]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Ids of rows; their beginning is enough.")
]


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
    picked = _picked((), dataset, partition, rule, run, older_than, status)
    with _rows(picked, limit) as (_, found):
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
    from platform_assets.warehouse.quarantine import RowStatus
    from platform_assets.warehouse.quarantine_work import Picked, actions

    with _rows(Picked(ids=[row], statuses=tuple(RowStatus)), limit=2) as (connection, found):
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
        told["actions"] = [vars(each) for each in actions(connection, told["quarantine_id"])]
    if as_json:
        typer.echo(json.dumps(told, indent=2, default=str))
        return
    for name, value in told.items():
        if name == "original_row":
            console.print("original row:")
            for column, text in value.items():
                console.print(
                    f"  {escape(column)} = {escape(json.dumps(text, ensure_ascii=False))}"
                )
        elif name == "actions":
            for each in value:
                console.print(
                    f"{each['recorded_at']:%Y-%m-%d %H:%M} {each['action']} by "
                    f"{escape(each['author'])}: {escape(each['reason'])}"
                )
        else:
            shown = ", ".join(value) if isinstance(value, list) else value
            console.print(f"{name.replace('_', ' ')}: {escape(str(shown))}")


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
    if to.suffix not in (".csv", ".ndjson"):
        raise SettingsError(
            "A file for exported rows has an ending that is not known",
            where=f"option --to {to}",
            expected=".csv or .ndjson",
            found=to.suffix or "none",
            fix="name the file otherwise",
        )
    from platform_assets.declared.catalogue import dataset_named
    from platform_assets.warehouse.quarantine_work import columns_of, stream

    visible = _shown_columns(dataset_named(dataset, f"option --dataset {dataset}"))
    picked = _picked((), dataset, partition, rule, run, older_than, status)
    to.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with _lake() as connection, to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*EXPORTED, *columns_of(connection, picked)])
        if to.suffix == ".csv":
            writer.writeheader()
        for row in stream(connection, picked):
            told = dict(
                zip(EXPORTED, (row.quarantine_id, row.partition, " ".join(row.rules)), strict=True)
            )
            told |= _visible(row.original_row, visible)
            if to.suffix == ".csv":
                writer.writerow({name: _cell(value) for name, value in told.items()})
            else:
                file.write(json.dumps(told, ensure_ascii=False) + "\n")
            written += 1
    console.print(f"{written:,} rows written to {escape(str(to))}")


@quarantine_app.command("resolve")
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
    from platform_assets.warehouse.quarantine_work import count, resolve

    picked = _picked(rows or (), dataset, partition, rule, run, older_than, None)
    with _lake() as connection:
        number = sum(count(connection, picked).values())
        if number and not picked.is_everything and not yes:
            typer.confirm(f"Resolve {number:,} rows?", abort=True)
        done = resolve(connection, picked, reason=reason, author=author or getpass.getuser())
    for (name, key), closed in done.items():
        console.print(f"{name} {key}: {closed:,} resolved")
    if not done:
        console.print("no row is open or blocked that fits")
        raise typer.Exit(EXIT_BAD_INPUT)


@quarantine_app.command("replay")
@explained
def replay_rows(
    reason: Annotated[str, typer.Option(help="Why they may pass now.")],
    rows: IdsArgument = None,
    dataset: DatasetOption = None,
    partition: PartitionOption = None,
    rule: RuleOption = None,
    run: RunOption = None,
    older_than: OlderOption = None,
    status: StatusOption = None,
    author: AuthorOption = None,
) -> None:
    """Judge rows again by the contract as it is now; what passes is published, and what follows.

    Their partitions are judged whole, as by any run, so one that would be stopped stays as it was.
    """
    from platform_assets.cli.backfill import days_of, run_backfill
    from platform_assets.partitions import spans
    from platform_assets.warehouse.quarantine import RowStatus
    from platform_assets.warehouse.quarantine_work import begin_replay, outcome

    picked = _picked(rows or (), dataset, partition, rule, run, older_than, status)
    with _lake() as connection:
        replay = begin_replay(connection, picked, reason=reason, author=author or getpass.getuser())
    if not replay.rows:
        console.print("no row of the quarantine fits")
        raise typer.Exit(EXIT_BAD_INPUT)
    succeeded = True
    for name, keys in replay.partitions.items():
        own = f'key:"cleaned/{name}" or key:"quarantine/{name}"'
        for first, last in map(days_of, spans(keys)):
            judged = run_backfill(first, last, select=own, force=True)
            # What follows is made anew only where something has changed.
            followed = run_backfill(first, last, select=f'key:"cleaned/{name}"+ and not ({own})')
            succeeded = succeeded and judged and followed
    with _lake() as connection:
        stand = outcome(connection, replay)
    released = stand.pop(RowStatus.RELEASED, 0)
    left = ", ".join(f"{count:,} {status}" for status, count in sorted(stand.items()))
    console.print(f"{released:,} rows released; {left or 'none left'}")
    if not succeeded or stand:
        raise typer.Exit(EXIT_PARTIAL)


def _picked(
    ids: Sequence[str],
    dataset: str | None,
    partition: str | None,
    rule: str | None,
    run: str | None,
    older_than: str | None,
    status: Sequence[str] | None,
) -> Picked:
    from platform_assets.declared.catalogue import dataset_named
    from platform_assets.warehouse.quarantine import ACTIVE, RowStatus
    from platform_assets.warehouse.quarantine_work import Picked

    if dataset is not None:
        dataset_named(dataset, f"option --dataset {dataset}")
    age = None
    if older_than is not None:
        matched = _AGE.fullmatch(older_than)
        if matched is None:
            raise _no_such("age", "--older-than", older_than, "a number and d, h or m, such as 7d")
        age = timedelta(**{_UNITS[matched[2]]: int(matched[1])})
    for each in status or ():
        if each not in {known.value for known in RowStatus}:
            raise _no_such("status", "--status", each, ", ".join(RowStatus))
    statuses = tuple(RowStatus(each) for each in status) if status else ACTIVE
    return Picked(tuple(ids), dataset, partition, rule, run, age, statuses)


def _no_such(what: str, option: str, found: str, expected: str) -> SettingsError:
    return SettingsError(
        f"An option is not {'an' if what[0] in 'aeiou' else 'a'} {what}",
        where=f"option {option} {found}",
        expected=expected,
        found=found,
        fix="correct the option",
    )


@contextmanager
def _lake() -> Iterator[Connection]:
    from platform_assets.resources import lake_config
    from platform_assets.settings import load_settings
    from platform_assets.warehouse import tables
    from platform_assets.warehouse.lake import connect

    with connect(lake_config(load_settings())) as connection:
        tables.ensure_platform_tables(connection)
        yield connection


@contextmanager
def _rows(picked: Picked, limit: int | None) -> Iterator[tuple[Connection, list[dict[str, Any]]]]:
    """Rows as a person may see them, with the lake that they are from."""
    from platform_assets.declared.catalogue import every_dataset
    from platform_assets.warehouse.quarantine_work import find

    with _lake() as connection:
        safe = {each.name: _shown_columns(each) for each in every_dataset()}
        found = find(connection, picked, limit)
        yield connection, [_masked(row, safe.get(row.dataset, set())) for row in found]


def _masked(row: QuarantinedRow, visible: set[str]) -> dict[str, Any]:
    """A row without personal values; a key may be one."""
    told = {**vars(row), "rules": list(row.rules), "status": str(row.status)}
    told.pop("row_key")
    told["original_row"] = _visible(row.original_row, visible)
    return told


def _visible(original: Mapping[str, Any], visible: set[str]) -> dict[str, Any]:
    return {
        name: value if name in visible or value is None else MASK
        for name, value in original.items()
    }


def _cell(value: object) -> object:
    """What is no text, number or nothing, as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _shown_columns(dataset: Dataset) -> set[str]:
    """Columns whose values are not personal. One that the contract does not know may be."""
    return {column.source for column in dataset.compiled.columns if column.pii is None}


def _as_table(shown: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as a table for the terminal."""
    table = Table(title=f"{len(shown)} quarantined rows")
    for name in (
        "id", "partition", "dataset", "status", "broken rules", "file", "row", "original row",
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for row in shown:
        table.add_row(
            row["quarantine_id"][:SHOWN_ID],
            row["partition"],
            row["dataset"],
            row["status"],
            "\n".join(row["rules"]),
            row["source_file"],
            str(row["row_number"]),
            json.dumps(row["original_row"], ensure_ascii=False),
        )
    return table
