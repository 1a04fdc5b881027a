"""A round of deliveries: what is due is sent or its failure recorded, as long as there is time.

Belongs here: the loop, whose turn it is, and what it leaves alone. Does not belong here: the rows
(``outbox``), what a receiver is sent (``senders``).

Routes take turns, and one that fails is left alone until the next round. One whose newest attempt
failed, be it in a round before, has its turn once nothing is due at the others: what hangs costs
its own messages time, and nobody else's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from platform_assets.alerts import attempts, outbox
from platform_assets.alerts.database import Database
from platform_assets.alerts.outbox import Claimed
from platform_assets.alerts.routing import Means, Policy, Route
from platform_assets.alerts.senders import Outcome, send_alerts, send_safely
from platform_assets.alerts.tables import DELIVERIES, MARKS, MESSAGES

BUDGET = timedelta(seconds=24)
"""How long a round sends. Dagster ends a sensor's tick after 60 seconds, in the midst of whatever
it does, and the tick has looked for 20 before, and for 8 more where a collector reads on."""
SHARES = 3
"""An attempt gets one share of the budget, and none begins in the last share: the last one has as
much time as the first, and the round ends within its budget."""
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
        left: Those of them that the time was too short for; the next round sends them.
    """

    sent: int
    failed: int
    unsent: int
    stuck: int
    left: int = 0


@dataclass
class _Turns:
    """Whose turn it is.

    Attributes:
        troubled: Routes whose newest attempt failed before this round, the longest ago first.
        served: Routes that work, the one that was served last at the end.
        failing: Routes that have failed in this round.
    """

    troubled: list[str]
    served: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)

    @property
    def last(self) -> list[str]:
        """The routes that come after all others, in order."""
        return [*self.served, *self.troubled]

    def note(self, route: str, *, works: bool) -> None:
        """Note what came of a route's turn."""
        for those in (self.troubled, self.served):
            if route in those:
                those.remove(route)
        if works:
            self.served.append(route)
        else:
            self.failing.add(route)


def deliver(
    database: Database,
    policy: Policy,
    now: datetime,
    budget: timedelta = BUDGET,
    clock: Callable[[], float] = time.monotonic,
) -> Delivered:
    """Send what is due; a route that fails is left alone until the next round.

    Args:
        database: Where messages are kept.
        policy: Where routes lead.
        now: The time (with a time zone).
        budget: How long it may take; what it does not get to stays due.
        clock: Seconds that only go on.
    """
    began, who = clock(), outbox.process_name()
    share = budget / SHARES
    sent = failed = left = 0

    def moment() -> datetime:
        # A round takes a while where receivers do not answer.
        return now + timedelta(seconds=clock() - began)

    def is_late() -> bool:
        return moment() > now + budget - share

    with database.transaction() as connection:
        outbox.release_of_gone_routes(connection, [each.name for each in policy.routes])
        turns = _Turns(attempts.troubled_routes(connection))
    while True:
        with database.transaction() as connection:
            if is_late():
                left = outbox.ready(connection, now, moment(), turns.failing)
                break
            claimed = outbox.claim(connection, who, now, moment(), turns.failing, turns.last)
        if claimed is None:
            break
        outcome = _send(policy, claimed, now, share)
        turns.note(claimed.via, works=not outcome.error)
        with database.transaction() as connection:
            if not outcome.error:
                outbox.sent(connection, claimed, moment())
                sent += 1
                continue
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
        reachable = route.name not in turns.failing and not is_late()
        if route.target.means is Means.ALERTMANAGER and reachable:
            failed += not _refresh(database, route, now, share)
    with database.transaction() as connection:
        due = sa.select(sa.func.count(), sa.func.count().filter(MESSAGES.c.stuck)).where(
            MESSAGES.c.status == outbox.DUE
        )
        unsent, stuck = connection.execute(due).one()
    return Delivered(sent, failed, unsent, stuck, left)


def _send(policy: Policy, claimed: Claimed, now: datetime, patience: timedelta) -> Outcome:
    route = policy.route(claimed.via)
    if route is None:
        return Outcome(f"there is no route {claimed.via} any more", permanent=True)
    return send_safely(route.target, claimed.message, claimed.parts, now, patience)


def _refresh(database: Database, route: Route, now: datetime, patience: timedelta) -> bool:
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
    outcome = send_alerts(route.target, messages, now, patience)
    if outcome.error:
        with database.transaction() as connection:
            connection.execute(
                DELIVERIES.insert().values(
                    message="", route=route.name, at=now, succeeded=False, error=outcome.error
                )
            )
    return not outcome.error
