"""How long things usually take: what earlier runs took, and what is usual by them.

Belongs here: the table of durations and the baseline. Does not belong here: looking at runs
(``sensors.alerting.durations``).

A run over many partitions takes longer than one over one, so a duration is only held against those
of runs of about as many partitions. The baseline is the median with the spread around it; a spread
of nothing, as of a few quick runs, is widened, so that a second more is no news.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from platform_assets.alerts.database import METADATA, Database

KEPT = 50
"""Durations that are kept of one thing."""
FLOOR_SHARE = 0.1
FLOOR_SECONDS = 30.0
"""The least that a spread is taken for: of the median, and in seconds."""
SPREADS = 3.0
"""So many spreads above the median are still usual."""

_DURATIONS = sa.Table(
    "durations",
    METADATA,
    sa.Column("what", sa.String, primary_key=True, comment="an asset's key, or a job's step"),
    sa.Column("size", sa.Integer, primary_key=True, comment="of how many partitions, about"),
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("ended_at", sa.Float, nullable=False, comment="seconds since 1970"),
    sa.Column("seconds", sa.Float, nullable=False),
)


@dataclass(frozen=True)
class Duration:
    """What something took once.

    Attributes:
        what: The asset's key, or ``<job>.<step>``.
        size: Of how many partitions, about, by ``size_of``.
        run_id: The run.
        ended_at: When it ended, in seconds since 1970.
        seconds: How long it took.
    """

    what: str
    size: int
    run_id: str
    ended_at: float
    seconds: float


@dataclass(frozen=True)
class Usual:
    """What something usually takes.

    Attributes:
        seconds: The median.
        spread: The median distance from it.
        history: Of how many runs.
    """

    seconds: float
    spread: float
    history: int

    @classmethod
    def of(cls, seconds: Collection[float]) -> Usual:
        """The baseline of durations, at least one."""
        middle = median(seconds)
        return cls(middle, median(abs(each - middle) for each in seconds), len(seconds))

    def limit(self, factor: float) -> float:
        """From how many seconds on a run takes unusually long.

        Args:
            factor: How many times the usual it may take.
        """
        spread = max(self.spread, FLOOR_SHARE * self.seconds)
        return max(
            factor * self.seconds, self.seconds + SPREADS * spread, self.seconds + FLOOR_SECONDS
        )


def size_of(partitions: int) -> int:
    """About how many partitions: each size is twice the one before."""
    return max(1, partitions).bit_length()


def record(database: Database, durations: Iterable[Duration]) -> None:
    """Keep what things took; what is known already stays, and the oldest are forgotten.

    Args:
        database: Where they are kept.
        durations: What to keep.
    """
    rows = [vars(each) for each in durations]
    if not rows:
        return
    database.ensure(_DURATIONS)
    with database.transaction() as connection:
        connection.execute(insert(_DURATIONS).on_conflict_do_nothing(), rows)
        for what, size in {(row["what"], row["size"]) for row in rows}:
            own = sa.and_(_DURATIONS.c.what == what, _DURATIONS.c.size == size)
            newest = (
                sa.select(_DURATIONS.c.run_id)
                .where(own)
                .order_by(_DURATIONS.c.ended_at.desc())
                .limit(KEPT)
            )
            connection.execute(sa.delete(_DURATIONS).where(own, _DURATIONS.c.run_id.not_in(newest)))


def usual(database: Database, what: str, size: int) -> Usual | None:
    """What something usually takes; None: it was never seen.

    Args:
        database: Where durations are kept.
        what: The asset's key, or ``<job>.<step>``.
        size: Of how many partitions, about.
    """
    database.ensure(_DURATIONS)
    with database.transaction() as connection:
        seconds: Sequence[float] = connection.scalars(
            sa.select(_DURATIONS.c.seconds).where(
                _DURATIONS.c.what == what, _DURATIONS.c.size == size
            )
        ).all()
    return Usual.of(seconds) if seconds else None
