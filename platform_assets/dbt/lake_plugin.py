"""Gives dbt the lake: attached by the platform's own code, with the platform's limits.

Belongs here: what happens in dbt's process when it opens its connection. Does not belong here:
where the lake is; whoever starts dbt says so in one environment variable.

dbt's profile could attach the lake itself. It would then hold paths that differ from one
installation to the next, each of which throws away dbt's parse cache, and extensions would have to
be linked into a folder of dbt's liking.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin

from platform_assets.errors import SettingsError
from platform_assets.warehouse.lake import Connection, LakeConfig, attach, engine_options

LAKE_VARIABLE = "AGGREGATES_LAKE"
_PATHS = ("catalog", "files", "scratch")


def to_environment(config: LakeConfig) -> str:
    """Where a lake is, as the text of ``AGGREGATES_LAKE``; session variables are left out.

    Paths become absolute: dbt runs in the project's folder.
    """
    paths = {name: str(getattr(config, name).absolute()) for name in _PATHS}
    return json.dumps({**paths, "memory_limit": config.memory_limit, "threads": config.threads})


def from_environment() -> LakeConfig:
    """The lake that ``AGGREGATES_LAKE`` names.

    Raises:
        SettingsError: The variable is not set.
    """
    text = os.environ.get(LAKE_VARIABLE)
    if text is None:
        raise SettingsError(
            "dbt was not told where the lake is",
            where=f"environment variable {LAKE_VARIABLE}",
            expected="the lake's place, as the platform writes it",
            found="nothing",
            fix="materialize the aggregates in Dagster, which starts dbt with it",
        )
    values = json.loads(text)
    return LakeConfig(**{**values, **{name: Path(values[name]) for name in _PATHS}})


class Plugin(BasePlugin):
    """Attaches the lake as ``lake`` to the connection that dbt opens."""

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Give dbt's engine the platform's limits, and take out the profile's placeholder."""
        config.update(engine_options(from_environment()))
        creds.attach = []

    def configure_connection(self, conn: Connection) -> None:
        """Attach the lake."""
        attach(conn, from_environment())
