"""What is known of problems at one moment: the state that the engine moves on.

Belongs here: the types. Does not belong here: how they change (``grouping``, ``saying``), where
they are kept (``store``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from platform_assets.alerts.matching import Match
from platform_assets.alerts.signals import Severity, Signal, Standing


class What(StrEnum):
    """What a message says of its incident, the most pressing first."""

    ESCALATED = "escalated"
    """It goes on and is told to somebody else as well."""
    BEGUN = "begun"
    """It is there."""
    WORSE = "worse"
    """It is more severe than was said."""
    PASSED = "passed"
    """It was there and was over before anything was said."""
    HAPPENED = "happened"
    """Something that has no end."""
    REPEATED = "repeated"
    """It is still there."""
    RECOVERED = "recovered"
    """It is over."""
    DIGEST = "digest"
    """Several messages that came at once, in one."""
    SUMMARY = "summary"
    """What was held back while its route was quiet."""
    TEST = "test"
    """Nothing: somebody tries a route."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, or was until lately.

    Attributes:
        signal: What was seen of it last, while it was there.
        incident: The incident that it is part of.
        since: When it began.
        seen: How many signals told of it.
        over_at: When it was over; None: it is there.
    """

    signal: Signal
    incident: str
    since: datetime
    seen: int = 1
    over_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is there."""
        return self.over_at is None

    @property
    def key(self) -> str:
        """What it is known by."""
        return problem_key(self.signal)


def problem_key(signal: Signal) -> str:
    """What the problem of a signal is known by: what has no end is apart from what has one."""
    return signal.fingerprint + ("!" if signal.standing is Standing.ONCE else "")


@dataclass(frozen=True)
class Told:
    """What a route was told of an incident.

    Attributes:
        begun_at: When it was told first.
        last_at: When it was told last.
        messages: How many messages that were.
        severity: The worst that it was told.
        signals: How many signals there had been of the incident when it was told last.
        ended: Whether it was told that it is over.
    """

    begun_at: datetime
    last_at: datetime
    messages: int
    severity: Severity
    signals: int
    ended: bool = False


@dataclass(frozen=True)
class Ack:
    """Somebody has taken an incident on.

    Attributes:
        at: When.
        by: Who.
        reason: Why it needs no more messages.
    """

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class Incident:
    """Problems that have one root cause, and are told together.

    Attributes:
        id: What it is known by.
        key: What its problems have in common.
        since: When the first of them began.
        noticed_at: When it was noticed; of one that came back, when that was noticed.
        severity: The worst of its problems.
        root: Key of the problem that the others follow from, as far as is known.
        once: Whether it has no duration.
        over_at: When the last of its problems was over; None: one is there.
        reopened: How often it came back soon after it was over.
        signals: How many signals told of it.
        told: By route, what it was told.
        escalated: Names of the escalations that were made.
        ack: Who has taken it on; None: nobody.
        silence: The silence that has kept a message about it back; empty: none has.
        labels: What it is known by outside, as it was said first; empty: it was not yet.
    """

    id: str
    key: str
    since: datetime
    noticed_at: datetime
    severity: Severity
    root: str
    once: bool = False
    over_at: datetime | None = None
    reopened: int = 0
    signals: int = 0
    told: Mapping[str, Told] = field(default_factory=dict)
    escalated: tuple[str, ...] = ()
    ack: Ack | None = None
    silence: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether one of its problems is there."""
        return self.over_at is None


@dataclass(frozen=True)
class Silence:
    """Problems that nothing is said of for a while.

    Attributes:
        id: What it is known by.
        match: Which problems.
        begins: From when on.
        until: Until when.
        author: Who wants it so.
        reason: Why.
    """

    id: str
    match: Match
    begins: datetime
    until: datetime
    author: str
    reason: str

    def covers(self, signal: Signal, now: datetime) -> bool:
        """Whether nothing is said of a problem now."""
        return self.begins <= now < self.until and self.match.takes(signal)


@dataclass(frozen=True)
class Failure:
    """One time that a subject failed; partitions that fail in one run are one failure.

    Attributes:
        key: The run, or what else makes it one.
        at: When.
    """

    key: str
    at: datetime


@dataclass(frozen=True)
class Pace:
    """What a route was sent lately.

    Attributes:
        sent: When it was sent single messages.
        digested_at: When it was sent a digest last; None: never.
    """

    sent: tuple[datetime, ...] = ()
    digested_at: datetime | None = None


@dataclass(frozen=True)
class Message:
    """What one route is told at one time.

    Attributes:
        id: Stays the same however often it is sent.
        route: To whom.
        what: What it says.
        severity: How bad that is.
        incident: Of which incident; empty: of several.
        at: When it was said.
        title: In one line.
        text: All of it, as plain text.
        markdown: All of it, as Markdown.
        facts: All of it, for programs.
        parts: Ids of the messages that it takes the place of.
        waits: Why it is not sent by itself: ``held`` (its route is quiet) or ``folded`` (there
            are too many at once); empty: it is.
    """

    id: str
    route: str
    what: What
    severity: Severity
    incident: str
    at: datetime
    title: str
    text: str = ""
    markdown: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    waits: str = ""


HELD, FOLDED = "held", "folded"


@dataclass(frozen=True)
class State:
    """All that the engine knows.

    Attributes:
        problems: By key: those that are there, and those of incidents not finished.
        incidents: By id: those that are there, or over so lately that they may come back, or that
            somebody is still to be told of.
        silences: Those that are not over.
        failures: By subject, the latest failures.
        paces: By route.
        waiting: Messages that are held back or folded.
    """

    problems: Mapping[str, Problem] = field(default_factory=dict)
    incidents: Mapping[str, Incident] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    failures: Mapping[str, tuple[Failure, ...]] = field(default_factory=dict)
    paces: Mapping[str, Pace] = field(default_factory=dict)
    waiting: tuple[Message, ...] = ()
