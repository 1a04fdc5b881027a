"""What Dagster's UI shows of a dataset: schema, metadata, check specs.

Belongs here: the translation from contracts and ledger entries to Dagster's types. Does not
belong here: running anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from platform_assets.assets import reporting, rules
from platform_assets.assets.column_lineage import lineage_metadata
from platform_assets.assets.evaluations import Checked, Verdict, partitioned
from platform_assets.assets.partitions import to_dagster
from platform_assets.assets.rules import Layer
from platform_assets.dataset import Dataset
from platform_assets.observability.contract_lineage import lineage_of_layer
from platform_assets.pipeline import gates
from platform_assets.pipeline.history import CONSISTENT
from platform_assets.pipeline.reconcile import RECONCILE
from platform_assets.pipeline.steps import CONTROL_TOTAL, BatchReport
from platform_assets.provenance import CHANGE, PROVENANCE
from platform_assets.quality.sla import SLA_METADATA
from platform_assets.warehouse import hold
from platform_assets.warehouse.history import OWN_COLUMNS, history_table
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.tables import cleaned_table, quarantine_view, raw_table

RECONCILIATION = "reconciliation"
PUBLISHED = "partitions_published"
_PROVENANCE_TEXT = {
    "_partition": "The partition that the row was delivered in.",
    "_source_file": "Where the row came from: a file below the connection's folder, or a load.",
    "_op": "How the version came about: r(ead), c(reated), u(pdated), d(eleted).",
    "_position": "Orders the versions of a key.",
    "_changed_at": "When the version came about at the source (UTC).",
    "_load": "Number of the load that brought it.",
    "_deleted_at": "When the source deleted the row (UTC); empty: it lives.",
    "valid_from": "Since when the version held (UTC).",
    "valid_to": "When the next version, or a delete, ended it (UTC); null while it holds.",
    "is_current": "Whether it holds.",
}


def raw_key(dataset: str) -> dg.AssetKey:
    """Key of a dataset's rows as they came."""
    return dg.AssetKey(["raw", dataset])


def cleaned_key(dataset: str) -> dg.AssetKey:
    """Key of a dataset's good rows."""
    return dg.AssetKey(["cleaned", dataset])


def quarantine_key(dataset: str) -> dg.AssetKey:
    """Key of a dataset's rejected rows."""
    return dg.AssetKey(["quarantine", dataset])


def history_key(dataset: str) -> dg.AssetKey:
    """Key of all good versions of a dataset's rows."""
    return dg.AssetKey(["history", dataset])


def _provenance(told: Sequence[tuple[str, str]]) -> list[dg.TableColumn]:
    return [
        dg.TableColumn(name, sql_type, description=_PROVENANCE_TEXT[name])
        for name, sql_type in told
    ]


def raw_schema(dataset: Dataset) -> dg.TableSchema:
    """Columns of the raw table: the source's names; a source with types has its own."""
    columns = [
        dg.TableColumn(
            column.source,
            "as at the source" if dataset.has_versions else "VARCHAR",
            description=column.description or None,
        )
        for column in dataset.compiled.columns
    ]
    told = (*PROVENANCE, *CHANGE) if dataset.has_versions else PROVENANCE
    return dg.TableSchema([*columns, *_provenance(told)])


def cleaned_schema(dataset: Dataset, told: Sequence[tuple[str, str]]) -> dg.TableSchema:
    """Columns of the cleaned table, or the history, with the rules that hold for each."""
    columns, compiled = [], dataset.compiled
    for name, sql_type in compiled.published_columns:
        column = compiled.column(name)
        rules = [rule.description for rule in compiled.rules if name in rule.columns]
        columns.append(
            dg.TableColumn(
                name,
                sql_type,
                description=" ".join(
                    part
                    for part in (
                        column.description,
                        "Key." if column.key else "",
                        "Event time." if column.event_time else "",
                        f"Personal data: {column.pii}." if column.pii else "",
                    )
                    if part
                )
                or None,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=rules),
            )
        )
    return dg.TableSchema([*columns, *_provenance(told)])


def definition_metadata(dataset: Dataset, layer: str) -> dict[str, Any]:
    """Metadata of an asset that does not change from run to run."""
    table = {
        "raw": raw_table,
        "cleaned": cleaned_table,
        "quarantine": quarantine_view,
        "history": history_table,
    }[layer]
    metadata: dict[str, Any] = {
        "dagster/table_name": table(dataset.name).replace('"', ""),
        "contract_version": dataset.compiled.version,
        **lineage_metadata(lineage_of_layer(dataset, layer)),
    }
    if dataset.sla is not None and layer in ("raw", "cleaned"):
        metadata[SLA_METADATA] = dataset.sla.total_seconds()
    if layer == "raw":
        metadata["dagster/column_schema"] = raw_schema(dataset)
    if layer == "cleaned":
        metadata["dagster/column_schema"] = cleaned_schema(dataset, dataset.cleaned_provenance)
        metadata["contract"] = dg.MetadataValue.md(dataset.compiled.markdown())
        metadata["max_bad_share"] = dataset.max_bad_share
    if layer == "history":
        metadata["dagster/column_schema"] = cleaned_schema(dataset, OWN_COLUMNS)
    return metadata


def partition_metadata(entry: LedgerEntry, layer: str) -> dict[str, Any]:
    """Metadata of one partition's materialization."""
    rows = {
        "raw": entry.extracted,
        "cleaned": entry.cleaned,
        "quarantine": entry.quarantined,
    }[layer]
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": rows,
        "rows_extracted": entry.extracted,
        "seconds": entry.seconds,
        "source_bytes": entry.bytes,
        "unchanged": entry.status is Status.UNCHANGED,
    }
    if hold.is_held(entry):
        metadata["held_by_rollback"] = True
    if layer == "raw":
        return metadata
    if layer == "cleaned":
        metadata |= reporting.row_changes(entry)
    metadata |= {
        "rows_cleaned": entry.cleaned,
        "rows_quarantined": entry.quarantined,
        "rows_deduplicated": entry.deduplicated,
        "contract_version": entry.contract_version,
    }
    if layer == "quarantine" and entry.broken:
        metadata["rules_broken"] = dict(entry.broken)
    return metadata


def history_metadata(entry: LedgerEntry, kept: LedgerEntry | None) -> dict[str, Any]:
    """Metadata of one partition's history.

    Args:
        entry: What became of its cleaned rows.
        kept: The publish that its history stands at; None: it was never kept.
    """
    return {
        "dagster/partition_row_count": kept.cleaned if kept else 0,
        "rows_current": entry.cleaned,
        "versions": entry.extracted,
        "seconds": entry.seconds,
        "unchanged": entry.status is Status.UNCHANGED,
        "contract_version": entry.contract_version,
    }


def raw_check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    """What arrived against what the source has, counted in another way than it was read."""
    told = (
        "rows and sums of what was read, as the source itself counts them and as they arrived"
        if dataset.has_versions
        else "rows that were loaded, and records counted in the files by another reader than the "
        "one that loads them, or told by the API"
    )
    spec = dg.AssetCheckSpec(
        CONTROL_TOTAL,
        asset=raw_key(dataset.name),
        description=told,
        metadata={"layer": str(Layer.RECONCILIATION)},
    )
    return partitioned([spec], to_dagster(dataset.partitions))


def raw_check_results(dataset: Dataset, report: BatchReport) -> list[Checked]:
    """What the control totals of a load came to.

    Those of a source that gives changes are of all partitions together, others of each.

    Args:
        dataset: The dataset.
        report: What became of the load.
    """
    off = {k: e for k, e in report.failed.items() if e.stopped_by == CONTROL_TOTAL}
    first = next(iter(off.values() or report.failed.values()), None)
    metadata: dict[str, Any] = {
        "rows_loaded": sum(entry.extracted for entry in report.good.values()),
        "partitions_off": len(off),
    }
    if report.controls:
        metadata["controls"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {"what": each.name, "at_source": each.at_source, "arrived": each.arrived}
                )
                for each in report.controls
            ]
        )
    result = dg.AssetCheckResult(
        asset_key=raw_key(dataset.name),
        check_name=CONTROL_TOTAL,
        # A load that failed for another reason has shown nothing.
        passed=not off and bool(report.good or not report.entries)
        if not dataset.has_versions
        else not report.failed,
        severity=dg.AssetCheckSeverity.ERROR if off else dg.AssetCheckSeverity.WARN,
        description=first.message if first else None,
        metadata=metadata,
    )
    if dataset.has_versions:
        verdict = Verdict(result.passed, result.severity, result.description)
        return [Checked(result, dict.fromkeys([*report.entries, *report.also], verdict))]
    verdicts = {key: Verdict(passed=True) for key in report.good}
    verdicts |= {
        key: Verdict(passed=False, severity=dg.AssetCheckSeverity.ERROR, description=entry.message)
        for key, entry in off.items()
    }
    return [Checked(result, verdicts)]


def check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    """One check per rule, and the reconciliation."""
    key = cleaned_key(dataset.name)
    of_rules = [rules.check_spec(key, dataset, rule) for rule in dataset.compiled.rules]
    reconciliation = dg.AssetCheckSpec(
        RECONCILIATION,
        asset=key,
        description="extracted = cleaned + quarantined + deduplicated, each counted in its place",
        metadata={"layer": str(Layer.RECONCILIATION)},
    )
    specs = [*of_rules, reconciliation, *_history_check_specs(dataset)]
    return partitioned(specs, to_dagster(dataset.partitions))


def _history_check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    if not dataset.history:
        return []
    return [
        dg.AssetCheckSpec(
            CONSISTENT,
            asset=history_key(dataset.name),
            description="periods of a key do not overlap, one at most is current, and the current "
            "ones are those of the cleaned rows",
            metadata={"layer": str(Layer.RECONCILIATION)},
        )
    ]


def check_results(dataset: Dataset, entries: Mapping[str, LedgerEntry]) -> list[Checked]:
    """What a batch says of each rule, and whether its rows add up.

    Args:
        dataset: The dataset.
        entries: What became of each partition.
    """
    key = cleaned_key(dataset.name)
    found = [rules.checked(key, dataset, rule, entries) for rule in dataset.compiled.rules]
    found.append(_reconciliation(key, entries))
    if dataset.history:
        found.append(_consistency(history_key(dataset.name), entries))
    return found


def _consistency(key: dg.AssetKey, entries: Mapping[str, LedgerEntry]) -> Checked:
    off = [entry for entry in entries.values() if entry.stopped_by == CONSISTENT]
    result = dg.AssetCheckResult(
        asset_key=key,
        check_name=CONSISTENT,
        passed=not off,
        severity=dg.AssetCheckSeverity.ERROR,
        description=off[0].message if off else None,
        metadata={"partitions": len(entries), "partitions_at_odds": len(off)},
    )
    return Checked(result, _gate(CONSISTENT, entries))


def _reconciliation(key: dg.AssetKey, entries: Mapping[str, LedgerEntry]) -> Checked:
    done = [entry for entry in entries.values() if entry.status is not Status.FAILED]
    off = [key for key, entry in entries.items() if entry.stopped_by == RECONCILE]
    terms = ("extracted", "cleaned", "quarantined", "deduplicated")
    sums = {name: sum(getattr(entry, name) for entry in done) for name in terms}
    adds_up = sums["extracted"] == sums["cleaned"] + sums["quarantined"] + sums["deduplicated"]
    result = dg.AssetCheckResult(
        asset_key=key,
        check_name=RECONCILIATION,
        passed=adds_up and not off,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            **{f"rows_{name}": value for name, value in sums.items()},
            "partitions": len(done),
            "partitions_that_do_not_add_up": len(off),
        },
    )
    return Checked(result, _gate(RECONCILE, entries, terms))


def _gate(
    gate: str, entries: Mapping[str, LedgerEntry], terms: Sequence[str] = ()
) -> dict[str, Verdict]:
    """What a gate after all rules says of each partition that came as far as the rules."""
    return {
        partition: Verdict(
            entry.stopped_by != gate,
            dg.AssetCheckSeverity.ERROR,
            description=entry.message
            if entry.stopped_by == gate
            else f"stopped by {entry.stopped_by} before anything was published"
            if entry.status is Status.FAILED
            else None,
            metadata={f"rows_{name}": getattr(entry, name) for name in terms},
        )
        for partition, entry in entries.items()
        if gates.was_judged(entry)
    }
