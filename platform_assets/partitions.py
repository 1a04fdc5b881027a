"""How a dataset is cut into partitions, told without Dagster.

Belongs here: the declaring types and the keys that they have. Does not belong here: Dagster's
partition definitions, which ``assets/`` makes from these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from platform_assets.errors import PartitionError

UNPARTITIONED_KEY = "all"


@dataclass(frozen=True)
class Daily:
    """One partition per calendar day, by the day that the source names.

    Attributes:
        start: The first day.
        end: The last day; None: yesterday, moving on (UTC).
    """

    start: date
    end: date | None = None

    def last(self) -> date:
        """The newest day that should exist by now."""
        return self.end or datetime.now(UTC).date() - timedelta(days=1)

    def keys(self, first: str | None = None, last: str | None = None) -> list[str]:
        """The keys from ``first`` to ``last``, both included; by default all.

        Raises:
            PartitionError: A bound is not a day, or lies outside the dataset's days.
        """
        begin = self._parse(first) if first else self.start
        end = self._parse(last) if last else self.last()
        return [str(begin + timedelta(days=n)) for n in range((end - begin).days + 1)]

    def _parse(self, key: str) -> date:
        try:
            day = date.fromisoformat(key)
        except ValueError:
            day = None
        if day is None or not self.start <= day <= self.last():
            raise PartitionError(
                "There is no such partition",
                where=f"partition {key}",
                expected=f"a day from {self.start} to {self.last()}, as YYYY-MM-DD",
                found=key,
                fix="ask for days inside the range, or move the dataset's start",
            )
        return day


@dataclass(frozen=True)
class Unpartitioned:
    """One partition that holds everything: for small tables that come whole."""

    def keys(self, first: str | None = None, last: str | None = None) -> list[str]:
        """The one key."""
        del first, last  # a whole table belongs to every range
        return [UNPARTITIONED_KEY]


Partitions: TypeAlias = Daily | Unpartitioned


def spans(keys: Iterable[str]) -> list[tuple[str, str]]:
    """Keys as spans of neighbouring days, first and last of each: a year is one, not 365 names.

    Args:
        keys: In any order; one that is no day is a span of its own.

    Returns:
        The spans in order; no other day lies inside of one.
    """
    found: list[tuple[str, str]] = []
    for key in sorted(keys):
        if found and _day_after(found[-1][1]) == key:
            found[-1] = (found[-1][0], key)
        else:
            found.append((key, key))
    return found


def _day_after(key: str) -> str | None:
    try:
        day = date.fromisoformat(key)
    except ValueError:
        return None
    # Other spellings of a day do not sort as days do.
    return str(day + timedelta(days=1)) if str(day) == key and day < date.max else None
