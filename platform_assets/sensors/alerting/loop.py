"""One round of the alert loop: look everywhere, write it down, decide, send.

Belongs here: the order of that, its bounds, and what is done about a collector that fails. Does not
belong here: looking (the collectors), deciding and sending (``alerts``), and Dagster's sensor.

All that a round has seen is taken into the book in one transaction with how far it has looked. A
round that is killed before has seen nothing, and the next one sees it again; one that is killed
after leaves its messages in the outbox.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from platform_assets.alerts.book import Book
from platform_assets.alerts.delivery import Delivered
from platform_assets.alerts.heartbeats import ALERT_LOOP, beat
from platform_assets.alerts.routing import Policy
from platform_assets.alerts.signals import Kind, Signal, Standing
from platform_assets.sensors.alerting.wording import without_values
from platform_assets.sensors.alerting.world import Collector, World, over

_LOG = logging.getLogger(__name__)
INTERVAL = timedelta(seconds=30)
BUDGET = timedelta(seconds=20)
"""How long a round looks; what it does not get to, the next one begins with."""
FAILURES = 2
"""A collector that fails so often in a row is a problem; once may be a locked file."""
_NEXT = "alerts/next"
_FAILING = "alerts/failing/"


@dataclass(frozen=True)
class Round:
    """What a round came to.

    Attributes:
        signals: What was seen.
        delivered: What was sent.
        failed: Collectors that failed, with the first line of why.
        skipped: Collectors that it did not get to.
    """

    signals: list[Signal]
    delivered: Delivered
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """In one line."""
        told = f"{len(self.signals)} signal(s), {self.delivered.sent} message(s) sent"
        if self.delivered.unsent:
            told += f", {self.delivered.unsent} still to be sent"
        if self.delivered.left:
            told += f" ({self.delivered.left} that there was no time for)"
        if self.failed:
            told += "; failed: " + ", ".join(f"{k} ({v})" for k, v in sorted(self.failed.items()))
        return told + (f"; next time: {', '.join(self.skipped)}" if self.skipped else "")


def go_round(
    world: World,
    collectors: Mapping[str, Collector],
    book: Book,
    policy: Policy,
    *,
    further: list[Signal] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Round:
    """Look everywhere once, and send what is due.

    Args:
        world: What there is to look at.
        collectors: Who looks, by name.
        book: Where it is written down.
        policy: Who is told what, when.
        further: Signals of the loop's own.
        clock: Seconds that only go on.
    """
    seen = _look(world, collectors, book, clock)
    signals = [each for each in seen.signals if not _is_of_nothing(world, each)]
    signals = causes_first([*(further or []), *signals])
    book.take(signals, policy, world.now, seen.cursors)
    delivered = book.deliver(policy, world.now)
    beat(book.database, ALERT_LOOP, INTERVAL, world.now)
    return Round(signals, delivered, seen.failed, seen.skipped)


def _is_of_nothing(world: World, signal: Signal) -> bool:
    """Whether it tells that something is wrong with what is defined no longer.

    What of it lies about, a finding in the lake or a connection's breaker, is no problem.
    """
    return signal.standing is Standing.OPEN and world.definitions.is_gone(signal, world.now)


def causes_first(signals: Sequence[Signal]) -> list[Signal]:
    """Signals so that what follows from something comes after it; else in the order that they have.

    An incident is told by the problem that it began with.

    Args:
        signals: What was seen.
    """
    causes = {each.fingerprint: each.cause for each in signals if each.cause}

    def depth(fingerprint: str) -> int:
        passed = {fingerprint}
        while (cause := causes.get(fingerprint, "")) and cause not in passed:
            passed.add(cause)
            fingerprint = cause
        return len(passed)

    # All that is said of one problem keeps its order: it is equally deep.
    return sorted(signals, key=lambda each: depth(each.fingerprint))


@dataclass
class _Seen:
    """What collectors have seen in a round."""

    signals: list[Signal] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def _look(
    world: World,
    collectors: Mapping[str, Collector],
    book: Book,
    clock: Callable[[], float],
) -> _Seen:
    seen, until = _Seen(), clock() + BUDGET.total_seconds()
    for name in _in_turn(list(collectors), book.cursor(_NEXT) or ""):
        if clock() > until:
            seen.skipped.append(name)
            continue
        try:
            collected = collectors[name](world, book.cursor(cursor_of(name)))
        except Exception as error:
            # Whatever is broken there must not keep the others from telling what they see.
            _LOG.exception("the alerts' collector %s failed", name)
            seen.failed[name] = f"{type(error).__name__}"
            _count_failure(world, book, name, error, seen)
            continue
        seen.signals += collected.signals
        if collected.cursor is not None:
            seen.cursors[cursor_of(name)] = collected.cursor
        if book.cursor(f"{_FAILING}{name}") not in (None, "0"):
            seen.cursors[f"{_FAILING}{name}"] = "0"
            problem = _problem(name, world.now)
            if problem.fingerprint in world.of(Kind.HEARTBEAT):
                seen.signals.append(over(problem, world.now))
    seen.cursors[_NEXT] = seen.skipped[0] if seen.skipped else ""
    return seen


def _in_turn(names: list[str], first: str) -> list[str]:
    """The names, beginning with the one that the last round did not get to."""
    at = names.index(first) if first in names else 0
    return names[at:] + names[:at]


def _count_failure(world: World, book: Book, name: str, error: Exception, seen: _Seen) -> None:
    count = int(book.cursor(f"{_FAILING}{name}") or 0) + 1
    seen.cursors[f"{_FAILING}{name}"] = str(count)
    # Once it is told it stands until the collector sees again.
    if count == FAILURES:
        text = f"{type(error).__name__}: {without_values(str(error))}"
        seen.signals.append(_problem(name, world.now, text))


def _problem(name: str, at: datetime, detail: str = "") -> Signal:
    return Signal(
        kind=Kind.HEARTBEAT,
        subject=f"collector/{name}",
        at=at,
        title=f"alerts cannot see {name}: what is wrong there is not told",
        detail=detail,
    )


def cursor_of(name: str) -> str:
    """What the book calls how far a collector has looked."""
    return f"alerts/{name}"
