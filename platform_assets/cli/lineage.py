"""``platform-assets lineage``: what an asset or a column is made from, and what is made from it.

Belongs here: arguments and output. Does not belong here: finding it out (``observability``).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.tree import Tree

from platform_assets.cli.console import Json, console, explained
from platform_assets.errors import SettingsError

if TYPE_CHECKING:
    from platform_assets.observability.column_lineage import ColumnLineage, Node
    from platform_assets.observability.impact import Wiring
    from platform_assets.observability.lineage_graph import AssetNode

lineage_app = typer.Typer(
    no_args_is_help=True, help="What an asset or column is made from, and what is made from it."
)

Target = Annotated[
    str, typer.Argument(help="An asset, cleaned/orders, or a column: cleaned/orders.status.")
]
Depth = Annotated[int | None, typer.Option(min=1, help="Steps to go; default: to the end.")]


@lineage_app.command()
@explained
def upstream(target: Target, depth: Depth = None, as_json: Json = False) -> None:
    """Show what an asset or a column is made from, near and far."""
    _show(target, depth, up=True, as_json=as_json)


@lineage_app.command()
@explained
def downstream(target: Target, depth: Depth = None, as_json: Json = False) -> None:
    """Show what is made from an asset or a column, near and far.

    Of a table of which a column decides over the rows, all columns follow: it is shown as "rows".
    """
    _show(target, depth, up=False, as_json=as_json)


def known() -> tuple[ColumnLineage, Wiring]:
    """The lineage of the installation's code location."""
    from platform_assets.cli import ROOT
    from platform_assets.cli.instance import ensure_home

    ensure_home(ROOT / "dagster.yaml")
    # A code location reads the instance's environment, which is there only now.
    from platform_assets.assets.column_lineage import column_lineage, wiring_of
    from platform_assets.declared.catalogue import every_dataset
    from platform_assets.definitions import defs

    datasets = every_dataset()
    return column_lineage(defs, datasets), wiring_of(defs, datasets)


def asset_named(name: str, wiring: Wiring) -> str:
    """An asset of the installation.

    Args:
        name: Its key, as it was given.
        wiring: The assets that there are.

    Raises:
        SettingsError: There is none, with the names that are near.
    """
    return _named(name, wiring.graph.assets, f"argument {name}", "There is no such asset")


def _named(name: str, there: Iterable[str], where: str, what: str) -> str:
    names = sorted(there)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    raise SettingsError(
        what,
        where=where,
        expected="one of " + ", ".join(near or names),
        found=name,
        fix=f"did you mean {near[0]}?" if near else "write it as the UI shows it",
    )


def _show(target: str, depth: int | None, *, up: bool, as_json: bool) -> None:
    from platform_assets.observability.column_lineage import ColumnOf

    lineage, wiring = known()
    name, _, column = target.partition(".")
    asset = asset_named(name, wiring)
    if not column:
        graph = wiring.graph
        found = graph.upstream(asset, depth) if up else graph.downstream(asset, depth)
        _print(_asset_json(found), as_json=as_json)
        return
    columns = lineage.tables[asset].columns
    of = ColumnOf(asset, _named(column, columns, f"argument {target}", "There is no such column"))
    node = lineage.upstream(of, depth) if up else lineage.downstream(of, depth)
    _print(_column_json(node), as_json=as_json)


def _asset_json(node: AssetNode) -> dict[str, Any]:
    told: dict[str, Any] = {"asset": node.asset}
    if node.is_repeated:
        told["listed_above"] = True
    if node.is_cut:
        told["goes_on"] = True
    return {**told, "children": [_asset_json(child) for child in node.children]}


def _column_json(node: Node) -> dict[str, Any]:
    told: dict[str, Any] = {"asset": node.column.asset, "column": node.column.column}
    if node.how:
        told["how"] = [how.value for how in node.how]
    if node.is_unknown:
        told["unknown"] = True
    if node.is_repeated:
        told["listed_above"] = True
    if node.is_cut:
        told["goes_on"] = True
    return {**told, "children": [_column_json(child) for child in node.children]}


def _print(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    tree = Tree(_label(told), highlight=False)
    _grow(tree, told)
    console.print(tree)


def _grow(tree: Tree, told: dict[str, Any]) -> None:
    for child in told["children"]:
        _grow(tree.add(_label(child)), child)


def _label(told: dict[str, Any]) -> str:
    column = told.get("column")
    name = told["asset"]
    if column is not None:
        name = f"{name} (its rows)" if column == "*" else f"{name}.{column}"
    notes = [how.replace("_", " ") for how in told.get("how", ())]
    if told.get("unknown"):
        notes.append("unknown what from" if column != "*" else "not all is known")
    if told.get("listed_above"):
        notes.append("listed above")
    if told.get("goes_on"):
        notes.append("goes on")
    return escape(name) + (f" [dim]{escape(', '.join(notes))}[/]" if notes else "")
