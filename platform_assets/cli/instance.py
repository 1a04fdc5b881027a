"""Dagster's instance and in-process runs, as the commands use them.

Belongs here: DAGSTER_HOME, runs over a range. Does not belong here: how a run is made
(``assets.runs``), and output.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from platform_assets.assets.runs import run_assets
from platform_assets.errors import SettingsError
from platform_assets.sensors.dead_runs import end_dead_runs
from platform_assets.workers import BACKFILL, COMMAND_TAG

# What Dagster says of its own interfaces is for whoever upgrades it, not for who runs a command.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def ensure_home(config: Path) -> Path:
    """Make DAGSTER_HOME with the project's instance configuration.

    Args:
        config: The project's ``dagster.yaml``.

    Raises:
        SettingsError: DAGSTER_HOME is not an absolute path.
    """
    home = _home()
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


def _home() -> Path:
    return Path(os.environ.get("DAGSTER_HOME", Path("data/dagster_home").absolute()))


@contextmanager
def instance_if_there(config: Path) -> Iterator[dg.DagsterInstance | None]:
    """The instance, for a command that does without one; None: nobody has made one yet.

    Args:
        config: The project's ``dagster.yaml``.

    Raises:
        SettingsError: DAGSTER_HOME is not an absolute path.
    """
    if not _home().is_dir():
        yield None
        return
    ensure_home(config)
    with dg.DagsterInstance.get() as instance:
        yield instance


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
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        chosen = (selection or dg.AssetSelection.all()).resolve(definitions.resolve_asset_graph())
        tags = {COMMAND_TAG: BACKFILL}
        return run_assets(definitions, instance, chosen, keys, force=force, quiet=quiet, tags=tags)
