"""Profiles: what the rows of a partition look like, column by column, from one scan.

Belongs here: the query and what it yields. Does not belong here: keeping profiles (``profiles``)
and judging them (``detectors``).

Counts, nulls, smallest, largest, mean and deviation are of all rows; distinct values are counted
by HyperLogLog (2 to 4 % off). Quantiles and frequent values are of a sample where a partition has
many rows: every nth row, by its place. Of personal data nothing is kept but how many values are
missing, and how many different ones there are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any, Literal

from platform_assets.contracts import CompiledContract
from platform_assets.contracts.columns import Column
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_identifier
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import in_partitions

Kind = Literal["number", "text", "flag", "time", "private"]

QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
# Of a partition; enough to tell shares that are 1.5 % apart.
SAMPLE_ROWS = 20_000
# Of a partition, for what is only shown.
SHOWN_SAMPLE_ROWS = 2_000
SHOWN_VALUES = 10
# A column with more distinct values than this has no categories.
MAX_CATEGORIES = 60
# Rows that tell which columns have categories, where no earlier profile does.
PEEK_ROWS = 5_000
_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one partition.

    Attributes:
        kind: What is known of it: numbers have a mean, texts the mean of their length, times that
            of the hours since their partition's day began.
        nulls: Rows without a value.
        distinct: Different values, about.
        zeros: Rows in which a number is 0.
        low: The smallest value, of a number or time.
        high: The largest.
        mean: Mean.
        deviation: Standard deviation.
        quantiles: Values at ``QUANTILES``; empty for text, flags and personal data.
        top: Rows by category, in the sample; empty where there are too many.
        frequent: Of a text without categories: rows of its most frequent values, in a small sample.
    """

    kind: Kind
    nulls: int
    distinct: int
    zeros: int = 0
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()
    top: Mapping[str, int] = field(default_factory=dict)
    frequent: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """One partition.

    Attributes:
        rows: Rows that are published.
        sampled: Rows that quantiles and categories are from.
        shown: Rows that the frequent values of other texts are from.
        before: Rows whose event is before the partition's day; None: it has no day.
        after: Rows whose event is after it.
        columns: By name.
    """

    rows: int
    sampled: int
    shown: int
    columns: Mapping[str, ColumnProfile]
    before: int | None = None
    after: int | None = None


def kind_of(column: Column, *, daily: bool) -> Kind:
    """What can be said of a column's values."""
    python = column.type.python
    if column.pii is not None:
        return "private"
    if python is bool:
        return "flag"
    if python in (date, datetime):
        return "time" if daily else "private"
    return "text" if python is str else "number"


def categorical(
    connection: Connection,
    compiled: CompiledContract,
    table: str,
    partitions: Sequence[str],
    known: Mapping[str, ColumnProfile],
) -> set[str]:
    """Columns with few different values: as an earlier profile has it, else as some rows have it.

    Args:
        connection: An open lake.
        compiled: The contract.
        table: The table, quoted.
        partitions: The partitions to be profiled.
        known: The columns of an earlier profile.
    """
    candidates = [
        column.name
        for column in _published(compiled)
        if column.pii is None and not column.key and column.type.python not in (date, datetime)
    ]
    found = {name for name in candidates if name in known and known[name].top}
    unknown = [name for name in candidates if name not in known]
    if unknown:
        counts = ", ".join(f"approx_count_distinct({quote_identifier(n)})" for n in unknown)
        row = connection.execute(
            f"SELECT {counts} FROM (FROM {table} WHERE {in_partitions(partitions)} "
            f"LIMIT {PEEK_ROWS})"
        ).fetchone()
        assert row is not None  # an aggregate of anything is one row
        found |= {n for n, count in zip(unknown, row, strict=True) if count <= MAX_CATEGORIES}
    return found


def profile(
    connection: Connection,
    compiled: CompiledContract,
    table: str,
    rows: Mapping[str, int],
    *,
    categories: Collection[str],
    daily: bool,
) -> dict[str, Profile]:
    """Profile partitions of a published table, in one scan.

    Args:
        connection: An open lake.
        compiled: The table's contract.
        table: The table, quoted.
        rows: The partitions, and how many rows each has.
        categories: Columns whose values are counted one by one.
        daily: Whether partitions are days.

    Returns:
        Profiles by partition; one without rows has an empty one.
    """
    filled = [key for key, count in rows.items() if count]
    columns = _published(compiled)
    if not filled:
        return {key: Profile(0, 0, 0, {}) for key in rows}
    total_rows = sum(rows.values())
    every, shown = (
        max(1, -(-total_rows // (wanted * len(filled))))
        for wanted in (SAMPLE_ROWS, SHOWN_SAMPLE_ROWS)
    )
    asked = [
        _Asked(column, kind_of(column, daily=daily), column.name in categories, every)
        for column in columns
    ]
    event = compiled.event_time if daily and compiled.event_time in columns else None
    terms = ["count(*)", "count(*) FILTER (_sampled)", "count(*) FILTER (_shown)"]
    if event is not None:
        name = quote_identifier(event.name)
        terms += [
            f"count(*) FILTER ({name} < _day)",
            f"count(*) FILTER ({name} >= _day + INTERVAL 1 DAY)",
        ]
    for each in asked:
        terms += each.terms
    own = [f"rowid % {every} = 0 AS _sampled", f"rowid % {shown} = 0 AS _shown"]
    own += [f"CAST({PARTITION_COLUMN} AS DATE) AS _day"] if daily else []
    names = ", ".join([PARTITION_COLUMN, *(quote_identifier(c.name) for c in columns), *own])
    found = connection.execute(
        f"SELECT {PARTITION_COLUMN}, {', '.join(terms)} FROM (SELECT {names} FROM {table} "
        f"WHERE {in_partitions(filled)}) GROUP BY 1"
    ).fetchall()
    profiles = {key: Profile(0, 0, 0, {}) for key in rows}
    for key, total, sampled, shown_rows, *values in found:
        left = iter(values)
        before, after = (next(left), next(left)) if event is not None else (None, None)
        described = {
            each.column.name: each.read(int(total), list(islice(left, len(each.terms))))
            for each in asked
        }
        profiles[str(key)] = Profile(
            int(total), int(sampled), int(shown_rows), described, before, after
        )
    return profiles


def _published(compiled: CompiledContract) -> list[Column]:
    return [compiled.column(name) for name, _ in compiled.published_columns]


@dataclass(frozen=True)
class _Asked:
    """What is asked of one column."""

    column: Column
    kind: Kind
    has_categories: bool
    every: int

    @property
    def terms(self) -> list[str]:
        """Aggregates, in the order in which ``read`` takes them."""
        name = quote_identifier(self.column.name)
        sampled = " FILTER (_sampled)" if self.every > 1 else ""
        terms = [f"count({name})", f"approx_count_distinct({name})"]
        if self.kind == "number":
            terms.append(f"count(*) FILTER ({name} = 0)")
        if self.kind in ("number", "time"):
            value = self._number(name)
            terms += [f"{each}({value})" for each in ("min", "max", "avg", "stddev_pop")]
            listed = ", ".join(map(str, QUANTILES))
            terms.append(f"approx_quantile({value}, [{listed}]){sampled}")
        elif self.kind == "text":
            terms += [f"avg(strlen({name}))", f"stddev_pop(strlen({name}))"]
        if self.has_categories:
            terms.append(f"histogram(CAST({name} AS VARCHAR)){sampled}")
        elif self.is_shown:
            entries = f"map_entries(histogram({name}) FILTER (_shown))"
            # Sorted by rows in the engine, which hands over only the first.
            packed = "struct_pack(n := -CAST(e.value AS BIGINT), v := e.key)"
            by_rows = f"list_sort(list_transform({entries}, lambda e: {packed}))"
            terms.append(f"{by_rows}[:{SHOWN_VALUES}]")
        return terms

    @property
    def is_shown(self) -> bool:
        """Whether frequent values say something: not of keys, of which none repeats."""
        return self.kind == "text" and not self.column.key

    def _number(self, name: str) -> str:
        """The value as a finite DOUBLE: what is infinite has no mean."""
        if self.kind == "time":
            hours = f"(epoch({name}) - epoch(_day)) / {_SECONDS_AN_HOUR}"
            return f"CASE WHEN isfinite({name}) THEN {hours} END"
        if self.column.type.python is float:
            return f"CASE WHEN isfinite({name}) THEN {name} END"
        return f"CAST({name} AS DOUBLE)"

    def read(self, rows: int, values: Sequence[Any]) -> ColumnProfile:
        """The profile that the aggregates make."""
        held, distinct, *rest = values
        zeros = 0
        if self.kind == "number":
            zeros, *rest = rest
        top: dict[str, int] = {}
        frequent: dict[str, int] = {}
        if self.has_categories:
            *rest, counted = rest
            ranked = sorted((counted or {}).items(), key=lambda item: (-item[1], item[0]))
            top = {str(name): int(count) for name, count in ranked[: 2 * MAX_CATEGORIES]}
        elif self.is_shown:
            *rest, counted = rest
            frequent = {each["v"]: -each["n"] for each in counted or ()}
        low = high = mean = deviation = found = None
        if self.kind in ("number", "time"):
            low, high, mean, deviation, found = rest
        elif self.kind == "text":
            mean, deviation = rest
        return ColumnProfile(
            kind=self.kind,
            nulls=rows - int(held),
            # About: it must not be more than there are.
            distinct=min(int(distinct), int(held)),
            zeros=int(zeros),
            low=low,
            high=high,
            mean=mean,
            deviation=deviation,
            quantiles=tuple(map(float, found or ())),
            top=top,
            frequent=frequent,
        )
