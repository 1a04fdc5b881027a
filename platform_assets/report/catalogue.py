"""Lineage and the data dictionary: what is made from what, and what each column holds.

Belongs here: the nodes of the graph, the entries of the dictionary, and columns as the page's
script reads them. Does not belong here: geometry (``graph``) and markup (``templates``).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from platform_assets.report.graph import Box, Drawing
from platform_assets.report.model import Asset, ColumnOf, ColumnTold, Facts, Unit, Unreadable
from platform_assets.report.states import Standing, State
from platform_assets.report.units import LAYERS, SOURCE
from platform_assets.report.views import asset_url


@dataclass(frozen=True)
class Node:
    """An asset in the graph.

    Attributes:
        box: Where.
        asset: The asset.
        state: How its unit stands, where that is on account of this asset.
        entry: Key of the dictionary's entry about it; empty: there is none.
    """

    box: Box
    asset: Asset
    state: State | None
    entry: str


@dataclass(frozen=True)
class Entry:
    """An asset in the dictionary.

    Attributes:
        key: The asset's key.
        name: What it is called.
        kind: ``dataset``, ``aggregate``, or the layer of what is neither.
        description: What it is.
        owners: Who answers for it.
        contract: Name and version of its contract; empty: it has none.
        columns: Each with the columns that it is made from.
        table_rules: Rules that are of no single column.
        url: Its page in the UI.
    """

    key: str
    name: str
    kind: str
    description: str
    owners: Sequence[str]
    contract: str
    columns: Sequence[tuple[ColumnTold, Sequence[ColumnOf]]]
    table_rules: Sequence[str]
    url: str


def entries(facts: Facts) -> list[Entry]:
    """The dictionary: every dataset and aggregate, and whatever else has declared columns.

    Args:
        facts: What is known.
    """
    by_main = {unit.main: unit for unit in facts.units}
    lineage = {} if isinstance(facts.lineage, Unreadable) else facts.lineage
    # Raw tables and histories have the contract's columns under the same names.
    chosen = [
        asset
        for asset in facts.assets.values()
        if asset.key in by_main or (asset.columns and not asset.dataset)
    ]
    order = {unit.main: place for place, unit in enumerate(facts.units)}
    chosen.sort(key=lambda asset: (order.get(asset.key, len(order)), asset.key))
    told = {asset.key for asset in chosen}
    return [_entry(facts, asset, by_main.get(asset.key), lineage, told) for asset in chosen]


def _nearest(
    column: ColumnOf, lineage: Mapping[ColumnOf, Sequence[ColumnOf]], told: Container[str]
) -> tuple[ColumnOf, ...]:
    """What a column is made from, through views that the dictionary does not tell of."""
    found: dict[ColumnOf, None] = {}
    waiting, seen = list(lineage.get(column, ())), {column}
    while waiting:
        each = waiting.pop(0)
        if each in seen:
            continue
        seen.add(each)
        further = () if each[0] in told else lineage.get(each, ())
        waiting += further
        if not further:
            found[each] = None
    return tuple(found)


def _entry(
    facts: Facts,
    asset: Asset,
    unit: Unit | None,
    lineage: Mapping[ColumnOf, Sequence[ColumnOf]],
    told: Container[str],
) -> Entry:
    return Entry(
        key=asset.key,
        name=unit.name if unit else asset.name,
        kind=unit.kind if unit else asset.layer,
        description=unit.description if unit and unit.description else asset.description,
        owners=unit.owners if unit else asset.owners,
        contract=unit.contract if unit else "",
        columns=[
            (column, _nearest((asset.key, column.name), lineage, told)) for column in asset.columns
        ],
        table_rules=unit.table_rules if unit else (),
        url=asset_url(facts.ui_url, asset.key),
    )


def nodes(
    facts: Facts, drawing: Drawing, standings: Sequence[Standing], told: Sequence[Entry]
) -> list[Node]:
    """The assets as they stand in the graph, in the graph's order of columns.

    Args:
        facts: What is known.
        drawing: Where each is.
        standings: How each unit stands.
        told: The dictionary.
    """
    states = {key: each.state for each in standings for key in each.about}
    has_entry = {entry.key for entry in told}
    found = []
    for box in sorted(drawing.boxes, key=lambda box: (box.x, box.y)):
        asset = facts.assets[box.key]
        main = f"{LAYERS[1]}/{asset.dataset}" if asset.dataset else asset.key
        entry = main if main in has_entry else ""
        found.append(Node(box, asset, states.get(asset.key), entry))
    return found


def traced(facts: Facts, anchor_of: Mapping[str, str]) -> dict[str, object]:
    """Column lineage as the page's script reads it, short: names once, and places in the list.

    Args:
        facts: What is known.
        anchor_of: Ids of the graph's nodes, by the asset's key.
    """
    if isinstance(facts.lineage, Unreadable):
        return {}
    columns: dict[ColumnOf, int] = {}
    for made, parents in facts.lineage.items():
        for each in (made, *parents):
            columns.setdefault(each, len(columns))
    assets = {key: place for place, key in enumerate(dict.fromkeys(key for key, _ in columns))}
    return {
        "assets": [[key, anchor_of.get(key, "")] for key in assets],
        "columns": [[assets[key], name] for key, name in columns],
        "edges": [
            [columns[made], columns[parent]]
            for made, parents in facts.lineage.items()
            for parent in parents
        ],
    }


def is_source(asset: Asset) -> bool:
    """Whether it is what rows are read through, which Dagster's UI has no page of."""
    return asset.layer == SOURCE
