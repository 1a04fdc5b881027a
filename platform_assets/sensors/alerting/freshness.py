"""Promises of freshness that are not kept: one alert for what they are not kept on account of.

Belongs here: states as signals, each with its cause. Does not belong here: judging them
(``pipeline.freshness``), and showing them in Dagster (``sensors.freshness``).

What is late because a source has brought nothing follows from that source; where the source is left
alone, from its breaker; and where a partition was stopped, from that failure. An asset that is late
by itself is told by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from platform_assets.alerts.signals import Kind, Severity, Signal, fingerprint
from platform_assets.pipeline.freshness import Promised, evaluate
from platform_assets.quality.freshness import FreshnessState, Level
from platform_assets.resources import breakers_left_alone
from platform_assets.sensors.alerting.wording import plural, retry
from platform_assets.sensors.alerting.world import Collected, World, transitions

SOURCE = "source/"
_SEVERITIES = {Level.WARN: Severity.WARN, Level.LATE: Severity.ERROR}


class Freshness:
    """The collector of promises that are not kept.

    Args:
        promised: The assets of which freshness is promised.
    """

    def __init__(self, promised: Sequence[Promised]) -> None:
        self._promised = promised

    def __call__(self, world: World, cursor: str | None) -> Collected:
        """What is newly late, later than it was, or there by now.

        Args:
            world: What there is to look at.
            cursor: Of no use: what stands is looked at.
        """
        del cursor
        known = world.own(Kind.FRESHNESS)
        if not self._promised:
            return Collected(transitions([], known, world.now))
        alone = breakers_left_alone() if world.breakers is not None else {}
        states = evaluate(world.lake, self._promised, world.now, left_alone=alone)
        present = signals_of(world, states, left_alone=alone)
        return Collected(transitions(present, known, world.now))


def signals_of(
    world: World, states: Mapping[str, FreshnessState], left_alone: Mapping[str, str]
) -> list[Signal]:
    """What is late, and the sources that something is late on account of.

    Args:
        world: What there is to look at.
        states: By asset.
        left_alone: Of connections whose breaker is open, what is to be said of it.
    """
    late = {asset: state for asset, state in states.items() if state.level is not Level.FRESH}
    failed = set(world.of(Kind.PARTITION_FAILED))
    found, by_source = [], defaultdict(list)
    for state in late.values():
        root = state.late_because[0] if state.late_because else ""
        if root.startswith(SOURCE) and root.removeprefix(SOURCE) not in left_alone:
            by_source[root].append(state)
        found.append(_late(world, state, _cause(state, root, late, failed, left_alone)))
    return [*(_source(world, root, those) for root, those in by_source.items()), *found]


def _cause(
    state: FreshnessState,
    root: str,
    late: Mapping[str, FreshnessState],
    failed: set[str],
    left_alone: Mapping[str, str],
) -> str:
    """The fingerprint of what an asset is late on account of; empty: of nothing else."""
    if root.startswith(SOURCE):
        kind = Kind.BREAKER_OPEN if root.removeprefix(SOURCE) in left_alone else Kind.FRESHNESS
        return fingerprint(kind, root)
    stopped = fingerprint(Kind.PARTITION_FAILED, root or state.asset, "", state.expected or "all")
    if stopped in failed:
        return stopped
    return fingerprint(Kind.FRESHNESS, root) if root in late else ""


def _late(world: World, state: FreshnessState, cause: str) -> Signal:
    near = "nearly late" if state.level is Level.WARN else "late"
    because = f" because of {', '.join(state.late_because)}" if state.late_because else ""
    signal = Signal(
        kind=Kind.FRESHNESS,
        subject=state.asset,
        at=state.since or world.now,
        severity=_SEVERITIES[state.level],
        title=f"{near}{because}",
        detail=state.message,
        cause=cause,
        command=retry(state.asset, state.expected or ""),
    )
    return world.assets.described(signal)


def _source(world: World, root: str, states: Sequence[FreshnessState]) -> Signal:
    connection = root.removeprefix(SOURCE)
    reading = [d for d in world.datasets.values() if d.source.connection == connection]
    worst = Level.LATE if any(e.level is Level.LATE for e in states) else Level.WARN
    near = "nearly late" if worst is Level.WARN else "late"
    return Signal(
        kind=Kind.FRESHNESS,
        subject=root,
        at=min((each.since for each in states if each.since is not None), default=world.now),
        severity=_SEVERITIES[worst],
        title=f"the source is {near}: {plural(len(states), 'asset')} wait for it",
        detail=states[0].message,
        owners=tuple(dict.fromkeys(owner for each in reading for owner in each.owners)),
        downstream=tuple(sorted(each.asset for each in states)),
        command="platform-assets freshness",
    )
