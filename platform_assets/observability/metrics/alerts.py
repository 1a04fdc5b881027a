"""Metrics of alerts: what is wrong, what is still to be sent, and whether the loop is alive.

Belongs here: which metrics, and their values. Does not belong here: what becomes of a problem
(``alerts``).

The database is opened read-only: it is not made where it is missing, and its writers, who must get
an alert out, wait for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from platform_assets.alerts.database import METADATA
from platform_assets.alerts.figures import Figures, figures
from platform_assets.alerts.heartbeats import Beat
from platform_assets.alerts.signals import Kind, Severity
from platform_assets.alerts.tables import TABLES
from platform_assets.observability.metrics.declared import Metric, Reading

_HEARTBEATS = METADATA.tables["heartbeats"]

PROBLEMS = Metric(
    "platform_assets_open_problems", "Problems that are there now, by kind.", ("kind",)
)
INCIDENTS = Metric(
    "platform_assets_open_incidents",
    "What is wrong and was said, grouped by its cause, by severity.",
    ("severity",),
)
ACKNOWLEDGED = Metric(
    "platform_assets_acknowledged_incidents", "Those of them that somebody has taken on."
)
UNSENT = Metric(
    "platform_assets_unsent_messages",
    "Messages that are still to be sent: due, every route has failed for (stuck; these are due, "
    "too), held back or folded (waiting).",
    ("status",),
)
OLDEST_UNSENT = Metric(
    "platform_assets_oldest_unsent_message_timestamp_seconds",
    "Since when the oldest message that is due waits; absent where all are sent.",
)
SENT = Metric(
    "platform_assets_sent_messages",
    "Messages by route and outcome (sent, failed attempts), of those that are still kept.",
    ("route", "outcome"),
)
SLOWEST = Metric(
    "platform_assets_slowest_message_seconds",
    "The longest that a message of the last hour took from when it was decided on until it was "
    "sent; absent where none was sent.",
)
TAKEN = Metric(
    "platform_assets_alert_loop_timestamp_seconds",
    "When the alert loop took in what it saw last; absent where it never did.",
)
NEWEST_SIGNAL = Metric(
    "platform_assets_newest_signal_timestamp_seconds",
    "When the newest thing that the alert loop was told of happened.",
)
HEARTBEAT = Metric(
    "platform_assets_heartbeat_timestamp_seconds",
    "When each part of the platform that goes round and round was alive last.",
    ("beat",),
)
TOLERATED = Metric(
    "platform_assets_heartbeat_tolerated_seconds",
    "For how long it may be silent before it counts as stopped.",
    ("beat",),
)


class AlertCollector:
    """Metrics of alerts and heartbeats.

    Args:
        file: The database of alerts and heartbeats.
    """

    name = "alerts"
    source = "watch"
    metrics = (
        PROBLEMS, INCIDENTS, ACKNOWLEDGED, UNSENT, OLDEST_UNSENT, SENT, SLOWEST, TAKEN,
        NEWEST_SIGNAL, HEARTBEAT, TOLERATED,
    )  # fmt: skip

    def __init__(self, file: Path) -> None:
        self._file = file
        self._engine = sa.create_engine(
            f"sqlite:///file:{file}?mode=ro&uri=true",
            poolclass=sa.NullPool,
            connect_args={"timeout": 1.0},
        )

    def read(self) -> Sequence[Reading]:
        """The values as they are now; none where nothing was ever watched."""
        if not self._file.is_file():
            return ()
        with self._engine.connect() as connection:
            there = set(sa.inspect(connection).get_table_names())
            found: list[Reading] = []
            if {table.name for table in TABLES} <= there:
                found += _of_figures(figures(connection, datetime.now(UTC)))
            if _HEARTBEATS.name in there:
                rows = connection.execute(sa.select(_HEARTBEATS).order_by("name")).all()
                found += _of_beats(Beat(r.name, r.at, timedelta(seconds=r.every)) for r in rows)
        return found


def _of_figures(told: Figures) -> Iterator[Reading]:
    for kind in Kind:
        yield PROBLEMS.at(told.problems.get(kind, 0), kind)
    for severity in Severity:
        yield INCIDENTS.at(told.incidents.get(severity, 0), severity)
    yield ACKNOWLEDGED.at(told.acknowledged)
    for status, messages in (
        ("due", told.unsent),
        ("stuck", told.stuck),
        ("waiting", told.waiting),
    ):
        yield UNSENT.at(messages, status)
    for route in sorted({*told.sent, *told.failures}):
        yield SENT.at(told.sent.get(route, 0), route, "sent")
        yield SENT.at(told.failures.get(route, 0), route, "failed")
    if told.slowest_seconds is not None:
        yield SLOWEST.at(told.slowest_seconds)
    for metric, moment in (
        (OLDEST_UNSENT, told.oldest_unsent_at),
        (TAKEN, told.taken_at),
        (NEWEST_SIGNAL, told.signal_at),
    ):
        if moment is not None:
            yield metric.at(moment.timestamp())


def _of_beats(beats: Iterable[Beat]) -> Iterator[Reading]:
    for beat in beats:
        yield HEARTBEAT.at(beat.at.timestamp(), beat.name)
        yield TOLERATED.at(beat.tolerated.total_seconds(), beat.name)
