"""Metrics of the circuit breakers: which connections are left alone.

Belongs here: which metrics, and their values. Does not belong here: what opens a breaker
(``sources.breaker``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from purgatory.typing import StateName

from platform_assets.observability.metrics.declared import Metric, Reading
from platform_assets.sources.breaker import BreakerStore

STATE = Metric(
    "platform_assets_breaker_state",
    "Of each connection that ever failed: 1 for the state of its breaker, 0 for the others.",
    ("connection", "state"),
)
FAILING_SINCE = Metric(
    "platform_assets_breaker_failing_since_timestamp_seconds",
    "When the first of a connection's failures in a row was; absent while it answers.",
    ("connection",),
)


class BreakerCollector:
    """Metrics of the breakers.

    Args:
        store: The breakers of all connections.
    """

    name = "breakers"
    source = "breakers"
    metrics = (STATE, FAILING_SINCE)

    def __init__(self, store: BreakerStore) -> None:
        self._store = store

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        return tuple(self._readings())

    def _readings(self) -> Iterator[Reading]:
        # A file that is not there would be made: no connection has failed yet.
        if self._store.path is not None and not self._store.path.is_file():
            return
        for told in self._store.states():
            for state in get_args(StateName):
                yield STATE.at(told.state == state, told.connection, state)
            if told.failing_since is not None:
                yield FAILING_SINCE.at(told.failing_since, told.connection)
