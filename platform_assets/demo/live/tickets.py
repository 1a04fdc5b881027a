"""The living shop's support tickets: opened, worked on, closed, and the log of these changes.

Belongs here: the tickets as they stand, their days, the files of their changes and how the
misbehaviours look in them. Does not belong here: the form of a change (`envelope.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from platform_assets.demo.live import database
from platform_assets.demo.live.envelope import Change, Envelope
from platform_assets.demo.live.today import LAST_SECOND, Today, iso
from platform_assets.demo.streams import Draws, Stream

FOLDER = "tickets/changes"
"""Where the files of changes are, in the folder of the shop."""

COLUMNS = (
    "ticket_id",
    "customer_id",
    "order_id",
    "topic",
    "subject",
    "priority",
    "status",
    "opened_at",
    "updated_at",
)
STATUSES = ("open", "pending", "solved", "closed")

_OPEN, _PENDING, _SOLVED, _CLOSED = STATUSES
_DELETED = "deleted"
_SUBJECTS = {
    "delivery": ("Where is my parcel?", "Parcel left at “safe” place", "Paquet arrivé ouvert"),
    "returns": ("How do I send it back?", "Refund, please", "Größe passt nicht"),
    "payment": ("Charged twice", "Invoice, with VAT", "カードが使えません"),
    "product": ("A part is missing", 'Is the 12" one deeper?', "Broken on arrival"),
    "account": ("Cannot log in", "Change of address", "Stop the newsletter"),
}
_PRIORITIES = ("low", "normal", "normal", "high")
_TICKETS_PERCENT = 10
_LEAST_TICKETS = 5
_SPAM_EVERY = 12
_WITH_ORDER_EVERY = 4
_RECENT_ORDERS = 200
_REPEATED_EVERY = 5
_FIRST_LSN = 24_023_128
_FIRST_FILE = 1


Row: TypeAlias = dict[str, str | None]


@dataclass(frozen=True, order=True)
class _Step:
    """What happens to a ticket at a time of the day.

    Args:
        second: The second of the day.
        ticket: The ticket.
        status: What it turns into.
        row: The whole ticket, where it is new.
    """

    second: int
    ticket: str
    status: str
    row: Row | None = field(default=None, compare=False)


def found(today: Today) -> None:
    """Open the tickets that are there when the log begins, and write them down as `r`.

    Args:
        today: The day of the founding.
    """
    database.set_value(today.connection, "lsn", _FIRST_LSN)
    database.set_value(today.connection, "next_file", _FIRST_FILE)
    database.set_value(today.connection, "next_ticket", 1)
    draws = today.draws(Stream.LIVE_TICKETS)
    steps = _new(today, draws, today.parameters.orders_per_day * _TICKETS_PERCENT // 100)
    _post(today, [_take(today, draws, steps, new="r")])


def advance(today: Today, forgotten: Sequence[str]) -> int:
    """Live a day of the tickets, and hand its files of changes to the outbox.

    Args:
        today: The day.
        forgotten: Customers whose tickets have to go.

    Returns:
        The number of changes.
    """
    draws = today.draws(Stream.LIVE_TICKETS)
    steps = _due(today)
    steps += _new(today, draws, today.volume.orders_on(today.number) * _TICKETS_PERCENT // 100)
    changes = _take(today, draws, sorted(steps), new="c")
    changes += _take(today, draws, _of_forgotten(today, forgotten), new="c")
    middle = (len(changes) + 1) // 2
    _post(today, [changes[:middle], changes[middle:]])
    return len(changes)


def _take(today: Today, draws: Draws, steps: Sequence[_Step], *, new: str) -> list[Change]:
    """Take steps in their order, and give the changes that they are."""
    changes = []
    lsn = int(database.value(today.connection, "lsn"))
    for step in steps:
        before = _ticket(today, step.ticket)
        if before is None and step.row is None:
            continue  # Its customer was forgotten meanwhile.
        after = step.row
        if before is not None and step.status != _DELETED:
            moved = {"status": step.status, "updated_at": iso(today.midnight + step.second)}
            after = {**before, **moved}
        op = new if before is None else "u" if after else "d"
        _write(today, step.ticket, after)
        lsn += 8 * (1 + _one(draws, 16))
        changes.append(Change(op, before, after, lsn, (today.midnight + step.second) * 1_000))
    database.set_value(today.connection, "lsn", lsn)
    return changes


def _write(today: Today, ticket: str, row: Row | None) -> None:
    if row is None:
        today.connection.execute("DELETE FROM _tickets WHERE ticket_id = ?", [ticket])
        today.bury("tickets", [ticket])
        return
    marks = ", ".join("?" for _ in COLUMNS)
    today.connection.execute(
        f"INSERT OR REPLACE INTO _tickets ({', '.join(COLUMNS)}) VALUES ({marks})",
        [row[column] for column in COLUMNS],
    )


def _ticket(today: Today, ticket: str) -> Row | None:
    row = today.connection.execute(
        f"SELECT {', '.join(COLUMNS)} FROM _tickets WHERE ticket_id = ?", [ticket]
    ).fetchone()
    return dict(zip(COLUMNS, row, strict=True)) if row else None


def _due(today: Today) -> list[_Step]:
    """The steps of the day that were planned before it."""
    rows = today.connection.execute(
        "SELECT second, ticket_id, status FROM _ticket_steps WHERE day = ?", [today.number]
    ).fetchall()
    today.connection.execute("DELETE FROM _ticket_steps WHERE day = ?", [today.number])
    return [_Step(*row) for row in rows]


def _of_forgotten(today: Today, forgotten: Sequence[str]) -> list[_Step]:
    """The deletion of the tickets of forgotten customers, at the end of the day."""
    return [
        _Step(LAST_SECOND, ticket, _DELETED)
        for customer in forgotten
        for (ticket,) in today.connection.execute(
            "SELECT ticket_id FROM _tickets WHERE customer_id = ? ORDER BY ticket_id", [customer]
        ).fetchall()
    ]


def _new(today: Today, draws: Draws, wanted: int) -> list[_Step]:
    """New tickets, with the steps of their later days written down."""
    size = _LEAST_TICKETS + wanted
    orders = today.connection.execute(
        "SELECT o.order_id, o.customer_id FROM orders AS o JOIN customers USING (customer_id)"
        " ORDER BY o.order_id DESC LIMIT ?",
        [_RECENT_ORDERS],
    ).fetchall()
    customers = today.connection.execute(
        "SELECT customer_id FROM customers ORDER BY customer_id"
    ).fetchall()
    first = int(database.value(today.connection, "next_ticket"))
    database.set_value(today.connection, "next_ticket", first + size)
    topics = list(_SUBJECTS)
    steps = []
    for number, second in enumerate(sorted(draws.below(size, LAST_SECOND).tolist()), start=first):
        topic = topics[_one(draws, len(topics))]
        about = orders[_one(draws, len(orders))] if orders else None
        if about is None or _one(draws, _WITH_ORDER_EVERY) == 0:
            about = (None, *customers[_one(draws, len(customers))])
        at = iso(today.midnight + second)
        row: Row = {
            "ticket_id": f"T{number:06d}",
            "customer_id": about[1],
            "order_id": about[0],
            "topic": topic,
            "subject": _SUBJECTS[topic][_one(draws, len(_SUBJECTS[topic]))],
            "priority": _PRIORITIES[_one(draws, len(_PRIORITIES))],
            "status": _OPEN,
            "opened_at": at,
            "updated_at": at,
        }
        steps.append(_Step(second, f"T{number:06d}", _OPEN, row))
        _plan(today, draws, f"T{number:06d}")
    return steps


def _plan(today: Today, draws: Draws, ticket: str) -> None:
    """Write down what will happen to a ticket."""
    day = today.number + 1
    if _one(draws, _SPAM_EVERY) == 0:
        steps = [(day, _DELETED)]
    else:
        solved = day + _one(draws, 3)
        steps = [(day, _PENDING), (solved, _SOLVED), (solved + 2, _CLOSED)]
    # Mornings, afternoons and evenings: two steps of a day keep their order.
    part = LAST_SECOND // 3
    today.connection.executemany(
        "INSERT INTO _ticket_steps VALUES (?, ?, ?, ?)",
        [
            (day, index * part + _one(draws, part), ticket, status)
            for index, (day, status) in enumerate(steps)
        ],
    )


def _one(draws: Draws, bound: int) -> int:
    return int(draws.below(1, bound)[0])


def _post(today: Today, parts: Sequence[Sequence[Change]]) -> None:
    """Hand the day's files to the outbox, with what the misbehaviours make of them."""
    envelope = Envelope(
        COLUMNS[0], COLUMNS, ("order_id",), with_schema=today.parameters.ticket_schema
    )
    messages = [[b"".join(envelope.lines(change)) for change in part] for part in parts]
    lsns = [[change.lsn for change in part] for part in parts]
    if "late" in today.acting:
        # It comes in the day's last file, after changes that were made later.
        messages[-1].append(messages[0].pop())
        today.note("late", "tickets", 1, lsns=[lsns[0][-1]])
    if "dup" in today.acting:
        repeated = messages[0][::_REPEATED_EVERY]
        messages[0].extend(repeated)
        messages.append(list(messages[0]))
        first = _next_file(today)
        today.note(
            "dup",
            "tickets",
            len(repeated) + len(messages[0]),
            lsns=lsns[0][::_REPEATED_EVERY],
            repeated_file=_name(first),
            again_as=_name(first + len(parts)),
        )
    if "garbage" in today.acting:
        # The writer broke off and wrote the line once more: nothing is lost.
        whole = messages[0][-1].splitlines()[0]
        messages[0].insert(-1, whole[: len(whole) // 2] + b"\n")
        today.note(
            "garbage",
            "tickets",
            1,
            file=_name(_next_file(today)),
            line=sum(message.count(b"\n") for message in messages[0][:-2]) + 1,
        )
    for part in messages:
        number = _next_file(today)
        database.set_value(today.connection, "next_file", number + 1)
        today.post(_name(number), b"".join(part))


def _next_file(today: Today) -> int:
    return int(database.value(today.connection, "next_file"))


def _name(number: int) -> str:
    return f"{FOLDER}/{number:08d}.ndjson"
