"""Numbers of the book of alerts, for metrics and the status page.

Belongs here: counting. Does not belong here: the form in which they are shown (``observability``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from platform_assets.alerts.tables import (
    ACKS,
    DELIVERIES,
    INCIDENTS,
    MARKS,
    MESSAGES,
    PROBLEMS,
    SILENCES,
)

LATELY = timedelta(hours=1)


@dataclass(frozen=True)
class Figures:
    """The numbers at one moment.

    Attributes:
        taken_at: When the alert loop took in signals last; None: never.
        signal_at: When the newest signal happened; None: there was none.
        oldest_unsent_at: Since when the oldest unsent message is due; None: all are sent.
        slowest_seconds: The longest that a message of the last hour took, from when it was decided
            on until it was sent; None: none was sent.
        incidents: By severity, how many are open.
        problems: By kind, how many there are now.
        acknowledged: Open incidents that somebody has taken on.
        silences: Silences that are in force.
        unsent: Messages that are still to be sent.
        stuck: Those of them that every route has failed for.
        waiting: Messages that are held back or folded.
        sent: By route, how many messages were sent by it since they are kept.
        failures: By route, how many attempts failed since they are kept.
        silenced: Open incidents that a silence has kept a message about back.
    """

    taken_at: datetime | None
    signal_at: datetime | None
    oldest_unsent_at: datetime | None
    slowest_seconds: float | None
    incidents: Mapping[str, int]
    problems: Mapping[str, int]
    acknowledged: int
    silences: int
    unsent: int
    stuck: int
    waiting: int
    sent: Mapping[str, int]
    failures: Mapping[str, int]
    silenced: int = 0

    def lag_seconds(self, now: datetime) -> float:
        """How far the loop is behind: the age of the oldest unsent message; 0: there is none.

        Args:
            now: The time.
        """
        if self.oldest_unsent_at is None:
            return 0.0
        return max(0.0, (now - self.oldest_unsent_at).total_seconds())


def figures(connection: sa.Connection, now: datetime) -> Figures:
    """Count.

    Args:
        connection: A transaction on the database.
        now: The time.
    """
    marks = {row.name: row.at for row in connection.execute(sa.select(MARKS))}
    status = MESSAGES.c.status
    is_open = INCIDENTS.c.over_at.is_(None)
    kind = PROBLEMS.c.signal["kind"].as_string()
    lately = connection.execute(
        sa.select(MESSAGES.c.at, MESSAGES.c.sent_at).where(MESSAGES.c.sent_at > now - LATELY)
    )
    waited = [(row.sent_at - row.at).total_seconds() for row in lately]
    outcomes = {
        succeeded: _counts(connection, DELIVERIES.c.route, DELIVERIES.c.succeeded.is_(succeeded))
        for succeeded in (True, False)
    }
    return Figures(
        taken_at=marks.get("taken"),
        signal_at=marks.get("signal"),
        oldest_unsent_at=connection.execute(
            sa.select(sa.func.min(MESSAGES.c.at)).where(status == "due")
        ).scalar(),
        slowest_seconds=max(waited, default=None),
        incidents=_counts(connection, INCIDENTS.c.severity, is_open),
        problems=_counts(connection, kind, PROBLEMS.c.over_at.is_(None)),
        acknowledged=_count(
            connection,
            sa.select(ACKS.c.incident)
            .join(INCIDENTS, INCIDENTS.c.id == ACKS.c.incident)
            .where(is_open),
        ),
        silences=_count(connection, sa.select(SILENCES.c.id).where(SILENCES.c.until > now)),
        unsent=_count(connection, sa.select(MESSAGES.c.id).where(status == "due")),
        stuck=_count(connection, sa.select(MESSAGES.c.id).where(status == "due", MESSAGES.c.stuck)),
        waiting=_count(connection, sa.select(MESSAGES.c.id).where(status == "waiting")),
        sent=outcomes[True],
        failures=outcomes[False],
        silenced=_count(
            connection, sa.select(INCIDENTS.c.id).where(is_open, INCIDENTS.c.silence != "")
        ),
    )


def _counts(
    connection: sa.Connection, by: sa.ColumnElement[str], condition: sa.ColumnElement[bool]
) -> dict[str, int]:
    query = sa.select(by, sa.func.count()).where(condition).group_by(by)
    return {row[0]: row[1] for row in connection.execute(query)}


def _count(connection: sa.Connection, query: sa.Select[tuple[str]]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
