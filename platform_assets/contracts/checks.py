"""One pandera check as SQL, exactly, or as None: then it stays in Python.

Belongs here: the built-in checks and the types that their arguments must have.
Does not belong here: names, severities and order of rules (`rules.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pandera.api.checks import Check

from platform_assets.contracts import regex
from platform_assets.contracts.columns import Column, Place
from platform_assets.sql import literal, quote_identifier, quote_literal

SHORT_NAMES = {
    "equal_to": "eq",
    "not_equal_to": "ne",
    "greater_than": "gt",
    "greater_than_or_equal_to": "ge",
    "less_than": "lt",
    "less_than_or_equal_to": "le",
    "in_range": "in_range",
    "isin": "isin",
    "notin": "notin",
    "str_matches": "str_matches",
    "str_contains": "str_contains",
    "str_startswith": "str_startswith",
    "str_endswith": "str_endswith",
    "str_length": "str_length",
}
"""pandera's names of the built-in checks, and the ones that users write and read."""

_COMPARE = {
    # Check, and its negation: what the value must not be.
    "eq": ("=", "<>"),
    "ne": ("<>", "="),
    "gt": (">", "<="),
    "ge": (">=", "<"),
    "lt": ("<", ">="),
    "le": ("<=", ">"),
}


@dataclass(frozen=True)
class Compiled:
    """A built-in check: what it says, and the SQL that is true for a value that breaks it."""

    description: str
    violation: str | None
    """NULL or true or false over the typed column; None where SQL cannot say it exactly."""


_Compiler = Callable[[Place, str, str, dict[str, Any]], Compiled]
"""From a place, a column's name, its quoted name and a check's arguments."""


def compile_check(place: Place, column: Column, check: Check) -> Compiled:
    """Compile one of pandera's built-in checks.

    Args:
        place: Where the check was declared.
        column: Its column.
        check: The check; its name is one of `SHORT_NAMES`.

    Returns:
        The check as SQL.

    Raises:
        ContractError: An argument is not of the column's type.
    """
    short = SHORT_NAMES[str(check.registry_name)]
    arguments = dict(check.statistics or {})
    name = quote_identifier(column.name)
    if short.startswith("str_"):
        if column.type.python is not str:
            raise place.error(
                f"{short} is a check of text.",
                expected="a str column",
                found=column.type.python.__name__,
                fix="Annotate the column as str or remove the check.",
            )
        return _TEXT[short](place, column.name, name, arguments)
    if column.type.python is bool and short not in ("eq", "ne", "isin", "notin"):
        raise place.error(
            f"{short} orders values, and a bool has no order.",
            expected="eq, ne, isin or notin",
            found=short,
            fix="Use one of these.",
        )
    if short in ("isin", "notin"):
        return _membership(place, column, name, short, next(iter(arguments.values())))
    if short == "in_range":
        return _in_range(place, column, name, arguments)
    value = _argument(place, column, short, next(iter(arguments.values())))
    operator, negation = _COMPARE[short]
    return Compiled(f"{column.name} {operator} {value.shown}", f"{name} {negation} {value.sql}")


@dataclass(frozen=True)
class _Argument:
    sql: str
    shown: str


def _argument(place: Place, column: Column, check: str, value: object) -> _Argument:
    """Examine one argument; only what the column could hold compares exactly with it."""
    wanted = column.type.python
    problem = _PROBLEMS[wanted](value, column)
    if problem is not None:
        raise place.error(
            f"The argument of {check} is not of the column's type.",
            expected=problem,
            found=f"{check}={value!r} ({type(value).__name__})",
            fix=f"Write the argument as {wanted.__name__}.",
        )
    sql = literal(value, column.sql_type)
    shown = repr(value) if isinstance(value, str) else str(value)
    return _Argument(sql, shown)


def _text_problem(value: object, _: Column) -> str | None:
    return _unquotable(value)


def _unquotable(value: object) -> str | None:
    if not isinstance(value, str):
        return "a str"
    try:
        quote_literal(value)
    except ValueError as error:
        return str(error)
    return None


def _int_problem(value: object, _: Column) -> str | None:
    fits = isinstance(value, int) and -(2**63) <= value < 2**63
    return None if fits and not isinstance(value, bool) else "an int of 64 bits"


def _float_problem(value: object, _: Column) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        exact = abs(value) <= 2**53
    else:
        exact = isinstance(value, float) and math.isfinite(value)
    return None if exact else "a finite float"


def _bool_problem(value: object, _: Column) -> str | None:
    return None if isinstance(value, bool) else "a bool"


def _decimal_problem(value: object, column: Column) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    wanted = (
        f"a Decimal or int that fits DECIMAL({column.type.precision},{column.type.scale});"
        " a float is never exact"
    )
    if not isinstance(value, Decimal) or not value.is_finite():
        return wanted
    numerator, denominator = value.as_integer_ratio()
    scaled, rest = divmod(abs(numerator) * 10**column.type.scale, denominator)
    return None if rest == 0 and scaled < 10**column.type.precision else wanted


def _date_problem(value: object, _: Column) -> str | None:
    exact = isinstance(value, date) and not isinstance(value, datetime)
    return None if exact else "a datetime.date"


def _datetime_problem(value: object, _: Column) -> str | None:
    exact = isinstance(value, datetime) and value.tzinfo is None
    return None if exact else "a datetime.datetime without a time zone (columns hold UTC)"


_PROBLEMS: dict[type, Callable[[object, Column], str | None]] = {
    str: _text_problem,
    int: _int_problem,
    float: _float_problem,
    bool: _bool_problem,
    Decimal: _decimal_problem,
    date: _date_problem,
    datetime: _datetime_problem,
}


def _membership(
    place: Place, column: Column, name: str, check: str, values: Iterable[object]
) -> Compiled:
    if isinstance(values, str):
        raise place.error(
            f"{check} takes its values one by one.",
            expected="a list of values",
            found=f"{check}={values!r}, which pandera reads as its single letters",
            fix=f"Write {check}=[...].",
        )
    arguments = [_argument(place, column, check, v) for v in values]
    listed = ", ".join(dict.fromkeys(a.sql for a in arguments))
    shown = ", ".join(dict.fromkeys(a.shown for a in arguments))
    if check == "isin":
        violation = f"{name} NOT IN ({listed})" if arguments else f"{name} IS NOT NULL"
        return Compiled(f"{column.name} in ({shown})", violation)
    violation = f"{name} IN ({listed})" if arguments else "false"
    return Compiled(f"{column.name} not in ({shown})", violation)


def _in_range(place: Place, column: Column, name: str, arguments: dict[str, Any]) -> Compiled:
    low = _argument(place, column, "in_range", arguments["min_value"])
    high = _argument(place, column, "in_range", arguments["max_value"])
    include_low, include_high = arguments["include_min"], arguments["include_max"]
    below, above = ("<" if include_low else "<="), (">" if include_high else ">=")
    first, last = ("<=" if include_low else "<"), ("<=" if include_high else "<")
    return Compiled(
        f"{low.shown} {first} {column.name} {last} {high.shown}",
        f"({name} {below} {low.sql} OR {name} {above} {high.sql})",
    )


def _length(place: Place, column: str, name: str, arguments: dict[str, Any]) -> Compiled:
    exact, low, high = (arguments.get(k) for k in ("exact_value", "min_value", "max_value"))
    for value in (exact, low, high):
        if value is not None and type(value) is not int:
            raise place.error(
                "The argument of str_length is not a number of characters.",
                expected="an int",
                found=repr(value),
                fix="Write str_length=5, or str_length=(1, 5).",
            )
    # length() counts code points, as Python's len() does.
    if exact is not None:
        return Compiled(f"length of {column} = {exact}", f"length({name}) <> {exact}")
    bounds = []
    if low is not None:
        bounds.append((f">= {low}", f"length({name}) < {low}"))
    if high is not None:
        bounds.append((f"<= {high}", f"length({name}) > {high}"))
    return Compiled(
        f"length of {column} " + " and ".join(b[0] for b in bounds),
        "(" + " OR ".join(b[1] for b in bounds) + ")",
    )


def _affix(function: str, words: str) -> _Compiler:
    def compile_(place: Place, column: str, name: str, arguments: dict[str, Any]) -> Compiled:
        value = arguments["string"]
        if _unquotable(value):
            raise place.error(
                f"The argument of str_{words.replace(' ', '')} is not text.",
                expected="a str",
                found=f"{value!r} ({type(value).__name__})",
                fix="Write one string; for several, use str_matches.",
            )
        return Compiled(
            f"{column} {words} {value!r}", f"NOT {function}({name}, {quote_literal(value)})"
        )

    return compile_


def _pattern(words: str, *, anchored: bool) -> _Compiler:
    def compile_(place: Place, column: str, name: str, arguments: dict[str, Any]) -> Compiled:
        pattern = arguments["pattern"]
        translated = regex.translate(pattern, anchored=anchored)
        shown = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        violation = (
            None
            if translated is None
            else f"NOT regexp_matches({name}, {quote_literal(translated)})"
        )
        return Compiled(f"{column} {words} /{shown}/", violation)

    return compile_


_TEXT: dict[str, _Compiler] = {
    "str_matches": _pattern("starts with a match of", anchored=True),
    "str_contains": _pattern("contains a match of", anchored=False),
    "str_startswith": _affix("starts_with", "starts with"),
    "str_endswith": _affix("ends_with", "ends with"),
    "str_length": _length,
}
