"""What is promised of an asset's freshness: by when, or how old its newest data may be.

Belongs here: the declaring type, and the moments that follow from it. Does not belong here: how it
is written where there is no Python (``promise_values``), and holding it against what is there
(``freshness``).

A deadline is a time of day on some days of a time zone; a partition is a day of UTC. The partition
that a deadline asks for is the newest one that is over at that moment. Of a time of day that a
clock shows twice the first is the deadline; of one that it leaves out, the moment at which it would
have shown it, had it not been moved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from platform_assets.documents.spans import write_span
from platform_assets.errors import ContractError
from platform_assets.partitions import Daily, Partitions
from platform_assets.quality.policy import Calendar

Days = Literal["all", "business"]
Quiet = Literal["warn", "late", "fresh"]

CHECK = "freshness"
"""Name of the check that shows whether a promise is kept."""
A_DAY = timedelta(days=1)
# What Dagster's own freshness can be told of at the least.
SHORTEST = timedelta(minutes=1)
_WEEKEND = 5
# No calendar leaves out more days in a row than this.
_DAYS_LOOKED_AT = 400
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
SPANS = ("warn_before", "within", "warn")
"""The attributes that are spans of time."""


@dataclass(frozen=True)
class Freshness:
    """How fresh an asset has to be: ``by`` a time of day, or ``within`` a span of time.

    Attributes:
        by: Time of day (``08:00``) by which the newest partition that is over is published; an
            asset that is not cut is then made from a look at its source less than a day ago.
        timezone: Of that time of day, such as ``Europe/London``.
        days: Days that have such a deadline: ``all``, or ``business``, Monday to Friday. Those of
            the calendar have none.
        calendar: Days that are not worked on: holidays, and others by name.
        partitions: Days that have data: ``all``, or ``business``: no deadline asks for the
            partition of another day.
        warn_before: How long before its deadline a partition that is missing is warned of.
        within: How old the newest data may be: the newest event time that is not in the future; of
            data without one, the end of the newest day, or the last look at the source.
        warn: How old they may be before that is warned of.
        quiet: How it stands where a partition is published by its deadline and brings nothing new:
            it is empty, or its newest event is of before it began.

    Raises:
        ContractError: Such a promise cannot be judged.
    """

    by: str | None = None
    timezone: str = "UTC"
    days: Days = "all"
    calendar: Calendar = field(default_factory=Calendar)
    partitions: Days = "all"
    warn_before: timedelta | None = None
    within: timedelta | None = None
    warn: timedelta | None = None
    quiet: Quiet = "warn"

    def __post_init__(self) -> None:
        """Refuse what cannot be judged, where it is written."""
        if (self.by is None) is (self.within is None):
            raise refused(
                "by, within",
                "one of the two",
                "neither" if self.by is None else "both",
                'promise by="08:00", or within=timedelta(hours=2)',
            )
        # What belongs to the other way to promise would be ignored.
        other = (
            ("timezone", "days", "calendar", "partitions", "warn_before", "quiet")
            if self.by is None
            else ("warn",)
        )
        usual = {each.name: each for each in fields(self)}
        for name in other:
            standard = Calendar() if name == "calendar" else usual[name].default
            if getattr(self, name) != standard:
                raise refused(
                    name,
                    "by" if self.by is None else "within",
                    "within" if self.by is None else "by",
                    f"leave {name} out: it says something of the other way to promise",
                )
        for name in SPANS:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, timedelta) and not value % SHORTEST):
                expected, fix = "a timedelta of whole minutes", "two hours are timedelta(hours=2)"
                raise refused(name, expected, str(value), fix)
        if self.by is None:
            self._examine_within()
        else:
            self._examine_by(self.by)

    def _examine_by(self, by: str) -> None:
        # YAML reads 10:30 without quotes as a number.
        if not _TIME.fullmatch(str(by)):
            expected, fix = "a time of day from 00:00 to 23:59", 'write it in quotes, like "08:00"'
            raise refused("by", expected, str(by), fix)
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise refused(
                "timezone",
                "a zone of the IANA database, such as Europe/London",
                self.timezone,
                "correct the name",
            ) from None
        for name in ("days", "partitions"):
            if getattr(self, name) not in get_args(Days):
                raise refused(
                    name, " or ".join(get_args(Days)), str(getattr(self, name)), "correct it"
                )
        if self.quiet not in get_args(Quiet):
            raise refused("quiet", ", ".join(get_args(Quiet)), str(self.quiet), "correct it")
        if self.warn_before is not None and not timedelta(0) < self.warn_before <= A_DAY:
            raise refused(
                "warn_before",
                "more than nothing and at most a day",
                write_span(self.warn_before),
                "half an hour is timedelta(minutes=30)",
            )
        if self._first_on(date(2025, 1, 1), self._has_deadline) is None:
            raise refused(
                "calendar",
                "days that are worked on",
                f"none in {_DAYS_LOOKED_AT} days",
                "shorten its events",
            )

    def _examine_within(self) -> None:
        assert self.within is not None  # it is what is promised
        if self.within < SHORTEST:
            raise refused(
                "within",
                "a minute or more",
                write_span(self.within),
                "two hours are timedelta(hours=2)",
            )
        if self.warn is not None and not SHORTEST <= self.warn < self.within:
            raise refused(
                "warn",
                f"a minute or more, and less than {write_span(self.within)}",
                write_span(self.warn),
                "shorten it, or leave it out",
            )

    def examine(self, where: str, partitions: Partitions, rules: Iterable[str] = ()) -> None:
        """Refuse a promise that an asset which is cut like this can never keep, or not show.

        Args:
            where: What it is promised of, for the message.
            partitions: How that is cut.
            rules: Names of its rules, each of which is a check too.

        Raises:
            ContractError: It can never be kept, or a rule has the name of its check.
        """
        if CHECK in rules:
            raise ContractError(
                "A rule has the name of the check on freshness",
                where=f"{where}, rule {CHECK}",
                expected=f"another name than {CHECK}",
                found=CHECK,
                fix="rename the rule",
            )
        if isinstance(partitions, Daily) and self.within is not None and self.within <= A_DAY:
            raise ContractError(
                "A freshness is promised that no daily data can have",
                where=f"{where}, freshness, within",
                expected="more than a day: a day's partition is there once the day is over",
                found=write_span(self.within),
                fix="allow a day more, promise by= a time of day, or leave it unpartitioned",
            )

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of its deadlines."""
        return ZoneInfo(self.timezone)

    def deadline_on(self, day: date) -> datetime:
        """The moment (UTC) at which the deadline of a day is, whether it has one or not.

        Args:
            day: A day of its time zone.
        """
        assert self.by is not None  # nobody asks otherwise
        local = datetime.combine(day, time.fromisoformat(self.by), self.zone)
        return local.astimezone(UTC)

    def deadlines_from(self, moment: datetime) -> Iterator[datetime]:
        """Its deadlines (UTC) from a moment on, that of the moment itself included.

        Args:
            moment: With a time zone.
        """
        day = moment.astimezone(self.zone).date() - A_DAY
        while (found := self._first_on(day, self._has_deadline)) is not None:
            deadline = self.deadline_on(found)
            if deadline >= moment:
                yield deadline
            day = found + A_DAY

    def last_deadline(self, moment: datetime) -> datetime:
        """Its newest deadline (UTC) that is not after a moment.

        Args:
            moment: With a time zone.
        """
        day = moment.astimezone(self.zone).date() + A_DAY
        while True:
            found = self._first_on(day, self._has_deadline, back=True)
            assert found is not None  # a calendar without any was refused
            deadline = self.deadline_on(found)
            if deadline <= moment:
                return deadline
            day = found - A_DAY

    def asked_for(self, deadline: datetime) -> date:
        """The newest day that has data and is over at a deadline.

        Args:
            deadline: One of its deadlines.
        """
        day = deadline.astimezone(UTC).date() - A_DAY
        if self.partitions == "all":
            return day
        return self._first_on(day, self._is_worked_on, back=True) or day

    def a_day_before(self, deadline: datetime) -> datetime:
        """The same time of day, one day earlier (UTC).

        Args:
            deadline: One of its deadlines.
        """
        return self.deadline_on(deadline.astimezone(self.zone).date() - A_DAY)

    def _has_deadline(self, day: date) -> bool:
        if self.days == "business" and day.weekday() >= _WEEKEND:
            return False
        return self.calendar.name_of(day) is None

    def _is_worked_on(self, day: date) -> bool:
        return day.weekday() < _WEEKEND and self.calendar.name_of(day) is None

    @staticmethod
    def _first_on(day: date, fits: Callable[[date], bool], *, back: bool = False) -> date | None:
        for number in range(_DAYS_LOOKED_AT):
            found = day - number * A_DAY if back else day + number * A_DAY
            if fits(found):
                return found
        return None

    @property
    def in_words(self) -> str:
        """All of it in a few words."""
        if self.within is not None:
            return f"newest data no older than {write_span(self.within)}"
        of = " of a business day" if self.partitions == "business" else ""
        on = "business days" if self.days == "business" else "every day"
        off = f", but on holidays of {self.calendar.holidays}" if self.calendar.holidays else ""
        more = f", but on {len(self.calendar.events)} further days" if self.calendar.events else ""
        return f"the newest partition{of} by {self.by} {self.timezone} on {on}{off}{more}"


def refused(where: str, expected: str, found: str, fix: str) -> ContractError:
    """The error about a promise that cannot be judged.

    Args:
        where: The name of what is wrong.
        expected: What should be there.
        found: What is.
        fix: What to do about it.
    """
    return ContractError(
        "A freshness cannot be promised so",
        where=", ".join(part for part in ("freshness", where) if part),
        expected=expected,
        found=found,
        fix=fix,
    )
