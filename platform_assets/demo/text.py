"""Columns of numbers as CSV text, and files that appear whole or not at all.

Belongs here: how ids, amounts, times and quoted words are written, and how bytes reach the disk.
Does not belong here: what the columns mean.

A row is a string joined by Arrow, a file is the joined strings' buffer: no value becomes a
Python object.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.demo.streams import Int64s, Ints

CHUNK_ROWS = 1_000_000
"""Rows that are text in memory at once; far below what the 2 GB of an Arrow string array hold."""


def quoted(word: str) -> str:
    """The word as a CSV field: in quotes where it has to be."""
    if any(character in word for character in ',"\n\r'):
        return '"' + word.replace('"', '""') + '"'
    return word


def words(vocabulary: Sequence[str]) -> pa.StringArray:
    """A vocabulary as CSV fields, for `pick_words`."""
    return pa.array([quoted(word) for word in vocabulary], pa.string())


def pick_words(vocabulary: pa.StringArray, index: Ints) -> pa.StringArray:
    """The word of each index."""
    return vocabulary.take(pa.array(index))


def integers(values: Int64s) -> pa.StringArray:
    """Whole numbers as text."""
    return pa.array(values).cast(pa.string())


def identifiers(prefix: str, numbers: Int64s, width: int) -> pa.StringArray:
    """Numbers as ids: a prefix and at least `width` digits."""
    return joined([prefix, pc.utf8_lpad(integers(numbers), width, "0")], "")


def amounts(cents: Int64s) -> pa.StringArray:
    """Amounts of money in cents as text with two decimals, exactly."""
    # The 128 bits of a decimal are its cents and the sign, carried on to the left.
    bits = np.stack([cents, cents >> 63], axis=1)
    money = pa.decimal128(20, 2)
    array = pa.Array.from_buffers(money, len(cents), [None, pa.py_buffer(bits)])
    return array.cast(pa.string())


def times(epoch_seconds: Int64s) -> pa.StringArray:
    """Seconds since 1970 as `YYYY-MM-DD HH:MM:SS`."""
    return pa.array(epoch_seconds).view(pa.timestamp("s")).cast(pa.string())


def joined(parts: Sequence[pa.StringArray | str], separator: str) -> pa.StringArray:
    """Texts put together element by element."""
    return pc.binary_join_element_wise(*parts, separator)


def header(names: Iterable[str]) -> bytes:
    """The first line of a CSV file."""
    return (",".join(names) + "\n").encode()


def file_content(names: Iterable[str], parts: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
    """The content of a CSV file: its header, then its lines."""
    yield header(names)
    yield from parts


def lines(columns: Mapping[str, pa.StringArray]) -> memoryview:
    """The rows of CSV fields as the bytes of their lines."""
    *first, last = columns.values()
    rows = joined([*first, joined([last, "\n"], "")], ",")
    _, offsets, data = rows.buffers()
    if len(rows) == 0 or offsets is None or data is None:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, dtype=np.int32)
    return memoryview(data)[: bounds[len(rows)]]


def spans(rows: int) -> Iterator[slice]:
    """The slices of at most `CHUNK_ROWS` rows that make up `rows` rows."""
    for begin in range(0, rows, CHUNK_ROWS):
        yield slice(begin, min(begin + CHUNK_ROWS, rows))


def write_whole(path: Path, content: Iterable[bytes | memoryview]) -> int:
    """Write a file under a temporary name and rename it; leave a file of the same bytes alone.

    Args:
        path: The file; its folder is made where it is missing.
        content: The bytes of the file, in order.

    Returns:
        The size of the file in bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A dot in front and no .csv at the end: no reader's pattern takes it for a file of the shop.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for part in content:
                file.write(part)
        size = temporary.stat().st_size
        if not _same_bytes(temporary, path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return size


def _same_bytes(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while part := left.read(1 << 20):
            if part != right.read(1 << 20):
                return False
    return True
