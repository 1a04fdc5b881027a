"""Signals, policies and a clock for the tests of alerts.

Belongs here: what several test modules of alerts need. Does not belong here: an assertion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from platform_assets.alerts.engine import step
from platform_assets.alerts.incidents import Incident, Message, Silence, State, What
from platform_assets.alerts.matching import Match
from platform_assets.alerts.routing import Means, Policy, Route, Target
from platform_assets.alerts.signals import Kind, Severity, Signal, Standing

# A Monday, at eight in London too.
START = datetime(2025, 1, 6, 8, tzinfo=UTC)


def after(**span: float) -> datetime:
    """A moment after the start, such as ``after(minutes=5)``."""
    return START + timedelta(**span)


def failed(subject: str = "cleaned/orders", partition: str = "2025-01-01", **more: Any) -> Signal:
    """A partition that was stopped."""
    values: dict[str, Any] = {
        "kind": Kind.PARTITION_FAILED,
        "at": START,
        "title": "the partition was stopped",
        "detail": "too many rows are bad",
        "dataset": subject.rpartition("/")[2],
        "layer": subject.partition("/")[0],
        "owners": ("team:tests",),
    }
    return Signal(subject=subject, partition=partition, **{**values, **more})


def late(subject: str, **more: Any) -> Signal:
    """Data that is late."""
    return failed(subject, "", kind=Kind.FRESHNESS, **{"title": "late", "detail": "", **more})


def over(signal: Signal, at: datetime) -> Signal:
    """The same problem, no longer there."""
    return replace(signal, standing=Standing.OVER, at=at)


def route(name: str = "team", **more: Any) -> Route:
    """A route that leads nowhere; nothing is waited for."""
    values: dict[str, Any] = {
        "target": Target(Means.CONSOLE),
        "group_wait": timedelta(0),
        "repeat_after": None,
    }
    return Route(name, **{**values, **more})


def policy(*routes: Route, **more: Any) -> Policy:
    """A policy of these routes, or of one that takes everything."""
    return Policy(routes=routes or (route(),), **more)


def silence(until: datetime, begins: datetime = START, **match: Any) -> Silence:
    """A silence."""
    return Silence("s1", Match(**match), begins, until, "anna", "known")


@dataclass
class World:
    """The engine with a clock: what it knows, and what it has said.

    Attributes:
        policy: Who is told.
        state: What it knows.
        said: Every message, in order.
        finished: Every incident that is over for good.
    """

    policy: Policy = field(default_factory=policy)
    state: State = field(default_factory=State)
    said: list[Message] = field(default_factory=list)
    finished: list[Incident] = field(default_factory=list)

    def at(self, now: datetime, *signals: Signal) -> list[Message]:
        """Take in signals at a moment; the messages that go out at once."""
        done = step(self.state, signals, self.policy, now, "http://ui")
        self.state = done.state
        self.said += done.messages
        self.finished += [each for each, _ in done.finished]
        return [each for each in done.messages if not each.waits]

    @property
    def incident(self) -> Incident:
        """The only incident."""
        (found,) = self.state.incidents.values()
        return found


def whats(messages: Sequence[Message]) -> list[What]:
    """What messages say."""
    return [each.what for each in messages]


ERROR, WARN, INFO = Severity.ERROR, Severity.WARN, Severity.INFO
