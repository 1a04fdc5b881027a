"""Metrics of freshness: what was promised, until when, and whether it is there.

Belongs here: which metrics, and their values. Does not belong here: judging
(``pipeline.freshness``), and what the data say of themselves, which are metrics of the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from platform_assets.observability.metrics.declared import Metric, Reading
from platform_assets.observability.metrics.ledger import layer_of
from platform_assets.pipeline.freshness import Promised, evaluate
from platform_assets.quality.freshness import FreshnessState, Level
from platform_assets.warehouse.reader import LakeReader

PACE = timedelta(seconds=20)
"""A look at all promises reads the whole ledger, which is more than a scrape should take."""

STATE = Metric(
    "platform_assets_freshness_state",
    "Of each asset with a promise: 1 for how fresh it is (fresh, warn, late), 0 for the others.",
    ("asset", "layer", "level"),
)
DEADLINE = Metric(
    "platform_assets_freshness_deadline_timestamp_seconds",
    "Until when the newest partition that should be there was promised.",
    ("asset", "layer"),
)
LATE_SINCE = Metric(
    "platform_assets_freshness_late_since_timestamp_seconds",
    "Since when the asset is late, or near it; absent while it is fresh.",
    ("asset", "layer"),
)
LATE_BY_ITSELF = Metric(
    "platform_assets_freshness_cause_state",
    "Of each asset that is late, or near it: 1 for whether that is its own (own) or that of what "
    "it is made from (upstream), 0 for the other.",
    ("asset", "layer", "cause"),
)


class FreshnessCollector:
    """Metrics of freshness.

    Args:
        reader: The lake.
        promised: Asks for the assets whose freshness is promised; asked once.
        now: The time (with a time zone).
    """

    name = "freshness"
    source = "freshness"
    metrics = (STATE, DEADLINE, LATE_SINCE, LATE_BY_ITSELF)

    def __init__(
        self,
        reader: LakeReader,
        promised: Callable[[], Sequence[Promised]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reader = reader
        self._ask = promised
        self._now = now

    @cached_property
    def _promised(self) -> Sequence[Promised]:
        return self._ask()

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        promised = self._promised
        with self._reader.look() as view:
            states = evaluate(view.connection, promised, self._now())
        return [reading for state in states.values() for reading in _of_state(state)]


def _of_state(state: FreshnessState) -> Iterator[Reading]:
    own = (state.asset, layer_of(state.asset))
    for level in Level:
        yield STATE.at(state.level is level, *own, level)
    if state.deadline is not None:
        yield DEADLINE.at(state.deadline.timestamp(), *own)
    if state.level is not Level.FRESH:
        yield LATE_BY_ITSELF.at(not state.late_because, *own, "own")
        yield LATE_BY_ITSELF.at(bool(state.late_because), *own, "upstream")
        if state.since is not None:
            yield LATE_SINCE.at(state.since.timestamp(), *own)
