"""What ``alerts.yaml`` says, as types: routes, escalations, thresholds.

Belongs here: the types, and what follows from them alone. Does not belong here: reading the file
(``policy``), sending anything (``senders``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from platform_assets.alerts.hours import BusinessDays, QuietHours
from platform_assets.alerts.matching import Match
from platform_assets.alerts.signals import Severity, Signal


class Means(StrEnum):
    """By what means a route reaches people."""

    CONSOLE = "console"
    FILE = "file"
    WEBHOOK = "webhook"
    ALERTMANAGER = "alertmanager"
    APPRISE = "apprise"


@dataclass(frozen=True)
class Target:
    """Where a route leads.

    Attributes:
        means: By what means.
        address: A URL, a file; secrets and all. It is in no message, error or log.
        headers: What a webhook is sent besides; secrets and all.
        shown: The address as it may be shown.
    """

    means: Means
    address: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    shown: str = ""


@dataclass(frozen=True)
class Route:
    """A way to somebody.

    Attributes:
        name: What it is called.
        target: Where it leads.
        match: What it takes; None: only what is escalated to it, or falls back on it.
        quiet_hours: When less severe messages are held back.
        business_days: On which days they are not.
        fallback: The route that is tried where this one fails; empty: none.
        repeat_after: How long a problem goes on before it is said again; None: once is enough.
        group_wait: How long to wait for what belongs together before it is said.
    """

    name: str
    target: Target
    match: Match | None = field(default_factory=Match)
    quiet_hours: QuietHours | None = None
    business_days: BusinessDays | None = None
    fallback: str = ""
    repeat_after: timedelta | None = timedelta(hours=4)
    group_wait: timedelta = timedelta(seconds=20)

    def takes(self, signal: Signal) -> bool:
        """Whether a problem is told to it."""
        return self.match is not None and self.match.takes(signal)

    def holds(self, severity: Severity, now: datetime) -> bool:
        """Whether a message of that severity waits for now."""
        return any(
            each is not None and each.holds(severity, now)
            for each in (self.quiet_hours, self.business_days)
        )


@dataclass(frozen=True)
class Escalation:
    """When a problem is told to somebody else as well.

    Attributes:
        to: The route.
        match: Of which problems.
        failures: After so many failures of one subject; None: that is no reason.
        within: In which time they count.
        unacknowledged: After it was said so long ago and nobody took it on; None: that is no
            reason.
    """

    to: str
    match: Match = field(default_factory=lambda: Match(severity=Severity.ERROR))
    failures: int | None = None
    within: timedelta = timedelta(hours=1)
    unacknowledged: timedelta | None = None


@dataclass(frozen=True)
class Storm:
    """How many messages a route is sent at most; what is beyond is told together.

    Attributes:
        messages: At most so many, half of them one by one and half as digests of the rest.
        within: In which time.
    """

    messages: int = 10
    within: timedelta = timedelta(minutes=10)

    @property
    def single(self) -> int:
        """How many are sent one by one."""
        return max(1, self.messages // 2)

    @property
    def digest_every(self) -> timedelta:
        """How long after a digest the next one is sent at the earliest."""
        return self.within / max(1, self.messages - self.single)


@dataclass(frozen=True)
class FallOver:
    """When the next route is tried: whichever comes first.

    Attributes:
        failures: After so many failures of one message on one route.
        after: So long after it should have gone out.
    """

    failures: int = 3
    after: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class Thresholds:
    """From where on something is a problem; those who watch read them.

    Attributes:
        quarantine_share: Share of a partition's rows that are in quarantine.
        duration_factor: A run takes so many times as long as it usually does.
        stream_lag: A change log is that far behind.
        datasets: By a dataset's name, which may hold ``*`` and ``?``, where it has others; the
            first that fits counts.
    """

    quarantine_share: float = 0.05
    duration_factor: float = 1.5
    stream_lag: timedelta = timedelta(minutes=15)
    datasets: Mapping[str, Thresholds] = field(default_factory=dict)

    def of(self, dataset: str) -> Thresholds:
        """Those of a dataset."""
        for pattern, thresholds in self.datasets.items():
            if fnmatchcase(dataset, pattern):
                return thresholds
        return self


@dataclass(frozen=True)
class Policy:
    """All of ``alerts.yaml``.

    Attributes:
        routes: The ways to people.
        escalations: When whom else.
        otherwise: The route of what no other takes; empty: nobody is told of it, but the list.
        storm: How many messages at most.
        fall_over: When the next route is tried.
        thresholds: From where on something is a problem.
        reopen_within: A problem that comes back so soon is the same one; one that did is over only
            once it has been gone for so long.
        retention: How long what is over is kept.
    """

    routes: Sequence[Route]
    escalations: Sequence[Escalation] = ()
    otherwise: str = ""
    storm: Storm = field(default_factory=Storm)
    fall_over: FallOver = field(default_factory=FallOver)
    thresholds: Thresholds = field(default_factory=Thresholds)
    reopen_within: timedelta = timedelta(minutes=10)
    retention: timedelta = timedelta(days=90)

    def route(self, name: str) -> Route | None:
        """The route of a name; None: there is none."""
        return next((each for each in self.routes if each.name == name), None)

    def routes_of(self, signal: Signal) -> list[Route]:
        """The routes that a problem is told to."""
        found = [each for each in self.routes if each.takes(signal)]
        last = self.route(self.otherwise) if not found else None
        return found if last is None else [last]
