"""Dagster's instance and in-process runs, as the commands use them.

Belongs here: DAGSTER_HOME, runs over a range, what became of them. Does not belong here: output.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from platform_assets.assets.reporting import FORCE_TAG
from platform_assets.errors import SettingsError
from platform_assets.sensors.dead_runs import end_dead_runs
from platform_assets.workers import worker_tags

# What Dagster says of its own interfaces is for whoever upgrades it, not for who runs a command.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
# Off the terminal: the UI shows the event log, the summary tells the rest.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def ensure_home(config: Path) -> Path:
    """Make DAGSTER_HOME with the project's instance configuration.

    Args:
        config: The project's ``dagster.yaml``.

    Raises:
        SettingsError: DAGSTER_HOME is not an absolute path.
    """
    home = Path(os.environ.get("DAGSTER_HOME", Path("data/dagster_home").absolute()))
    if not home.is_absolute():
        raise SettingsError(
            "DAGSTER_HOME is a relative path, which Dagster refuses",
            where="environment variable DAGSTER_HOME",
            expected="an absolute path",
            found=str(home),
            fix=f"export DAGSTER_HOME={home.absolute()}",
        )
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if config.is_file() and (not target.is_file() or target.read_bytes() != config.read_bytes()):
        shutil.copyfile(config, target)
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def run_range(
    definitions: dg.Definitions,
    keys: Sequence[str],
    *,
    selection: dg.AssetSelection | None = None,
    force: bool = False,
    quiet: bool = True,
) -> dg.ExecuteInProcessResult:
    """Materialize assets over a range of partitions, in one run of this process.

    Args:
        definitions: The code location.
        keys: The partitions, in order; first and last make the range.
        selection: Which assets; None: all.
        force: Whether to do again what is unchanged.
        quiet: Whether to keep Dagster's log off the terminal.

    Returns:
        The run's result; partitions that failed do not raise.
    """
    tags = {
        ASSET_PARTITION_RANGE_START_TAG: keys[0],
        ASSET_PARTITION_RANGE_END_TAG: keys[-1],
        **worker_tags(),
    }
    if force:
        tags[FORCE_TAG] = "true"
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        job = definitions.resolve_implicit_global_asset_job_def()
        chosen = sorted(
            (selection or dg.AssetSelection.all()).resolve(definitions.resolve_asset_graph()),
            key=str,
        )
        return job.execute_in_process(
            run_config=_QUIET if quiet else None,
            instance=instance,
            tags=tags,
            asset_selection=chosen,
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
