"""A contract's rules as asset checks: their layer, and what they say of partitions.

Belongs here: one rule, as Dagster shows it. Does not belong here: what a rule's threshold leads to
(``pipeline.gates``), and telling Dagster (``evaluations``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import dagster as dg

from platform_assets.assets.evaluations import Checked, Verdict
from platform_assets.contracts import Rule
from platform_assets.dataset import Dataset
from platform_assets.pipeline import gates
from platform_assets.pipeline.gates import Action
from platform_assets.warehouse.ledger import LedgerEntry

WORST_SHOWN = 10


class Layer(StrEnum):
    """What a check looks at, from the columns to the whole; metadata ``layer`` of each check."""

    SCHEMA = "schema"
    """The source's columns, types and nullability."""
    ROW = "row"
    """A value is there and can be read as what its column is."""
    BUSINESS = "business"
    """What values say: their form, range or set, and several columns of a row together."""
    REFERENCE = "reference"
    """A value against another dataset."""
    UNIQUENESS = "uniqueness"
    """A row against others of its dataset."""
    RECONCILIATION = "reconciliation"
    """Rows counted in two places."""


def layer_of(rule: Rule) -> Layer:
    """The layer of a contract's rule."""
    if rule.kind == "reference":
        return Layer.REFERENCE
    if rule.kind in ("unique", "unique_across"):
        return Layer.UNIQUENESS
    return Layer.ROW if rule.kind in ("cast", "not_null") else Layer.BUSINESS


def check_spec(key: dg.AssetKey, dataset: Dataset, rule: Rule) -> dg.AssetCheckSpec:
    """A rule as a check.

    Args:
        key: The asset that it is a check of.
        dataset: The dataset.
        rule: One of its rules.
    """
    return dg.AssetCheckSpec(
        rule.name,
        asset=key,
        description=rule.description,
        metadata={"kind": rule.kind, **_declared(dataset, rule)},
    )


def checked(
    key: dg.AssetKey, dataset: Dataset, rule: Rule, entries: Mapping[str, LedgerEntry]
) -> Checked:
    """What a rule says of the partitions of a run, and of all of them together.

    The check is passed where no partition has more broken rows than ``alert_above``. It is an
    error where it stopped a partition, and else a warning: the partition was published.

    Args:
        key: The asset that it is a check of.
        dataset: The dataset.
        rule: One of its rules.
        entries: What became of each partition.
    """
    judged = {k: entry for k, entry in entries.items() if gates.was_judged(entry)}
    actions = {k: gates.action(dataset, rule, entry) for k, entry in judged.items()}
    broken = {k: e.broken[rule.name] for k, e in judged.items() if e.broken.get(rule.name)}
    rows, extracted = sum(broken.values()), sum(entry.extracted for entry in judged.values())
    metadata = _metadata(dataset, rule, rows, extracted, gates.strongest(actions.values()))
    metadata["partitions_with_broken_rows"] = len(broken)
    if broken:
        metadata["worst_partitions"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "partition": k,
                        "rows_broken": broken[k],
                        "rows": entries[k].extracted,
                        "status": str(entries[k].status),
                        "action": str(actions[k]),
                    }
                )
                for k in sorted(broken, key=lambda k: -broken[k])[:WORST_SHOWN]
            ]
        )
    result = dg.AssetCheckResult(
        asset_key=key,
        check_name=rule.name,
        passed=not any(map(_fails, actions.values())),
        severity=_severity(gates.strongest(actions.values())),
        description=_said(rule, rows, extracted),
        metadata=metadata,
    )
    return Checked(
        result, {k: _verdict(dataset, rule, entry, actions[k]) for k, entry in judged.items()}
    )


def _verdict(dataset: Dataset, rule: Rule, entry: LedgerEntry, action: Action) -> Verdict:
    rows = entry.broken.get(rule.name, 0)
    return Verdict(
        passed=not _fails(action),
        severity=_severity(action),
        description=_said(rule, rows, entry.extracted) if rows else None,
        metadata=_metadata(dataset, rule, rows, entry.extracted, action),
    )


def _fails(action: Action) -> bool:
    return action in (Action.ALERT, Action.BLOCK)


def _severity(action: Action) -> dg.AssetCheckSeverity:
    severity = dg.AssetCheckSeverity
    return severity.ERROR if action is Action.BLOCK else severity.WARN


def _said(rule: Rule, rows: int, judged: int) -> str:
    return f"{rows:,} of {judged:,} rows break: {rule.description}" if rows else rule.description


def _declared(dataset: Dataset, rule: Rule) -> dict[str, Any]:
    limits = gates.limits(dataset, rule)
    return {
        "layer": str(layer_of(rule)),
        "severity": rule.severity,
        "alert_above": "never" if limits.alert_above is None else limits.alert_above,
        "block_above": "never" if limits.block_above is None else limits.block_above,
    }


def _metadata(
    dataset: Dataset, rule: Rule, rows: int, judged: int, action: Action
) -> dict[str, Any]:
    return {
        **_declared(dataset, rule),
        "action": str(action),
        "rows_broken": rows,
        "rows_judged": judged,
        "share_broken": rows / judged if judged else 0.0,
    }
