"""A round of deliveries: everything that is due is sent once, or its failure is recorded.

Belongs here: the loop, and what it leaves alone. Does not belong here: the rows (``outbox``), what
a receiver is sent (``senders``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from platform_assets.alerts import outbox
from platform_assets.alerts.database import Database
from platform_assets.alerts.outbox import Claimed
from platform_assets.alerts.routing import Means, Policy, Route
from platform_assets.alerts.senders import Outcome, send_alerts, send_safely
from platform_assets.alerts.tables import DELIVERIES, MARKS, MESSAGES

REFRESH = timedelta(minutes=5)
"""How often Alertmanager is told what is still there: it forgets all when it is restarted."""


@dataclass(frozen=True)
class Delivered:
    """What came of a round of deliveries.

    Attributes:
        sent: Messages that were sent.
        failed: Attempts that failed.
        unsent: Messages that are still to be sent.
        stuck: Those of them that every route has failed for.
    """

    sent: int
    failed: int
    unsent: int
    stuck: int


def deliver(database: Database, policy: Policy, now: datetime) -> Delivered:
    """Send what is due; a route that fails is left alone until the next round.

    Args:
        database: Where messages are kept.
        policy: Where routes lead.
        now: The time (with a time zone).
    """
    began, who = time.monotonic(), outbox.process_name()
    failing: set[str] = set()
    sent = failed = 0

    def moment() -> datetime:
        # A round may take minutes where receivers do not answer.
        return now + timedelta(seconds=time.monotonic() - began)

    with database.transaction() as connection:
        outbox.release_of_gone_routes(connection, [each.name for each in policy.routes])
    while True:
        with database.transaction() as connection:
            claimed = outbox.claim(connection, who, now, moment(), failing)
        if claimed is None:
            break
        outcome = _send(policy, claimed, now)
        with database.transaction() as connection:
            if not outcome.error:
                outbox.sent(connection, claimed, moment())
                sent += 1
                continue
            failing.add(claimed.via)
            failed += 1
            outbox.failed(
                connection,
                claimed,
                policy,
                now,
                error=outcome.error,
                permanent=outcome.permanent,
                wait=outcome.wait,
            )
    for route in policy.routes:
        if route.target.means is Means.ALERTMANAGER and route.name not in failing:
            failed += not _refresh(database, route, now)
    with database.transaction() as connection:
        due = sa.select(sa.func.count(), sa.func.count().filter(MESSAGES.c.stuck)).where(
            MESSAGES.c.status == outbox.DUE
        )
        unsent, stuck = connection.execute(due).one()
    return Delivered(sent, failed, unsent, stuck)


def _send(policy: Policy, claimed: Claimed, now: datetime) -> Outcome:
    route = policy.route(claimed.via)
    if route is None:
        return Outcome(f"there is no route {claimed.via} any more", permanent=True)
    return send_safely(route.target, claimed.message, claimed.parts, now)


def _refresh(database: Database, route: Route, now: datetime) -> bool:
    """Tell Alertmanager what is still there; whether it took it, or was not to be told."""
    mark = f"refresh {route.name}"
    with database.transaction() as connection:
        last = connection.execute(sa.select(MARKS.c.at).where(MARKS.c.name == mark)).scalar()
        if last is not None and now < last + REFRESH:
            return True
        messages = outbox.latest_of_open(connection, route.name)
        insert = sqlite.insert(MARKS).values(name=mark, at=now)
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"at": now}))
    if not messages:
        return True
    outcome = send_alerts(route.target, messages, now)
    if outcome.error:
        with database.transaction() as connection:
            connection.execute(
                DELIVERIES.insert().values(
                    message="", route=route.name, at=now, succeeded=False, error=outcome.error
                )
            )
    return not outcome.error
