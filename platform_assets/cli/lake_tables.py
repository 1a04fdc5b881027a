"""Tables of the lake by their asset's key: what tells rows apart, and what must not be shown.

Belongs here: putting together what contracts and the dbt project say of a table. Does not belong
here: reading the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from platform_assets.assets.frame_asset import FRAME_KEY
from platform_assets.declared.catalogue import every_dataset
from platform_assets.errors import SettingsError
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline.rollback_plan import Target
from platform_assets.provenance import PARTITION_COLUMN, VALID_FROM
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse.leftovers import Compared
from platform_assets.warehouse.tables import PLATFORM

if TYPE_CHECKING:
    from platform_assets.dataset import Dataset

LAYERS = ("raw", "cleaned", "quarantine", "history")
AGGREGATED = "aggregated"
# dbt's own test and the project's, which looks only at what a run has built.
_UNIQUE = ("unique", "unique_in_run")


def target_of(asset: str, where: str) -> Target:
    """The table of an asset.

    Args:
        asset: The asset's key, such as ``cleaned/orders``.
        where: The argument that gave it, for the message.

    Raises:
        SettingsError: No table has this key.
    """
    datasets = every_dataset()
    layer, _, name = asset.partition("/")
    for dataset in datasets:
        if dataset.name == name and layer in _layers_of(dataset):
            return of_dataset(dataset, layer)
    personal = frozenset(c.name for d in datasets for c in d.compiled.columns if c.pii)
    aggregates: Mapping[str, Target] = {}
    if layer == AGGREGATED:
        aggregates = {each.asset: each for each in _aggregates(personal)}
        if asset in aggregates:
            return aggregates[asset]
    known = [f"{each}/{dataset.name}" for dataset in datasets for each in _layers_of(dataset)]
    raise SettingsError(
        "There is no such table",
        where=where,
        expected="one of " + ", ".join([*known, *(aggregates or [f"{AGGREGATED}/…"])]),
        found=asset,
        fix="write layer and name, as the asset's key in the UI",
    )


def _layers_of(dataset: Dataset) -> Sequence[str]:
    return LAYERS if dataset.history else LAYERS[:-1]


def of_dataset(dataset: Dataset, layer: str) -> Target:
    """A table of a dataset.

    Args:
        dataset: The dataset.
        layer: Which of its tables.
    """
    compiled, asset = dataset.compiled, f"{layer}/{dataset.name}"
    if layer == "quarantine":
        table = Compared(
            asset,
            PLATFORM,
            "quarantine",
            key=("quarantine_id",),
            partition="partition",
            where=f"dataset = {quote_literal(dataset.name)}",
            # A whole row, and a key: either may hold what is personal.
            personal=frozenset({"original_row", "row_key"}),
            ledger=f"cleaned/{dataset.name}",
        )
        return Target(table, dataset)
    if layer == "raw":
        # A version of a row is a row of its own: no key tells versions apart.
        sources = {column.name: column.source for column in compiled.columns}
        shown = {column.source for column in compiled.columns if column.pii is None}
        key = () if dataset.has_versions else tuple(sources[name] for name in compiled.key)
        table = Compared(asset, layer, dataset.name, key=key, shown=frozenset(shown))
        return Target(table, dataset)
    personal = frozenset(column.name for column in compiled.columns if column.pii)
    key = dataset.published_key
    if layer == "history":
        key = (*key, VALID_FROM)
    return Target(
        Compared(asset, layer, dataset.name, key=key, personal=personal),
        dataset,
        required=frozenset(
            name for name, _ in compiled.published_columns if not compiled.column(name).nullable
        ),
        # A source of files delivers a key again on another day; one of changes moves its row.
        unique=dataset.published_key if dataset.has_versions else (),
    )


def _aggregates(personal: frozenset[str]) -> Iterator[Target]:
    """The tables that dbt and Python make; their columns are personal by name."""
    from platform_assets.assets.dbt_project import load_manifest
    from platform_assets.definitions import defs

    for spec in defs.resolve_all_asset_specs():
        if FRAME_KEY in spec.metadata:
            yield _of_frame(spec, personal)
    nodes = load_manifest()["nodes"]
    for unique_id, node in nodes.items():
        if node["resource_type"] == "model" and node["config"]["materialized"] != "view":
            tests = [
                each
                for each in nodes.values()
                if each["resource_type"] == "test" and each.get("attached_node") == unique_id
            ]
            yield _of_model(node, tests, personal)


def _of_frame(spec: dg.AssetSpec, personal: frozenset[str]) -> Target:
    schema = spec.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)  # as frame_asset made it
    key = tuple(spec.metadata[FRAME_KEY])
    asset = spec.key.to_user_string()
    return Target(
        Compared(asset, AGGREGATED, spec.key.path[-1], key=key, personal=personal),
        required=frozenset(c.name for c in schema.columns if not c.constraints.nullable),
        # Of a frame that is cut into days, each day has the keys.
        unique=() if spec.partitions_def else key,
    )


def _of_model(
    node: Mapping[str, Any], tests: Sequence[Mapping[str, Any]], personal: frozenset[str]
) -> Target:
    def tested(names: Sequence[str]) -> list[str]:
        return [t["column_name"] for t in tests if t["test_metadata"]["name"] in names]

    config = node["config"]
    meta = config.get("meta", {})
    declared = meta.get("key") or config.get("unique_key") or tested(_UNIQUE)[:1]
    key = (declared,) if isinstance(declared, str) else tuple(declared)
    if PARTITION_COLUMN in node["columns"]:
        partition = PARTITION_COLUMN
    elif "partition" in meta:
        partition = f"CAST({quote_identifier(meta['partition'])} AS VARCHAR)"
    else:
        partition = quote_literal(UNPARTITIONED_KEY)
    table = Compared(
        f"{node['schema']}/{node['name']}",
        node["schema"],
        node["name"],
        key=key,
        partition=partition,
        personal=personal,
    )
    return Target(table, required=frozenset(tested(["not_null"])), unique=key)
