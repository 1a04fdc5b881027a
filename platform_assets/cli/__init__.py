"""The console script ``platform-assets``: what the Makefile and the docs call.

Thin on purpose: everything that it does can be reached from Python or Dagster too.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder, where ``dagster.yaml`` and ``workspace.yaml`` are."""
