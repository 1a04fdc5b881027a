"""DuckDB's extensions, offline: each comes with a wheel of its own.

Belongs here: finding and loading one. Does not belong here: what is done with it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from platform_assets.errors import SettingsError
from platform_assets.sql import quote_literal


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


def load_extension(engine: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension into an engine; once loaded, that costs nothing.

    Args:
        engine: The engine.
        name: The extension, such as ``ducklake``.

    Raises:
        SettingsError: The wheel is not installed, or is of another DuckDB version.
    """
    engine.execute(f"LOAD {quote_literal(str(extension_file(name)))}")
