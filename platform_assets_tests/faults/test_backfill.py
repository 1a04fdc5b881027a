"""``platform-assets backfill`` is killed halfway and run again, as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import pytest

from platform_assets_tests.faults.conftest import Delivery, Undisturbed, assert_is_truth
from platform_assets_tests.faults.processes import KILLED, PATIENCE_SECONDS
from platform_assets_tests.faults.site import (
    PII_KEY,
    Observation,
    Site,
    assert_equal_contents,
    contents,
    observe,
)
from platform_assets_tests.warm import programs

POLL_SECONDS = 0.1
SELECTION = "group:raw or group:cleaned or group:quarantine"


def _environment(site: Site, shop: Path, home: Path) -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_ASSETS_")},
        "PLATFORM_ASSETS_DATA_DIR": str(site.root),
        "PLATFORM_ASSETS_SHOP_DIR": str(shop),
        "PLATFORM_ASSETS_PII_KEY": PII_KEY,
        "PLATFORM_ASSETS_THREADS": "1",
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def _backfill(
    days: list[str], environment: Mapping[str, str], folder: Path
) -> subprocess.Popen[str]:
    # Killed, it takes the process that does the work with it, by SIGKILL as well.
    program = programs() / "platform-assets"
    return subprocess.Popen(
        [program, "backfill", "--from", days[0], "--to", days[-1], "--select", SELECTION],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _still_runs(process: subprocess.Popen[str], deadline: float) -> None:
    """Pass a moment in which a run must neither end nor hang."""
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        assert time.monotonic() < deadline, "the run hangs"
    else:
        raise AssertionError(f"it ended before it could be killed: {process.communicate()[0]}")


def _kill_when(
    process: subprocess.Popen[str], site: Site, reached: Callable[[Observation], bool]
) -> None:
    """Kill a run at the first moment at which its lake has come to some point."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not site.config.catalog.exists():
        _still_runs(process, deadline)
    with site.open() as connection:
        while not reached(observe(connection)):
            _still_runs(process, deadline)
    process.kill()
    process.communicate()


def _statuses() -> list[dg.DagsterRunStatus]:
    """The status of each run, the oldest first."""
    with dg.DagsterInstance.get() as instance:
        return [run.status for run in reversed(instance.get_runs())]


def test_a_killed_backfill_is_shown_failed_and_done_by_the_next(
    month: Delivery,
    quiet_month: Undisturbed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site, home = Site(tmp_path / "data"), tmp_path / "home"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    environment = _environment(site, month.folder, home)

    killed = _backfill(month.days, environment, tmp_path)
    try:
        _kill_when(killed, site, lambda seen: bool(seen.published))
    finally:
        killed.kill()
    assert killed.returncode == KILLED
    with site.open() as connection:
        left = observe(connection)
    assert 0 < len(left.published) < len(quiet_month.observation.published), "not killed halfway"
    assert _statuses() == [dg.DagsterRunStatus.STARTED]

    again = _backfill(month.days, environment, tmp_path)
    try:
        output, _ = again.communicate(timeout=PATIENCE_SECONDS)
    finally:
        again.kill()
    assert again.returncode == 0, output
    assert _statuses() == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]

    assert_equal_contents(contents(site), quiet_month.contents, but=["ledger"])
    with site.open() as connection:
        assert_is_truth(observe(connection), month.report)
