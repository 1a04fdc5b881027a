"""Which rules the values of a column keep: ranges, enumerations, patterns, lengths.

Belongs here: rules of single columns that are not personal. Does not belong here: types, roles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from platform_assets.scaffold.sample import Sample
from platform_assets.scaffold.typing_guess import Guess
from platform_assets.sources.base import SourceColumn
from platform_assets.sql import quote_identifier

FEW, MANY_VALUES = 20, 50
"""An enumeration has at most so many words, and is only seen in so many values."""
EACH_OFTEN = 3
LONGEST_WORD = 40
MANY_DIFFERENT = 20
"""Different values from which a pattern or length is taken to be no accident."""
LONGEST_PATTERN = 40
_SHARE = re.compile(r"(^|_)(share|ratio|rate|probability|percentage)($|_)")
_PLACE = {"latitude": 90, "lat": 90, "longitude": 180, "lon": 180, "lng": 180}
_SHAPE = re.compile(r"[Aa9_./:#-]+")
_CLASSES = {"A": "[A-Z]", "a": "[a-z]", "9": "[0-9]"}


@dataclass(frozen=True)
class Seen:
    """Rules that hold, as arguments of ``Field``, and why.

    Attributes:
        checks: The arguments.
        evidence: Why, in sentences.
    """

    checks: dict[str, object] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()


def guess_checks(sample: Sample, column: SourceColumn, guess: Guess, *, identity: bool) -> Seen:
    """The rules of a column that is not personal.

    Args:
        sample: The sample.
        column: One of its columns.
        guess: Its type.
        identity: Whether it identifies a row, or refers to one: then its values are names.
    """
    python = guess.type.python
    if python is str:
        return _text(sample, column, identity=identity)
    if python.__name__ in ("int", "float", "Decimal") and not identity:
        return _number(sample, column, guess)
    return Seen()


def _number(sample: Sample, column: SourceColumn, guess: Guess) -> Seen:
    value = guess.value(column)
    low, high = _row(sample, f"min({value}), max({value})")
    if low is None:
        return Seen()
    told = (f"from {low:,} to {high:,}",)
    name = column.name.lower()
    around = next((most for part, most in _PLACE.items() if part in name.split("_")), None)
    if around is not None and -around <= low and high <= around:
        return Seen({"ge": -around, "le": around}, told)
    if low < 0:
        return Seen({}, told)
    if _SHARE.search(name) and high <= 1 and guess.type.python is not int:
        return Seen({"ge": 0, "le": 1}, told)
    return Seen({"ge": 0}, told)


def _text(sample: Sample, column: SourceColumn, *, identity: bool) -> Seen:
    name = f"CAST({quote_identifier(column.name)} AS VARCHAR)"
    filled, distinct, shortest, longest = _row(
        sample,
        f"count({name}), count(DISTINCT {name}), min(length({name})), max(length({name}))",
    )
    if not filled:
        return Seen()
    lengths = (
        f"{shortest} to {longest} characters"
        if shortest < longest
        else (f"{longest} character{'' if longest == 1 else 's'} each")
    )
    if not identity and distinct <= FEW and filled >= MANY_VALUES and longest <= LONGEST_WORD:
        words = _words(sample, name)
        if words:
            told = f"{filled:,} values are {len(words)} words, each {EACH_OFTEN} times or more"
            return Seen({"isin": words}, (told,))
    told = f"{distinct:,} different among {filled:,} values, {lengths}"
    if distinct >= MANY_DIFFERENT:
        pattern = _pattern(sample, name)
        if pattern:
            return Seen({"str_matches": pattern}, (told, "all of one pattern"))
        if shortest == longest:
            bounds = {"min_value": shortest, "max_value": longest}
            return Seen({"str_length": bounds}, (told,))
    return Seen({}, (told,))


def _words(sample: Sample, name: str) -> list[str]:
    """The words of an enumeration; none where one of them is rare, or not plain text."""
    found = sample.engine.execute(
        f"SELECT {name} AS word, count(*) AS n FROM {sample.table} WHERE {name} IS NOT NULL "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    plain = all(n >= EACH_OFTEN and str(word).isprintable() and word for word, n in found)
    return [str(word) for word, _ in found] if plain else []


def _pattern(sample: Sample, name: str) -> str:
    """The one pattern of all values, built of classes of characters; empty: there is none."""
    shape = name
    for class_, letter in (("[A-Z]", "A"), ("[a-z]", "a"), ("[0-9]", "9")):
        shape = f"regexp_replace({shape}, '{class_}', '{letter}', 'g')"
    short = shape
    for letter in "Aa9":
        short = f"regexp_replace({short}, '{letter}+', '{letter}', 'g')"
    one, kinds, shortest, short_kinds = _row(
        sample,
        f"min({shape}), count(DISTINCT {shape}), min({short}), count(DISTINCT {short})",
    )
    if kinds == 1 and _SHAPE.fullmatch(one) and len(one) <= LONGEST_PATTERN:
        runs = re.finditer(r"(.)\1*", one)
        return "".join(_run(run[1], len(run[0])) for run in runs) + "$"
    if short_kinds == 1 and _SHAPE.fullmatch(shortest) and len(shortest) > 1:
        return "".join(f"{_CLASSES[c]}+" if c in _CLASSES else _run(c, 1) for c in shortest) + "$"
    return ""


def _run(character: str, length: int) -> str:
    part = _CLASSES.get(character) or character.replace(".", "[.]")
    return part if length == 1 else f"{part}{{{length}}}"


def _row(sample: Sample, selected: str) -> tuple[Any, ...]:
    row = sample.engine.execute(f"SELECT {selected} FROM {sample.table}").fetchone()
    assert row is not None
    return row
