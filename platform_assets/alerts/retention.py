"""What is over is forgotten after a while, with its messages.

Belongs here: what is removed, and when. Does not belong here: how long it is kept (``routing``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from platform_assets.alerts.outbox import DUE, WAITING
from platform_assets.alerts.store import replace_rows
from platform_assets.alerts.tables import (
    ACKS,
    DELIVERIES,
    INCIDENTS,
    MARKS,
    MESSAGES,
    PROBLEMS,
    SILENCES,
)

EVERY = timedelta(hours=1)
_MARK = "pruned"


def prune(connection: sa.Connection, retention: timedelta, now: datetime) -> None:
    """Remove what has been over for long; looked for once an hour.

    A message that no route has taken stays, however old it is.

    Args:
        connection: A transaction.
        retention: How long what is over is kept.
        now: The time.
    """
    last = connection.execute(sa.select(MARKS.c.at).where(MARKS.c.name == _MARK)).scalar()
    if last is not None and now < last + EVERY:
        return
    before = now - retention
    connection.execute(INCIDENTS.delete().where(INCIDENTS.c.finished, INCIDENTS.c.over_at < before))
    kept = sa.select(INCIDENTS.c.id)
    connection.execute(PROBLEMS.delete().where(PROBLEMS.c.incident.not_in(kept)))
    connection.execute(ACKS.delete().where(ACKS.c.incident.not_in(kept)))
    connection.execute(
        MESSAGES.delete().where(MESSAGES.c.at < before, MESSAGES.c.status.not_in((DUE, WAITING)))
    )
    connection.execute(DELIVERIES.delete().where(DELIVERIES.c.at < before))
    connection.execute(SILENCES.delete().where(SILENCES.c.until < before))
    replace_rows(connection, MARKS, [{"name": _MARK, "at": now}])
