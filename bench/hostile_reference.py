"""What a person would declare about a hostile CSV file, and what a strict reader makes of it.

Belongs here: choosing the dialect of each file of the collection, and reading it with Python's
csv module in strict mode. Does not belong here: the platform; nothing of it is used, so that its
reading is held against an independent one.

The dialect is what somebody who looks at the file would write down. Encoding: a byte order mark,
else UTF-8 where the bytes are, else Shift JIS where the file's name says so, else Latin-1. Comment:
``#`` where the first line begins with it. Delimiter and quote: of the common ones the pair by
which a strict reader takes the whole file and every record has the same number of fields, with the
most fields; where none does, the pair with which most records have one width. Escape: a
backslash, where the file has one before a quote. Lines to skip: a title, that is leading records
narrower than all others. Header: the first record is one where its fields are all there, all
different, and none is a number or a date. A blank line is no record.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

DELIMITERS = (",", ";", "\t", "|", " ", ":")
_VALUE = re.compile(r"[-+]?[\d.,:/ -]*\d[\d.,:/ %-]*([eE][-+]?\d+)?")
# A record count to judge by; files of the collection are small.
csv.field_size_limit(10_000_000)


@dataclass(frozen=True)
class Declared:
    """What a person declares about one file.

    Attributes:
        encoding: Of the text.
        delimiter: Between fields.
        quote: Around a field.
        escape: Before a quote that is data; empty: it is doubled.
        comment: What a line begins with that is no record.
        skip: Lines before the header, or before the first record.
        header: Whether the first record holds the names.
    """

    encoding: str
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    comment: str = ""
    skip: int = 0
    header: bool = True


@dataclass(frozen=True)
class Reference:
    """One file, read strictly.

    Attributes:
        declared: The dialect.
        names: The columns; by position where the file has no header.
        rows: The records after the header; None: a strict reader refuses the file.
        even: Whether every record has as many fields as there are columns.
    """

    declared: Declared
    names: list[str]
    rows: list[list[str]] | None
    even: bool


def content(path: Path) -> bytes:
    """A file's bytes, decompressed."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def refer(path: Path) -> Reference | None:
    """The independent reading of a file; None: there is no text in it.

    Args:
        path: The file.
    """
    data = content(path)
    encoding = _encoding(path, data)
    text = data.decode(encoding, errors="surrogateescape").removeprefix("\ufeff")
    if not text.strip():
        return None
    declared = _dialect(Declared(encoding, comment="#" if text.startswith("#") else ""), text)
    records = _read(text, declared)
    if not records:
        return Reference(declared, ["column0"], None, even=False)
    names = records[0] if declared.header else [f"column{n}" for n in range(len(records[0]))]
    truth = path.parent.parent / "json" / f"{path.stem}.json"
    rows = records[1:] if declared.header else records
    if truth.is_file() and path.parent.name == "csvs":
        told = truth.read_text(encoding="utf-8")
        # The truth tells of line ends that the copy of the file at hand may not have.
        told = told if "\r" in text else told.replace("\\r\\n", "\\n")
        rows = [list(each.values()) for each in json.loads(told)]
    return Reference(declared, names, rows, all(len(row) == len(names) for row in rows))


def _encoding(path: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if len(data) > 3 and data[1:2] == b"\0" and data[3:4] == b"\0":
        return "utf-16-le"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "shift_jis" if "shift_jis" in path.name else "latin-1"
    return "utf-8"


def _dialect(start: Declared, text: str) -> Declared:
    escape = "\\" if '\\"' in text else ""
    best, score = start, (0.0, 0, 0)
    for number, delimiter in enumerate(DELIMITERS):
        for quote in _quotes(text, delimiter):
            for each in {escape, ""}:
                tried = replace(start, delimiter=delimiter, quote=quote, escape=each)
                records = _read(text, tried)
                if not records:
                    continue
                width, most = Counter(len(r) for r in records).most_common(1)[0]
                if delimiter in " :" and (width == 1 or most < len(records)):
                    continue
                quoted = text.count(quote) if width > 1 else 0
                # All of one width, and wider, beats any other; a quote that is there, another.
                value = (most / len(records) if width > 1 else 0.5, min(width, 50), quoted)
                if value > score or (value == score and number == 0 and quote == '"'):
                    best, score = tried, value
    records = _read(text, best) or []
    skip, header = _start(records, text)
    return replace(best, skip=skip, header=header)


def _quotes(text: str, delimiter: str) -> tuple[str, ...]:
    """The quotes that stand at the start of a field; a double one, where none does."""
    border = f"(?:^|{re.escape(delimiter)})"
    return tuple(q for q in "\"'" if re.search(f"{border} *{q}", text, re.MULTILINE)) or ('"',)


def _start(records: list[list[str]], text: str) -> tuple[int, bool]:
    """A title to skip, and whether there is a header."""
    skip = 0
    widths = [len(record) for record in records]
    if len(records) > 2 and widths[0] < widths[1] and len(set(widths[1:])) == 1:
        lines = io.StringIO(text, newline="").readlines()
        # Blank lines around the title are passed over with it.
        skip = next(n for n, line in enumerate(lines) if line.strip()) + 1
        records = records[1:]
    first = records[0] if records else []
    folded = [name.strip().lower() for name in first]
    header = (
        all(folded)
        and len(set(folded)) == len(folded)
        and not any(_VALUE.fullmatch(name) or name.startswith("_") for name in folded)
        and len(records) > 1
    )
    if not skip and text[:1] in "\r\n":
        lines = io.StringIO(text, newline="").readlines()
        skip = next(n for n, line in enumerate(lines) if line.strip())
    return skip, header


def _read(text: str, declared: Declared) -> list[list[str]] | None:
    """The records, or None where a strict reader refuses the file."""
    lines = io.StringIO(text, newline="").readlines()[declared.skip :]
    if declared.comment:
        lines = [line for line in lines if not line.startswith(declared.comment)]
    reader = csv.reader(
        lines,
        delimiter=declared.delimiter,
        quotechar=declared.quote,
        doublequote=not declared.escape,
        escapechar=declared.escape or None,
        strict=True,
    )
    try:
        return [record for record in reader if record]
    except csv.Error:
        return None
