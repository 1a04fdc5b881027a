"""Copies of CSV files that the engine can read: in UTF-8, without leading and comment lines.

Belongs here: what is done to a file before the engine reads it, where its dataset pins another
encoding, lines to skip or a comment mark. Does not belong here: reading rows.

A copy holds byte for byte what the file's text is; only whole lines are left out, and which ones
is remembered, so that an error names the file's own line.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from platform_assets.sources.csv_dialect import Dialect, Preparation
from platform_assets.sources.csv_shape import Ints, blocks_of, shape

_NEWLINE, _RETURN = 10, 13


class StagingError(ValueError):
    """A file's text cannot be told: its bytes are not of the encoding, or a comment is doubtful."""


@dataclass(frozen=True)
class Staged:
    """A copy.

    Attributes:
        path: Where it is.
        left_out: The lines of the file that it does not have, ascending.
    """

    path: Path
    left_out: Ints

    def line(self, number: int) -> int:
        """The line of the file that a line of the copy is."""
        before = self.left_out - np.arange(1, len(self.left_out) + 1)
        return number + int(np.searchsorted(before, number, side="left"))


def stage(file: BinaryIO, target: Path, how: Preparation, dialect: Dialect) -> Staged:
    """Make a copy that the engine can read.

    Args:
        file: The file's bytes, from the start.
        target: Where to write the copy.
        how: What the file needs.
        dialect: How fields are written.

    Raises:
        OSError: The file cannot be read.
        StagingError: Its text cannot be told.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    left_out: list[Ints] = []
    lines = 0
    with target.open("wb") as copy:
        for text in _whole_lines(_decoded(file, how.encoding)):
            data = np.frombuffer(text, dtype=np.uint8)
            newlines = data == _NEWLINE
            ends = newlines | ((data == _RETURN) & ~np.append(newlines[1:], False))
            begins = np.concatenate(([0], np.flatnonzero(ends) + 1))
            begins = begins[begins < len(data)]
            out = lines + np.arange(len(begins)) < how.skip
            if how.comment:
                out |= data[begins] == ord(how.comment)
            lengths = np.diff(begins, append=len(data))
            copy.write(data[np.repeat(~out, lengths)].tobytes())
            left_out.append(lines + np.flatnonzero(out) + 1)
            lines += len(begins)
    staged = Staged(target, np.concatenate(left_out) if left_out else np.zeros(0, dtype=np.int64))
    if how.comment:
        _refuse_doubtful(staged, how, dialect)
    return staged


def _decoded(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    lines = 1
    first = True
    try:
        for block in blocks_of(file):
            text = decoder.decode(block)
            yield (text.removeprefix("\ufeff") if first else text).encode()
            first = first and not text
            lines += text.count("\n")
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise StagingError(f"bytes that are not {encoding}, at or after line {lines}") from None


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces that end where a line does, but for the last."""
    held = b""
    for block in blocks:
        held += block
        # A return at the very end may be the first half of a line end.
        end = max(held.rfind(b"\n"), held.rfind(b"\r", 0, max(len(held) - 1, 0))) + 1
        if end:
            yield held[:end]
            held = held[end:]
    if held:
        yield held


def _refuse_doubtful(staged: Staged, how: Preparation, dialect: Dialect) -> None:
    """A line that is left out must not be the inside of a quoted field."""
    comments = staged.left_out > how.skip
    # The line of the copy before which each was left out.
    joints = (staged.left_out - np.arange(1, len(staged.left_out) + 1))[comments]
    if not len(joints) or not dialect.quote:
        return
    with staged.path.open("rb") as file:
        joint = shape(blocks_of(file), dialect, joints=joints).open_joint
    if joint is not None:
        raise StagingError(
            f"line {staged.line(joint) + 1} begins with {how.comment!r} between two quotes: it may "
            "be a comment, or a part of the field"
        )
