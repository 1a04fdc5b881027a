r"""Text to typed value, in SQL: exactly, or NULL; never rounded, never guessed.

Belongs here: the grammar of each type. Does not belong here: what a NULL means (`rules.py`).

Every cast has two halves, for speed, and a shortcut for text that was judged. The `probe` is the
engine's own TRY_CAST: fast, but it accepts too much (`1.5` as the integer 2, `1_0` as 10,
`2024/1/2` as a date) and for timestamps ignores the offset. The `value` takes the probe where a
cheap test proves that it is exact (a value that prints as the very text that it came from), and
otherwise asks the grammar, as an anchored regular expression. In a query the probe is a column of
an inner subquery, so that it is computed once. What is `trusted` gives the same value for less, but
only where the text is known to be of the grammar.

Grammar, with ASCII whitespace tolerated around everything but text:

* int: `[+-]digits`, then optionally `.` and zeros (`17850.0` is what pandas writes), in BIGINT.
* Decimal(p,s): `[+-]digits[.digits]` or `.digits`; beyond s only zeros; at most p digits.
* float: decimal or exponent notation, finite.
* bool: true t 1 yes y, false f 0 no n, in any case.
* date: `YYYY-MM-DD`, years 0001 to 9999. datetime: the same, then optionally `T` or a space and
  `HH:MM[:SS[.ffffff]]`, then optionally `Z` or `±HH[:MM]`, which is converted to UTC.
* date and datetime with a `format`: see `formats.py`.

Where a source has types of its own (a database, Parquet), a value that fits the column's type is
taken as it is; any other is read by its text, with the grammar above.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from platform_assets.contracts import formats
from platform_assets.contracts.types import ColumnType
from platform_assets.sql import quote_literal

TEXT = "VARCHAR"
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_WIDE_INTEGERS = ("UBIGINT", "HUGEINT", "UHUGEINT")
_TIMESTAMPS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_SPACE = r"[\t-\r ]*"
_TRIM = "E' \\t\\n\\x0B\\x0C\\r'"
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_OFFSET = r"[+-](?:[01][0-9]|2[0-3])(?::[0-5][0-9])?"


@dataclass(frozen=True)
class Cast:
    """A cast of one text expression.

    Attributes:
        probe: The engine's own cast.
        value: From an expression for the probe's result to the expression for the typed value.
        shortcut: An expression that is right wherever the cast is not NULL; empty: there is none.
    """

    probe: str
    value: Callable[[str], str]
    shortcut: str = ""

    @property
    def sql(self) -> str:
        """The whole cast as one expression."""
        return self.value(f"({self.probe})")

    @property
    def trusted(self) -> str:
        """The cast of text that is null or of the grammar; of other text it may give anything."""
        return self.shortcut or self.sql


def _matches(text: str, grammar: str) -> str:
    return f"regexp_full_match({text}, {quote_literal(_SPACE + '(?:' + grammar + ')' + _SPACE)})"


def _trimmed(text: str) -> str:
    return f"trim({text}, {_TRIM})"


def _number(text: str, sql_type: str, grammar: str) -> Cast:
    tried = f"TRY_CAST({text} AS {sql_type})"
    return Cast(
        tried,
        lambda probe: (
            f"CASE WHEN CAST({probe} AS VARCHAR) = {text} THEN {probe}"
            f" WHEN {probe} IS NULL THEN NULL"
            f" WHEN {_matches(text, grammar)} THEN {probe} END"
        ),
        shortcut=tried,
    )


def _int(text: str) -> Cast:
    return _number(text, "BIGINT", r"[+-]?[0-9]+(?:\.0*)?")


def _decimal(text: str, precision: int, scale: int) -> Cast:
    fraction = rf"[0-9]{{1,{scale}}}0*" if scale else "0+"
    grammar = rf"[+-]?(?:[0-9]+\.?|[0-9]*\.{fraction})"
    return _number(text, f"DECIMAL({precision},{scale})", grammar)


def _float(text: str) -> Cast:
    # What TRY_CAST accepts beyond the grammar are the infinities, NaN and `1_0`.
    tried = f"TRY_CAST({text} AS DOUBLE)"
    return Cast(
        tried,
        lambda probe: f"CASE WHEN isfinite({probe}) AND NOT contains({text}, '_') THEN {probe} END",
        shortcut=tried,
    )


def _bool(text: str) -> Cast:
    return Cast(
        f"TRY_CAST({text} AS BOOLEAN)",
        lambda probe: (
            f"CASE WHEN {probe} IS NOT NULL THEN {probe}"
            f" WHEN {text} IS NOT NULL THEN TRY_CAST({_trimmed(text)} AS BOOLEAN) END"
        ),
    )


def _date(text: str) -> Cast:
    first = "DATE '0001-01-01'"
    tried = f"TRY_CAST({text} AS DATE)"
    return Cast(
        tried,
        lambda probe: (
            f"CASE WHEN strlen({text}) = 10 AND CAST({probe} AS VARCHAR) = {text} THEN {probe}"
            f" WHEN {_matches(text, _DAY)} AND TRY_CAST({_trimmed(text)} AS DATE) >= {first}"
            f" THEN TRY_CAST({_trimmed(text)} AS DATE) END"
        ),
        shortcut=tried,
    )


def _datetime(text: str) -> Cast:
    naive = f"{_DAY}(?:[T ]{_CLOCK})?"
    first, last = "TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"
    clean = _trimmed(text)
    whole = f"(strlen({text}) = 19 OR (strlen({text}) = 20 AND ends_with({text}, 'Z')))"
    trimmed = f"TRY_CAST({clean} AS TIMESTAMP)"
    # The engine drops the offset when it casts to TIMESTAMP, so it is subtracted here. `Z` has
    # none, and no interval is read from it.
    local = f"TRY_CAST(regexp_extract({clean}, '^.{{11}}[0-9:.]*') AS TIMESTAMP)"
    offset = f"regexp_extract({clean}, '[+-][0-9:]{{2,5}}$')"
    hours = f"CASE WHEN strlen({offset}) = 3 THEN ':00' ELSE '' END"
    interval = f"TRY_CAST(ltrim({offset}, '+') || {hours} AS INTERVAL)"
    utc = f"({local} - coalesce({interval}, INTERVAL 0 SECOND))"
    tried = f"TRY_CAST({text} AS TIMESTAMP)"

    def value(probe: str) -> str:
        return (
            f"CASE WHEN CAST({probe} AS VARCHAR) = {text} AND strlen({text}) = 19 THEN {probe}"
            f" WHEN {whole} AND CAST({probe} AS VARCHAR) = replace({text}[:19], 'T', ' ')"
            f" THEN {probe}"
            f" WHEN {_matches(text, naive)} AND {trimmed} >= {first} THEN {trimmed}"
            f" WHEN {_matches(text, f'{_DAY}[T ]{_CLOCK}(?:Z|{_OFFSET})')}"
            f" AND {utc} BETWEEN {first} AND {last} THEN {utc} END"
        )

    # Of the grammar's texts of 19 characters, those with a colon there have no offset.
    naive_to_the_second = f"{text} LIKE '{'_' * 16}:__'"
    shortcut = f"CASE WHEN {naive_to_the_second} THEN {tried} ELSE {value(f'({tried})')} END"
    return Cast(tried, value, shortcut)


def _formatted(text: str, sql_type: str, format: str) -> Cast:
    tried = f"TRY_STRPTIME({_trimmed(text)}, {quote_literal(format)})"
    return Cast(
        tried,
        lambda probe: (
            f"CASE WHEN {_matches(text, formats.grammar(format))}"
            f" AND {probe} >= TIMESTAMP '0001-01-01 00:00:00' THEN CAST({probe} AS {sql_type}) END"
        ),
        shortcut=f"CAST({tried} AS {sql_type})",
    )


def _within(value: str, sql_type: str, first: str, last: str) -> str:
    """A date or time as it is, or NULL outside the years that a contract knows (infinity is)."""
    bounds = f"{sql_type} '{first}' AND {sql_type} '{last}'"
    return f"CASE WHEN {value} BETWEEN {bounds} THEN {value} END"


def _instant(value: str, source_type: str) -> str | None:
    """A time of a source with types as a timestamp in UTC; None: only its text tells."""
    if source_type in _TIMESTAMPS:
        return f"CAST({value} AS TIMESTAMP)"
    if source_type == "TIMESTAMP WITH TIME ZONE":
        return f"make_timestamp(epoch_us({value}))"
    if source_type == "TIMESTAMP_NS":
        # Only what is exact to the microsecond; the rest would be cut off.
        return f"CASE WHEN epoch_ns({value}) % 1000 = 0 THEN CAST({value} AS TIMESTAMP) END"
    return f"CAST({value} AS TIMESTAMP)" if source_type == "DATE" else None


def _direct(value: str, type_: ColumnType, source_type: str) -> str | None:
    """The typed value of a source with types, without its text; None: only its text tells."""
    if type_.python is str:
        return f"CAST({value} AS VARCHAR)"
    whole = source_type in _INTEGERS
    if type_.python is int and (whole or source_type in _WIDE_INTEGERS):
        return f"TRY_CAST({value} AS BIGINT)"
    if type_.python is bool and source_type == "BOOLEAN":
        return value
    if type_.python is float and (whole or source_type in ("FLOAT", "DOUBLE")):
        return f"CASE WHEN isfinite(CAST({value} AS DOUBLE)) THEN CAST({value} AS DOUBLE) END"
    if type_.python is Decimal:
        found = _DECIMAL.fullmatch(source_type)
        scale = int(found[2]) if found else 0
        # TRY_CAST rounds what has more decimals than the column; that is left to the text.
        if (whole or found) and scale <= type_.scale:
            return f"TRY_CAST({value} AS {type_.sql})"
    if type_.python is date and source_type == "DATE":
        return _within(value, "DATE", "0001-01-01", "9999-12-31")
    if type_.python is datetime:
        instant = _instant(value, source_type)
        if instant is not None:
            return _within(
                f"({instant})", "TIMESTAMP", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
            )
    return None


def cast(text: str, type_: ColumnType, format: str | None = None, source_type: str = TEXT) -> Cast:
    """Build the cast of a source's value to a column's type.

    Args:
        text: SQL expression of the source's value, cheap to repeat: a column reference.
        type_: The type wanted.
        format: strptime format of a date or datetime, already examined.
        source_type: The engine's type of the source's value.

    Returns:
        The cast; its value is NULL where the source's value is NULL or not of the grammar.
    """
    if source_type != TEXT:
        direct = _direct(text, type_, source_type)
        if direct is not None:
            return Cast(direct, lambda probe: probe, shortcut=direct)
        text = f"CAST({text} AS VARCHAR)"
    if format is not None:
        return _formatted(text, type_.sql, format)
    if type_.python is Decimal:
        return _decimal(text, type_.precision, type_.scale)
    if type_.python is str:
        return Cast(text, lambda probe: probe, shortcut=text)
    simple = {int: _int, float: _float, bool: _bool, date: _date, datetime: _datetime}
    return simple[type_.python](text)
