"""Landing: lines of a log brought beside the engine, whole lines only, in bounded pieces.

Belongs here: cutting bytes into whole lines, and counting them without the engine. Does not belong
here: where the bytes come from (``change_log``, ``change_stream``), and what a line says
(``envelope``).

A log may be written to while it is read, may be compressed, or may never end. What is landed stands
still, and the engine reads several pieces side by side.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import duckdb

from platform_assets.errors import SourceError

CHUNK_BYTES = 1 << 20
PIECE_BYTES = 32 << 20
MAX_LINE_BYTES = 8_000_000
SEPARATOR = "\x1f"
# No JSON holds it, so a line with it is no JSON, before and after.
_FOREIGN = b"\x01"
_BLANK = re.compile(rb"\n[ \t]*(?=\n)")
_LONE_CR = re.compile(rb"\r(?!\n)")


@dataclass(frozen=True)
class Piece:
    """Whole lines of one log.

    Attributes:
        path: The file that they are in.
        name: What they came from, as provenance tells it.
        first_line: The number that the first of them has there.
    """

    path: Path
    name: str
    first_line: int


@dataclass
class Taken:
    """What was landed of one log.

    Attributes:
        bytes: How many of its bytes.
        lines: How many lines, blank ones included.
        left: Bytes after them that are no whole line.
    """

    bytes: int = 0
    lines: int = 0
    left: int = 0


@dataclass
class Landing:
    """A folder that lines are landed in.

    Attributes:
        folder: The folder.
        pieces: What was landed.
        lines: Lines that are not blank, counted from the bytes.
    """

    folder: Path
    pieces: list[Piece] = field(default_factory=list)
    lines: int = 0

    def take(
        self, name: str, chunks: Iterable[bytes], *, first_line: int = 1, ended: bool = False
    ) -> Taken:
        """Land whole lines; a last one without a line end, only where nothing of it is missing.

        Args:
            name: What they come from.
            chunks: Their bytes.
            first_line: The number of the first line there.
            ended: Whether nothing can follow: then the last line is what it is.

        Raises:
            SourceError: A line is longer than a line may be.
        """
        taken, rest = Taken(), b""
        with _Pieces(self, name, first_line) as pieces:
            for chunk in chunks:
                head, mark, tail = chunk.rpartition(b"\n")
                if not mark:
                    rest += tail
                else:
                    pieces.write(block := rest + head + mark, taken)
                    taken.bytes += len(block)
                    rest = tail
                if len(rest) > MAX_LINE_BYTES:
                    raise SourceError(
                        "A line of a change log is too long",
                        where=f"{name}, line {first_line + taken.lines}",
                        expected=f"at most {MAX_LINE_BYTES:,} bytes",
                        found="more",
                        fix="see that each event is on a line of its own",
                    )
            if rest.strip() and (ended or _is_whole(rest)):
                pieces.write(rest + b"\n", taken)
                taken.bytes += len(rest)
                rest = b""
        taken.left = len(rest.strip())
        return taken


class _Pieces:
    """The pieces that one log is written to."""

    def __init__(self, landing: Landing, name: str, first_line: int) -> None:
        self._landing, self._name, self._first = landing, name, first_line
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Pieces:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, block: bytes, taken: Taken) -> None:
        lines = block.count(b"\n")
        if b"\r" in block:
            block = _LONE_CR.sub(_FOREIGN, block.replace(b"\r\n", b"\n"))
        if SEPARATOR.encode() in block:
            block = block.replace(SEPARATOR.encode(), _FOREIGN)
        self._landing.lines += lines - len(_BLANK.findall(b"\n" + block))
        if self._file is None:
            path = self._landing.folder / f"{len(self._landing.pieces):08}.ndjson"
            self._landing.pieces.append(Piece(path, self._name, self._first + taken.lines))
            self._file = path.open("wb")
        self._file.write(block)
        taken.lines += lines
        if self._file.tell() >= PIECE_BYTES:
            self._close()


def _is_whole(line: bytes) -> bool:
    """Whether a line is a whole event: no beginning of an object is one."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@contextmanager
def landing(engine: duckdb.DuckDBPyConnection) -> Iterator[Landing]:
    """A folder where the engine spills to; it is removed when the block ends."""
    row = engine.execute("SELECT current_setting('temp_directory')").fetchone()
    scratch = Path(str(row[0])) if row and row[0] else None
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="landing-", dir=scratch) as folder:
        yield Landing(Path(folder))


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


def chunks_of(file: Readable) -> Iterator[bytes]:
    """A file's bytes from where it stands, in chunks of bounded size."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
