"""Profiles: what the rows of a partition look like, column by column, from one scan.

Belongs here: the query and what it yields. Does not belong here: keeping profiles (``profiles``)
and judging them (``detectors``).

Counts, nulls, smallest, largest, mean and deviation are of all rows; distinct values are counted
by HyperLogLog (2 to 4 % off). Quantiles, lengths of texts and frequent values are of a sample
where a partition has many rows: every nth row, by its place. Of personal data nothing is kept but
how many values are missing, and how many different ones there are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

from platform_assets.contracts import CompiledContract
from platform_assets.contracts.columns import Column
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_identifier
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import in_partitions

Kind = Literal["number", "text", "flag", "time", "private"]

QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
# Of a partition; enough to tell shares that are 4 % apart.
SAMPLE_ROWS = 2_500
# Of a partition, for what is only shown.
SHOWN_SAMPLE_ROWS = 500
SHOWN_VALUES = 10
# A column with more distinct values than this has no categories.
MAX_CATEGORIES = 60
# Rows that tell which columns have categories, where no earlier profile does.
PEEK_ROWS = 5_000
_SECONDS_AN_HOUR = 3_600
_SECONDS_A_DAY = 86_400
_NUMBERS = {"low": "min", "high": "max", "mean": "avg", "deviation": "stddev_pop"}


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one partition.

    Attributes:
        kind: What is known of it: numbers have a mean, texts the mean of their length, times that
            of the hours since their partition's day began.
        nulls: Rows without a value.
        distinct: Different values, about; of times they are not counted.
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
    profiles = {key: Profile(0, 0, 0, {}) for key in rows}
    if not filled:
        return profiles
    every, shown = (
        max(1, -(-sum(rows.values()) // (wanted * len(filled))))
        for wanted in (SAMPLE_ROWS, SHOWN_SAMPLE_ROWS)
    )
    asked = [
        _Asked(
            column,
            kind_of(column, daily=daily),
            has_categories=column.name in categories,
            is_whole_key=compiled.key == (column.name,),
        )
        for column in _published(compiled)
    ]
    terms = {
        "rows": "count(*)",
        "sampled": "count(*) FILTER (_sampled)",
        "shown": "count(*) FILTER (_shown)",
    }
    event = next((each for each in asked if each.column.event_time and each.kind == "time"), None)
    if event is not None:
        terms["before"] = f"count(*) FILTER ({event.value} < _begin)"
        terms["after"] = f"count(*) FILTER ({event.value} >= _begin + {_SECONDS_A_DAY})"
    for number, each in enumerate(asked):
        terms |= {f"{number} {name}": term for name, term in each.terms.items()}
    read = [
        PARTITION_COLUMN,
        f"rowid % {every} = 0 AS _sampled",
        f"rowid % {shown} = 0 AS _shown",
        *([f"epoch(CAST({PARTITION_COLUMN} AS DATE)) AS _begin"] if daily else []),
        *(each.read_as for each in asked),
    ]
    found = connection.execute(
        f"SELECT {PARTITION_COLUMN}, {', '.join(terms.values())} FROM (SELECT {', '.join(read)} "
        f"FROM {table} WHERE {in_partitions(filled)}) GROUP BY 1"
    ).fetchall()
    for key, *values in found:
        told = dict(zip(terms, values, strict=True))
        begin = _begin(key) if daily else 0.0
        profiles[str(key)] = Profile(
            rows=int(told["rows"]),
            sampled=int(told["sampled"]),
            shown=int(told["shown"]),
            columns={
                each.column.name: each.read(
                    int(told["rows"]),
                    {name: told[f"{number} {name}"] for name in each.terms},
                    begin,
                )
                for number, each in enumerate(asked)
            },
            before=told.get("before"),
            after=told.get("after"),
        )
    return profiles


def _published(compiled: CompiledContract) -> list[Column]:
    return [compiled.column(name) for name, _ in compiled.published_columns]


def _begin(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def _of(sample: str, value: str) -> str:
    """A value in the rows of a sample; in others it is not even computed, as FILTER would."""
    return f"CASE WHEN {sample} THEN {value} END"


@dataclass(frozen=True)
class _Asked:
    """What is asked of one column.

    Attributes:
        column: The column.
        kind: What can be said of its values.
        has_categories: Whether its values are counted one by one.
        is_whole_key: Whether it alone is the key, of which no value repeats.
    """

    column: Column
    kind: Kind
    has_categories: bool
    is_whole_key: bool

    @property
    def value(self) -> str:
        """What the aggregates take: the column, as a finite DOUBLE where it has a mean."""
        return quote_identifier(self.column.name)

    @property
    def read_as(self) -> str:
        """The column in the scan: what is infinite has no mean."""
        name = self.value
        if self.kind == "time":
            return f"epoch(CASE WHEN isfinite({name}) THEN {name} END) AS {name}"
        if self.column.type.python is float and self.kind == "number":
            return f"CASE WHEN isfinite({name}) THEN {name} END AS {name}"
        return name

    @property
    def is_shown(self) -> bool:
        """Whether frequent values say something: not of keys, of which none repeats."""
        return self.kind == "text" and not self.has_categories and not self.column.key

    @property
    def terms(self) -> dict[str, str]:
        """Aggregates by name; what costs much only where it says something."""
        name = self.value
        terms = {"held": f"count({name})"}
        if self.kind != "time" and not self.has_categories and not self.is_whole_key:
            terms["distinct"] = f"approx_count_distinct({name})"
        if self.kind in ("number", "time"):
            number = f"CAST({name} AS DOUBLE)"
            for each, function in _NUMBERS.items():
                terms[each] = f"{function}({number})"
            listed = ", ".join(map(str, QUANTILES))
            terms["quantiles"] = f"approx_quantile({_of('_sampled', number)}, [{listed}])"
        if self.kind == "number":
            terms["zeros"] = f"count(*) FILTER ({name} = 0)"
        if self.kind == "text" and not self.has_categories:
            length = _of("_sampled", f"strlen({name})")
            terms |= {"mean": f"avg({length})", "deviation": f"stddev_pop({length})"}
        if self.has_categories:
            terms["top"] = f"histogram({_of('_sampled', f'CAST({name} AS VARCHAR)')})"
        if self.is_shown:
            entries = f"map_entries(histogram({_of('_shown', name)}))"
            # Sorted by rows in the engine, which hands over only the first.
            packed = "struct_pack(n := -CAST(e.value AS BIGINT), v := e.key)"
            by_rows = f"list_sort(list_transform({entries}, lambda e: {packed}))"
            terms["frequent"] = f"{by_rows}[:{SHOWN_VALUES}]"
        return terms

    def read(self, rows: int, told: Mapping[str, Any], begin: float) -> ColumnProfile:
        """The profile that the aggregates make.

        Args:
            rows: Rows of the partition.
            told: What the aggregates came to, by name.
            begin: When the partition's day begins, in seconds since 1970.
        """
        held = int(told["held"])
        counted: Mapping[str, int] = told.get("top") or {}
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        distinct = told.get("distinct", len(counted) if self.has_categories else held)

        def number(value: float | None, shift: float = 0.0) -> float | None:
            if value is None or self.kind != "time":
                return value
            return (value - shift) / _SECONDS_AN_HOUR

        return ColumnProfile(
            kind=self.kind,
            nulls=rows - held,
            # About: it must not be more than there are.
            distinct=min(int(distinct), held),
            zeros=int(told.get("zeros") or 0),
            low=number(told.get("low"), begin),
            high=number(told.get("high"), begin),
            mean=number(told.get("mean"), begin),
            deviation=number(told.get("deviation")),
            quantiles=tuple(
                found
                for each in told.get("quantiles") or ()
                if (found := number(float(each), begin)) is not None
            ),
            top={str(name): int(count) for name, count in ranked[: 2 * MAX_CATEGORIES]},
            frequent={each["v"]: -each["n"] for each in told.get("frequent") or ()},
        )
