"""What a result was measured on: the machine, the versions, the code.

Belongs here: describing. Does not belong here: measuring. Only the standard library is imported.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from bench.measure import ROOT

PACKAGES = ("duckdb", "duckdb-extension-ducklake", "dagster", "dbt-core", "dbt-duckdb", "pandera",
            "pandas", "pyarrow")  # fmt: skip


def _line_of(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _commit() -> str:
    """The code's commit; with a mark where files differ from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "not a git checkout"


def describe() -> dict[str, str]:
    """The machine, the versions and the code, by name."""
    memory = _line_of("/proc/meminfo", "MemTotal")
    gibibytes = int(memory.split()[0]) / 1024**2 if memory else 0.0
    return {
        "processor": f"{_line_of('/proc/cpuinfo', 'model name') or platform.machine()}, "
        f"{os.cpu_count()} processors",
        "memory": f"{gibibytes:.0f} GiB" if gibibytes else "unknown",
        "system": platform.platform(),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "code": _commit(),
    }


def load_average() -> str:
    """What else the machine was doing: its load average of one minute."""
    return f"{os.getloadavg()[0]:.1f}"
