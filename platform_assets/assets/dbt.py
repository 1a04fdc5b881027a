"""dbt: its project, the manifest that is made at build time, and one run of it.

Belongs here: what it takes to run dbt on the lake. Does not belong here: which partitions are built
and what is told of them (``aggregates``), and the models (``dbt/``).

dbt runs in the process of the step, through its own programmatic interface (``dbtRunner``), one
run at a time, and in a transaction of the step (``one_transaction``). dagster-dbt has loaded nearly
all of dbt into that process already, so a process of its own would load it twice: measured on 2
cores, that costs 3 s of processor time per run. It also means that whoever kills the run has killed
dbt.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator
from dagster_dbt.asset_utils import get_asset_check_key_for_test
from dbt.artifacts.schemas.results import RunStatus, TestStatus
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.base_types import EventMsg

from platform_assets.assets.dbt_tests import FailedTest, check_result, failed_test
from platform_assets.dbt.one_transaction import dbt_on
from platform_assets.errors import SettingsError
from platform_assets.partitions import spans
from platform_assets.warehouse.lake import Connection

PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt"
TARGET_DIR = PROJECT_DIR / "target"
PARTITIONS_VARIABLE = "AGGREGATES_PARTITIONS"
HELD_VARIABLE = "AGGREGATES_HELD"
KEPT_RUN_FOLDERS = 20
_MANIFEST = "manifest.json"
_PARSE_CACHE = "partial_parse.msgpack"
_VERSION = "project_version.txt"
_SOURCES = ("*.yml", "macros/**/*.sql", "models/**/*", "tests/**/*.sql")

# What dbt need not do. Of its own start about half is importing itself, which no flag shortens;
# the difference that these make was below the noise of the machine that it was measured on.
_QUICK_START = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_VERSION_CHECK": "false",
    "DBT_PARTIAL_PARSE": "true",
    "DBT_STATIC_PARSER": "true",
    # Of the lake's schemas only those that the run touches are listed.
    "DBT_CACHE_SELECTED_ONLY": "true",
    # The manifest is that of the build; the results are Dagster's and the ledger's.
    "DBT_WRITE_JSON": "false",
    "DBT_LOG_LEVEL": "info",
    "DBT_LOG_LEVEL_FILE": "error",
}
# A hook or model that broke, or a test; and a test that found something.
_BROKEN = (RunStatus.Error, TestStatus.Error)
_STOPPING = (*_BROKEN, TestStatus.Fail)


@dataclass(frozen=True)
class DbtOutcome:
    """What a run of dbt came to.

    Attributes:
        checks: A result for each test that ran.
        stopped_by: The first model or test that stopped the run; empty where none did.
        message: What dbt said of it.
        failing: The tests that found rows, where nothing else went wrong.
    """

    checks: Mapping[dg.AssetCheckKey, dg.AssetCheckResult]
    stopped_by: str = ""
    message: str = ""
    failing: tuple[FailedTest, ...] = ()


def dbt_executable() -> Path:
    """The ``dbt`` of this environment, which need not be activated."""
    executable = Path(sys.executable).parent / "dbt"
    if not executable.is_file():
        raise SettingsError(
            "dbt is not installed in the environment that runs Dagster",
            where=str(executable),
            expected="dbt beside the Python interpreter",
            found="nothing",
            fix="install the locked requirements: make install",
        )
    return executable


def project_version() -> str:
    """Changes with every file of the project that can change a row or an asset, and with dbt."""
    digest = hashlib.sha256(_dbt_version().encode())
    for file in sorted({f for pattern in _SOURCES for f in PROJECT_DIR.glob(pattern)}):
        if file.is_file():
            digest.update(f"\x1f{file.relative_to(PROJECT_DIR).as_posix()}\x1f".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def prepare_dbt_project() -> Path:
    """Make the manifest and the parse cache, where they are missing or older than the project.

    Returns:
        The manifest.

    Raises:
        SettingsError: dbt refuses the project.
    """
    version = project_version()
    if _prepared_version() == version:
        return TARGET_DIR / _MANIFEST
    TARGET_DIR.mkdir(exist_ok=True)
    # Parsed beside the target and moved there file by file: a test session that starts meanwhile
    # finds the old files or the new ones. The version comes last.
    with tempfile.TemporaryDirectory(dir=TARGET_DIR) as folder:
        environment = {**os.environ, **_folders(Path(folder)), **_QUICK_START}
        environment["DBT_WRITE_JSON"] = "true"
        parsed = subprocess.run(  # noqa: S603 # the command is ours
            [dbt_executable(), "parse"],
            cwd=PROJECT_DIR,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if parsed.returncode != 0:
            raise SettingsError(
                "dbt cannot parse the project of the aggregates",
                where=str(PROJECT_DIR),
                expected="models, macros and tests that dbt reads without an error",
                found=parsed.stdout.strip() or parsed.stderr.strip(),
                fix="correct the file that dbt names, then run: platform-assets setup",
            )
        Path(folder, _VERSION).write_text(version, encoding="utf-8")
        for name in (_MANIFEST, _PARSE_CACHE, _VERSION):
            Path(folder, name).replace(TARGET_DIR / name)
    return TARGET_DIR / _MANIFEST


def load_manifest() -> Mapping[str, Any]:
    """The manifest that was made at build time; it is never made while Dagster loads.

    Raises:
        SettingsError: There is none, or the project has changed since.
    """
    prepared = _prepared_version()
    if prepared != project_version():
        raise SettingsError(
            "The manifest of the dbt project is missing"
            if prepared is None
            else "The dbt project has changed since its manifest was made",
            where=str(TARGET_DIR / _MANIFEST),
            expected="the manifest that is made when the platform is installed",
            found="none" if prepared is None else "one of an earlier version of the project",
            fix="run: make install"
            if prepared is None
            else "run: platform-assets setup (make install where that is not found)",
        )
    manifest: dict[str, Any] = json.loads((TARGET_DIR / _MANIFEST).read_bytes())
    return manifest


def run_dbt(
    connection: Connection,
    partitions: Sequence[str],
    held: Sequence[str],
    arguments: Sequence[str],
    *,
    manifest: Mapping[str, Any],
    translator: DagsterDbtTranslator,
    target: Path,
) -> DbtOutcome:
    """Run ``dbt build`` in an open transaction of the lake and wait for its end.

    Args:
        connection: An open lake, in the transaction; where anything failed, it must not commit.
        partitions: What to build.
        held: Partitions of which no new row may be taken.
        arguments: Which nodes, and how.
        manifest: The project's manifest, as Dagster knows it.
        translator: What the nodes are called in Dagster.
        target: The run's own folder, for compiled SQL and the log; its siblings are those of
            earlier runs, and the oldest are removed.

    Returns:
        What became of it; a failing model or test is told, not raised.
    """
    _prune(target.parent)
    shutil.rmtree(target, ignore_errors=True)
    errors: list[str] = []

    def note_error(event: EventMsg) -> None:
        if event.info.level == "error":
            # The protocol buffer's fields are not in its type.
            errors.append(str(event.info.msg))  # type: ignore[attr-defined]

    environment = {
        **_folders(target.absolute()),
        **_QUICK_START,
        PARTITIONS_VARIABLE: json.dumps(spans(partitions)),
        HELD_VARIABLE: json.dumps(spans(held)),
    }
    with _environment(environment), dbt_on(connection):
        # Read for every run: dbt writes into the manifest that it is given.
        parsed = Manifest.from_msgpack((TARGET_DIR / _PARSE_CACHE).read_bytes())
        done = dbtRunner(manifest=parsed, callbacks=[note_error]).invoke(["build", *arguments])
    if done.exception is not None and not isinstance(done.exception, Exception):
        # dbt catches what interrupts the run, too.
        raise done.exception
    results = done.result.results if isinstance(done.result, RunExecutionResult) else []
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


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and put back all that dbt may change of the process.

    Only what differs is touched: other threads read the environment meanwhile.
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


def _dbt_version() -> str:
    return metadata.version("dbt-core")


def _prepared_version() -> str | None:
    file = TARGET_DIR / _VERSION
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _folders(target: Path) -> dict[str, str]:
    return {
        "DBT_PROJECT_DIR": str(PROJECT_DIR),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
    }


def _prune(folder: Path) -> None:
    """Keep the newest folders of runs: each holds compiled SQL that somebody may want to read."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = sorted((f for f in folder.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)
    for old in runs[: -KEPT_RUN_FOLDERS + 1]:
        shutil.rmtree(old, ignore_errors=True)
