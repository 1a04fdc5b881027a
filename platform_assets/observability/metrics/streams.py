"""Metrics of change logs: how far behind their reading is.

Belongs here: which metrics, and their values. Does not belong here: how a source knows
(``sources``), and from when on that is said (``sensors.alerting.lag``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError
from platform_assets.observability.metrics.declared import Metric, Reading
from platform_assets.sources.base import Access
from platform_assets.sources.change_source import Lag, TellsLag
from platform_assets.sources.retrying import ONCE, Guard
from platform_assets.warehouse import cursors
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.reader import LakeReader
from platform_assets.warehouse.tables import CURSORS, was_filled

PACE = timedelta(seconds=60)
"""A source is asked no more often: it is somebody else's server."""

READ = Metric(
    "platform_assets_source_read_timestamp_seconds",
    "When rows were read last from a source that is read by a cursor.",
    ("dataset",),
)
UNREAD_SINCE = Metric(
    "platform_assets_stream_oldest_unread_timestamp_seconds",
    "When the oldest change was made that was not read yet; absent where all are read, and where "
    "the source does not answer.",
    ("dataset",),
)
UNREAD = Metric(
    "platform_assets_stream_unread_bytes",
    "Bytes of the change log that were not read yet, where its source knows.",
    ("dataset",),
)
UNREAD_EVENTS = Metric(
    "platform_assets_stream_unread_events",
    "Events of the change log that were not read yet, where its source can count them; they are "
    "counted up to 1,000, and more may wait.",
    ("dataset",),
)
ANSWERED = Metric(
    "platform_assets_stream_success",
    "Whether the source of a change log could be asked how far behind its reading is.",
    ("dataset",),
)

Opened = AbstractContextManager[object | None]


@dataclass(frozen=True)
class Streams:
    """What is asked how far behind its reading is.

    Attributes:
        datasets: Those with a source that knows.
        connect: Opens what a connection of that name leads to; None: it has none.
        guard: Leaves a source alone that keeps failing.
    """

    datasets: Sequence[Dataset]
    connect: Callable[[str], Opened]
    guard: Guard


class StreamCollector:
    """Metrics of change logs.

    Args:
        reader: The lake.
        streams: Says what is asked; asked once.
    """

    name = "streams"
    source = "streams"
    metrics = (READ, UNREAD_SINCE, UNREAD, UNREAD_EVENTS, ANSWERED)

    def __init__(self, reader: LakeReader, streams: Callable[[], Streams]) -> None:
        self._reader = reader
        self._ask = streams

    @cached_property
    def _streams(self) -> Streams:
        return self._ask()

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        return tuple(self._readings())

    def _readings(self) -> Iterator[Reading]:
        streams = self._streams
        with self._reader.look() as view:
            if not was_filled(view.connection, "cursors"):
                return
            for dataset, at in view.connection.execute(
                f"SELECT dataset, epoch(max(recorded_at)) FROM {CURSORS} GROUP BY 1"
            ).fetchall():
                yield READ.at(at, str(dataset))
            for each in streams.datasets:
                yield from _of_stream(streams, each, view.connection)


def _of_stream(streams: Streams, dataset: Dataset, lake: Connection) -> Iterator[Reading]:
    position = cursors.current(lake, dataset.name).position
    if position is None:
        # Nothing was loaded yet, so nothing is read more slowly than it grows.
        return
    lag = _lag(streams, dataset, lake, position)
    yield ANSWERED.at(lag is not None, dataset.name)
    if lag is not None and lag.since is not None:
        yield UNREAD_SINCE.at(lag.since.timestamp(), dataset.name)
    if lag is not None and lag.bytes is not None:
        yield UNREAD.at(lag.bytes, dataset.name)
    if lag is not None and lag.events is not None:
        yield UNREAD_EVENTS.at(lag.events, dataset.name)


def _lag(streams: Streams, dataset: Dataset, lake: Connection, position: str) -> Lag | None:
    """How far behind; None: the source does not answer."""
    source = dataset.source
    assert isinstance(source, TellsLag)  # only those are asked
    name = source.connection
    try:
        with streams.connect(name) as opened:
            access = Access(lake, {} if opened is None else {name: opened})
            return streams.guard(name, lambda: source.lag(access, position), policy=ONCE)
    except (PlatformError, OSError):
        # A source that is down is told of by its breaker.
        return None
