"""Copies of files that a source lays out in the engine's scratch folder while they are read.

Belongs here: where they are, and that none stays for ever. Does not belong here: what is in them.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from pathlib import Path

from platform_assets.sources.base import Access

PREFIX = "platform-assets-copy-"
# A load that is still at work is younger than this.
LEFT_BEHIND_SECONDS = 86_400.0


def scratch_folder(access: Access) -> Path:
    """Where a source may put a copy of a file for as long as it is read.

    Args:
        access: What to read through.
    """
    row = access.engine.execute("SELECT current_setting('temp_directory')").fetchone()
    folder = Path(str(row[0]) if row and row[0] else tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def new_folder(access: Access) -> Path:
    """A folder for copies; what killed processes have left of theirs long ago is removed.

    Args:
        access: What to read through.
    """
    scratch = scratch_folder(access)
    _sweep(scratch)
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=scratch))


def keep_for(owner: object, folder: Path) -> None:
    """Remove a folder once nobody holds its owner any more.

    Args:
        owner: Who may still read the copies.
        folder: From ``new_folder``.
    """
    weakref.finalize(owner, remove, folder)


def remove(folder: Path) -> None:
    """Remove a folder of copies; what cannot be removed now is swept later."""
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(scratch: Path) -> None:
    for left in scratch.glob(f"{PREFIX}*"):
        try:
            if time.time() - left.stat().st_mtime > LEFT_BEHIND_SECONDS:
                if left.is_dir():
                    remove(left)
                else:
                    left.unlink()
        except FileNotFoundError:
            # Another process sweeps, too.
            continue
