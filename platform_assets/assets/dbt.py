"""One run of dbt on the lake.

Belongs here: what it takes to run dbt. Does not belong here: which partitions are built and what is
told of them (``aggregates``), the project (``dbt_project``), and the models (``dbt/``).

dbt runs in the process of the step, through its own programmatic interface (``dbtRunner``), one
run at a time, and in a transaction of the step (``one_transaction``); a process of its own would
load it anew for each run: 3 s of processor time, measured on 2 cores. It also means that whoever
kills the run has killed dbt.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from dagster_dbt.asset_utils import get_asset_check_key_for_test
from dbt.artifacts.schemas.results import RunStatus, TestStatus
from dbt.artifacts.schemas.run import RunExecutionResult, RunResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.base_types import EventMsg

from platform_assets import run_log
from platform_assets.assets.dbt_project import PARSE_CACHE, QUICK_START, TARGET_DIR, folders
from platform_assets.assets.dbt_results import check_result, failed_test
from platform_assets.assets.dbt_tests import DbtOutcome
from platform_assets.assets.dbt_translation import LakeTranslator
from platform_assets.dbt.one_transaction import dbt_on
from platform_assets.observability import traces
from platform_assets.partitions import spans
from platform_assets.warehouse.lake import Connection

PARTITIONS_VARIABLE = "AGGREGATES_PARTITIONS"
HELD_VARIABLE = "AGGREGATES_HELD"
KEPT_RUN_FOLDERS = 20
_DBT_LOG = logging.getLogger("dbt")
_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
# A hook or model that broke, or a test; and a test that found something.
_BROKEN = (RunStatus.Error, TestStatus.Error)
_STOPPING = (*_BROKEN, TestStatus.Fail)


def run_dbt(
    connection: Connection,
    partitions: Sequence[str],
    held: Sequence[str],
    arguments: Sequence[str],
    *,
    manifest: Mapping[str, Any],
    target: Path,
) -> DbtOutcome:
    """Run ``dbt build`` in an open transaction of the lake and wait for its end.

    Args:
        connection: An open lake, in the transaction; where anything failed, it must not commit.
        partitions: What to build.
        held: Partitions of which no new row may be taken.
        arguments: Which nodes, and how.
        manifest: The project's manifest, as Dagster knows it.
        target: The run's own folder, for compiled SQL and the log; its siblings are those of
            earlier runs, and the oldest are removed.

    Returns:
        What became of it; a failing model or test is told, not raised.
    """
    translator = LakeTranslator()
    _prune(target.parent)
    shutil.rmtree(target, ignore_errors=True)
    errors: list[str] = []

    is_json = run_log.is_json()

    def note(event: EventMsg) -> None:
        # The protocol buffer's fields are not in its type.
        level, text = event.info.level, str(event.info.msg)  # type: ignore[attr-defined]
        if level == "error":
            errors.append(text)
        if is_json and level in _LEVELS and text.strip():
            _DBT_LOG.log(_LEVELS[level], text.strip())

    variables = {
        **folders(target.absolute()),
        **QUICK_START,
        # What dbt prints is no JSON of ours: its events go the way of all other lines.
        **({"DBT_LOG_LEVEL": "none"} if is_json else {}),
        PARTITIONS_VARIABLE: json.dumps(spans(partitions)),
        HELD_VARIABLE: json.dumps(spans(held)),
    }
    with environment(variables), dbt_on(connection):
        # Read for every run: dbt writes into the manifest that it is given.
        parsed = Manifest.from_msgpack((TARGET_DIR / PARSE_CACHE).read_bytes())
        done = dbtRunner(manifest=parsed, callbacks=[note]).invoke(["build", *arguments])
    if done.exception is not None and not isinstance(done.exception, Exception):
        # dbt catches what interrupts the run, too.
        raise done.exception
    results = done.result.results if isinstance(done.result, RunExecutionResult) else []
    _trace(results)
    tests = [
        (get_asset_check_key_for_test(manifest, translator, each.node.unique_id, None), each)
        for each in results
        if each.status not in (TestStatus.Skipped, RunStatus.Skipped)
    ]
    checks = {key: check_result(key, each) for key, each in tests if key}
    if done.success:
        return DbtOutcome(checks)
    failing = tuple(filter(None, (failed_test(key, each) for key, each in tests)))
    stopped_by = [each.node.name for each in results if each.status in _STOPPING]
    broken = any(each.status in _BROKEN for each in results) or not stopped_by
    message = "\n".join(errors) or str(done.exception or "")
    return DbtOutcome(
        checks,
        stopped_by[0] if stopped_by else "dbt",
        message,
        () if broken else failing,
    )


def _trace(results: Sequence[RunResult]) -> None:
    """Tell the trace of each model and test: dbt has run them in threads of its own."""
    for each in results:
        begun = [time.started_at for time in each.timing if time.started_at]
        over = [time.completed_at for time in each.timing if time.completed_at]
        if not begun or not over:
            continue
        bad = each.status in _STOPPING
        traces.past(
            each.node.name,
            min(begun).replace(tzinfo=UTC),
            max(over).replace(tzinfo=UTC),
            error=f"{each.status}: {each.failures or 0} rows" if bad else "",
            kind=str(each.node.resource_type),
            status=str(each.status),
        )


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and put back all that dbt may change of the process.

    Only what differs is touched: other threads read the environment meanwhile.

    Args:
        variables: Value by name.
    """
    before, folder = dict(os.environ), Path.cwd()
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        os.chdir(folder)


def _prune(folder: Path) -> None:
    """Keep the newest folders of runs: each holds compiled SQL that somebody may want to read."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = sorted((f for f in folder.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)
    for old in runs[: -KEPT_RUN_FOLDERS + 1]:
        shutil.rmtree(old, ignore_errors=True)
