"""Collectors that are dearer than a scrape may be: asked at a pace of their own.

Belongs here: keeping their last answer. Does not belong here: any collector.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from platform_assets.observability.metrics.collector import Collector
from platform_assets.observability.metrics.declared import Metric, Reading


class Paced:
    """A collector that is asked no more often than so; a scrape gets its last answer at once.

    The first scrape waits for the first answer. What failed is told as failed until it is answered.

    Args:
        collector: Who is asked.
        every: How often at most.
        clock: Seconds of a clock that only goes on.
    """

    def __init__(
        self,
        collector: Collector,
        every: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collector = collector
        self._every = every.total_seconds()
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"metrics-{collector.name}")
        self._asked: Future[Sequence[Reading]] | None = None
        self._answer: Future[Sequence[Reading]] | None = None
        self._at = 0.0

    @property
    def name(self) -> str:
        """That of the collector."""
        return self._collector.name

    @property
    def source(self) -> str:
        """That of the collector."""
        return self._collector.source

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of the collector."""
        return self._collector.metrics

    def read(self) -> Sequence[Reading]:
        """The values as they were when they were asked for last."""
        if self._asked is not None and self._asked.done():
            self._answer = self._asked
        over = self._clock() - self._at >= self._every
        if self._asked is None or (self._asked is self._answer and over):
            self._at = self._clock()
            self._asked = self._pool.submit(self._collector.read)
        return (self._answer or self._asked).result()
