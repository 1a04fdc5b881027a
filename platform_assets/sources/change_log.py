"""Change logs in files: Debezium's events, a line each, as a connector's sink writes them.

Belongs here: which files, and which bytes of them, were not read yet. Does not belong here: what a
line says (``envelope``), and reading a log from a server (``change_stream``, ``postgres_log``).

Nothing depends on the order in which files come or are named. A file that comes late, is replayed
or is renamed is read, and its events stand where their positions say.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from platform_assets.errors import ContractError, SourceError
from platform_assets.sources.base import Access, SourceColumn
from platform_assets.sources.change_source import ChangeRequest, Changes, Ended, Lag
from platform_assets.sources.envelope import ORDER, Envelopes, OnBadLine, Unit
from platform_assets.sources.log_landing import CHUNK_BYTES, Landing, chunks_of, landing

# Files that the cursor knows by name; older ones it knows by their time.
REMEMBERED_FILES = 200
_TAIL_BYTES = 64


@dataclass(frozen=True)
class _File:
    """How far a file was read.

    Attributes:
        bytes: Of its bytes.
        lines: Of its lines.
        size: Its size then.
        changed: When its directory entry or content had changed last, in nanoseconds.
        tail: Tells the bytes before from others: a file may be replaced by one that is longer.
    """

    bytes: int
    lines: int
    size: int
    changed: int
    tail: str


@dataclass(frozen=True)
class _Cursor:
    """Which files were read, in bounded space.

    The newest files are known by name. Of all others it is known that they had not changed since
    ``before``. The time is that of the last change to a file's entry, which a copy or a renaming
    cannot set back.

    Attributes:
        before: Files that last changed up to then, and are not listed, were read; nanoseconds.
        files: The newest files.
    """

    before: int = 0
    files: Mapping[str, _File] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> _Cursor:
        if not text:
            return cls()
        told = json.loads(text)
        return cls(told["before"], {name: _File(*each) for name, each in told["files"].items()})

    def text(self) -> str:
        files = {name: list(vars(each).values()) for name, each in self.files.items()}
        return json.dumps({"before": self.before, "files": files}, separators=(",", ":"))

    def has_read(self, name: str, stat: os.stat_result) -> bool:
        """Whether a file was read as it is now, as far as it could be."""
        known = self.files.get(name)
        if known is None:
            return stat.st_ctime_ns <= self.before
        return (known.size, known.changed) == (stat.st_size, stat.st_ctime_ns)

    def with_files(self, read: Mapping[str, _File]) -> _Cursor:
        newest = sorted(
            {**self.files, **read}.items(),
            key=lambda each: (each[1].changed, each[0]),
            reverse=True,
        )
        forgotten = newest[REMEMBERED_FILES:]
        before = max([self.before, *(each.changed for _, each in forgotten)])
        return _Cursor(before, dict(sorted(newest[:REMEMBERED_FILES])))


@dataclass(frozen=True)
class DebeziumFiles:
    """Debezium's envelopes in files, one a line; plain, or compressed where the name ends in .gz.

    Columns are text, as the events write them. Events of all partitions are taken, whatever was
    asked for.

    Attributes:
        path: The files below the connection's folder, such as ``orders/*.ndjson``.
        connection: Name of the connection, which leads to a folder.
        position: Where an event tells its position, such as ``source.scn``; None: ``source.lsn``
            (Postgres), or ``source.file`` and ``source.pos`` (MySQL).
        on_bad_line: A line that is no event stops the load (``refuse``), or is kept as a row that
            breaks the contract (``quarantine``).
        units: Columns that hold a time as a number, by what it counts since 1970.

    Raises:
        ContractError: The path names no files.
    """

    path: str
    connection: str = "files"
    position: str | None = None
    on_bad_line: OnBadLine = "refuse"
    units: Mapping[str, Unit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a path that cannot be looked for."""
        if not self.path or self.path.startswith("/") or "{" in self.path:
            raise ContractError(
                "The path of a change log does not name files below the connection's folder",
                where=f"DebeziumFiles(path={self.path!r})",
                expected="a relative path, with * for what differs; events tell their own day",
                found=repr(self.path),
                fix="write it like orders/*.ndjson",
            )

    @property
    def kind(self) -> str:
        """What it reads."""
        return "debezium"

    @property
    def needs_key(self) -> bool:
        """An event is of a row."""
        return True

    def schema(self, access: Access) -> tuple[SourceColumn, ...]:
        """The fields of the newest file's first events.

        Args:
            access: What to read through.

        Raises:
            SourceError: There is no such folder.
        """
        files = self._files(access)
        with landing(access.engine) as land:
            for name in sorted(files, reverse=True)[:1]:
                path = files[name]
                with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
                    land.take(name, [file.read(CHUNK_BYTES)])
            events = self._envelopes(access, land, ())
            try:
                events.parse()
                return events.fields()
            finally:
                events.drop()

    @contextmanager
    def reading(self, access: Access, request: ChangeRequest) -> Iterator[Changes]:
        """The events of all files, or ends of files, that were not read yet.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: There is no such folder, or a line is no event and is refused.
        """
        cursor = _Cursor.parse(request.cursor)
        with landing(access.engine) as land:
            read, notes = self._land(self._files(access), cursor, land)
            after = cursor.with_files(read).text() if read or request.cursor else ""
            events = self._envelopes(access, land, request.key)
            try:
                events.parse()
                columns = events.fields(request.columns)
                yield Changes(
                    columns=columns,
                    read=lambda: events.select(request, columns),
                    ended=lambda stage: Ended(after, events.controls(stage), tuple(notes)),
                    order=ORDER,
                )
            finally:
                events.drop()

    def touched(self, access: Access, request: ChangeRequest) -> frozenset[str]:
        """The newest partition where a file was not read yet: any one's load reads them all.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: There is no such folder.
        """
        cursor = _Cursor.parse(request.cursor)
        new = any(not cursor.has_read(n, p.stat()) for n, p in self._files(access).items())
        return frozenset([max(request.loaded)] if new else [])

    def lag(self, access: Access, cursor: str) -> Lag:
        """Bytes of files that were not read yet, and since when the oldest of them is there.

        Args:
            access: What to read through.
            cursor: Where the last load ended.

        Raises:
            SourceError: There is no such folder.
        """
        read = _Cursor.parse(cursor)
        there = {name: path.stat() for name, path in self._files(access).items()}
        new = {name: stat for name, stat in there.items() if not read.has_read(name, stat)}
        if not new:
            return Lag(None, 0)
        oldest = min(stat.st_mtime for stat in new.values())
        size = sum(
            max(0, stat.st_size - (read.files[name].bytes if name in read.files else 0))
            for name, stat in new.items()
        )
        return Lag(datetime.fromtimestamp(oldest, UTC), size)

    def _envelopes(self, access: Access, land: Landing, key: tuple[str, ...]) -> Envelopes:
        return Envelopes(
            engine=access.engine,
            landing=land,
            reader=f"DebeziumFiles(path={self.path!r})",
            key=key,
            position=self.position,
            on_bad_line=self.on_bad_line,
            units=self.units,
        )

    def _files(self, access: Access) -> dict[str, Path]:
        """The files by name below the folder, in the order of their names."""
        reader = f"DebeziumFiles(path={self.path!r})"
        folder = access.connection(
            self.connection,
            Path,
            reader=reader,
            fix=f"pass resources={{'{self.connection}': FolderResource(path=…)}} "
            "to build_code_location",
        )
        if not folder.is_dir():
            raise SourceError(
                "The folder of a source does not exist",
                where=f"connection {self.connection!r} of {reader}",
                expected=f"a folder {folder}",
                found="none" if not folder.exists() else "something that is no folder",
                fix="correct the connection's path, or mount the share",
            )
        found = sorted(path for path in folder.glob(self.path) if path.is_file())
        return {str(path.relative_to(folder)): path for path in found}

    def _land(
        self, files: Mapping[str, Path], cursor: _Cursor, land: Landing
    ) -> tuple[dict[str, _File], list[str]]:
        read: dict[str, _File] = {}
        notes = []
        for name, path in files.items():
            known, stat = cursor.files.get(name), path.stat()
            if cursor.has_read(name, stat):
                continue
            if name.endswith(".gz"):
                done = _land_packed(name, path, land)
                if done is None:
                    notes.append(f"{name} is not complete yet: it waits for the next load")
                    continue
                lines, size, waiting = *done, 0
            else:
                start = known if known is not None and _begins_with(path, known) else None
                lines, size, waiting = _land_plain(name, path, land, start)
            if waiting:
                notes.append(
                    f"{name} ends in a line that is not complete ({waiting:,} bytes): "
                    "it waits for the next load"
                )
            # The time from before the reading: what is written meanwhile is looked at again.
            read[name] = _File(size, lines, stat.st_size, stat.st_ctime_ns, _tail(path, size))
        return read, notes


def _land_plain(name: str, path: Path, land: Landing, start: _File | None) -> tuple[int, int, int]:
    """Land what follows in a file; gives lines and bytes read of it so far, and bytes that wait."""
    offset, lines = (start.bytes, start.lines) if start else (0, 0)
    with path.open("rb") as file:
        file.seek(offset)
        taken = land.take(name, chunks_of(file), first_line=lines + 1)
    return lines + taken.lines, offset + taken.bytes, taken.left


def _land_packed(name: str, path: Path, land: Landing) -> tuple[int, int] | None:
    """Land a compressed file; None: it is not complete."""
    size, pieces, lines = path.stat().st_size, len(land.pieces), land.lines
    try:
        with gzip.open(path, "rb") as file:
            taken = land.take(name, chunks_of(file), ended=True)
    except EOFError:
        # Written bit by bit, a packed file has its end last.
        del land.pieces[pieces:]
        land.lines = lines
        return None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(
            "A compressed file of a change log cannot be unpacked",
            where=name,
            expected="gzip",
            found=type(error).__name__,
            fix="have it delivered again; nothing was loaded",
        ) from error
    return taken.lines, size


def _tail(path: Path, end: int) -> str:
    with path.open("rb") as file:
        file.seek(max(0, end - _TAIL_BYTES))
        return hashlib.sha256(file.read(min(end, _TAIL_BYTES))).hexdigest()[:12]


def _begins_with(path: Path, known: _File) -> bool:
    """Whether a file still is the one that was read, if longer by now."""
    return path.stat().st_size >= known.bytes and _tail(path, known.bytes) == known.tail
