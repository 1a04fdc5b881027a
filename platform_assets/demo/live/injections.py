"""What a living shop can be told to do wrong, and on which days it does.

Belongs here: the names of the misbehaviours, their options, their days. Does not belong here:
how each one looks in a table, a file or an answer: that is where the table, the file and the
answer are made.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from platform_assets.errors import SettingsError

NAMES = ("late", "dup", "drift", "down", "slow", "garbage")
"""The misbehaviours."""

_LARGEST_NUMBER = 60_000
_CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "down": {"api": ("503", "refused", "up"), "database": ("gone", "up")},
}
"""By misbehaviour its options with a fixed choice; the first is the default."""

_NUMBERS: dict[str, dict[str, int]] = {"slow": {"milliseconds": 300, "turn_away_every": 0}}
"""By misbehaviour its options that are numbers, with the default."""


@dataclass(frozen=True)
class Injection:
    """A misbehaviour and its days.

    Args:
        name: One of `NAMES`.
        first_day: The first day on which it acts, in days since the start of the shop.
        end_day: The day on which it acts no more; None where that is not known yet.
        options: How it acts, such as the milliseconds of `slow`.
    """

    name: str
    first_day: int
    end_day: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def acts_on(self, day: int) -> bool:
        """Whether it acts on a day, in days since the start of the shop."""
        return self.first_day <= day and (self.end_day is None or day < self.end_day)


def checked(name: str, options: Mapping[str, object]) -> dict[str, str]:
    """All options of a misbehaviour, the ones that were not given with their defaults.

    Args:
        name: The misbehaviour.
        options: The options that were given.

    Raises:
        SettingsError: There is no such misbehaviour, option or value.
    """
    if name not in NAMES:
        raise SettingsError(
            "The living shop does not know this misbehaviour.",
            where="inject",
            expected=", ".join(NAMES),
            found=repr(name),
            fix="choose one of these names",
        )
    choices, numbers = _CHOICES.get(name, {}), _NUMBERS.get(name, {})
    allowed = {
        **{option: " or ".join(values) for option, values in choices.items()},
        **dict.fromkeys(numbers, f"a whole number from 0 to {_LARGEST_NUMBER}"),
    }
    result = {option: values[0] for option, values in choices.items()}
    result |= {option: str(default) for option, default in numbers.items()}
    for option, given in options.items():
        text = str(given)
        good = text in choices.get(option, ()) or (
            option in numbers and text.isdecimal() and int(text) <= _LARGEST_NUMBER
        )
        if not good:
            raise SettingsError(
                "A misbehaviour of the living shop has a wrong option.",
                where=f"inject {name}: {option}",
                expected="; ".join(f"{key}: {values}" for key, values in allowed.items())
                or "no options",
                found=repr(text),
                fix="choose one of these values, or leave the option out",
            )
        result[option] = text
    return result


def parse(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The misbehaviours of a command line: `late,slow:milliseconds=500`.

    Args:
        text: Names with commas between; options after a colon each.

    Returns:
        For each its name and all its options.

    Raises:
        SettingsError: There is no such misbehaviour, option or value.
    """
    found = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, *settings = part.split(":")
        options = {key: value for key, _, value in (each.partition("=") for each in settings)}
        found.append((name, dict(checked(name, options))))
    return found


def all_of(connection: sqlite3.Connection) -> list[Injection]:
    """Every misbehaviour that was ever asked for, in that order."""
    rows = connection.execute(
        "SELECT name, first_day, end_day, options FROM _injections ORDER BY id"
    )
    return [Injection(name, first, end, json.loads(options)) for name, first, end, options in rows]


def acting_on(injections: Sequence[Injection], day: int) -> dict[str, Mapping[str, str]]:
    """The misbehaviours of a day, each with its options; of two of a name the later counts.

    Args:
        injections: What was asked for.
        day: Days since the start of the shop.
    """
    return {each.name: each.options for each in injections if each.acts_on(day)}


def start(connection: sqlite3.Connection, injection: Injection) -> None:
    """Keep a misbehaviour, inside the caller's transaction."""
    connection.execute(
        "INSERT INTO _injections (name, first_day, end_day, options) VALUES (?, ?, ?, ?)",
        [
            injection.name,
            injection.first_day,
            injection.end_day,
            json.dumps(dict(injection.options), sort_keys=True),
        ],
    )


def stop(connection: sqlite3.Connection, name: str, day: int) -> None:
    """End a misbehaviour before a day, inside the caller's transaction.

    Args:
        connection: A connection of the shop.
        name: The misbehaviour.
        day: The first day on which it acts no more.
    """
    connection.execute(
        "UPDATE _injections SET end_day = max(first_day, ?)"
        " WHERE name = ? AND (end_day IS NULL OR end_day > ?)",
        [day, name, day],
    )
