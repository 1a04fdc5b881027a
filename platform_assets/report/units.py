"""What has a state of its own, and what its columns are: from datasets and the asset graph.

Belongs here: telling datasets and aggregates apart in a graph, and what a contract says of columns.
Does not belong here: how they stand (``states``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from platform_assets.contracts import CompiledContract
from platform_assets.contracts.pii import published_type
from platform_assets.dataset import Dataset
from platform_assets.report.model import Asset, ColumnTold, Unit

LAYERS = ("raw", "cleaned", "history")
"""Layers of a dataset that the ledger tells of, in the order that they are made."""
AGGREGATED = "aggregated"
SOURCE = "source"


def source_key(connection: str) -> str:
    """Key of a source in the graph: everything that is read through one connection."""
    return f"{SOURCE}/{connection}"


def complete(assets: Iterable[Asset], datasets: Sequence[Dataset]) -> dict[str, Asset]:
    """The asset graph with its sources, and with what contracts say of columns, by key.

    Args:
        assets: The graph as it is built.
        datasets: All datasets.
    """
    by_name = {dataset.name: dataset for dataset in datasets}
    found = {
        source_key(dataset.source.connection): Asset(
            source_key(dataset.source.connection), SOURCE, description="What rows are read through."
        )
        for dataset in datasets
    }
    for asset in assets:
        dataset = by_name.get(asset.dataset)
        if dataset is not None and asset.layer == "raw":
            made_from = (source_key(dataset.source.connection), *asset.made_from)
            found[asset.key] = replace(asset, made_from=made_from)
        elif dataset is not None and asset.layer == "cleaned":
            found[asset.key] = replace(asset, columns=columns_of(dataset.compiled))
        else:
            found[asset.key] = asset
    return found


def columns_of(contract: CompiledContract) -> tuple[ColumnTold, ...]:
    """What a contract says of its columns.

    Args:
        contract: The contract.
    """
    return tuple(
        ColumnTold(
            name=column.name,
            type=published_type(column) or "",
            description=column.description,
            roles=tuple(
                role
                for role, holds in (
                    ("key", column.key),
                    ("event time", column.event_time),
                    ("cursor", column.cursor),
                )
                if holds
            ),
            rules=tuple(
                rule.description + ("" if rule.severity == "error" else f" ({rule.severity})")
                for rule in contract.rules
                if rule.columns == (column.name,)
            ),
            pii=column.pii or "",
            nullable=column.nullable,
        )
        for column in contract.columns
    )


def units_of(assets: Mapping[str, Asset], datasets: Sequence[Dataset]) -> list[Unit]:
    """The datasets, those that others refer to first, then the aggregates.

    Args:
        assets: The asset graph, by key.
        datasets: All datasets.
    """
    owner = main_of(assets)
    found = []
    for dataset in datasets:
        compiled = dataset.compiled
        own = [f"{layer}/{dataset.name}" for layer in LAYERS]
        found.append(
            Unit(
                name=dataset.name,
                kind="dataset",
                main=f"cleaned/{dataset.name}",
                assets=tuple(key for key in own if key in assets),
                description=dataset.description,
                owners=dataset.owners,
                made_from=tuple(f"cleaned/{name}" for name in dataset.references),
                contract=f"{compiled.contract_name} {compiled.version}",
                severities={rule.name: rule.severity for rule in compiled.rules},
                table_rules=tuple(r.description for r in compiled.rules if len(r.columns) != 1),
            )
        )
    found += [
        Unit(
            name=asset.name,
            kind="aggregate",
            main=asset.key,
            assets=(asset.key,),
            description=asset.description,
            owners=asset.owners,
            made_from=_made_from(asset, assets, owner),
        )
        for asset in assets.values()
        if _is_aggregate(asset)
    ]
    return found


def main_of(assets: Mapping[str, Asset]) -> dict[str, str]:
    """By an asset's key the asset that people read of the same unit; others are absent.

    Args:
        assets: The asset graph, by key.
    """
    mains = {key: f"cleaned/{asset.dataset}" for key, asset in assets.items() if asset.dataset}
    return mains | {key: key for key, asset in assets.items() if _is_aggregate(asset)}


def _is_aggregate(asset: Asset) -> bool:
    return asset.layer == AGGREGATED


def _made_from(
    asset: Asset, assets: Mapping[str, Asset], owner: Mapping[str, str]
) -> tuple[str, ...]:
    """The nearest units that an aggregate is made from, through views that have no state."""
    found: dict[str, None] = {}
    waiting, seen = list(asset.made_from), {asset.key}
    while waiting:
        key = waiting.pop(0)
        if key in seen:
            continue
        seen.add(key)
        if key in owner:
            found[owner[key]] = None
        elif key in assets:
            waiting += assets[key].made_from
    return tuple(found)
