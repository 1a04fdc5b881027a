"""Where files are kept: found, told apart by version, and opened as a stream of bytes.

Belongs here: folders and buckets behind one protocol, and compression, which a file's name tells.
Does not belong here: which partition a file belongs to (``deliveries``), and what is in it.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import duckdb
import pyarrow as pa

# What reading a file that is gone, forbidden, cut off or damaged may raise.
READ_ERRORS = (OSError, EOFError, zlib.error)
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class Found:
    """One file.

    Attributes:
        url: Where it is, as the engine takes it.
        bytes: Its size as it is stored.
        version: Changes whenever its content may have changed.
    """

    url: str
    bytes: int
    version: str


class Store(Protocol):
    """Where files are kept."""

    @property
    def root(self) -> str:
        """What every file's url begins with, before ``/`` and its name."""
        ...

    def find(self, pattern: str) -> list[Found]:
        """The files of a name, or of a pattern with ``*``, in the order of their names.

        Raises:
            SourceError: The store cannot be reached.
        """
        ...

    def open(self, url: str) -> BinaryIO:
        """A file's bytes as they are stored.

        Raises:
            OSError: The file cannot be read.
        """
        ...

    def prepare(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Enable an engine to read by url."""
        ...


@dataclass(frozen=True)
class FolderStore:
    """Files below a folder.

    Attributes:
        folder: The folder, absolute.
    """

    folder: Path

    @property
    def root(self) -> str:
        """The folder."""
        return str(self.folder)

    def find(self, pattern: str) -> list[Found]:
        """The files of a name or pattern, by size and time of change."""
        if "*" in pattern:
            # Only the star is a pattern: a bracket in a name is a bracket.
            escaped = pattern.replace("[", "[[]").replace("?", "[?]")
            files = sorted(path for path in self.folder.glob(escaped) if path.is_file())
        else:
            files = [self.folder / pattern] if (self.folder / pattern).exists() else []
        stats = [(path, path.stat()) for path in files]
        return [
            Found(str(path), stat.st_size, f"{stat.st_size} {stat.st_mtime_ns}")
            for path, stat in stats
        ]

    def open(self, url: str) -> BinaryIO:
        """A file's bytes as they are stored."""
        return Path(url).open("rb", buffering=0)

    def prepare(self, engine: duckdb.DuckDBPyConnection) -> None:
        """An engine reads local files as it is."""


def is_local(url: str) -> bool:
    """Whether a file is of this machine's file system."""
    return "://" not in url


def compression_of(url: str) -> str | None:
    """``gzip`` or ``zstd``, by the ending of a file's name; None: the file is plain."""
    return next((kind for end, kind in COMPRESSIONS.items() if url.endswith(end)), None)


def open_plain(store: Store, url: str) -> BinaryIO:
    """A file's bytes, decompressed while they are read.

    Args:
        store: Where the file is.
        url: The file.

    Raises:
        OSError: The file cannot be read; a damaged one raises one of ``READ_ERRORS`` when the
            damage is reached.
    """
    file = store.open(url)
    kind = compression_of(url)
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if kind == "zstd":
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    return file


def engine_path(url: str) -> str:
    """A url as the engine's readers take it for exactly one file: they see patterns in names."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in url)
