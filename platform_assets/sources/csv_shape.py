"""The shape of one CSV file, told from its bytes: records, fields, quotes, line ends.

Belongs here: what can be said about a file without the engine, so that the engine's own reading
has something independent to be compared with. Does not belong here: reading rows, which is the
engine's work, any dataset's policy, and where a file's bytes come from (``stores``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from platform_assets.sources.csv_dialect import Dialect

BLOCK_BYTES = 128 * 1024
# Blocks that stay in the processor's cache.
COUNTED_BYTES = 1024 * 1024
MARK = b"\xef\xbb\xbf"
_NEWLINE, _RETURN, _BLANK = 10, 13, 32
_ENDS = ("LF", "CRLF", "CR")

Bytes: TypeAlias = npt.NDArray[np.uint8]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]


def blocks_of(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """A file's bytes in pieces.

    Args:
        file: The file.
        size: Bytes of a piece.
    """
    while block := file.read(size or BLOCK_BYTES):
        yield block


@dataclass(frozen=True)
class Counts:
    """What a file's bytes add up to, quotes not looked at.

    Attributes:
        lines: Physical lines; a last one without a line end counts.
        delimiters: Delimiters.
        special: Quotes, escapes and returns: where there are none, lines are records.
    """

    lines: int
    delimiters: int
    special: int


def count(file: BinaryIO, dialect: Dialect) -> Counts:
    """Count at memory speed what tells whether a closer look is needed.

    Args:
        file: Its bytes, from the start.
        dialect: How fields are written.
    """
    lines = delimiters = special = 0
    last = _NEWLINE
    marks = [_RETURN, *(ord(each) for each in {dialect.quote, dialect.escape} if each)]
    for block in blocks_of(file, COUNTED_BYTES):
        data = np.frombuffer(block, dtype=np.uint8)
        lines += int(np.count_nonzero(data == _NEWLINE))
        delimiters += int(np.count_nonzero(data == ord(dialect.delimiter)))
        special += sum(int(np.count_nonzero(data == mark)) for mark in marks)
        last = block[-1]
    return Counts(lines + (last != _NEWLINE), delimiters, special)


@dataclass(frozen=True)
class Fault:
    """A place where the file does not keep its dialect.

    Attributes:
        line: The physical line.
        what: What is there; never a value.
    """

    line: int
    what: str


@dataclass(frozen=True)
class Shape:
    """The records of a file, by RFC 4180.

    Attributes:
        records: How many, header included; blank lines are none.
        delimiters: Delimiters between fields.
        blank_line: The first line with nothing in it.
        fault: The first place where a quote or an escape does not keep the dialect.
        open_line: The line in which the last record begins, where a quote in it is never closed.
        end: How the first line ends: ``LF``, ``CRLF`` or ``CR``; empty: it does not.
        odd: The first line that ends otherwise, and how.
        ragged: The first record with another number of fields than was asked about.
        open_joint: The first of the lines asked about whose end is inside quotes.
    """

    records: int
    delimiters: int
    blank_line: int | None = None
    fault: Fault | None = None
    open_line: int | None = None
    end: str = ""
    odd: Fault | None = None
    ragged: Fault | None = None
    open_joint: int | None = None


def shape(
    blocks: Iterable[bytes],
    dialect: Dialect,
    fields: int | None = None,
    joints: Ints | None = None,
) -> Shape:
    """Judge every quote and every line end of a file, vectorised over blocks.

    A quote opens a field only at its start, and closes it only at its end; another one in an
    unquoted field is data, as `5" pipe`. Where all quotes keep to that, there is one way only
    to read the file.

    Args:
        blocks: The file's bytes, in pieces.
        dialect: How fields are written.
        fields: How many each record should have; None: not asked.
        joints: Lines, ascending, to ask whether their ends are inside quotes; None: not asked.
    """
    judge = _Judge(dialect, fields, joints)
    for block in whole(blocks, dialect):
        judge.look_at(np.frombuffer(block, dtype=np.uint8))
    return judge.told()


def whole(blocks: Iterable[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Pieces none of which ends within quotes, escapes, blanks or a line end, no byte order mark.

    Args:
        blocks: The file's bytes, in pieces.
        dialect: How fields are written.
    """
    tail = (dialect.quote + dialect.escape + "\r ").encode()
    held = b""
    start = True
    for block in blocks:
        held += block
        if start and len(held) < len(MARK):
            continue
        if start:
            held, start = held.removeprefix(MARK), False
        length = len(held.rstrip(tail))
        if len(held) - length > BLOCK_BYTES:  # no line may be that long: memory stays bounded
            length = len(held)
        if length:
            yield held[:length]
            held = held[length:]
    if start:
        held = held.removeprefix(MARK)
    if held:
        yield held


class _Judge:
    """What is known of a file so far."""

    def __init__(self, dialect: Dialect, fields: int | None, joints: Ints | None) -> None:
        self.dialect = dialect
        self.fields = fields
        self.joints = joints
        self.open_joint: int | None = None
        self.begun = 0  # delimiters since the last line end outside quotes
        self.ragged: Fault | None = None
        self.quote = ord(dialect.quote) if dialect.quote else None
        self.escape = ord(dialect.escape) if dialect.escape not in ("", dialect.quote) else None
        self.records = self.delimiters = 0
        self.lines = 0  # physical ones that ended
        self.inside = False
        self.last = _NEWLINE  # the byte before the block
        self.pending = False  # bytes of a record seen since the last line end outside quotes
        self.record_line = 1  # the line in which the last record begins
        self.end: int | None = None
        self.blank_line: int | None = None
        self.fault: Fault | None = None
        self.odd: Fault | None = None

    def look_at(self, data: Bytes) -> None:
        """Judge the next block."""
        newlines, returns = data == _NEWLINE, data == _RETURN
        after_return = np.concatenate(([False], returns[:-1]))
        # A line ends at its LF, or at a CR that no LF follows.
        ends = newlines | (returns & ~np.append(newlines[1:], False))
        physical = np.flatnonzero(ends)
        inside = self._quotes(data, physical)
        delimiters = data == ord(self.dialect.delimiter)
        if inside is not None:
            delimiters &= ~inside
            ends &= ~inside
            if self.joints is not None and self.open_joint is None:
                crossed = self.lines + np.flatnonzero(inside[physical]) + 1
                doubtful = crossed[np.isin(crossed, self.joints)]
                self.open_joint = int(doubtful[0]) if len(doubtful) else None
        self.delimiters += int(np.count_nonzero(delimiters))
        places = np.flatnonzero(ends)
        if len(places):
            kinds = np.where(newlines[places], np.where(after_return[places], 1, 0), 2)
            filled = self._line_ends(places, kinds, physical)
            if self.fields is not None:
                self._ragged(np.cumsum(delimiters)[places], places, filled, physical)
                self.begun = int(np.count_nonzero(delimiters[places[-1] :]))
            self.pending = int(places[-1]) < len(data) - 1
        else:
            self.begun += int(np.count_nonzero(delimiters))
            self.pending = True
        self.lines += len(physical)
        self.last = int(data[-1])

    def _line_ends(self, places: Ints, kinds: Ints, physical: Ints) -> Flags:
        """Note how lines end; which of them end a record."""
        first = int(kinds[0]) if self.end is None else self.end
        self.end = first
        differ = np.flatnonzero(kinds != first)
        if len(differ) and self.odd is None:
            at = int(differ[0])
            self.odd = Fault(self._line(places[at], physical), _ENDS[int(kinds[at])])
        begins = np.concatenate(([0], places[:-1] + 1))
        blank = places - (kinds == 1) == begins
        blank[0] &= not self.pending
        self.records += int(np.count_nonzero(~blank))
        if self.blank_line is None and blank.any():
            self.blank_line = self._line(places[int(np.argmax(blank))], physical)
        self.record_line = self._line(places[-1], physical) + 1
        filled: Flags = ~blank
        return filled

    def _ragged(self, sums: Ints, places: Ints, filled: Flags, physical: Ints) -> None:
        found = np.diff(sums, prepend=-self.begun) + 1
        wrong = filled & (found != self.fields)
        if wrong.any() and self.ragged is None:
            at = int(np.argmax(wrong))
            self.ragged = Fault(self._line(places[at], physical), f"{found[at]} fields")

    def _line(self, place: int, physical: Ints) -> int:
        """The physical line of a byte of the block."""
        return self.lines + int(np.searchsorted(physical, place)) + 1

    def _quotes(self, data: Bytes, physical: Ints) -> Flags | None:
        """Which bytes are inside quotes; None: none is."""
        quotes = data == self.quote if self.quote is not None else np.zeros(len(data), dtype=bool)
        escapes = None if self.escape is None else np.flatnonzero(data == self.escape)
        if escapes is not None and len(escapes):
            self._take_out_escaped(data, quotes, escapes, physical)
        places = np.flatnonzero(quotes)
        inside = None
        if len(places) or self.inside:
            inside = self._inside(data, places, physical)
        if escapes is not None and len(escapes):
            outside = escapes if inside is None else escapes[~inside[escapes]]
            if len(outside):
                self._note(outside[0], physical, "an escape outside of quotes")
        return inside

    def _take_out_escaped(self, data: Bytes, quotes: Flags, escapes: Ints, physical: Ints) -> None:
        """Quotes that an escape makes data end no field; an escape of anything else is a fault."""
        breaks = np.flatnonzero(np.diff(escapes) > 1)
        starts = escapes[np.concatenate(([0], breaks + 1))]
        nexts = escapes[np.append(breaks, len(escapes) - 1)] + 1
        active = (nexts - starts) % 2 == 1
        followed = np.append(data, np.uint8(_NEWLINE))[nexts]
        wrong = active & (followed != self.quote)
        if wrong.any():
            place = starts[int(np.argmax(wrong))]
            self._note(place, physical, "an escape before something that needs none")
        quotes[nexts[active & (followed == self.quote)]] = False

    def _inside(self, data: Bytes, quotes: Ints, physical: Ints) -> Flags:
        """Follow the quotes: each run of them opens a field, ends one, or is data.

        An odd run at a field's start turns outside into inside and back; any other odd run leads
        outside, wherever it is met; an even one changes nothing. So the state after a run is the
        number of turns since the last run of the second kind.
        """
        if self.escape is None:
            breaks = np.flatnonzero(np.diff(quotes) > 1)
            starts = quotes[np.concatenate(([0], breaks + 1))] if len(quotes) else quotes
            nexts = quotes[np.append(breaks, len(quotes) - 1)] + 1 if len(quotes) else quotes
        else:
            starts, nexts = quotes, quotes + 1
        odd = (nexts - starts) % 2 == 1
        before = np.concatenate(([np.uint8(self.last)], data))[starts]
        opens = self._is_border(before)
        turns = np.cumsum(odd & opens)
        number = np.arange(len(starts))
        reset = np.maximum.accumulate(np.where(odd & ~opens, number, -1)) if len(starts) else number
        since = np.where(reset >= 0, turns[reset], -int(self.inside)) if len(starts) else turns
        after = (turns - since) % 2 == 1
        held = np.concatenate(([self.inside], after))
        was = held[:-1]
        closed = (was & odd) | (~was & opens & ~odd)
        followed = np.append(data, np.uint8(_NEWLINE))[nexts]
        wrong = closed & ~self._is_border(followed)
        if wrong.any():
            place = starts[int(np.argmax(wrong))]
            self._note(place, physical, "text after the quote that closes a field")
        self._blank_before(data, starts[~was & ~opens & (before == _BLANK)], physical)
        steps = np.zeros(len(data) + 1, dtype=np.int8)
        steps[0] = int(self.inside)
        steps[starts] += after.astype(np.int8) - was.astype(np.int8)
        self.inside = bool(held[-1])
        mask: Flags = np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_)
        return mask

    def _blank_before(self, data: Bytes, quotes: Ints, physical: Ints) -> None:
        """The engine passes over blanks before a quote; to a strict reader both are data."""
        if not len(quotes) or self.dialect.delimiter == " ":
            return
        filled = np.flatnonzero(data != _BLANK)
        at = np.searchsorted(filled, quotes) - 1
        last = np.where(at >= 0, data[filled[at]], self.last).astype(np.uint8)
        wrong = self._is_border(last)
        if wrong.any():
            place = quotes[int(np.argmax(wrong))]
            self._note(place, physical, "a blank before the quote that opens a field")

    def _is_border(self, data: Bytes) -> Flags:
        border: Flags = (
            (data == ord(self.dialect.delimiter)) | (data == _NEWLINE) | (data == _RETURN)
        )
        return border

    def _note(self, place: int, physical: Ints, what: str) -> None:
        line = self._line(place, physical)
        if self.fault is None or line < self.fault.line:
            self.fault = Fault(line, what)

    def told(self) -> Shape:
        """What was found, once all blocks were looked at."""
        short = self.fields not in (None, self.begun + 1)
        if self.pending and short and self.ragged is None:
            self.ragged = Fault(self.record_line, f"{self.begun + 1} fields")
        return Shape(
            records=self.records + int(self.pending),
            delimiters=self.delimiters,
            blank_line=self.blank_line,
            fault=self.fault,
            open_line=self.record_line if self.inside else None,
            end="" if self.end is None else _ENDS[self.end],
            odd=self.odd,
            ragged=self.ragged,
            open_joint=self.open_joint,
        )
