"""The aggregates of a lake, built by the dbt project as the product starts it, without Dagster.

Belongs here: starting dbt with the product's own settings. Does not belong here: those settings.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from platform_assets.assets import dbt
from platform_assets.dbt.lake_plugin import LAKE_VARIABLE, to_environment
from platform_assets.warehouse.lake import LakeConfig


def prepare() -> None:
    """Make the manifest and the parse cache, as the installation does."""
    dbt.prepare_dbt_project()


def build(lake: LakeConfig, target: Path) -> None:
    """Build every model from every partition, tests included.

    Args:
        lake: The lake.
        target: Folder of the run's files.

    Raises:
        SystemExit: dbt refused.
    """
    environment = {
        **os.environ,
        **dbt._folders(target.absolute()),
        **dbt._QUICK_START,
        LAKE_VARIABLE: to_environment(lake),
    }
    done = subprocess.run(
        [dbt.dbt_executable(), "build"],
        cwd=dbt.PROJECT_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
