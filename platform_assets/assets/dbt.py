"""dbt: its project, the manifest that is made at build time, and one run of it.

Belongs here: what it takes to start dbt through dagster-dbt. Does not belong here: which partitions
are built and what is told of them (``aggregates``), and the models (``dbt/``).

``DbtCliResource.cli`` first asks PyPI for the newest version (``dbt --version``) and loads dbt a
second time, in Dagster's own process, for an adapter that cannot read an attached lake. What then
runs dbt and makes Dagster's events of its log is ``DbtCliInvocation``, which is called directly.
One start of each on a busy machine: 13.3 s of processor time for the former, 6 to 7 s for this.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation
from packaging.version import Version

from platform_assets.dbt.lake_plugin import LAKE_VARIABLE, to_environment
from platform_assets.errors import SettingsError
from platform_assets.warehouse.lake import LakeConfig

PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt"
TARGET_DIR = PROJECT_DIR / "target"
PARTITIONS_VARIABLE = "AGGREGATES_PARTITIONS"
KEPT_RUN_FOLDERS = 20
_MANIFEST = "manifest.json"
_PARSE_CACHE = "partial_parse.msgpack"
_VERSION = "project_version.txt"
_SOURCES = ("*.yml", "lake_plugin.py", "macros/**/*.sql", "models/**/*", "tests/**/*.sql")

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


@dataclass(frozen=True)
class DbtOutcome:
    """What a run of dbt came to.

    Attributes:
        checks: A result for each test that ran.
        stopped_by: The first model or test that stopped the run; empty where none did.
        message: What dbt said of it.
    """

    checks: Sequence[dg.AssetCheckResult]
    stopped_by: str = ""
    message: str = ""


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
    context: dg.AssetExecutionContext,
    lake: LakeConfig,
    partitions: Sequence[str],
    arguments: Sequence[str],
    *,
    manifest: Mapping[str, Any],
    translator: DagsterDbtTranslator,
    folder: Path,
) -> DbtOutcome:
    """Run ``dbt build`` on the lake and wait for its end.

    Args:
        context: Of the step.
        lake: Where the lake is.
        partitions: What to build.
        arguments: Which nodes, and how.
        manifest: The project's manifest.
        translator: What the nodes are called in Dagster.
        folder: Where runs leave their folders; the oldest are removed.

    Returns:
        What became of it; a failing model or test is told, not raised.
    """
    _prune(folder)
    target = folder.absolute() / f"{context.run.run_id[:8]}-{os.getpid()}"
    shutil.rmtree(target, ignore_errors=True)
    invocation = DbtCliInvocation.run(
        args=[str(dbt_executable()), "build", *arguments],
        env={
            **os.environ,
            **_folders(target),
            **_QUICK_START,
            "DBT_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
            LAKE_VARIABLE: to_environment(lake),
            PARTITIONS_VARIABLE: json.dumps(spans(partitions)),
        },
        manifest=manifest,
        dagster_dbt_translator=translator,
        project_dir=PROJECT_DIR,
        target_path=target,
        raise_on_error=False,
        context=context,
        adapter=None,
        cli_version=Version(_dbt_version()),
    )
    checks: list[dg.AssetCheckResult] = []
    stopped_by, messages = "", []
    for event in invocation.stream_raw_events():
        raw = event.raw_event
        if raw["info"]["level"] == "error":
            messages.append(str(raw["info"]["msg"]))
        if raw["data"].get("status") in ("error", "fail") and not stopped_by:
            stopped_by = str(raw["data"].get("node_info", {}).get("node_name", ""))
        checks += [
            result
            for result in event.to_default_asset_events(manifest, translator, context, target)
            if isinstance(result, dg.AssetCheckResult)
        ]
    if invocation.is_successful():
        return DbtOutcome(checks)
    return DbtOutcome(checks, stopped_by or "dbt", "\n".join(messages))


def spans(partitions: Sequence[str]) -> list[tuple[str, str]]:
    """Days as spans of neighbours, first and last of each: a year is one span, not 365 names."""
    found: list[tuple[str, str]] = []
    for key in sorted(partitions):
        day_before = str(date.fromisoformat(key) - timedelta(days=1))
        if found and found[-1][1] == day_before:
            found[-1] = (found[-1][0], key)
        else:
            found.append((key, key))
    return found


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
