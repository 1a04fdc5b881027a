"""What OpenLineage is told of each kind of step: what it reads and writes, by which rules.

Belongs here: from datasets, frames and models to ``openlineage_events``'s plain values. Does not
belong here: when an event is sent (``lineage_events``), and what is in one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from platform_assets.assets.column_lineage import COLUMN_SCHEMA, model_lineage
from platform_assets.contracts.rules import Rule
from platform_assets.dataset import Dataset
from platform_assets.observability.column_lineage import (
    ColumnOf,
    How,
    Input,
    TableLineage,
)
from platform_assets.observability.contract_lineage import lineage_of_layer
from platform_assets.observability.openlineage_names import model_job
from platform_assets.pipeline.frames import Frame
from platform_assets.warehouse.ledger import LedgerEntry

Rows = Callable[[LedgerEntry], int]


def _cleaned_rows(entry: LedgerEntry) -> int:
    return entry.cleaned


@dataclass(frozen=True)
class Judged:
    """Something that rows were held against.

    Attributes:
        name: The rule or test, as the ledger names it.
        column: The column that it is of, as the judged table has it; None: of several.
        severity: error, warn or info.
        description: What it says.
    """

    name: str
    column: str | None
    severity: str = "error"
    description: str | None = None


@dataclass(frozen=True)
class Written:
    """An asset that a step writes.

    Attributes:
        asset: Its key.
        rows: Its rows, by the ledger's entry; None: a view, which has none of its own.
        lineage: What it is made from.
    """

    asset: str
    rows: Rows | None = _cleaned_rows
    lineage: TableLineage | None = None


@dataclass(frozen=True)
class Told:
    """One job of a step, as it is declared.

    Attributes:
        job: Its name.
        ledger: The asset whose entries tell how it went.
        written: What it writes.
        reads: Keys of the assets that it reads.
        source: The dataset whose source it reads.
        judged: What rows were held against.
        judges_inputs: Whether those are the rows of the first asset that it reads, and not those
            that it writes.
        sql: What it runs.
        path: The file that declares it.
        kind: What kind of job it is.
    """

    job: str
    ledger: str
    written: tuple[Written, ...]
    reads: tuple[str, ...] = ()
    source: Dataset | None = None
    judged: tuple[Judged, ...] = ()
    judges_inputs: bool = False
    sql: str = ""
    path: str = ""
    kind: str = "ASSET"


def source_asset(dataset: Dataset) -> str:
    """What stands for a dataset's source where an asset's key is asked for.

    Args:
        dataset: The dataset.
    """
    return f"source/{dataset.name}"


def of_raw(dataset: Dataset) -> Told:
    """The step that loads a dataset.

    Args:
        dataset: The dataset.
    """
    asset = f"raw/{dataset.name}"
    columns = {
        column.source: frozenset(
            {Input(ColumnOf(source_asset(dataset), column.source), How.IDENTITY)}
        )
        for column in dataset.compiled.columns
    }
    written = Written(asset, lambda entry: entry.extracted, TableLineage(asset, columns))
    return Told(
        f"raw_{dataset.name}", asset, (written,), source=dataset, path=_file(dataset.contract)
    )


def of_cleaned(dataset: Dataset) -> Told:
    """The step that judges a dataset.

    Args:
        dataset: The dataset.
    """
    name, compiled = dataset.name, dataset.compiled
    rows: dict[str, Rows] = {
        "cleaned": _cleaned_rows,
        "quarantine": lambda entry: entry.quarantined,
    }
    if dataset.history:
        rows["history"] = _cleaned_rows
    return Told(
        f"cleaned_{name}",
        f"cleaned/{name}",
        tuple(
            Written(f"{layer}/{name}", counted, lineage_of_layer(dataset, layer))
            for layer, counted in rows.items()
        ),
        reads=(f"raw/{name}", *(f"cleaned/{each}" for each in dataset.references)),
        judged=_rules(compiled.rules, {c.name: c.source for c in compiled.columns}),
        judges_inputs=True,
        path=_file(dataset.contract),
    )


def of_frame(frame: Frame, lineage: TableLineage) -> Told:
    """The step that computes a frame.

    Args:
        frame: The frame.
        lineage: What its columns are made from, as far as that is declared.
    """
    return Told(
        frame.name,
        frame.asset,
        (Written(frame.asset, lineage=lineage),),
        reads=(*frame.upstream, *frame.lookups),
        judged=_rules(frame.rules, {c.name: c.name for c in frame.compiled.columns}),
        path=_file(frame.compute),
    )


def of_models(
    manifest: Mapping[str, Any],
    compiled: Mapping[str, str],
    selected: Iterable[str],
    views: Iterable[str],
) -> list[Told]:
    """The models that dbt's step makes, each a job of its own.

    Args:
        manifest: The project's manifest.
        compiled: SQL by a model's id: what this run ran where it did, else what a first one would.
        selected: Keys of the assets that the run makes.
        views: Those of them that are views, of which no rows are told.
    """
    from platform_assets.assets.column_lineage import models_of
    from platform_assets.assets.dbt_project import PROJECT_DIR

    chosen, unseen = set(selected), set(views)
    lineage = {table.asset: table for table in model_lineage(manifest, compiled)}
    paths = {
        f"{node['schema']}/{node['name']}": str(PROJECT_DIR / node["original_file_path"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    return [
        Told(
            model_job(model.asset),
            model.asset,
            (
                Written(
                    model.asset,
                    None if model.asset in unseen else _cleaned_rows,
                    lineage[model.asset],
                ),
            ),
            reads=model.upstream,
            judged=tuple(_tests(manifest, model.asset)),
            sql=model.sql.strip(),
            path=paths[model.asset],
            kind="MODEL",
        )
        for model in models_of(manifest, compiled)
        if model.asset in chosen
    ]


def _rules(rules: Iterable[Rule], names: Mapping[str, str]) -> tuple[Judged, ...]:
    """Rules of a contract, their columns as the judged table calls them."""
    return tuple(
        Judged(
            rule.name,
            names[rule.columns[0]] if len(rule.columns) == 1 else None,
            rule.severity,
            rule.description,
        )
        for rule in rules
    )


def _tests(manifest: Mapping[str, Any], asset: str) -> Iterable[Judged]:
    """The tests of a model that stop a publish: of others the ledger does not tell."""
    nodes = manifest["nodes"]
    for node in nodes.values():
        model = nodes.get(node.get("attached_node") or "")
        is_error = str(node["config"].get("severity", "error")).lower() == "error"
        if model and is_error and f"{model['schema']}/{model['name']}" == asset:
            yield Judged(node["name"], node.get("column_name"))


def schema_of(spec: dg.AssetSpec | None) -> tuple[tuple[str, str, str], ...]:
    """Name, type and description of an asset's columns, as its definition shows them.

    Args:
        spec: The asset's; None: that is not known.
    """
    schema = spec.metadata.get(COLUMN_SCHEMA) if spec else None
    schema = getattr(schema, "value", schema)
    if not isinstance(schema, dg.TableSchema):
        return ()
    return tuple((c.name, c.type or "", c.description or "") for c in schema.columns)


def _file(declared: object) -> str:
    """The file that a class or function is written in; nothing where it is in none."""
    try:
        return inspect.getsourcefile(declared) or ""  # type: ignore[arg-type] # a class or function
    except TypeError:
        return ""
