"""The keys that ``alerts.yaml`` may have, and the form of their values.

Belongs here: pydantic models, one per mapping of the file. Does not belong here: what depends on
more than one of them (``policy``).
"""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field

from platform_assets.alerts.hours import BusinessDays, QuietHours
from platform_assets.alerts.matching import Match
from platform_assets.alerts.routing import FallOver, Policy, Route, Storm, Target, Thresholds
from platform_assets.alerts.routing import Means as _Means
from platform_assets.alerts.signals import Kind, Severity
from platform_assets.documents.checking import Strict
from platform_assets.documents.document import Document, Place
from platform_assets.documents.spans import EXPECTED, read_span
from platform_assets.errors import PlatformError, SettingsError
from platform_assets.quality.policy import Calendar, Event

_CLOCK = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")
_ROUTE = Route("", Target(_Means.CONSOLE))
_POLICY = Policy(())
_FALL_OVER, _STORM = FallOver(), Storm()


def span(value: object) -> timedelta:
    """Read a time span: a number and a unit, such as ``30m``; 0 needs none.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, timedelta):
        return value
    if value == 0 and not isinstance(value, bool):
        return timedelta(0)
    found = read_span(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{EXPECTED}, such as 30m")
    return found


def _some_span(value: object) -> timedelta:
    found = span(value)
    if not found:
        raise ValueError("a time above 0, such as 30m")
    return found


def _clock(value: object) -> time:
    if isinstance(value, time):
        return value
    found = _CLOCK.match(value) if isinstance(value, str) else None
    if found is None:
        hint = " in quotes: YAML reads 22:00 as a number" if isinstance(value, int) else ""
        raise ValueError(f'a time of the day such as "22:00"{hint}')
    return time(int(found[1]), int(found[2]))


def _listed(value: object) -> object:
    """One name is a list of one."""
    return [value] if isinstance(value, str) else value


Span: TypeAlias = Annotated[timedelta, BeforeValidator(span)]
SomeSpan: TypeAlias = Annotated[timedelta, BeforeValidator(_some_span)]
Clock: TypeAlias = Annotated[time, BeforeValidator(_clock)]
Names: TypeAlias = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Kinds: TypeAlias = Annotated[list[Kind], BeforeValidator(_listed), Field(min_length=1)]
Layer: TypeAlias = Literal["raw", "cleaned", "quarantine", "aggregated"]
Layers: TypeAlias = Annotated[list[Layer], BeforeValidator(_listed), Field(min_length=1)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Factor: TypeAlias = Annotated[float, Field(gt=1)]


class MatchOptions(Strict):
    """Which problems."""

    kinds: Kinds | None = None
    severity: Severity = Severity.INFO
    owners: Names | None = None
    datasets: Names | None = None
    layers: Layers | None = None
    subjects: Names | None = None

    def build(self) -> Match:
        """What it says."""
        return Match(
            kinds=tuple(self.kinds or ()),
            severity=self.severity,
            owners=tuple(self.owners or ()),
            datasets=tuple(self.datasets or ()),
            layers=tuple(self.layers or ()),
            subjects=tuple(self.subjects or ()),
        )


class SevereOptions(MatchOptions):
    """Which problems are escalated: errors, where nothing else is said."""

    severity: Severity = Severity.ERROR


class EventOptions(Strict):
    """Days on which nobody works."""

    name: str
    first: date
    last: date | None = None


class QuietOptions(Strict):
    """Hours in which less severe messages are held back."""

    begin: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    timezone: str
    below: Severity = Severity.ERROR

    def build(self, document: Document, place: Place) -> QuietHours:
        """What it says."""
        if self.begin == self.end:
            raise document.error(
                SettingsError,
                "Quiet hours end when they begin",
                (*place, "to"),
                expected="another time than from",
                found=f"{self.end:%H:%M}",
                fix="correct one of the two",
            )
        zone = _zone(document, (*place, "timezone"), self.timezone)
        return QuietHours(self.begin, self.end, zone, self.below)


class BusinessOptions(Strict):
    """Days on which somebody works."""

    timezone: str
    holidays: str | None = None
    events: list[EventOptions] = Field(default_factory=list)
    below: Severity = Severity.ERROR

    def build(self, document: Document, place: Place) -> BusinessDays:
        """What it says."""
        zone = _zone(document, (*place, "timezone"), self.timezone)
        try:
            events = [Event(each.name, each.first, each.last) for each in self.events]
            return BusinessDays(zone, Calendar(self.holidays, events), self.below)
        except PlatformError as error:
            key = "events" if error.where.startswith("event") else "holidays"
            raise document.error(
                SettingsError,
                error.what,
                (*place, key),
                expected=error.expected,
                found=error.found,
                fix=error.fix,
            ) from None


class RouteOptions(Strict):
    """A way to somebody."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    to: Any
    match: Any = None
    quiet_hours: QuietOptions | None = None
    business_days: BusinessOptions | None = None
    fallback: str | None = None
    repeat_after: Span = timedelta(0)
    group_wait: Span = timedelta(0)


class EscalationOptions(Strict):
    """When somebody else is told as well."""

    to: str
    match: SevereOptions = Field(default_factory=SevereOptions)
    failures: Annotated[int, Field(ge=2)] | None = None
    within: SomeSpan = timedelta(hours=1)
    unacknowledged: SomeSpan | None = None


class StormOptions(Strict):
    """How many messages at most."""

    messages: Annotated[int, Field(ge=2)] = _STORM.messages
    within: SomeSpan = _STORM.within


class FallOverOptions(Strict):
    """When the next route is tried."""

    failures: Annotated[int, Field(ge=1)] = _FALL_OVER.failures
    after: SomeSpan = _FALL_OVER.after

    def build(self) -> FallOver:
        """What it says."""
        return FallOver(self.failures, self.after)


class OwnThresholds(Strict):
    """From where on something is a problem."""

    quarantine_share: Share | None = None
    duration_factor: Factor | None = None
    stream_lag: SomeSpan | None = None

    def build(self, usual: Thresholds) -> Thresholds:
        """What it says, on top of what is usual."""
        given = {name: getattr(self, name) for name in OwnThresholds.model_fields}
        own = {name: value for name, value in given.items() if value is not None}
        return Thresholds(**{**vars(usual), **own, "datasets": {}})


class ThresholdOptions(OwnThresholds):
    """The usual ones, and those of datasets."""

    datasets: dict[str, OwnThresholds] = Field(default_factory=dict)


class Top(Strict):
    """The whole file."""

    routes: list[RouteOptions] = Field(default_factory=list)
    escalate: list[EscalationOptions] = Field(default_factory=list)
    otherwise: str | None = None
    repeat_after: Span = _ROUTE.repeat_after or timedelta(0)
    group_wait: Span = _ROUTE.group_wait
    storm: StormOptions = Field(default_factory=StormOptions)
    fall_over: FallOverOptions = Field(default_factory=FallOverOptions)
    thresholds: ThresholdOptions = Field(default_factory=ThresholdOptions)
    reopen_within: SomeSpan = _POLICY.reopen_within
    retention: SomeSpan = _POLICY.retention


def _zone(document: Document, place: Place, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise document.error(
            SettingsError,
            "There is no such time zone",
            place,
            expected="a name of the IANA database, such as Europe/London",
            found=name,
            fix="correct the name",
        ) from None
