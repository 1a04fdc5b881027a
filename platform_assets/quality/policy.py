"""What a dataset says of its statistics: what is judged, how severely, and which days are special.

Belongs here: the declaring types. Does not belong here: judging (``detectors``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Literal, get_args

from platform_assets.errors import ContractError

FindingSeverity = Literal["error", "warn", "info"]
Severity = Literal["error", "warn", "info", "off"]

CHECKS: Mapping[str, str] = {
    "volume": "rows, against the same weekday's history",
    "null_share": "share of nulls of each column, and of zeros of each number",
    "mean": "mean of each number and time, and mean length of each text",
    "distribution": "distribution of each number (Kolmogorov-Smirnov) and category (PSI)",
    "categories": "categories that are new, and those that are gone",
    "outliers": "largest and smallest value of each number",
    "distinct": "distinct values of each column, and the share of its most frequent one",
    "event_time": "share of rows whose event is before or after their partition's day",
    "rejected": "share of rows that were quarantined or deduplicated, and that break each rule",
    "duration": "seconds that loading and cleaning took, and bytes that were read (cost)",
}
"""What is judged, and what each check looks at."""

# The middle of fewer says nothing.
FEWEST = 3
MOST_FALSE_ALARMS = 12


@dataclass(frozen=True)
class Event:
    """Days on which the numbers are known to be other ones.

    Attributes:
        name: What it is, such as ``Black Friday``.
        first: The first day.
        last: The last day; None: the first.
    """

    name: str
    first: date
    last: date | None = None

    def __post_init__(self) -> None:
        """Refuse an event that ends before it begins."""
        if self.last is not None and self.last < self.first:
            raise ContractError(
                "An event ends before it begins",
                where=f"event {self.name}",
                expected=f"a last day from {self.first}",
                found=str(self.last),
                fix="swap the two days",
            )

    @property
    def days(self) -> Iterator[date]:
        """Its days."""
        for number in range(((self.last or self.first) - self.first).days + 1):
            yield self.first + timedelta(days=number)


@dataclass(frozen=True)
class Calendar:
    """Days that are not like others of their weekday: not judged by them, nor their history.

    Attributes:
        holidays: Country, or country and subdivision (``GB``, ``GB-SCT``, ``US``), whose public
            holidays count (ISO 3166; the names of the package ``holidays``).
        events: Other such days.
    """

    holidays: str | None = None
    events: Sequence[Event] = ()

    def __post_init__(self) -> None:
        """Refuse a country that nobody knows the holidays of."""
        object.__setattr__(self, "events", tuple(self.events))
        if self.holidays is not None:
            _holidays_of(self.holidays, 2025)

    def name_of(self, day: date) -> str | None:
        """What is special about a day; None: nothing."""
        for event in self.events:
            if event.first <= day <= (event.last or event.first):
                return event.name
        if self.holidays is None:
            return None
        return _holidays_of(self.holidays, day.year).get(day)


@cache
def _holidays_of(place: str, year: int) -> Mapping[date, str]:
    # Loaded only where a dataset declares holidays.
    import holidays

    country, _, subdivision = place.partition("-")
    try:
        return dict(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
    except NotImplementedError:
        raise ContractError(
            "Nobody knows the holidays of that place",
            where="calendar, holidays",
            expected="a country of ISO 3166, or country-subdivision, such as GB or GB-SCT",
            found=place,
            fix="correct the code, or declare the days as events",
        ) from None


@dataclass(frozen=True)
class Statistics:
    """How a dataset's partitions are compared with their history.

    Attributes:
        severities: By check, where it is not ``warn``: a finding of severity ``error`` stops its
            partition; ``info`` is only noted; a check that is ``off`` is not made.
        min_history: Partitions that a check needs before it says anything.
        window: Days of history that it looks back on; of a table that is not cut into days, the
            publishes.
        false_alarms: How many a year are accepted of each check, by chance alone.
        calendar: Days that are special.
    """

    severities: Mapping[str, Severity] = field(default_factory=dict)
    min_history: int = 14
    window: int = 56
    false_alarms: float = 0.05
    calendar: Calendar = field(default_factory=Calendar)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, severity in self.severities.items():
            if name not in CHECKS:
                near = difflib.get_close_matches(name, CHECKS, n=1)
                raise _refused(
                    f"severities[{name!r}]",
                    "one of " + ", ".join(CHECKS),
                    name,
                    f"rename it to {near[0]}" if near else "correct the name",
                )
            if severity not in get_args(Severity):
                raise _refused(
                    f"severities[{name!r}]",
                    "one of " + ", ".join(get_args(Severity)),
                    str(severity),
                    "correct the severity",
                )
        if not FEWEST <= self.min_history <= self.window:
            raise _refused(
                "min_history",
                f"from {FEWEST} to the window of {self.window}",
                str(self.min_history),
                "a check that speaks after fewer guesses; after more, it never speaks",
            )
        if not 0 < self.false_alarms <= MOST_FALSE_ALARMS:
            raise _refused(
                "false_alarms",
                f"above 0 and at most {MOST_FALSE_ALARMS} a year",
                str(self.false_alarms),
                "0.05 is one in twenty years, of each check",
            )

    def severity(self, check: str) -> Severity:
        """How severe a finding of a check is."""
        return self.severities.get(check, "warn")

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks that are made."""
        return tuple(name for name in CHECKS if self.severity(name) != "off")


def _refused(where: str, expected: str, found: str, fix: str) -> ContractError:
    return ContractError(
        "The statistics of a dataset cannot be judged so",
        where=f"statistics, {where}",
        expected=expected,
        found=found,
        fix=fix,
    )
