"""Statistics in Dagster's UI: a check for each, and the quality score of each partition.

Belongs here: check specs, what findings make of them, and metadata. Does not belong here: finding
(``quality``), and the checks of rules (``describe``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from platform_assets.assets import describe
from platform_assets.assets.evaluations import Checked, Verdict, partitioned
from platform_assets.assets.partitions import to_dagster
from platform_assets.assets.reporting import SHOWN_PARTITIONS
from platform_assets.dataset import Dataset
from platform_assets.pipeline import gates
from platform_assets.pipeline.steps import BatchReport
from platform_assets.quality import findings
from platform_assets.quality.findings import Finding, Standing
from platform_assets.quality.policy import CHECKS
from platform_assets.quality.score import score
from platform_assets.warehouse.lake import Connection


@dataclass(frozen=True)
class Statistics:
    """What statistics say of the partitions of a run.

    Attributes:
        dataset: The dataset.
        report: What became of each partition.
        found: What is odd about them, and not said to be fine.
    """

    dataset: Dataset
    report: BatchReport
    found: Sequence[Finding]

    @classmethod
    def of(cls, connection: Connection, dataset: Dataset, report: BatchReport) -> Statistics:
        """What the lake holds of the partitions of a run.

        Args:
            connection: An open lake.
            dataset: The dataset.
            report: What became of each partition.
        """
        found = findings.standing(
            connection,
            report.asset,
            partitions=sorted(report.entries),
            statuses=[Standing.OPEN],
        )
        return cls(dataset, report, found)

    def metadata(self, partition: str) -> dict[str, Any]:
        """What a partition's materialization tells: numbers, which the UI plots over time."""
        severities = {rule.name: rule.severity for rule in self.dataset.compiled.rules}
        about = [each for each in self.found if each.partition == partition]
        found = score(self.report.entries[partition], severities, about)
        return {
            "quality_score": found.total,
            "quality_validity": found.validity,
            "quality_conformity": found.conformity,
            "quality_expectedness": found.expectedness,
            "findings": len(about),
        }

    def check_results(self) -> list[Checked]:
        """What each check says: not passed where a partition is odd."""
        return [self._result(check) for check in self.dataset.statistics.checks]

    def _result(self, check: str) -> Checked:
        about = [each for each in self.found if each.check_name == check]
        told = [each for each in about if each.severity != "info"]
        stops = any(each.severity == "error" for each in told)
        odd = sorted({each.partition for each in told})
        metadata: dict[str, Any] = {
            "partitions_judged": len(self.report.entries),
            "partitions_odd": len(odd),
        }
        if about:
            metadata["findings"] = dg.MetadataValue.table(_records(about))
        result = dg.AssetCheckResult(
            asset_key=describe.cleaned_key(self.dataset.name),
            check_name=check,
            passed=not told,
            severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
            description=told[0].message if told else CHECKS[check],
            metadata=metadata,
        )
        judged = (k for k, entry in self.report.entries.items() if gates.was_judged(entry))
        return Checked(
            result, {key: verdict([e for e in about if e.partition == key]) for key in judged}
        )


def verdict(about: Sequence[Finding]) -> Verdict:
    """What a check says of one partition.

    Args:
        about: What it finds odd about it, and nobody has said to be fine.
    """
    told = [each for each in about if each.severity != "info"]
    stops = any(each.severity == "error" for each in told)
    return Verdict(
        passed=not told,
        severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
        description=told[0].message if told else None,
        metadata={"findings": dg.MetadataValue.table(_records(about))} if about else {},
    )


def check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    """One check for each of a dataset's statistics."""
    key = describe.cleaned_key(dataset.name)
    specs = [
        dg.AssetCheckSpec(
            check,
            asset=key,
            description=CHECKS[check],
            metadata={"severity": dataset.statistics.severity(check), "layer": "statistics"},
        )
        for check in dataset.statistics.checks
    ]
    return partitioned(specs, to_dagster(dataset.partitions))


def _records(found: Sequence[Finding]) -> list[dg.TableRecord]:
    return [
        dg.TableRecord(
            {
                "partition": each.partition,
                "of": each.column_name,
                "observed": each.observed,
                "expected_low": each.expected_low,
                "expected_high": each.expected_high,
                "history": each.history,
                "confidence": each.confidence,
                "severity": each.severity,
                "finding": each.finding_id,
                "message": each.message,
            }
        )
        for each in found[:SHOWN_PARTITIONS]
    ]


def with_scores(
    told: Mapping[str, dict[str, Any]], statistics: Statistics
) -> dict[str, dict[str, Any]]:
    """Metadata of partitions, with what statistics add."""
    return {key: {**metadata, **statistics.metadata(key)} for key, metadata in told.items()}
