"""dbt's project: its version, what is made of it when the platform is installed, and where it is.

Belongs here: what is asked of the project without loading dbt. Does not belong here: running dbt
(``dbt``), what its models are called in Dagster (``dbt_translation``), and the models (``dbt/``).

Loading dbt takes twice as long as all the rest of the code location. So dbt parses the project, and
dagster-dbt translates it, once for each version of it; every process that loads the definitions
reads the result.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from platform_assets.errors import SettingsError

PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt"
TARGET_DIR = PROJECT_DIR / "target"
MANIFEST, PARSE_CACHE, TRANSLATION = "manifest.json", "partial_parse.msgpack", "translation.json"
COMPILED = "compiled.json"
_VERSION = "project_version.txt"
_SOURCES = ("*.yml", "macros/**/*.sql", "models/**/*", "tests/**/*.sql")
# What the translation follows from, beside the project.
_TRANSLATOR = Path(__file__).with_name("dbt_translation.py")
_TRANSLATED_BY = ("dagster", "dagster-dbt")

# What dbt need not do. Of its own start about half is importing itself, which no flag shortens;
# the difference that these make was below the noise of the machine that it was measured on.
QUICK_START = {
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
    version = _installed_version()
    if _prepared_version() == version and (TARGET_DIR / COMPILED).is_file():
        return TARGET_DIR / MANIFEST
    TARGET_DIR.mkdir(exist_ok=True)
    # Parsed beside the target and moved there file by file: a test session that starts meanwhile
    # finds the old files or the new ones. The version comes last.
    with tempfile.TemporaryDirectory(dir=TARGET_DIR) as folder:
        environment = {**os.environ, **folders(Path(folder)), **QUICK_START}
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
        _translate(Path(folder))
        _compile(Path(folder))
        Path(folder, _VERSION).write_text(version, encoding="utf-8")
        for name in (MANIFEST, PARSE_CACHE, TRANSLATION, COMPILED, _VERSION):
            Path(folder, name).replace(TARGET_DIR / name)
    return TARGET_DIR / MANIFEST


def load_manifest() -> Mapping[str, Any]:
    """The manifest that was made at build time; it is never made while Dagster loads.

    Raises:
        SettingsError: There is none, or the project has changed since.
    """
    _refuse_unprepared()
    manifest: dict[str, Any] = json.loads((TARGET_DIR / MANIFEST).read_bytes())
    return manifest


def load_translation() -> str:
    """What the models are in Dagster, as ``dbt_translation`` has written it.

    Raises:
        SettingsError: There is none, or the project has changed since.
    """
    _refuse_unprepared()
    return (TARGET_DIR / TRANSLATION).read_text(encoding="utf-8")


def _translate(folder: Path) -> None:
    # It loads dbt.
    from platform_assets.assets.dbt_translation import translate

    translation = translate(json.loads((folder / MANIFEST).read_bytes()))
    (folder / TRANSLATION).write_text(translation, encoding="utf-8")


def compiled_models(target: Path | None = None) -> Mapping[str, str]:
    """The SQL of each model, compiled, by the model's id; empty where none was.

    Args:
        target: Of a run of dbt: what that run compiled; None: what was compiled with the manifest.
    """
    if target is None:
        file = TARGET_DIR / COMPILED
        made: dict[str, str] = json.loads(file.read_bytes()) if file.is_file() else {}
        return made
    found = {}
    for unique_id, node in load_manifest()["nodes"].items():
        file = target / "compiled" / node["package_name"] / node["original_file_path"]
        if node["resource_type"] == "model" and file.is_file():
            found[unique_id] = file.read_text(encoding="utf-8")
    return found


def _compile(folder: Path) -> None:
    # It loads dbt.
    from platform_assets.assets.dbt_compiling import compile_models

    compiled = json.dumps(compile_models(folder), indent=1)
    (folder / COMPILED).write_text(compiled, encoding="utf-8")


def _refuse_unprepared() -> None:
    prepared = _prepared_version()
    if prepared != _installed_version():
        raise SettingsError(
            "The manifest of the dbt project is missing"
            if prepared is None
            else "The dbt project has changed since its manifest was made",
            where=str(TARGET_DIR / MANIFEST),
            expected="the manifest that is made when the platform is installed",
            found="none" if prepared is None else "one of an earlier version of the project",
            fix="run: make install"
            if prepared is None
            else "run: platform-assets setup (make install where that is not found)",
        )


def _installed_version() -> str:
    """Changes with all that the prepared files follow from."""
    digest = hashlib.sha256(project_version().encode())
    digest.update(_TRANSLATOR.read_bytes())
    for name in _TRANSLATED_BY:
        digest.update(metadata.version(name).encode())
    return digest.hexdigest()[:12]


def _dbt_version() -> str:
    return metadata.version("dbt-core")


def _prepared_version() -> str | None:
    file = TARGET_DIR / _VERSION
    return file.read_text(encoding="utf-8") if file.is_file() else None


def folders(target: Path) -> dict[str, str]:
    """The environment variables that tell dbt where its project is, and where to write.

    Args:
        target: The folder to write to.
    """
    return {
        "DBT_PROJECT_DIR": str(PROJECT_DIR),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
    }
