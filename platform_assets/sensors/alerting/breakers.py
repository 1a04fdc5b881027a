"""Connections that are left alone because they kept failing.

Belongs here: the breakers that are open, as signals. Does not belong here: when one opens
(``sources.breaker``).
"""

from __future__ import annotations

from datetime import UTC, datetime

from platform_assets.alerts.signals import Kind, Signal
from platform_assets.sensors.alerting.wording import first_lines, plural
from platform_assets.sensors.alerting.world import Collected, World, transitions
from platform_assets.sources.breaker import BreakerState


def collect(world: World, cursor: str | None) -> Collected:
    """The connections that are newly left alone, or no longer.

    Args:
        world: What there is to look at.
        cursor: Of no use: what stands is looked at.
    """
    del cursor
    states = [] if world.breakers is None else world.breakers.states()
    present = [_told(world, each) for each in states if each.is_open]
    return Collected(transitions(present, world.of(Kind.BREAKER_OPEN).values(), world.now))


def _told(world: World, state: BreakerState) -> Signal:
    reading = [d for d in world.datasets.values() if d.source.connection == state.connection]
    assets = {f"raw/{dataset.name}" for dataset in reading}
    for asset in list(assets):
        key = world.assets.key(asset)
        assets |= set(world.assets.downstream(key)) if key is not None else set()
    since = state.failing_since or state.opened_at or world.now.timestamp()
    return Signal(
        kind=Kind.BREAKER_OPEN,
        subject=f"source/{state.connection}",
        at=datetime.fromtimestamp(since, UTC),
        title=f"left alone after {plural(state.failures, 'failure')} in a row",
        detail=first_lines(f"the last one: {state.last_failure}"),
        owners=tuple(dict.fromkeys(o for dataset in reading for o in dataset.owners)),
        downstream=tuple(sorted(assets)),
        command=f"platform-assets connections reset {state.connection}",
    )
