"""Schema drift in Dagster: a check on each raw asset, and an observation for each change.

Belongs here: what Dagster is told of a drift. Does not belong here: finding one
(``pipeline.drift``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import dagster as dg

from platform_assets.assets import describe, reporting
from platform_assets.assets.evaluations import Checked, Verdict, partitioned
from platform_assets.assets.partitions import to_dagster
from platform_assets.assets.rules import Layer
from platform_assets.dataset import Dataset
from platform_assets.observability.lineage_graph import LineageGraph
from platform_assets.pipeline import BatchReport
from platform_assets.warehouse.schemas import DriftEvent

CHECK = "schema"
OBSERVED = "platform_assets/drift"
"""Tag of a drift's observation; its value is the kind of the change."""


@dataclass(frozen=True)
class _Told:
    """One change as all partitions of a run met it."""

    first: DriftEvent
    partitions: tuple[str, ...]
    rows: int

    @property
    def record(self) -> dict[str, str | int]:
        return {
            "kind": self.first.kind,
            "column": self.first.column_name,
            "from": self.first.before,
            "to": self.first.after,
            "decision": self.first.decision,
            "partitions": len(self.partitions),
            "rows": self.rows,
            "which": reporting.partition_list(self.partitions),
            "what": self.first.text,
        }


class Lineage:
    """Which assets are made from which: filled once all definitions are there, asked in a step.

    A step itself cannot tell: run in the process of a command, it knows no code location.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._parents: dict[str, set[str]] = {}

    def note(self, assets: Iterable[dg.AssetsDefinition]) -> None:
        """Take in what assets are made from."""
        for each in assets:
            for key, parents in each.asset_deps.items():
                own = self._parents.setdefault(key.to_user_string(), set())
                own |= {parent.to_user_string() for parent in parents}

    def downstream(self, key: dg.AssetKey) -> list[str]:
        """Names of every asset that is made from another one, near or far, in order."""
        return sorted(LineageGraph(self._parents).below([key.to_user_string()]))


def check_spec(dataset: Dataset) -> dg.AssetCheckSpec:
    """The check that tells of a drift; it never keeps other partitions or assets from going on."""
    spec = dg.AssetCheckSpec(
        CHECK,
        asset=describe.raw_key(dataset.name),
        description="the source's columns, types and nullability are what they were",
        metadata={"kind": "schema", "layer": str(Layer.SCHEMA)},
    )
    return partitioned([spec], to_dagster(dataset.partitions))[0]


def report(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    events: Sequence[DriftEvent],
    lineage: Lineage,
    loaded: BatchReport,
) -> Checked:
    """Tell of what a load met: an observation for each change, and the check's result.

    Args:
        context: Of the raw step.
        dataset: The dataset.
        events: What each partition of the run met.
        lineage: Which assets are made from which.
        loaded: What became of each partition.
    """
    return Checked(_result(context, dataset, events, lineage), _verdicts(events, loaded))


def _verdicts(events: Sequence[DriftEvent], loaded: BatchReport) -> dict[str, Verdict]:
    """What each partition met; one that could not be read at all has shown no schema."""
    met: dict[str, list[DriftEvent]] = {}
    for event in events:
        met.setdefault(event.partition, []).append(event)
    found = dict.fromkeys([*loaded.good, *loaded.also], Verdict(passed=True))
    for partition, changes in met.items():
        blocked = [each for each in changes if each.decision == "blocked"]
        found[partition] = Verdict(
            passed=False,
            severity=dg.AssetCheckSeverity.ERROR if blocked else dg.AssetCheckSeverity.WARN,
            description=" ".join(each.text for each in blocked or changes),
        )
    return found


def _result(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    events: Sequence[DriftEvent],
    lineage: Lineage,
) -> dg.AssetCheckResult:
    key = describe.raw_key(dataset.name)
    changes = _by_change(events)
    if not changes:
        return dg.AssetCheckResult(asset_key=key, check_name=CHECK, passed=True)
    below = lineage.downstream(key)
    command = f"platform-assets contracts diff {dataset.name}"
    for each in changes:
        context.log_event(
            dg.AssetObservation(
                key,
                description=each.first.text,
                metadata={
                    **each.record,
                    "which": list(each.partitions),
                    "downstream": below,
                    "command": command,
                },
                tags={OBSERVED: each.first.kind},
            )
        )
    blocked = [each for each in changes if each.first.decision == "blocked"]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR if blocked else dg.AssetCheckSeverity.WARN,
        description=" ".join(each.first.text for each in blocked or changes),
        metadata={
            "changes": dg.MetadataValue.table([dg.TableRecord(each.record) for each in changes]),
            "partitions": sorted({each.partition for each in events}),
            "rows": _rows(events),
            "downstream": below,
            "command": command,
        },
    )


def _by_change(events: Sequence[DriftEvent]) -> list[_Told]:
    def change(event: DriftEvent) -> tuple[str, ...]:
        told = (event.kind, event.column_name, event.before, event.after, event.decision)
        return (*told, event.text)

    grouped = groupby(sorted(events, key=change), key=change)
    found = []
    for _, each in grouped:
        same = list(each)
        partitions = tuple(sorted({event.partition for event in same}))
        found.append(_Told(same[0], partitions, _rows(same)))
    return found


def _rows(events: Sequence[DriftEvent]) -> int:
    """Rows that carry a change, each partition counted once."""
    rows: Mapping[str, int] = {event.partition: event.rows for event in events}
    return sum(rows.values())
