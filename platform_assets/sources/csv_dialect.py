"""How a CSV file is written, pinned by its dataset, and the header that it then has.

Belongs here: the dialect, what a file's text needs before it is CSV, and reading the first record.
Does not belong here: judging a whole file (``csv_shape``).
"""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from typing import Any, BinaryIO

HEADER_BYTES = 256 * 1024
COMMON_DELIMITERS = (",", ";", "\t", "|")


class HeaderError(ValueError):
    """A file's first record is no header: not UTF-8, or without an end."""


@dataclass(frozen=True)
class Dialect:
    """How fields are written, pinned by the dataset.

    Attributes:
        delimiter: One ASCII character between fields.
        quote: One ASCII character around a field; empty: fields are never quoted.
        escape: The character before a quote that is data; the quote itself: it is doubled.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'

    @property
    def reader(self) -> dict[str, Any]:
        """The same for Python's csv module."""
        if not self.quote:
            return {"delimiter": self.delimiter, "quoting": csv.QUOTE_NONE}
        doubled = self.escape == self.quote
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote,
            "doublequote": doubled,
            "escapechar": None if doubled else self.escape,
        }


@dataclass(frozen=True)
class Preparation:
    """What a file needs before its text can be read as CSV in UTF-8.

    Attributes:
        encoding: Of the text, as Python's codecs name it.
        skip: Lines before the header that are none of the table.
        comment: What a line begins with that is none of the table; empty: there are no such.
    """

    encoding: str = "utf-8"
    skip: int = 0
    comment: str = ""

    @property
    def plain(self) -> bool:
        """Whether the text is UTF-8."""
        return codecs.lookup(self.encoding).name == "utf-8"

    @property
    def needed(self) -> bool:
        """Whether the engine cannot read a file as it is."""
        return not self.plain or self.skip > 0 or bool(self.comment)


def _first_line(start: bytes, dialect: Dialect, how: Preparation) -> bytes:
    """As much of a file's start as holds its first record; all of it where that is not plain."""
    end = start.find(b"\n") + 1
    if how.plain and not (how.skip or how.comment) and end:
        line = start[:end]
        # Between quotes, or behind an escape, a line may go on after its end.
        if not any(mark and mark.encode() in line for mark in (dialect.quote, dialect.escape)):
            return line
    return start


def read_header(file: BinaryIO, dialect: Dialect, how: Preparation | None = None) -> list[str]:
    """The fields of a file's first record; empty where its first line is blank.

    Args:
        file: Its bytes, from the start.
        dialect: How fields are written.
        how: What the text needs; None: nothing.

    Raises:
        OSError: The file cannot be read.
        HeaderError: Its first record is not of the encoding, or too long to be a header.
    """
    how = how or Preparation()
    start = _first_line(file.read(HEADER_BYTES), dialect, how)
    # Only the header's own bytes are judged here: what follows it is the engine's to refuse.
    errors = "surrogateescape" if how.plain else "strict"
    try:
        text = codecs.getincrementaldecoder(how.encoding)(errors).decode(start)
        lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
        rows = (
            line
            for number, line in enumerate(lines)
            if number >= how.skip and not (how.comment and line.startswith(how.comment))
        )
        header = next(csv.reader(rows, **dialect.reader), [])
        "".join(header).encode()
    except UnicodeError:
        raise HeaderError(f"bytes that are not {how.encoding.upper()}") from None
    except csv.Error:
        raise HeaderError("a field that is too long for a column's name") from None
    return header
