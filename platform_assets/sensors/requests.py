"""Runs that sensors ask for: neighbouring partitions in one, none while another is at work.

Belongs here: how a set of partitions becomes run requests, and whether it is time to ask. Does not
belong here: which partitions (each sensor knows its own).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from platform_assets.dataset import Dataset
from platform_assets.partitions import UNPARTITIONED_KEY, spans

DATASET_TAG = "platform_assets/dataset"
REASON_TAG = "platform_assets/requested_by"
# A run that failed is not asked for again at once: its source has to come back first.
PAUSE_AFTER_FAILURE = timedelta(minutes=10)
_AT_WORK = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def why_not_now(instance: dg.DagsterInstance, dataset: str) -> str:
    """Why no run of a dataset should be asked for now; empty: nothing is in the way.

    Args:
        instance: Dagster's instance.
        dataset: The dataset's name.
    """
    tags = {DATASET_TAG: dataset}
    if instance.get_runs(dg.RunsFilter(tags=tags, statuses=list(_AT_WORK)), limit=1):
        return "a run of it is at work"
    newest = instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)
    if newest and newest[0].dagster_run.status is dg.DagsterRunStatus.FAILURE:
        ended = datetime.fromtimestamp(newest[0].end_time or 0, UTC)
        if datetime.now(UTC) - ended < PAUSE_AFTER_FAILURE:
            return "its last run failed a short time ago"
    return ""


def run_requests(
    dataset: Dataset, layers: Sequence[str], partitions: Sequence[str], reason: str
) -> Iterator[dg.RunRequest]:
    """Runs of a dataset's assets over exactly these partitions.

    Args:
        dataset: The dataset.
        layers: Which of its assets: ``raw``, ``cleaned``, ``quarantine``.
        partitions: The partitions' keys.
        reason: The sensor that asks.

    Yields:
        One request for each span of neighbours.
    """
    assets = [dg.AssetKey([layer, dataset.name]) for layer in layers]
    tags = {DATASET_TAG: dataset.name, REASON_TAG: reason}
    if list(partitions) == [UNPARTITIONED_KEY]:
        yield dg.RunRequest(asset_selection=assets, tags=tags)
        return
    for first, last in spans(partitions):
        if first == last:
            yield dg.RunRequest(asset_selection=assets, partition_key=first, tags=tags)
            continue
        bounds = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        yield dg.RunRequest(asset_selection=assets, tags={**tags, **bounds})
