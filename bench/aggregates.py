"""The aggregates of a lake, built by the dbt project as the product starts it, without Dagster.

Belongs here: starting dbt with the product's own settings. Does not belong here: those settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from platform_assets.assets import dbt, dbt_project
from platform_assets.warehouse.lake import Connection, LakeConfig, connect, in_transaction


def prepare() -> None:
    """Make the manifest and the parse cache, as the installation does."""
    dbt_project.prepare_dbt_project()


def build(lake: LakeConfig, partitions: Sequence[str], target: Path, *, everything: bool) -> None:
    """Build every model, tests included, in one transaction as the product does.

    Args:
        lake: The lake.
        partitions: The days.
        target: Folder of the run's files.
        everything: Whether the tables are built anew, from all partitions.

    Raises:
        SystemExit: dbt refused.
    """

    def run(connection: Connection) -> None:
        outcome = dbt.run_dbt(
            connection,
            partitions,
            (),
            ["--full-refresh"] if everything else [],
            manifest=dbt_project.load_manifest(),
            target=target / "run",
        )
        if outcome.stopped_by:
            raise SystemExit(outcome.message)

    with connect(lake) as connection:
        in_transaction(connection, run)
