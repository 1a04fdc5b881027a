r"""Python regular expressions as RE2 patterns with exactly the same meaning, or not at all.

Belongs here: the translation. Does not belong here: what happens to a pattern that has none
(`checks.py` makes it a Python rule).

Only whether a pattern matches is asked, never what it captured, so greed and groups do not
matter. The classes `\d \s \w` are written out as the ranges that Python itself means by them:
RE2's own are ASCII, and its Unicode tables are of another version.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable
from functools import cache
from re import _constants as ops  # type: ignore[attr-defined]  # typeshed hides the parse tree
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import duckdb

Ranges = list[tuple[int, int]]


class _UntranslatableError(Exception):
    """The pattern means something that RE2 cannot say."""


def translate(pattern: str | re.Pattern[str], *, anchored: bool) -> str | None:
    """Translate a Python pattern to RE2.

    Args:
        pattern: A pattern that `re.compile` accepts.
        anchored: True for `re.match` (from the start), False for `re.search`.

    Returns:
        A pattern for `regexp_matches`, or None where none means exactly the same.
    """
    try:
        text, flags = (
            (pattern.pattern, pattern.flags) if isinstance(pattern, re.Pattern) else (pattern, 0)
        )
        tree = parser.parse(text, flags)
        if tree.state.flags & ~re.UNICODE:
            return None
        body = _sequence(tree, tail=True)
    except _UntranslatableError:
        return None
    # The group captures, for no use but to keep the engine's optimizer away: it rewrites simple
    # patterns as LIKE, and gets some of them wrong (in 1.5, `^^` no longer matches "0").
    translated = rf"\A({body})" if anchored else f"({body})"
    return translated if _accepted(translated) else None


def _accepted(pattern: str) -> bool:
    """Ask the engine: RE2 limits the size of a pattern and the count of a repetition."""
    with duckdb.connect() as connection:
        try:
            connection.execute(
                "SELECT regexp_matches(t, $pattern) FROM (VALUES (''), ('a')) v(t)",
                {"pattern": pattern},
            ).fetchall()
        except duckdb.Error:
            return False
    return True


def _sequence(items: Iterable[Any], *, tail: bool) -> str:
    """Translate what stands in a row; `tail` says that nothing of the pattern comes after it."""
    nodes = list(items)
    return "".join(
        _node(op, argument, tail=tail and n == len(nodes) - 1)
        for n, (op, argument) in enumerate(nodes)
    )


def _node(op: object, argument: Any, *, tail: bool) -> str:
    match op:
        case ops.LITERAL:
            return _class([(argument, argument)])
        case ops.NOT_LITERAL:
            return _class(_complement([(argument, argument)]))
        case ops.ANY:
            return r"[^\n]"
        case ops.IN:
            return _class(_members(argument))
        case ops.BRANCH:
            return "(?:" + "|".join(_sequence(b, tail=tail) for b in argument[1]) + ")"
        case ops.SUBPATTERN if not (argument[1] or argument[2]):  # flags, added or removed
            return f"(?:{_sequence(argument[3], tail=tail)})"
        case ops.MAX_REPEAT | ops.MIN_REPEAT:
            low, high, body = argument
            upper = "" if high is ops.MAXREPEAT else str(high)
            return f"(?:{_sequence(body, tail=False)}){{{low},{upper}}}"
        case ops.AT:
            return _position(argument, tail=tail)
    raise _UntranslatableError


def _position(where: object, *, tail: bool) -> str:
    if where in (ops.AT_BEGINNING, ops.AT_BEGINNING_STRING):
        return r"\A"
    if where is ops.AT_END_STRING:
        return r"\z"
    if where is ops.AT_END and tail:
        # `$` also matches before a final newline; with nothing after it, it may consume it.
        return r"(?:\n?\z)"
    raise _UntranslatableError


def _members(items: Iterable[Any]) -> Ranges:
    ranges: Ranges = []
    negated = False
    for op, argument in items:
        if op is ops.NEGATE:
            negated = True
        elif op is ops.LITERAL:
            ranges.append((argument, argument))
        elif op is ops.RANGE:
            ranges.append(argument)
        elif op is ops.CATEGORY:
            ranges.extend(_category(argument))
        else:
            raise _UntranslatableError
    return _complement(ranges) if negated else ranges


def _category(name: object) -> Ranges:
    found = {
        ops.CATEGORY_DIGIT: (r"\d", False),
        ops.CATEGORY_NOT_DIGIT: (r"\d", True),
        ops.CATEGORY_SPACE: (r"\s", False),
        ops.CATEGORY_NOT_SPACE: (r"\s", True),
        ops.CATEGORY_WORD: (r"\w", False),
        ops.CATEGORY_NOT_WORD: (r"\w", True),
    }.get(name)
    if found is None:
        raise _UntranslatableError
    category, negated = found
    ranges = list(_unicode(category))
    return _complement(ranges) if negated else ranges


@cache
def _unicode(category: str) -> tuple[tuple[int, int], ...]:
    """Find the ranges of code points that Python itself counts to a category."""
    return tuple(
        (found.start(), found.end() - 1)
        for found in re.finditer(f"{category}+", _every_character())
    )


@cache
def _every_character() -> str:
    points = array("I", range(sys.maxunicode + 1))
    return points.tobytes().decode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass")


def _complement(ranges: Ranges) -> Ranges:
    result, following = [], 0
    for low, high in sorted(ranges):
        if low > following:
            result.append((following, low - 1))
        following = max(following, high + 1)
    if following <= sys.maxunicode:
        result.append((following, sys.maxunicode))
    return result


def _class(ranges: Ranges) -> str:
    """Write ranges as an RE2 class; surrogates are cut out, no UTF-8 text holds them."""
    parts = []
    for low, high in ranges:
        for a, b in ((low, min(high, 0xD7FF)), (max(low, 0xE000), high)):
            if a <= b:
                parts.append(f"\\x{{{a:x}}}" if a == b else f"\\x{{{a:x}}}-\\x{{{b:x}}}")
    if not parts:
        raise _UntranslatableError
    return "[" + "".join(parts) + "]"
