"""Runs that sensors ask for: neighbouring partitions in one, none while another is at work.

Belongs here: how a set of partitions becomes run requests, and whether it is time to ask. Does not
belong here: which partitions (each sensor knows its own).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
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


def at_work(instance: dg.DagsterInstance, dataset: str) -> list[tuple[str, str]]:
    """The first and last partitions of runs that sensors asked for, and that are not over.

    Args:
        instance: Dagster's instance.
        dataset: The dataset's name.
    """
    runs = instance.get_runs(dg.RunsFilter(tags={DATASET_TAG: dataset}, statuses=list(_AT_WORK)))
    found = []
    for run in runs:
        one = run.tags.get(PARTITION_NAME_TAG, UNPARTITIONED_KEY)
        first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG, one)
        found.append((first, run.tags.get(ASSET_PARTITION_RANGE_END_TAG, one)))
    return found


def run_requests(
    dataset: Dataset,
    layers: Sequence[str],
    partitions: Sequence[str],
    reason: str,
    *,
    told: Mapping[str, str] | None = None,
) -> Iterator[dg.RunRequest]:
    """Runs of a dataset's assets over exactly these partitions.

    Args:
        dataset: The dataset.
        layers: Which of its assets: ``raw``, ``cleaned``, ``quarantine``.
        partitions: The partitions' keys.
        reason: The sensor that asks.
        told: What each partition is asked for on account of: the same is asked for once. None: the
            sensor sees by itself what is done.

    Yields:
        One request for each span of neighbours.
    """
    assets = [dg.AssetKey([layer, dataset.name]) for layer in layers]
    for first, last in spans(partitions):
        tags = {DATASET_TAG: dataset.name, REASON_TAG: reason}
        day = first if first == last != UNPARTITIONED_KEY else None
        if first != last:
            tags |= {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        run_key = None
        if told is not None:
            inside = sorted(f"{k}={v}" for k, v in told.items() if first <= k <= last)
            digest = hashlib.sha256("\n".join(inside).encode()).hexdigest()[:16]
            run_key = f"{dataset.name}:{first}:{last}:{digest}"
        yield dg.RunRequest(run_key=run_key, asset_selection=assets, partition_key=day, tags=tags)
