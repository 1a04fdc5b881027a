"""The commands of ``platform-assets datasets``: list, infer, scaffold.

Belongs here: arguments, and which function does the work. Does not belong here: the work.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from platform_assets.cli.console import EXIT_PARTIAL, Json, console, errors, explained
from platform_assets.errors import PlatformError, SettingsError

if TYPE_CHECKING:
    from platform_assets.dataset import Dataset
    from platform_assets.declared import Entry
    from platform_assets.sources.base import Access

app = typer.Typer(no_args_is_help=True, help="Datasets: what there is, and proposals for more.")


@app.command("list")
@explained
def list_datasets(
    as_json: Json = False,
) -> None:
    """Show every dataset: what it reads, its key and cursor, and where it is declared."""
    from platform_assets.cli.listing import as_records, as_table
    from platform_assets.declared.catalogue import catalogue

    listed = catalogue()
    if as_json:
        typer.echo(json.dumps(as_records(listed), indent=2))
    else:
        console.print(as_table(listed))


@app.command()
@explained
def infer(
    name: Annotated[str | None, typer.Argument(help="Only this dataset, again if need be.")] = None,
    refresh: Annotated[bool, typer.Option(help="Also those that are pinned already.")] = False,
) -> None:
    """Propose the contracts of entries with `contract: infer` and pin them beside the file."""
    from platform_assets.declared.catalogue import declared_sources
    from platform_assets.resources.declared import all_connections

    sources = declared_sources()
    inferred = {entry.name: entry for entry in sources.entries if entry.inferred}
    if name is not None and name not in inferred:
        near = difflib.get_close_matches(name, inferred, n=1)
        raise SettingsError(
            "There is no such entry with `contract: infer`",
            where=f"argument {name}",
            expected="one of " + ", ".join(sorted(inferred)) if inferred else "none: there is none",
            found=name,
            fix=f"did you mean {near[0]}?" if near else "correct the name",
        )
    chosen = [inferred[name]] if name else list(inferred.values())
    if not (name or refresh):
        chosen = [entry for entry in chosen if not entry.pin.exists()]
    connections = all_connections(sources)
    names = {entry.name for entry in chosen}
    ready = [each for each in sources.entries if each.pin.exists() or not each.inferred]
    others = _loadable([each for each in ready if each.name not in names])
    failed = False
    with _access(connections) as access:
        for entry in chosen:
            try:
                others.append(_pin(entry, access(entry.options.connection), others))
            except PlatformError as error:
                if name:
                    raise
                # A source that is down keeps nobody else's contract from being made.
                failed = True
                errors.print(f"[bold red]{entry.name}:[/] {escape(str(error))}", highlight=False)
    if failed:
        raise typer.Exit(EXIT_PARTIAL)
    if not chosen:
        console.print("every inferred contract is pinned; --refresh looks at the sources again")


def _pin(entry: Entry, access: Access, others: list[Dataset]) -> Dataset:
    from platform_assets.declared import pins
    from platform_assets.declared.kinds import build_source
    from platform_assets.scaffold import Known, propose, render_pinned, sampled

    kind, connection = entry.options.kind, entry.options.connection
    source = build_source(kind, connection, entry.arguments)
    partitions = entry.partitions if entry.options.partitions else None
    with sampled(access, source, entry.name, partitions) as sample:
        proposal = propose(sample, entry.name, Known(others, _held(access)))
    text = render_pinned(proposal, pins.identity(kind, connection, entry.arguments))
    before = entry.pin.read_text(encoding="utf-8") if entry.pin.exists() else ""
    entry.pin.parent.mkdir(parents=True, exist_ok=True)
    entry.pin.write_text(text, encoding="utf-8")
    pinned = entry.dataset()
    console.print(
        f"{entry.name}: {len(proposal.columns)} columns from {proposal.told}, in {entry.pin}",
        highlight=False,
    )
    if before:
        changes = difflib.unified_diff(before.splitlines(), text.splitlines(), n=0, lineterm="")
        for line in [line for line in changes if not line.startswith(("---", "+++", "@@"))]:
            console.print(f"  {escape(line)}", highlight=False)
    return pinned


@app.command()
@explained
def scaffold(
    connection: Annotated[str, typer.Option(help="Name of the connection to read through.")],
    table: Annotated[str | None, typer.Option(help="A table of a database.")] = None,
    path: Annotated[
        str | None,
        typer.Option(help="Files below a folder; {partition} is where the day stands."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of source; else by the ending.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; else by the path.")] = None,
    to: Annotated[Path | None, typer.Option(help="File to write; else it is printed.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows to look at, at most.")] = 100_000,
) -> None:
    """Read a live source and write a dataset's module with a proposed contract."""
    from platform_assets.cli.naming import dataset_name, kind_of
    from platform_assets.declared.kinds import KINDS, build_source
    from platform_assets.resources.declared import all_connections
    from platform_assets.scaffold import Known, ModuleOptions, propose, render_module, sampled

    if (table is None) == (path is None):
        raise SettingsError(
            "A scaffold is made of one table or of one path",
            where="options --table and --path",
            expected="one of the two",
            found="both" if table else "neither",
            fix="give --table orders, or --path 'orders/{partition}.csv'",
        )
    target = table or path or ""
    if to is not None and to.exists():
        raise SettingsError(
            "The file to write is there already",
            where=f"option --to {to}",
            expected="a file that does not exist",
            found="one that does",
            fix="choose another, or remove it",
        )
    chosen = kind_of(kind, table, path)
    dataset = name or dataset_name(target)
    connections = all_connections()
    if connection not in connections:
        near = difflib.get_close_matches(connection, connections, n=1)
        raise SettingsError(
            "There is no such connection",
            where=f"option --connection {connection}",
            expected="one of " + ", ".join(sorted(connections)),
            found=connection,
            fix=f"did you mean {near[0]}?" if near else "declare it in sources.yaml",
        )
    argument = "table" if table else "path"
    source = build_source(chosen, connection, {argument: target})
    with (
        _access(connections) as access,
        sampled(access(connection), source, dataset, rows=rows) as sample,
    ):
        lake = access(connection)
        proposal = propose(sample, dataset, Known(_loadable([]), _held(lake)))
    text = render_module(proposal, ModuleOptions(KINDS[chosen].source, target, connection))
    if to is None:
        typer.echo(text, nl=False)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(text, encoding="utf-8")
    console.print(f"{dataset}: {len(proposal.columns)} columns from {proposal.told}, in {to}")


@contextmanager
def _access(connections: dict[str, Any]) -> Iterator[Callable[[str], Access]]:
    """An open lake, and what gives the access through a connection."""
    from platform_assets.resources import lake_config
    from platform_assets.resources.declared import opened
    from platform_assets.settings import load_settings
    from platform_assets.sources.base import Access
    from platform_assets.warehouse.lake import connect

    with connect(lake_config(load_settings())) as lake:
        yield lambda name: Access(lake, {name: opened(name, connections[name])})


def _held(access: Access) -> Callable[[str], str | None]:
    """Gives the published rows of a dataset, where there are any."""
    from platform_assets.warehouse import tables

    def relation(dataset: str) -> str | None:
        there = "cleaned" in tables.existing_layers(access.engine, dataset)
        return tables.cleaned_table(dataset) if there else None

    return relation


def _loadable(entries: list[Entry]) -> list[Dataset]:
    """The datasets that can be referred to: those of the code, and entries that load."""
    from platform_assets.datasets import all_datasets

    found = list(all_datasets())
    for entry in entries:
        try:
            found.append(entry.dataset())
        except PlatformError as error:
            # It is told by whatever loads it; here it is only one that nothing can refer to.
            errors.print(f"[dim]{entry.name} is not compared: {escape(error.what)}[/]")
    return found
