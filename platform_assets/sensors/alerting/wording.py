"""Words that several collectors use: an error's first lines, and what a person types.

Belongs here: short texts that are safe to show. Does not belong here: whole messages (``alerts``).
"""

from __future__ import annotations

import re
import shlex
from datetime import date, timedelta

from platform_assets.partitions import UNPARTITIONED_KEY

SHOWN_LINES = 6
SHOWN_CHARACTERS = 1_200
_TWO = 2  # below two of a unit, the smaller unit is told
# What stands in quotes may be a row's value; so may a long number.
_VALUES = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|\b\d{5,}\b")


def first_lines(text: str) -> str:
    """The first lines of a text, for a message."""
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    return "\n".join(lines[:SHOWN_LINES])[:SHOWN_CHARACTERS]


def without_values(text: str) -> str:
    """The text of an error that the platform did not write: what may be a row's value is left out.

    Args:
        text: The text.
    """
    return first_lines(_VALUES.sub("…", text))


def retry(asset: str, partition: str) -> str:
    """What a person types to have a partition of an asset, and what follows from it, built again.

    Args:
        asset: The asset's key.
        partition: The partition, or first and last of a range as ``first..last``.
    """
    first, _, last = partition.partition("..")
    selection = shlex.quote(f'key:"{asset}"+')
    if _is_day(first) and (not last or _is_day(last)):
        return f"platform-assets backfill --from {first} --to {last or first} --select {selection}"
    keys = "" if partition in ("", UNPARTITIONED_KEY) else f" --partition {shlex.quote(first)}"
    selection = shlex.quote(f'key:"{asset}"')
    return f"dagster asset materialize -m platform_assets.definitions --select {selection}{keys}"


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def plural(count: int, noun: str) -> str:
    """A number of things in words, such as ``3 partitions``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def in_words(time: timedelta) -> str:
    """A length of time, such as ``90 s``, ``47 min`` or ``3 h 5 min``."""
    seconds = round(time.total_seconds())
    if seconds < _TWO * 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < _TWO * 60 else f"{minutes // 60} h {minutes % 60} min"
