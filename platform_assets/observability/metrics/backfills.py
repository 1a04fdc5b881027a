"""Metrics of backfills in progress.

Belongs here: which metrics, and their values. Does not belong here: runs (``runs``).

A backfill's id is no label: each one would be a new series. What is told is the sum over those that
are in progress, which are few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.execution.backfill import (
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)

from platform_assets.observability.metrics.declared import Metric, Reading

IN_PROGRESS = (
    BulkActionStatus.REQUESTED,
    BulkActionStatus.CANCELING,
    BulkActionStatus.FAILING,
)
TARGET, DONE, FAILED = "target", "done", "failed"

BACKFILLS = Metric("platform_assets_unfinished_backfills", "Backfills that are not over.")
PARTITIONS = Metric(
    "platform_assets_backfill_partitions",
    "Partitions of assets in the backfills that are not over: all (target), done, failed (with "
    "what follows from them).",
    ("status",),
)
OLDEST = Metric(
    "platform_assets_oldest_unfinished_backfill_timestamp_seconds",
    "When the backfill that is not over for longest was asked for; absent where there is none.",
)


class BackfillCollector:
    """Metrics of backfills.

    Args:
        instance: Dagster's instance.
    """

    name = "backfills"
    source = "dagster"
    metrics = (BACKFILLS, PARTITIONS, OLDEST)

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        return tuple(self._readings())

    def _readings(self) -> Iterator[Reading]:
        found = self._instance.get_backfills(BulkActionsFilter(statuses=list(IN_PROGRESS)))
        yield BACKFILLS.at(len(found))
        progress: Counter[str] = Counter()
        for each in found:
            progress.update(_progress(each))
        for status in (TARGET, DONE, FAILED):
            yield PARTITIONS.at(progress[status], status)
        if found:
            yield OLDEST.at(min(each.backfill_timestamp for each in found))


def _progress(backfill: PartitionBackfill) -> dict[str, int]:
    """How far a backfill of assets is; nothing is known of others, and of those of old versions."""
    told = backfill.asset_backfill_data
    if told is None:
        return {}
    return {
        TARGET: told.target_subset.num_partitions_and_non_partitioned_assets,
        DONE: told.materialized_subset.num_partitions_and_non_partitioned_assets,
        FAILED: told.failed_and_downstream_subset.num_partitions_and_non_partitioned_assets,
    }
