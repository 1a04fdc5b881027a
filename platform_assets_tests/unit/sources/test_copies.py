"""Copies of files are gone when nobody reads them, and what a killed process left is swept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import pytest

from platform_assets.sources import copies
from platform_assets.sources.base import Access


class Owner:
    """Who reads copies."""


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(duckdb.connect(config={"temp_directory": str(tmp_path)}))


def test_copies_live_as_long_as_somebody_reads_them(access: Access, tmp_path: Path) -> None:
    owner = Owner()
    folder = copies.new_folder(access)
    (folder / "copy.csv").write_text("a\n1\n")
    copies.keep_for(owner, folder)
    assert folder.parent == tmp_path
    assert folder.is_dir()
    del owner
    assert not folder.exists()


def test_what_killed_processes_left_is_swept_a_day_later(access: Access, tmp_path: Path) -> None:
    left = copies.new_folder(access)
    (left / "copy.csv").write_text("a\n1\n")
    book = tmp_path / f"{copies.PREFIX}book.xlsx"
    book.write_bytes(b"")
    other = tmp_path / "other"
    other.mkdir()
    copies.new_folder(access)
    assert left.is_dir()
    long_ago = time.time() - copies.LEFT_BEHIND_SECONDS - 1
    for each in (left, book, other):
        os.utime(each, (long_ago, long_ago))
    new = copies.new_folder(access)
    assert not left.exists()
    assert not book.exists()
    assert other.is_dir()
    assert new.is_dir()
