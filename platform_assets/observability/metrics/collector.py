"""A collector: what reads the metrics of one source.

Belongs here: the protocol. Does not belong here: any collector, and how they are run
(``exporter``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from platform_assets.observability.metrics.declared import Metric, Reading


class Collector(Protocol):
    """Reads the metrics of one source; it raises where the source cannot be read."""

    @property
    def name(self) -> str:
        """What it is called in the metrics about collectors."""

    @property
    def source(self) -> str:
        """What it reads; collectors of one source are read one after another, sources at once."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics that it may read."""

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
