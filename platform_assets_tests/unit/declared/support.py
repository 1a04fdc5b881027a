"""A ``sources.yaml`` and what it declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.declared import Sources, load_sources
from platform_assets.errors import PlatformError

CONNECTIONS = "connections:\n  files: {kind: folder, path: delivered}\n"
MINIMAL = """\
datasets:
  - name: things
    kind: csv
    connection: files
    path: things/{partition}.csv
    contract: {columns: {thing_id: str}}
"""


def write(folder: Path, text: str) -> Path:
    """The file, with a connection unless the text brings its own."""
    file = folder / "sources.yaml"
    head = "" if "connections:" in text or text.startswith("-") else CONNECTIONS
    file.write_text(head + text, encoding="utf-8")
    return file


def load(folder: Path, text: str) -> Sources:
    """What a text declares."""
    return load_sources(write(folder, text), connections=["shop"])


def refused(folder: Path, text: str) -> PlatformError:
    """The error with which a text is refused, at the latest as datasets are made of it."""
    with pytest.raises(PlatformError) as caught:
        _ = [entry.dataset() for entry in load(folder, text).entries]
    return caught.value
