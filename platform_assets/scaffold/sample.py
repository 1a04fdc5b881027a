"""A bounded sample of a live source, as a temporary table of the engine.

Belongs here: choosing what to read, and reading it through the source's own protocol. Does not
belong here: what is made of it.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from platform_assets.errors import SourceError
from platform_assets.partitions import UNPARTITIONED_KEY, Daily, Partitions
from platform_assets.provenance import FILE_COLUMN
from platform_assets.sources.base import Access, SourceColumn, SourceInput, WindowSource
from platform_assets.sources.looking import Look, Lookable
from platform_assets.sql import quote_identifier, quote_name

SAMPLE_ROWS = 100_000
"""Rows of a sample: enough to tell a column's type, and a few megabytes."""
MAX_BYTES = 512_000_000
"""Bytes of files that a sample is taken from; of more, files spread over all of them are read."""
RECENT_PARTITIONS = 7
"""Partitions that are looked at where a source cannot be read across all of them."""
PLACEHOLDER = "{partition}"
_numbers = itertools.count()


@dataclass(frozen=True)
class Sample:
    """Rows of a source, and what is known of the whole that they are from.

    Attributes:
        engine: The engine that holds them.
        table: Their table, quoted.
        columns: The source's columns.
        rows: Rows in the table.
        total: Rows in all that was read.
        inputs: Files or other inputs that were read.
        of_inputs: How many there are.
        left_out: Inputs that cannot be read.
        partitions: How the source is cut, as far as its names tell.
        primary_key: What the source's system declares.
    """

    engine: duckdb.DuckDBPyConnection
    table: str
    columns: tuple[SourceColumn, ...]
    rows: int
    total: int
    inputs: int = 1
    of_inputs: int = 1
    left_out: int = 0
    partitions: Partitions | None = None
    primary_key: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What was looked at, in words."""
        text = f"{self.rows:,} rows"
        if self.rows < self.total:
            text += f", sampled from {self.total:,}"
        if self.of_inputs > 1:
            text += f" of {self.inputs:,} of {self.of_inputs:,} files"
        return text + (f" ({self.left_out:,} unreadable)" if self.left_out else "")


@contextmanager
def sampled(
    access: Access,
    source: object,
    dataset: str,
    partitions: Partitions | None = None,
    *,
    rows: int = SAMPLE_ROWS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Sample]:
    """Take a sample of a source; its table is dropped when the block ends.

    The engine keeps as many rows as are asked for while it reads, so memory does not depend on
    how much there is.

    Args:
        access: What to read through.
        source: The source: one of windows, or one that can be looked at.
        dataset: The dataset's name, for messages.
        partitions: How the dataset is cut, where that is known.
        rows: Rows to keep at most.
        max_bytes: Bytes of files to read; at least one file is.

    Raises:
        SourceError: The source cannot be read, holds nothing, or tells of changes only.
    """
    table = quote_name("temp", "main", f"_sample_{next(_numbers)}")
    try:
        if isinstance(source, Lookable):
            with source.look(access) as look:
                yield _kept(access, dataset, look, table, rows, partitions)
        elif isinstance(source, WindowSource):
            yield _of_window(access, source, dataset, partitions, table, rows, max_bytes)
        else:
            raise SourceError(
                "A source tells of changes only, and no sample of it can be taken",
                where=f"dataset {dataset}",
                expected="files, an API, or a table",
                found=type(source).__name__,
                fix="write the columns of its contract by hand",
            )
    finally:
        access.engine.execute(f"DROP TABLE IF EXISTS {table}")


def _of_window(
    access: Access,
    source: WindowSource,
    dataset: str,
    partitions: Partitions | None,
    table: str,
    rows: int,
    max_bytes: int,
) -> Sample:
    whole, inputs = _inputs(access, source, partitions)
    items = [(each, item) for each in inputs for item in each.items]
    chosen, left_out = _readable(access, whole, dataset, _spread(items, inputs, max_bytes))
    if not chosen:
        raise SourceError(
            "There is nothing to take a sample of",
            where=f"dataset {dataset}, connection {source.connection!r}",
            expected=f"rows of {source!r}",
            found="nothing",
            fix="correct the path or table, or wait for the first delivery",
        )
    try:
        told = whole.schema(access, chosen)
        extract = whole.extract(access, dataset, chosen, [column.name for column in told])
        # The schema may know of nulls, the extract of columns that only older files have.
        nullable = {column.name: column.nullable for column in told}
        columns = tuple(
            dataclasses.replace(column, nullable=nullable.get(column.name))
            for column in extract.columns
        )
        look = Look(columns, f"({extract.relation})")
        found = _kept(access, dataset, look, table, rows, partitions or _cut(source, items))
    except duckdb.Error as error:
        raise source.explain(dataset, chosen[0], error) from None
    return dataclasses.replace(
        found,
        inputs=sum(len(each.items) for each in chosen),
        of_inputs=len(items),
        left_out=left_out,
    )


def _kept(
    access: Access,
    dataset: str,
    look: Look,
    table: str,
    rows: int,
    partitions: Partitions | None,
) -> Sample:
    """Keep a sample of all rows."""
    listed = ", ".join(quote_identifier(column.name) for column in look.columns)
    described = access.engine.execute(f"DESCRIBE FROM {look.relation}").fetchall()
    file = FILE_COLUMN if FILE_COLUMN in {name for name, *_ in described} else "NULL"
    access.engine.execute(
        f"CREATE TEMP TABLE {table} AS SELECT {listed}, CAST({file} AS VARCHAR) AS {FILE_COLUMN} "
        f"FROM {look.relation} USING SAMPLE reservoir({rows} ROWS)"
    )
    found = total = _count(access, f"SELECT count(*) FROM {table}")
    if found >= rows:
        total = _count(access, f"SELECT count(*) FROM {look.relation}")
    return Sample(
        engine=access.engine,
        table=table,
        columns=look.columns,
        rows=found,
        total=total,
        partitions=partitions,
        primary_key=look.primary_key,
    )


def _inputs(
    access: Access, source: WindowSource, partitions: Partitions | None
) -> tuple[WindowSource, list[SourceInput]]:
    """A source to read all partitions at once through, and what it has."""
    path = getattr(source, "path", None)
    if isinstance(path, str) and PLACEHOLDER in path:
        # Without its place in the path, a partition's key is only a part of a file's name.
        declared: Any = source
        source = dataclasses.replace(declared, path=path.replace(PLACEHOLDER, "*"))
        return source, source.inputs(access, [UNPARTITIONED_KEY])
    keys = (
        partitions.keys()[-RECENT_PARTITIONS:]
        if isinstance(partitions, Daily)
        else [UNPARTITIONED_KEY]
    )
    return source, source.inputs(access, keys)


def _spread(
    items: Sequence[tuple[SourceInput, str]], inputs: Sequence[SourceInput], max_bytes: int
) -> list[tuple[SourceInput, str]]:
    """Items evenly over all of them, the last one always, that are together within a size."""
    size = sum(each.bytes for each in inputs)
    count = len(items) if size <= max_bytes else max(1, len(items) * max_bytes // size)
    step = len(items) / count if items else 1
    return [items[int((n + 1) * step) - 1] for n in range(count if items else 0)]


def _readable(
    access: Access,
    source: WindowSource,
    dataset: str,
    items: Sequence[tuple[SourceInput, str]],
) -> tuple[list[SourceInput], int]:
    """The inputs without items that the source itself refuses, and how many those are."""
    good: dict[str, SourceInput] = {}
    faults: list[SourceError] = []
    for whole, item in items:
        each = dataclasses.replace(whole, items=(item,))
        fault = source.inspect(access, dataset, [each], ()).get(each.partition)
        if fault is not None:
            faults.append(fault)
            continue
        before = good[each.partition].items if each.partition in good else ()
        good[each.partition] = dataclasses.replace(each, items=(*before, item))
    if faults and not good:
        raise faults[0]
    return list(good.values()), len(faults)


def _count(access: Access, query: str) -> int:
    row = access.engine.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _cut(source: WindowSource, items: Sequence[tuple[SourceInput, str]]) -> Partitions | None:
    """The days that the names of files tell of."""
    path = getattr(source, "path", None)
    if not isinstance(path, str) or PLACEHOLDER not in path:
        return None
    before, _, after = path.partition(PLACEHOLDER)
    day = re.compile(f"{_glob(before)}([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){_glob(after)}$")
    days = sorted(match[1] for _, item in items if (match := day.search(item)))
    return Daily(start=date.fromisoformat(days[0])) if days else None


def _glob(text: str) -> str:
    return "[^/]*".join(re.escape(part) for part in text.split("*"))
