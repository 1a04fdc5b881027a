"""Attempts to send messages: what came of them, and what is still to be sent.

Belongs here: looking at them. Does not belong here: making one, and what follows from it
(``outbox``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from platform_assets.alerts.incidents import Message
from platform_assets.alerts.outbox import DUE
from platform_assets.alerts.store import message_of
from platform_assets.alerts.tables import DELIVERIES, MESSAGES


@dataclass(frozen=True)
class Unsent:
    """A message that is still to be sent.

    Attributes:
        message: The message.
        via: The route that it is tried on.
        attempts: How often it was tried.
        next_attempt_at: When it is tried next.
        stuck: Whether every route that it may take has failed.
        error: Why it was not sent, at the last attempt.
    """

    message: Message
    via: str
    attempts: int
    next_attempt_at: datetime
    stuck: bool
    error: str


@dataclass(frozen=True)
class Delivery:
    """One attempt to send a message.

    Attributes:
        message: The message's id.
        route: By which route.
        at: When.
        succeeded: Whether it was sent.
        error: Why not, without a secret.
    """

    message: str
    route: str
    at: datetime
    succeeded: bool
    error: str


def unsent(connection: sa.Connection) -> list[Unsent]:
    """The messages that are still to be sent, the oldest first."""
    query = sa.select(MESSAGES).where(MESSAGES.c.status == DUE).order_by(MESSAGES.c.number)
    return [
        Unsent(message_of(row), row.via, row.attempts, row.next_attempt_at, row.stuck, row.error)
        for row in connection.execute(query)
    ]


def deliveries(connection: sa.Connection, messages: Sequence[str]) -> list[Delivery]:
    """Attempts to send messages, in order.

    Args:
        connection: A transaction.
        messages: The messages' ids.
    """
    query = sa.select(DELIVERIES).where(DELIVERIES.c.message.in_(messages))
    return [
        Delivery(row.message, row.route, row.at, row.succeeded, row.error)
        for row in connection.execute(query.order_by(DELIVERIES.c.number))
    ]


def troubled_routes(connection: sa.Connection) -> list[str]:
    """The routes whose newest attempt failed, the longest ago first.

    Args:
        connection: A transaction.
    """
    number, route = DELIVERIES.c.number, DELIVERIES.c.route
    newest = sa.select(sa.func.max(number)).group_by(route)
    query = sa.select(route).where(number.in_(newest), ~DELIVERIES.c.succeeded).order_by(number)
    return list(connection.execute(query).scalars())
