"""Runs of assets over some partitions, made in this process on a real instance.

Belongs here: what commands and jobs share in making one. Does not belong here: which partitions
(``replays``), and what a command says of it (``cli``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from platform_assets import run_log
from platform_assets.assets.reporting import FORCE_TAG
from platform_assets.workers import worker_tags

# What Dagster says belongs into the run's log, which the UI shows, and not on a terminal.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_assets(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    chosen: Collection[dg.AssetKey],
    keys: Sequence[str] = (),
    *,
    force: bool = False,
    quiet: bool = True,
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize assets in one run of this process.

    Args:
        definitions: The code location.
        instance: Where the run is kept.
        chosen: The assets.
        keys: The partitions, in order; first and last make the range. None where no asset has any.
        force: Whether to do again what is unchanged.
        quiet: Whether to keep Dagster's log off the terminal.
        tags: Further tags of the run.

    Returns:
        The run's result; partitions that failed do not raise.
    """
    own = {**worker_tags(), **(tags or {})}
    if keys:
        own |= {ASSET_PARTITION_RANGE_START_TAG: keys[0], ASSET_PARTITION_RANGE_END_TAG: keys[-1]}
    if force:
        own[FORCE_TAG] = "true"
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        # Where lines of JSON are asked for, they are asked for of this run too.
        run_config=QUIET if quiet and not run_log.is_json() else None,
        instance=instance,
        tags=own,
        asset_selection=sorted(chosen, key=str),
        raise_on_error=False,
    )


def why_failed(result: dg.ExecuteInProcessResult) -> list[str]:
    """What stopped each step that failed, as a person should read it.

    Args:
        result: A run's result.
    """
    texts = []
    for event in result.all_events:
        if event.event_type is not dg.DagsterEventType.STEP_FAILURE:
            continue
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            texts.append(data.user_failure_data.description)
            continue
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        texts.append(error.message.strip() if error is not None else f"{event.step_key} failed")
    return texts
