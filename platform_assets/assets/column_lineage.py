"""Column lineage of the definitions: put together, and as Dagster's own metadata.

Belongs here: which source of truth tells of which asset. Does not belong here: reading contracts
and SQL (``observability``).

Datasets are told by their contracts, dbt's models by the SQL that they compile to, and every other
asset by its own metadata ``dagster/column_lineage``; where an asset has none, it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from platform_assets.assets.dbt_project import TARGET_DIR, compiled_models, load_manifest
from platform_assets.dataset import Dataset
from platform_assets.datasets import all_datasets
from platform_assets.declared.catalogue import every_dataset
from platform_assets.observability.column_lineage import (
    ColumnLineage,
    ColumnOf,
    How,
    Input,
    Inputs,
    TableLineage,
)
from platform_assets.observability.contract_lineage import lineage_of_dataset, lineage_of_layer
from platform_assets.observability.impact import Wiring
from platform_assets.observability.lineage_graph import LineageGraph
from platform_assets.observability.model_lineage import Model, lineage_kept, lineage_of_models

MATERIALIZED = "dagster-dbt/materialization_type"
LOOKUPS_KEY = "platform_assets/lookups"
"""Metadata of an asset: those that it only looks values up in, whichever partition they are of."""
LINEAGE = "lineage.json"
COLUMN_LINEAGE = "dagster/column_lineage"
COLUMN_SCHEMA = "dagster/column_schema"


def lineage_metadata(table: TableLineage) -> dict[str, dg.TableColumnLineage]:
    """Metadata of an asset: what its columns are made from, as Dagster tells it.

    A column of which that is not known is not named, nor is what decides over rows.

    Args:
        table: The asset's table.
    """
    told = {
        name: [
            dg.TableColumnDep(dg.AssetKey(source.asset.split("/")), source.column)
            for source in sorted({each.source for each in inputs})
        ]
        for name, inputs in table.columns.items()
        if inputs
    }
    return {COLUMN_LINEAGE: dg.TableColumnLineage(told)} if told else {}


def models_of(manifest: Mapping[str, Any], compiled: Mapping[str, str]) -> list[Model]:
    """The models of dbt's project, as lineage needs them.

    Args:
        manifest: The project's manifest.
        compiled: SQL by a model's id.
    """
    nodes = {**manifest["nodes"], **manifest["sources"]}
    return [
        Model(
            asset=f"{node['schema']}/{node['name']}",
            sql=compiled.get(unique_id, ""),
            upstream=tuple(
                f"{nodes[each]['schema']}/{nodes[each]['name']}"
                for each in node["depends_on"]["nodes"]
                if each in nodes
            ),
            columns=tuple(node["columns"]),
        )
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model"
    ]


def model_lineage(
    manifest: Mapping[str, Any], compiled: Mapping[str, str] | None = None
) -> list[TableLineage]:
    """What the tables of dbt's models are made from.

    Args:
        manifest: The project's manifest.
        compiled: SQL by a model's id, as a run compiled it; None: as a first build would run it.
    """
    read = {node["name"] for node in manifest["sources"].values() if node["schema"] == "cleaned"}
    known = {dataset.name: dataset for dataset in all_datasets()}
    if read - known.keys():
        known = {dataset.name: dataset for dataset in every_dataset()}
    upstream = [lineage_of_layer(known[name], "cleaned") for name in sorted(read & known.keys())]
    models = models_of(manifest, compiled_models() if compiled is None else compiled)
    if compiled is not None:
        return lineage_of_models(models, upstream)
    return lineage_kept(TARGET_DIR / LINEAGE, models, upstream)


def column_lineage(definitions: dg.Definitions, datasets: Iterable[Dataset]) -> ColumnLineage:
    """What every column of some definitions is made from.

    Args:
        definitions: The code location.
        datasets: The datasets in it.
    """
    tables = [table for dataset in datasets for table in lineage_of_dataset(dataset)]
    told = {table.asset for table in tables}
    specs = [s for s in definitions.resolve_all_asset_specs() if s.key.to_user_string() not in told]
    if any("dbt" in spec.kinds for spec in specs):
        tables += model_lineage(load_manifest())
        told = {table.asset for table in tables}
    return ColumnLineage.of(
        [*tables, *(_declared(s) for s in specs if s.key.to_user_string() not in told)]
    )


def _declared(spec: dg.AssetSpec) -> TableLineage:
    """What an asset says of itself."""
    schema, lineage = _told(spec.metadata, COLUMN_SCHEMA), _told(spec.metadata, COLUMN_LINEAGE)
    columns: dict[str, Inputs | None] = {}
    if isinstance(schema, dg.TableSchema):
        columns = dict.fromkeys(column.name for column in schema.columns)
    if isinstance(lineage, dg.TableColumnLineage):
        for name, deps in lineage.deps_by_column.items():
            columns[name] = frozenset(
                Input(ColumnOf(dep.asset_key.to_user_string(), dep.column_name), How.TRANSFORMATION)
                for dep in deps
            )
    return TableLineage(spec.key.to_user_string(), columns, is_known=False)


def wiring_of(definitions: dg.Definitions, datasets: Iterable[Dataset] = ()) -> Wiring:
    """Which assets are made from which, and how.

    Args:
        definitions: The code location.
        datasets: The datasets in it, whose references are looked up.
    """
    graph = definitions.resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    return Wiring(
        LineageGraph(
            {
                asset: [parent.to_user_string() for parent in node.parent_keys]
                for asset, node in nodes.items()
            }
        ),
        cut=frozenset(asset for asset, node in nodes.items() if node.partitions_def is not None),
        views=frozenset(
            asset for asset, node in nodes.items() if _told(node.metadata, MATERIALIZED) == "view"
        ),
        lookups=frozenset(
            [
                *(
                    (f"{layer}/{dataset.name}", f"cleaned/{name}")
                    for dataset in datasets
                    for name in dataset.references
                    for layer in ("cleaned", "quarantine", "history")
                ),
                *(
                    (asset, parent)
                    for asset, node in nodes.items()
                    for parent in _told(node.metadata, LOOKUPS_KEY) or ()
                ),
            ]
        ),
        ledgers={f"quarantine/{dataset.name}": f"cleaned/{dataset.name}" for dataset in datasets},
    )


def _told(metadata: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 # as metadata is
    """A value of metadata as it was given; Dagster wraps some."""
    value = metadata.get(name)
    return getattr(value, "value", value)
