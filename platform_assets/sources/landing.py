"""Where an API's answers are kept: raw records in files, attempt by attempt, each with a manifest.

Belongs here: writing records so that a killed fetch goes on where it stopped, and reading back
what is there. Does not belong here: what is asked of the API (``rest_api``).

A partition's folder has a folder per attempt. An attempt's manifest is replaced as a whole after
each file that is safely on disk, and names the files that count. The newest attempt that is
complete is the partition's content; one that is not complete is never read.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from platform_assets.batch_size import BatchSize

MANIFEST = "manifest.json"
# The content before the newest one stays: a step may still be reading it.
KEPT_ATTEMPTS = 2
_ATTEMPT = re.compile(r"\d{6}")


@dataclass(frozen=True)
class LandedFile:
    """One file of records.

    Attributes:
        name: In the attempt's folder.
        records: How many.
        bytes: Before compression.
        sha256: Of the records, before compression.
        pages: The first and the last page that it holds.
    """

    name: str
    records: int
    bytes: int
    sha256: str
    pages: tuple[int, int]


@dataclass
class Manifest:
    """How far an attempt has come.

    Attributes:
        started: When it began, in seconds since 1970.
        files: What is safely on disk.
        pages: Pages that were landed.
        content: Changes with every record.
        names: The names that the records have at their top.
        next: Where the next page is, as the paginator writes it; None: there is none.
        watch: What the loop detection remembers.
        total: How many records the API says that there are.
        complete: Whether all pages are landed.
        offered: Whether it was handed to a load; the next one asks the API again.
    """

    started: float
    files: list[LandedFile] = field(default_factory=list)
    pages: int = 0
    content: str = ""
    names: list[str] = field(default_factory=list)
    next: dict[str, Any] | None = None
    watch: dict[str, Any] = field(default_factory=dict)
    total: int | None = None
    complete: bool = False
    offered: bool = False

    @property
    def records(self) -> int:
        """Records that are safely on disk."""
        return sum(each.records for each in self.files)

    @property
    def bytes(self) -> int:
        """Their bytes before compression."""
        return sum(each.bytes for each in self.files)


@dataclass
class Attempt:
    """One fetch of a partition.

    Attributes:
        folder: Where its files are.
        manifest: How far it has come.
    """

    folder: Path
    manifest: Manifest

    @property
    def paths(self) -> tuple[str, ...]:
        """Its files."""
        return tuple(str(self.folder / each.name) for each in self.manifest.files)

    @property
    def fingerprint(self) -> str:
        """Changes whenever a record does."""
        return hashlib.sha256(self.manifest.content.encode()).hexdigest()[:16]

    def save(self) -> None:
        """Replace the manifest, as a whole and safely."""
        text = json.dumps(asdict(self.manifest), indent=1)
        _write_whole(self.folder / MANIFEST, text.encode())

    def discard(self) -> None:
        """Forget it: what follows could not be told from what came before."""
        shutil.rmtree(self.folder)


def read_attempt(folder: Path) -> Attempt:
    """The attempt of a folder."""
    values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    files = [LandedFile(**{**f, "pages": tuple(f["pages"])}) for f in values.pop("files")]
    return Attempt(folder, Manifest(files=files, **values))


class Landing:
    """The attempts of one partition.

    Args:
        folder: The partition's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process fetches this partition; a killed one no longer does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def attempts(self) -> list[Attempt]:
        """All attempts, oldest first."""
        folders = sorted(p for p in self.folder.glob("*") if _ATTEMPT.fullmatch(p.name))
        return [read_attempt(path) for path in folders if (path / MANIFEST).is_file()]

    def waiting(self, since: float) -> Attempt | None:
        """The newest attempt, where it is unfinished or was never handed to a load.

        Args:
            since: An attempt that began before this moment is too old to be gone on with.
        """
        newest = next(reversed(self.attempts()), None)
        if newest is None or newest.manifest.started < since:
            return None
        done = newest.manifest.complete and newest.manifest.offered
        return None if done else newest

    def begin(self) -> Attempt:
        """A new attempt; unfinished ones before it are forgotten."""
        for each in self.attempts():
            if not each.manifest.complete:
                each.discard()
        numbers = [int(p.name) for p in self.folder.glob("*") if _ATTEMPT.fullmatch(p.name)]
        folder = self.folder / f"{max(numbers, default=0) + 1:06}"
        folder.mkdir()
        made = Attempt(folder, Manifest(started=time.time()))
        made.save()
        return made

    def prune(self) -> None:
        """Delete attempts that are complete and older than those that are kept."""
        complete = [each for each in self.attempts() if each.manifest.complete]
        for each in complete[:-KEPT_ATTEMPTS]:
            each.discard()


class Writer:
    """Lands an attempt's pages: a file after each so many records.

    Args:
        attempt: What to go on with.
        size: How many records to collect in a file; it follows how long the disk takes.
    """

    def __init__(self, attempt: Attempt, size: BatchSize) -> None:
        self.attempt = attempt
        self.size = size
        self._names = set(attempt.manifest.names)
        self._part: gzip.GzipFile | None = None
        self._raw: Any = None
        self._hash = hashlib.sha256()
        self._records = self._bytes = 0
        self._seconds = 0.0
        self._first_page = attempt.manifest.pages + 1
        self._chain = attempt.manifest.content
        self._pages = attempt.manifest.pages
        for path in attempt.folder.glob("*.part"):
            path.unlink()

    @property
    def records(self) -> int:
        """Records landed and collected so far."""
        return self.attempt.manifest.records + self._records

    @property
    def page(self) -> int:
        """The number of the page that comes next."""
        return self._pages + 1

    def add(self, records: Iterable[str], names: Iterable[str]) -> None:
        """Collect a page."""
        started = time.perf_counter()
        data = "".join(f"{each}\n" for each in records).encode()
        count = data.count(b"\n")
        if count:
            self._open().write(data)
            self._hash.update(data)
            page = hashlib.sha256(data).hexdigest()
            self._chain = hashlib.sha256((self._chain + page).encode()).hexdigest()
        self._records += count
        self._bytes += len(data)
        self._pages += 1
        self._names.update(names)
        self._seconds += time.perf_counter() - started

    @property
    def full(self) -> bool:
        """Whether it is time to commit."""
        return self._records >= self.size.current

    def commit(
        self,
        following: Mapping[str, Any] | None,
        watch: dict[str, Any],
        total: int | None,
        *,
        complete: bool,
    ) -> None:
        """Put what was collected safely on disk, and note where to go on."""
        started = time.perf_counter()
        manifest = self.attempt.manifest
        if self._part is not None:
            manifest.files.append(self._close())
        manifest.pages, manifest.content = self._pages, self._chain
        manifest.names = sorted(self._names)
        manifest.next = None if following is None else dict(following)
        manifest.watch = watch
        manifest.total, manifest.complete = total, complete
        self.attempt.save()
        if self._records:
            self.size = self.size.after(self._seconds + time.perf_counter() - started)
        self._records = self._bytes = 0
        self._seconds = 0.0
        self._first_page = self._pages + 1
        self._hash = hashlib.sha256()

    def close(self) -> None:
        """Let go of what was not committed."""
        if self._part is not None:
            self._part.close()
            self._raw.close()
            self._part = None

    def _open(self) -> gzip.GzipFile:
        if self._part is None:
            self._raw = (self.attempt.folder / f"{self._name()}.part").open("wb")
            self._part = gzip.GzipFile("", "wb", 6, self._raw, mtime=0)
        return self._part

    def _name(self) -> str:
        return f"pages-{self._first_page:06}.ndjson.gz"

    def _close(self) -> LandedFile:
        assert self._part is not None  # asked for only where something was written
        self._part.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._part = None
        name = self._name()
        (self.attempt.folder / f"{name}.part").rename(self.attempt.folder / name)
        return LandedFile(
            name=name,
            records=self._records,
            bytes=self._bytes,
            sha256=self._hash.hexdigest(),
            pages=(self._first_page, self._pages),
        )


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".new")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
