"""Messages on their way: each is claimed, sent, recorded; tried again and on another route.

Belongs here: the rows of messages and what becomes of one that was sent or was not. Does not belong
here: sending (``senders``), the order in which that is done (``delivery``).

A message is sent at least once: whoever sends it claims it first and records it after, each in a
transaction, so two processes never send the same one while both live. Where one dies between
sending and recording, its claim is taken up by the next, and the message is sent again under the
same id.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psutil
import sqlalchemy as sa

from platform_assets.alerts.incidents import Message
from platform_assets.alerts.routing import Policy
from platform_assets.alerts.store import message_of, messages_where
from platform_assets.alerts.tables import DELIVERIES, INCIDENTS, MESSAGES

CLAIM = timedelta(minutes=2)
"""How long a claim of another machine holds; of this one, as long as its process lives."""
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = timedelta(seconds=10), timedelta(minutes=10), 3
_JITTER = 0.2
WAITING, DUE, SENT, TOLD, DISCARDED = "waiting", "due", "sent", "told", "discarded"
_M = MESSAGES.c
_ALIKE, _BEFORE = MESSAGES.alias(), MESSAGES.alias()
# Who was told by the fallback that something began is told there that it is over.
_BY = sa.case(
    (
        sa.and_(_M.attempts == 0, _M.incident != ""),
        sa.func.coalesce(
            sa.select(_BEFORE.c.via)
            .where(
                _BEFORE.c.incident == _M.incident,
                _BEFORE.c.route == _M.route,
                _BEFORE.c.status == SENT,
            )
            .order_by(_BEFORE.c.number.desc())
            .limit(1)
            .correlate(MESSAGES)
            .scalar_subquery(),
            _M.via,
        ),
    ),
    else_=_M.via,
)
"""The route that a message is sent by."""


@dataclass(frozen=True)
class Claimed:
    """A message that is sent by whoever holds this.

    Attributes:
        number: Its row.
        message: The message.
        via: The route to send it by.
        via_since: Since when it is tried there.
        failures: How often it failed there.
        attempts: How often it was tried at all.
        stuck: Whether every route that it may take has failed before.
        parts: The messages that it takes the place of.
    """

    number: int
    message: Message
    via: str
    via_since: datetime
    failures: int
    attempts: int
    stuck: bool
    parts: Sequence[Message] = ()


def process_name() -> str:
    """This process as claims name it: machine, process, and when that began."""
    return f"{socket.gethostname()}|{os.getpid()}|{psutil.Process().create_time()}"


def put(connection: sa.Connection, messages: Sequence[Message], now: datetime) -> None:
    """Put new messages into the outbox.

    Args:
        connection: The transaction in which they were decided on.
        messages: The messages.
        now: The time.
    """
    if not messages:
        return
    rows = [
        {
            "id": each.id, "route": each.route, "what": each.what, "severity": each.severity,
            "incident": each.incident, "at": each.at, "title": each.title, "text": each.text,
            "markdown": each.markdown, "facts": each.facts, "waits": each.waits, "part_of": "",
            "status": WAITING if each.waits else DUE, "via": each.route, "via_since": now,
            "failures": 0, "attempts": 0, "next_attempt_at": now, "stuck": False, "error": "",
            "claimed_by": "",
        }
        for each in messages
    ]  # fmt: skip
    connection.execute(MESSAGES.insert(), rows)
    told = [{"_id": part, "_by": each.id} for each in messages for part in each.parts]
    if told:
        connection.execute(
            MESSAGES.update()
            .where(_M.id == sa.bindparam("_id"))
            .values(status=TOLD, part_of=sa.bindparam("_by")),
            told,
        )


def claim(
    connection: sa.Connection,
    who: str,
    now: datetime,
    moment: datetime,
    skip: Collection[str] = (),
    last: Sequence[str] = (),
) -> Claimed | None:
    """Claim the message that is due first; None: none is.

    Args:
        connection: A transaction.
        who: Who sends it, as `process_name` says.
        now: The time by which it is due.
        moment: The time that the claim is counted from.
        skip: Routes that are not tried now.
        last: Routes whose messages come after those of all others, in this order.
    """
    _release_dead(connection)
    places = {name: place for place, name in enumerate(last, 1)}
    # A problem's end is not told before its beginning.
    earlier = (
        sa.select(_ALIKE.c.number)
        .where(
            _ALIKE.c.incident == _M.incident,
            _ALIKE.c.route == _M.route,
            _ALIKE.c.status == DUE,
            _ALIKE.c.number < _M.number,
            _M.incident != "",
        )
        .exists()
    )
    query = (
        sa.select(MESSAGES, _BY.label("sent_by"))
        .where(*_is_ready(now, moment, skip), ~earlier)
        .order_by(*([sa.case(places, value=_BY, else_=0)] if places else []), _M.number)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    connection.execute(
        MESSAGES.update()
        .where(_M.number == row.number)
        .values(claimed_by=who, claimed_until=moment + CLAIM, via=row.sent_by)
    )
    parts = messages_where(connection, _M.part_of == row.id)
    return Claimed(
        row.number,
        message_of(row),
        row.sent_by,
        row.via_since,
        row.failures,
        row.attempts,
        row.stuck,
        parts,
    )


def ready(connection: sa.Connection, now: datetime, moment: datetime, skip: Collection[str]) -> int:
    """How many messages are due that nobody has claimed.

    Args:
        connection: A transaction.
        now: The time by which they are due.
        moment: The time by which claims hold.
        skip: Routes that do not count.
    """
    query = sa.select(sa.func.count()).select_from(MESSAGES)
    return connection.execute(query.where(*_is_ready(now, moment, skip))).scalar_one()


def _is_ready(
    now: datetime, moment: datetime, skip: Collection[str]
) -> Sequence[sa.ColumnElement[bool]]:
    return (
        _M.status == DUE,
        _M.next_attempt_at <= now,
        sa.or_(_M.claimed_by == "", _M.claimed_until < moment),
        _BY.not_in(skip),
    )


def release_of_gone_routes(connection: sa.Connection, known: Sequence[str]) -> None:
    """Take from their waiting the messages of routes that are no more: they are to be seen.

    Args:
        connection: A transaction.
        known: The routes that there are.
    """
    connection.execute(
        MESSAGES.update().where(_M.status == WAITING, _M.route.not_in(known)).values(status=DUE)
    )


def latest_of_open(connection: sa.Connection, route: str) -> list[Message]:
    """What a route was told last of each incident that is there.

    Args:
        connection: A transaction.
        route: The route.
    """
    is_open = sa.select(INCIDENTS.c.id).where(INCIDENTS.c.over_at.is_(None))
    newest = (
        sa.select(sa.func.max(_M.number))
        .where(_M.route == route, _M.status.in_((SENT, TOLD)), _M.incident.in_(is_open))
        .group_by(_M.incident)
    )
    return messages_where(connection, _M.number.in_(newest))


def discard(connection: sa.Connection, identity: str) -> bool:
    """Give a message up; whether there was one that was still to be sent.

    Args:
        connection: A transaction.
        identity: Its id.
    """
    done = connection.execute(
        MESSAGES.update()
        .where(_M.id == identity, _M.status == DUE)
        .values(status=DISCARDED, claimed_by="")
    )
    return bool(done.rowcount)


def sent(connection: sa.Connection, claimed: Claimed, moment: datetime) -> None:
    """Record that a message was sent."""
    connection.execute(
        MESSAGES.update()
        .where(_M.number == claimed.number)
        .values(
            status=SENT, sent_at=moment, attempts=claimed.attempts + 1, stuck=False, error="",
            claimed_by="", claimed_until=None,
        )
    )  # fmt: skip
    _note(connection, claimed, moment, "")


def failed(
    connection: sa.Connection,
    claimed: Claimed,
    policy: Policy,
    now: datetime,
    *,
    error: str,
    permanent: bool,
    wait: timedelta = timedelta(0),
) -> None:
    """Record that a message was not sent, and when and where it is tried next.

    Args:
        connection: A transaction.
        claimed: The message.
        policy: Which route follows, and when.
        now: The time.
        error: Why; without a secret.
        permanent: Whether it would fail again on that route.
        wait: How long the receiver asks to be left alone.
    """
    failures = claimed.failures + 1
    route = policy.route(claimed.via)
    rule = policy.fall_over
    enough = permanent or claimed.stuck or failures >= rule.failures
    values: dict[str, object] = {
        "attempts": claimed.attempts + 1, "error": error, "claimed_by": "", "claimed_until": None,
    }  # fmt: skip
    if route is None and claimed.via != claimed.message.route:
        # The fallback that took the message before this one is no more.
        values |= {
            "via": claimed.message.route, "via_since": now, "failures": 0, "next_attempt_at": now,
        }  # fmt: skip
    elif not enough and now - claimed.via_since < rule.after:
        pause = max(wait, _pause(claimed.message.id, claimed.attempts, failures))
        values |= {"failures": failures, "next_attempt_at": now + pause}
    elif route is not None and route.fallback:
        values |= {
            "via": route.fallback, "via_since": now, "failures": 0, "next_attempt_at": now,
        }  # fmt: skip
    else:
        # Round again, and slowly: it is shown, and is given up by no one but a person.
        pause = _jittered(LONGEST_PAUSE, claimed.message.id, claimed.attempts)
        values |= {
            "via": claimed.message.route, "via_since": now, "failures": 0, "stuck": True,
            "next_attempt_at": now + pause,
        }  # fmt: skip
    connection.execute(MESSAGES.update().where(_M.number == claimed.number).values(**values))
    _note(connection, claimed, now, error)


def _note(connection: sa.Connection, claimed: Claimed, at: datetime, error: str) -> None:
    connection.execute(
        DELIVERIES.insert().values(
            message=claimed.message.id,
            route=claimed.via,
            at=at,
            succeeded=not error,
            error=error,
        )
    )


def _release_dead(connection: sa.Connection) -> None:
    """Take the claims from processes of this machine that are no more."""
    query = sa.select(_M.claimed_by).where(_M.status == DUE, _M.claimed_by != "").distinct()
    claimants: list[str] = list(connection.execute(query).scalars())
    for who in claimants:
        if _is_dead(who):
            connection.execute(MESSAGES.update().where(_M.claimed_by == who).values(claimed_by=""))


def _is_dead(who: str) -> bool:
    machine, process, began = who.split("|")
    if machine != socket.gethostname():
        return False
    try:
        return psutil.Process(int(process)).create_time() != float(began)
    except psutil.NoSuchProcess:
        return True


def _pause(identity: str, attempts: int, failures: int) -> timedelta:
    return _jittered(min(LONGEST_PAUSE, FIRST_PAUSE * GROWTH ** (failures - 1)), identity, attempts)


def _jittered(pause: timedelta, identity: str, attempts: int) -> timedelta:
    """A pause that differs from message to message, and is the same when it is asked again."""
    digest = hashlib.sha256(f"{identity} {attempts}".encode()).digest()
    return pause * (1 + _JITTER * (2 * digest[0] / 255 - 1))
