"""Heartbeats: who goes round and round says so, and who has not said so for too long has stopped.

Belongs here: the table, writing and reading it. Does not belong here: what is done about a silence
(``cli.watchdog``, ``sensors.alerting.heartbeats``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from platform_assets.alerts.database import METADATA, Database, Moment
from platform_assets.alerts.signals import Kind, Signal

ALERT_LOOP = "alerts"
"""The loop that collects and delivers alerts."""
WATCHDOG = "watchdog"
"""The process that watches the loop."""
MISSED = 3
"""Beats in a row that are missed by who has stopped."""
_STOPPED = {
    ALERT_LOOP: "the alert loop has stopped: nothing else that is wrong is told",
    WATCHDOG: "the watchdog has stopped: nobody would tell if the alert loop did",
}
_COMMANDS = {ALERT_LOOP: "dagster-daemon run", WATCHDOG: "platform-assets watchdog"}
GRACE = timedelta(seconds=30)
"""How long a beat may be late for other reasons: a busy machine, a locked file."""

_BEATS = sa.Table(
    "heartbeats",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("every", sa.Float, nullable=False, comment="seconds"),
)


@dataclass(frozen=True)
class Beat:
    """The newest sign of life of something.

    Attributes:
        name: What it is called, such as ``alerts``.
        at: When it was seen (UTC).
        every: How often it beats.
    """

    name: str
    at: datetime
    every: timedelta

    @property
    def tolerated(self) -> timedelta:
        """For how long it may be silent."""
        return MISSED * self.every + GRACE

    def is_silent(self, now: datetime) -> bool:
        """Whether it has been silent for too long."""
        return now - self.at > self.tolerated


def beat(database: Database, name: str, every: timedelta, now: datetime) -> None:
    """Give a sign of life.

    Args:
        database: Where it is kept.
        name: Whose it is.
        every: How often it beats.
        now: The time.
    """
    row = {"at": now, "every": every.total_seconds()}
    database.ensure(_BEATS)
    with database.transaction() as connection:
        connection.execute(
            insert(_BEATS)
            .values(name=name, **row)
            .on_conflict_do_update(index_elements=["name"], set_=row)
        )


def beats(database: Database) -> list[Beat]:
    """Everybody's newest sign of life, by name."""
    database.ensure(_BEATS)
    with database.transaction() as connection:
        rows = connection.execute(sa.select(_BEATS).order_by(_BEATS.c.name)).all()
    return [Beat(row.name, row.at, timedelta(seconds=row.every)) for row in rows]


def expect(database: Database, name: str, every: timedelta, now: datetime) -> None:
    """Wait for somebody to beat from now on; who has done so already is left as it is.

    Args:
        database: Where it is kept.
        name: Who.
        every: How often it is to beat.
        now: The time.
    """
    database.ensure(_BEATS)
    with database.transaction() as connection:
        connection.execute(
            insert(_BEATS)
            .values(name=name, at=now, every=every.total_seconds())
            .on_conflict_do_nothing()
        )


def process(name: str) -> str:
    """The subject of problems of somebody who beats."""
    return f"process/{name}"


def silent(beat: Beat) -> Signal:
    """The signal that somebody has been silent for too long."""
    return Signal(
        kind=Kind.HEARTBEAT,
        subject=process(beat.name),
        at=beat.at,
        title=_STOPPED.get(beat.name, "it has stopped"),
        detail=f"expected: a sign of life every {beat.every.total_seconds():.0f} s\n"
        f"found: none since {beat.at:%Y-%m-%d %H:%M:%S} UTC",
        command=_COMMANDS.get(beat.name, ""),
    )


def forget(database: Database, name: str) -> bool:
    """Take somebody off the list who is to beat no more.

    Args:
        database: Where it is kept.
        name: Who.

    Returns:
        Whether it was on the list.
    """
    database.ensure(_BEATS)
    with database.transaction() as connection:
        return connection.execute(sa.delete(_BEATS).where(_BEATS.c.name == name)).rowcount > 0
