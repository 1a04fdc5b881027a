"""Change logs that are read more slowly than they grow.

Belongs here: asking the sources that can tell, and from when on that is said. Does not belong here:
how a source knows (``sources``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import timedelta

from platform_assets.alerts.signals import Kind, Severity, Signal
from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError
from platform_assets.sensors.alerting.wording import in_words
from platform_assets.sensors.alerting.world import Collected, World, transitions
from platform_assets.sources.base import Access
from platform_assets.sources.change_source import Lag, TellsLag
from platform_assets.sources.retrying import ONCE, Guard
from platform_assets.warehouse import cursors

EVERY = timedelta(seconds=60)
"""A source is asked no more often: it is somebody else's server."""
SECONDS = 8.0
"""How long sources are asked: a stream may take its time. The next time begins with the others."""


def collect(world: World, cursor: str | None) -> Collected:
    """The change logs that have newly fallen behind, or caught up.

    Args:
        world: What there is to look at.
        cursor: When the sources were asked last, in seconds since 1970, and who is asked next.
    """
    watched = [each for each in world.datasets.values() if isinstance(each.source, TellsLag)]
    now = world.now.timestamp()
    before, turn = _read(cursor)
    if now - before < EVERY.total_seconds():
        return Collected()
    known = world.own(Kind.STREAM_LAG)
    if not watched:
        return Collected(transitions([], known, world.now))
    present, asked, turn_of = [], set(), ""
    until = time.monotonic() + SECONDS
    for number, dataset in enumerate(_in_turn(watched, turn)):
        if number and time.monotonic() > until:
            turn_of = dataset.name
            break
        lag = _ask(world, dataset)
        if lag is None:
            continue
        asked.add(f"raw/{dataset.name}")
        limit = world.thresholds.of(dataset.name).stream_lag
        if lag.since is not None and world.now - lag.since > limit:
            present.append(_told(world, dataset, lag, limit))
    # Of a source that was not asked nothing new is known, nor of one that did not answer; its
    # breaker tells of that.
    silent = {f"raw/{each.name}" for each in watched} - asked
    looked_at = [each for each in known if each.subject not in silent]
    return Collected(transitions(present, looked_at, world.now), json.dumps([now, turn_of]))


def _read(cursor: str | None) -> tuple[float, str]:
    """When the sources were asked last, and who is asked first."""
    told = json.loads(cursor or "0")
    # An earlier version kept the moment alone.
    return (float(told[0]), str(told[1])) if isinstance(told, list) else (float(told), "")


def _in_turn(watched: Sequence[Dataset], first: str) -> list[Dataset]:
    names = [each.name for each in watched]
    at = names.index(first) if first in names else 0
    return [*watched[at:], *watched[:at]]


def _ask(world: World, dataset: Dataset) -> Lag | None:
    source = dataset.source
    assert isinstance(source, TellsLag)  # only those are asked
    position = cursors.current(world.lake, dataset.name).position
    if position is None:
        # Nothing was loaded yet, so nothing is read more slowly than it grows.
        return Lag(None)
    name = source.connection
    opened = world.connection(name)
    access = Access(world.lake, {} if opened is None else {name: opened})
    guard = Guard() if world.breakers is None else Guard(world.breakers)
    try:
        return guard(name, lambda: source.lag(access, position), policy=ONCE)
    except (PlatformError, OSError):
        # A source that is down is told of by its breaker, and by the runs that fail.
        return None


def _told(world: World, dataset: Dataset, lag: Lag, limit: timedelta) -> Signal:
    assert lag.since is not None  # it lags
    behind = world.now - lag.since
    waiting = "" if lag.bytes is None else f"; {lag.bytes:,} bytes wait"
    if lag.events is not None:
        waiting += f"; {'at least ' if lag.at_least else ''}{lag.events:,} events wait"
    return world.assets.described(
        Signal(
            kind=Kind.STREAM_LAG,
            subject=f"raw/{dataset.name}",
            at=world.now,
            severity=Severity.WARN,
            title=f"{in_words(behind)} behind its source",
            detail=f"expected: at most {in_words(limit)}\n"
            f"found: the oldest change that was not read is of {lag.since:%Y-%m-%d %H:%M} UTC"
            + waiting,
            command=f"dagster asset materialize -m platform_assets.definitions "
            f"--select 'key:\"raw/{dataset.name}\"+'",
        )
    )
