"""Which type a column's values have: the contract's own casts tried over the sample.

Belongs here: candidates and their order. Does not belong here: the casts (``contracts.casts``).

A type is proposed only where every value that is not null casts to it, so that the proposed
contract accepts the sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from platform_assets.contracts.casts import cast
from platform_assets.contracts.types import MAX_PRECISION, ColumnType, column_type
from platform_assets.scaffold.sample import Sample
from platform_assets.sources.base import TEXT, SourceColumn
from platform_assets.sql import quote_identifier

_FLAG = re.compile(r"(^(is|has|can|was|may|should)_)|(_flag$)|^(active|enabled|deleted|consent)$")
_INEXACT = re.compile(r"(^|_)(lat|latitude|lon|lng|longitude|ratio|rate|score|weight)($|_)")
_NATIVE_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d")
_CLOCKS = ("%H:%M", "%H:%M:%S")
FIRST = 1000
"""Rows that a candidate is tried on first."""
NEARLY = 0.1
"""Share of values that may be dirt, for a remark about the type of the others."""
MONEY_PRECISION, MONEY_SCALE, MOST_SCALE = 18, 2, 6


@dataclass(frozen=True)
class Guess:
    """A type, and why.

    Attributes:
        type: The contract's type.
        format: strptime format, where the text is not ISO 8601.
        evidence: Why, in sentences.
    """

    type: ColumnType
    format: str | None = None
    evidence: tuple[str, ...] = ()

    def value(self, column: SourceColumn) -> str:
        """SQL of the typed value."""
        return cast(quote_identifier(column.name), self.type, self.format, column.sql_type).sql


@dataclass(frozen=True)
class _Text:
    """What the texts of a column look like."""

    filled: int
    distinct: int
    zeros: int
    words: int
    plain: int
    pointed: int
    pandas: int
    integral: int
    scale: int


def _of(python: type, decimal: tuple[int, int] | None = None) -> ColumnType:
    found = column_type(python, decimal)
    assert found is not None
    return found


def guess_type(sample: Sample, column: SourceColumn) -> Guess:
    """The type of a column.

    Args:
        sample: The sample.
        column: One of its columns.
    """
    candidates = _text(sample, column) if column.sql_type == TEXT else _native(column)
    for candidate in candidates:
        if _fits(sample, column, candidate):
            return candidate
    return Guess(_of(str))


def _native(column: SourceColumn) -> Iterator[Guess]:
    """What a source with types of its own declares, as a contract's type."""
    told = (f"the source's type is {column.sql_type}",)
    decimal = _NATIVE_DECIMAL.fullmatch(column.sql_type)
    if decimal:
        yield Guess(_of(Decimal, (int(decimal[1]), int(decimal[2]))), evidence=told)
    elif column.sql_type in ("FLOAT", "DOUBLE"):
        yield Guess(_of(float), evidence=told)
    elif column.sql_type == "BOOLEAN":
        yield Guess(_of(bool), evidence=told)
    elif column.sql_type == "DATE":
        yield Guess(_of(date), evidence=told)
    elif column.sql_type.startswith("TIMESTAMP"):
        yield Guess(_of(datetime), evidence=told)
    elif column.sql_type.endswith(("INT", "INTEGER")):
        yield Guess(_of(int), evidence=told)
        yield Guess(_of(Decimal, (MAX_PRECISION, 0)), evidence=told)
    yield Guess(_of(str), evidence=told)


def _text(sample: Sample, column: SourceColumn) -> Iterator[Guess]:
    text = _look(sample, column)
    if not text.filled:
        yield Guess(_of(str), evidence=("no value in the sample tells the type",))
        return
    all_cast = f"all {text.filled:,} values read as one"
    name = column.name.lower()
    zeros: tuple[str, ...] = ()
    if text.zeros:
        zeros = (
            f"{text.zeros:,} of {text.filled:,} values begin with a zero or plus: not a number",
        )
    else:
        whole = not text.pointed or text.pointed == text.pandas
        zero_or_one = whole and _fits(sample, column, Guess(_of(int)))
        if (text.distinct > 1 or text.words == text.filled) and (
            not zero_or_one or _FLAG.search(name)
        ):
            yield Guess(_of(bool), evidence=(f"bool: {all_cast}",))
        if whole:
            yield Guess(_of(int), evidence=(f"int: {all_cast}",))
        if text.plain == text.filled and not text.pointed:
            yield Guess(_of(str), evidence=("digits alone, and more than 64 bits hold",))
        if text.plain == text.filled and not _INEXACT.search(name):
            yield from _decimal(text, all_cast)
        yield Guess(_of(float), evidence=(f"float: {all_cast}",))
    yield Guess(_of(date), evidence=(f"date: {all_cast}",))
    yield Guess(_of(datetime), evidence=(f"datetime: {all_cast}",))
    yield from _formatted(sample, column, all_cast)
    yield Guess(_of(str), evidence=zeros or _nearly(sample, column, text.filled))


def _nearly(sample: Sample, column: SourceColumn, filled: int) -> tuple[str, ...]:
    """That a few values alone keep a column from having a type: dirt, more often than not."""
    decimal = (MAX_PRECISION, MOST_SCALE)
    for type_ in (_of(int), _of(Decimal, decimal), _of(date), _of(datetime)):
        if _misses(sample, column, Guess(type_), FIRST) > FIRST // 2:
            continue
        misses = _misses(sample, column, Guess(type_))
        if misses <= NEARLY * filled:
            return (f"{filled - misses:,} of {filled:,} values read as {type_.python.__name__}",)
    return ()


def _decimal(text: _Text, all_cast: str) -> Iterator[Guess]:
    scale = max(text.scale, MONEY_SCALE)
    precision = max(text.integral + scale, MONEY_PRECISION)
    if scale <= MOST_SCALE and precision <= MAX_PRECISION:
        yield Guess(
            _of(Decimal, (precision, scale)),
            evidence=(
                f"Decimal: {all_cast}; at most {text.integral} digits before the point and "
                f"{text.scale} after it",
            ),
        )


def _formatted(sample: Sample, column: SourceColumn, all_cast: str) -> Iterator[Guess]:
    """Days and times in another notation, where the sample leaves no doubt which."""
    for python, clocks in ((date, ("",)), (datetime, tuple(f" {clock}" for clock in _CLOCKS))):
        fitting = [
            guess
            for day in _DAYS
            for clock in clocks
            if _fits(sample, column, guess := Guess(_of(python), day + clock))
        ]
        if len(fitting) == 1:
            told = f"{python.__name__}: {all_cast} as {fitting[0].format}"
            yield Guess(fitting[0].type, fitting[0].format, (told,))
        elif fitting:
            formats = " and ".join(str(each.format) for each in fitting)
            yield Guess(
                _of(str), evidence=(f"all values read as {formats}: which one, only you know",)
            )


def _fits(sample: Sample, column: SourceColumn, guess: Guess) -> bool:
    # Most candidates fail within a few rows: casting all rows to each takes most of the time.
    return not _misses(sample, column, guess, FIRST) and not _misses(sample, column, guess)


def _misses(sample: Sample, column: SourceColumn, guess: Guess, first: int | None = None) -> int:
    """Values that do not cast, of all rows or of the first ones."""
    name = quote_identifier(column.name)
    rows = sample.table if first is None else f"(FROM {sample.table} LIMIT {first})"
    missed = f"{name} IS NOT NULL AND ({guess.value(column)}) IS NULL"
    (misses,) = _row(sample, f"count(*) FILTER (WHERE {missed})", rows)
    return int(misses)


def _look(sample: Sample, column: SourceColumn) -> _Text:
    name = quote_identifier(column.name)
    clean = f"trim({name}, E' \\t\\n\\x0B\\x0C\\r')"
    plain = f"regexp_full_match({clean}, '[+-]?([0-9]+[.]?|[0-9]*[.][0-9]+)')"
    digits = f"ltrim(regexp_extract({clean}, '^[+-]?([0-9]*)', 1), '0')"
    fraction = f"rtrim(regexp_extract({clean}, '[.]([0-9]*)$', 1), '0')"
    return _Text(
        *(
            int(value or 0)
            for value in _row(
                sample,
                f"count({name}), count(DISTINCT {name}), "
                f"count(*) FILTER (WHERE regexp_matches({clean}, '^([+]|-?0[0-9])')), "
                f"count(*) FILTER (WHERE lower({clean}) IN ('true', 'false')), "
                f"count(*) FILTER (WHERE {plain}), "
                f"count(*) FILTER (WHERE contains({name}, '.')), "
                f"count(*) FILTER (WHERE regexp_full_match({clean}, '[+-]?[0-9]+[.]0?')), "
                f"max(length({digits})) FILTER (WHERE {plain}), "
                f"max(length({fraction})) FILTER (WHERE {plain})",
            )
        )
    )


def _row(sample: Sample, selected: str, rows: str | None = None) -> tuple[Any, ...]:
    row = sample.engine.execute(f"SELECT {selected} FROM {rows or sample.table}").fetchone()
    assert row is not None
    return row
