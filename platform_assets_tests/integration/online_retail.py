"""The example's command as a test runs it, and what it leaves in the lake and in Dagster.

Belongs here: running and reading. Does not belong here: an assertion about the year.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

from examples.online_retail.dataset import invoice_lines
from platform_assets.warehouse.lake import Connection, LakeConfig, connect
from platform_assets_tests.warm import programs

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    lake: Path
    status: int
    out: str
    err: str

    @property
    def said(self) -> dict[str, Any]:
        """Its JSON."""
        said: dict[str, Any] = json.loads(self.out)
        return said

    @contextmanager
    def opened(self) -> Iterator[Connection]:
        """The lake that it published in."""
        folder = self.lake / "lake"
        config = LakeConfig(folder / "catalog.sqlite", folder / "files", self.lake / "scratch")
        with connect(config) as connection:
            yield connection

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.opened() as connection:
            return connection.execute(sql).fetchall()

    def figure(self, name: str, layer: str) -> int | str:
        value: int | str = self.said["totals"][name][layer]
        return value


def run(data: Path, lake: Path, *options: str) -> Outcome:
    """Run the command as a person would, in a process of its own."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_ASSETS_")}
    done = subprocess.run(
        [
            programs() / "python",
            "-m",
            "examples.online_retail",
            "--data",
            data,
            "--lake",
            lake,
            *options,
        ],
        cwd=ROOT,
        env={**own, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    return Outcome(lake, done.returncode, done.stdout, done.stderr)


def materialized(
    lake: Path, layer: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[set[str], list[dg.DagsterRunStatus]]:
    """Partitions that Dagster shows as materialized, and how its runs ended."""
    monkeypatch.setenv("DAGSTER_HOME", str(lake / "dagster_home"))
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetKey([layer, invoice_lines.name])
        return instance.get_materialized_partitions(key), [r.status for r in instance.get_runs()]


def evaluations(
    lake: Path, check: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[AssetCheckEvaluation, list[AssetCheckEvaluation]]:
    """What Dagster was told of a check: of the run, and of each day."""
    monkeypatch.setenv("DAGSTER_HOME", str(lake / "dagster_home"))
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["cleaned", invoice_lines.name]), check)
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1000)
    told = [record.evaluation for record in records if record.evaluation is not None]
    (of_run,) = (each for each in told if each.partition is None)
    return of_run, [each for each in told if each.partition is not None]
