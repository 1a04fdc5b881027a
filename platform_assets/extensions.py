"""The engine's extensions, from the wheels that brought them: nothing is downloaded.

Belongs here: finding an extension's file. Does not belong here: what an extension is used for.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from platform_assets.errors import SettingsError


def extension_file(name: str) -> Path:
    """The file of a DuckDB extension, as its wheel brought it.

    Args:
        name: The extension, such as ``ducklake``.

    Raises:
        SettingsError: The wheel is not installed, or is of another DuckDB version.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is not None and spec.origin is not None:
        version = f"v{duckdb.__version__}"
        file = Path(spec.origin).parent / "extensions" / version / f"{name}.duckdb_extension"
        if file.is_file():
            return file
    raise SettingsError(
        f"The DuckDB extension {name} is not installed",
        where=f"package duckdb-extension-{name.replace('_', '-')}",
        expected=f"a wheel for DuckDB {duckdb.__version__}",
        found="none" if spec is None else "a wheel for another version",
        fix="install the locked requirements: make install",
    )
