"""The living shop's orders: placed, moved on from day to day, a few deleted.

Belongs here: the rows of `orders`, when their status moves, which are test orders, and how the
misbehaviours look in that table. Does not belong here: who orders what (`demo/orders.py`).

All that will happen to an order is decided on the day on which it comes in, as steps of later
days; so a day reads no more than its own steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from platform_assets.demo.customers import DAY_SECONDS, Customers
from platform_assets.demo.live.database import ORDER_COLUMNS, order_columns
from platform_assets.demo.live.today import LAST_SECOND, Today, fields_of, plain
from platform_assets.demo.order_rows import (
    CANCELLED,
    DELIVERED,
    PAID,
    PLACED,
    RETURNED,
    RULES,
    SHIPPED,
    STATUSES,
    OrderKind,
    OrderRows,
    OrderText,
)
from platform_assets.demo.orders import MOST_DAYS_BETWEEN, Orders
from platform_assets.demo.products import Products
from platform_assets.demo.streams import Int64s, Stream
from platform_assets.demo.text import identifiers

DRIFT_COLUMN = "gift_note"
"""The column that `drift` adds."""

DELETED = "deleted"
"""The step that ends a test order; no status of an order."""

_TEST_ORDER_EVERY = 40
_LATE_EVERY = 10
_GIFT_EVERY = 5
_GIFT_NOTE = "Happy birthday!"


@dataclass(frozen=True)
class SalesDay:
    """What happened to the table on a day.

    Args:
        inserted: Orders that came in.
        updated: Orders whose status moved.
        deleted: Test orders that were deleted.
    """

    inserted: int
    updated: int
    deleted: int


def advance(today: Today, customers: Customers, products: Products) -> SalesDay:
    """Live a day of the table.

    Args:
        today: The day.
        customers: Who orders.
        products: What can be ordered, at the prices of the day.
    """
    _alter(today)
    updated = _take_steps(today)
    deleted = _delete_test_orders(today)
    arrived = _let_arrive(today)
    placed = _place(today, customers, products)
    return SalesDay(inserted=placed + arrived, updated=updated, deleted=deleted)


def _alter(today: Today) -> None:
    """Add the column of `drift` where it is asked for, and drop it where it is not."""
    wanted = "drift" in today.acting
    if wanted == (DRIFT_COLUMN in order_columns(today.connection)):
        return
    change = f"ADD COLUMN {DRIFT_COLUMN} TEXT" if wanted else f"DROP COLUMN {DRIFT_COLUMN}"
    today.connection.execute(f"ALTER TABLE orders {change}")
    key = "added" if wanted else "dropped"
    today.note("drift", "orders", 0, **{key: DRIFT_COLUMN})


def _take_steps(today: Today) -> int:
    """Move the status of the orders whose day it is."""
    moved = today.connection.execute(
        "UPDATE orders SET status = step.status, updated_at = step.at FROM _order_steps AS step"
        " WHERE step.day = ? AND step.status <> ? AND step.order_id = orders.order_id",
        [today.number, DELETED],
    ).rowcount
    return int(moved)


def _delete_test_orders(today: Today) -> int:
    found = today.connection.execute(
        "SELECT order_id FROM _order_steps WHERE day = ? AND status = ? ORDER BY order_id",
        [today.number, DELETED],
    ).fetchall()
    today.bury("orders", [order for (order,) in found])
    today.connection.executemany("DELETE FROM orders WHERE order_id = ?", found)
    today.connection.execute("DELETE FROM _order_steps WHERE day = ?", [today.number])
    return len(found)


def _let_arrive(today: Today) -> int:
    columns = ", ".join(ORDER_COLUMNS)
    arrived = today.connection.execute(
        f"INSERT INTO orders ({columns}) SELECT {columns} FROM _orders_withheld WHERE day = ?",
        [today.number],
    ).rowcount
    today.connection.execute("DELETE FROM _orders_withheld WHERE day = ?", [today.number])
    return int(arrived)


def _place(today: Today, customers: Customers, products: Products) -> int:
    rows, fate = _new_rows(today, customers, products)
    delay = _delays(today, rows)
    fields = fields_of(OrderText(products).lines(rows))
    marks = ", ".join("?" for _ in ORDER_COLUMNS)
    columns = ", ".join(ORDER_COLUMNS)
    in_time = [row for row, days in zip(fields, delay, strict=True) if not days]
    today.connection.executemany(f"INSERT INTO orders ({columns}) VALUES ({marks})", in_time)
    today.connection.executemany(
        f"INSERT INTO _orders_withheld (day, {columns}) VALUES (?, {marks})",
        [(today.number + int(days), *row) for row, days in zip(fields, delay, strict=True) if days],
    )
    _note_dirt(today, rows)
    _note_late(today, rows, delay)
    _plan(today, rows, fate, delay)
    if "drift" in today.acting:
        today.connection.executemany(
            f"UPDATE orders SET {DRIFT_COLUMN} = ? WHERE order_id = ?",
            [(_GIFT_NOTE, row[0]) for row in in_time[::_GIFT_EVERY]],
        )
    return len(in_time)


def _new_rows(today: Today, customers: Customers, products: Products) -> tuple[OrderRows, Int64s]:
    """The orders of the day as they are placed, and the status in which each will end."""
    desk = Orders(today.parameters.shop(), today.volume, customers, products)
    rows, _ = desk.rows(today.number, OrderRows.nothing())
    # Who asked to be forgotten orders no more.
    gone = np.array([int(each[1:]) for each in today.buried("customers")], dtype=np.int64)
    rows = rows[~np.isin(rows.customer, gone)]
    fate = rows.status.astype(np.int64)
    return replace(rows, status=np.full(len(rows), PLACED, dtype=np.uint8)), fate


def _delays(today: Today, rows: OrderRows) -> Int64s:
    """The days after which each order comes in: 0, but for `late` ones."""
    delay = np.zeros(len(rows), dtype=np.int64)
    clean = np.flatnonzero(rows.kind == OrderKind.CLEAN)
    if "late" not in today.acting or len(clean) == 0:
        return delay
    draws = today.draws(Stream.LIVE_LATE)
    late = clean[draws.distinct(-(-len(clean) // _LATE_EVERY), len(clean))]
    delay[late] = 1 + draws.below(len(late), MOST_DAYS_BETWEEN)
    # A version is made when the shop gets to know of it.
    rows.updated[late] = (
        today.midnight + delay[late] * DAY_SECONDS + draws.below(len(late), LAST_SECOND)
    )
    return delay


def _note_dirt(today: Today, rows: OrderRows) -> None:
    dirty = np.flatnonzero(rows.kind != OrderKind.CLEAN)
    today.connection.executemany(
        "INSERT INTO _order_dirt VALUES (?, ?)",
        [
            (order, RULES[OrderKind(kind)])
            for order, kind in zip(_ids(rows.number[dirty]), rows.kind[dirty], strict=True)
        ],
    )


def _note_late(today: Today, rows: OrderRows, delay: Int64s) -> None:
    late = np.flatnonzero(delay)
    if len(late):
        arrives = dict(zip(_ids(rows.number[late]), delay[late].tolist(), strict=True))
        today.note("late", "orders", len(late), arrives_after_days=arrives)


def _plan(today: Today, rows: OrderRows, fate: Int64s, delay: Int64s) -> None:
    """Write down what will happen to the day's clean orders; dirty ones stay as they are."""
    draws = today.draws(Stream.LIVE_ORDERS)
    size = len(rows)
    test = draws.below(size, _TEST_ORDER_EVERY) == 0
    paid = today.number + delay + 1 + draws.below(size, 2)
    shipped = paid + 1 + draws.below(size, 2)
    delivered = shipped + 1 + draws.below(size, 3)
    returned = delivered + 2 + draws.below(size, 6)
    unpaid = (fate == CANCELLED) & (draws.below(size, 2) == 0)
    clean = rows.kind == OrderKind.CLEAN
    lives = clean & ~test
    steps = (
        (clean & test, DELETED, paid),
        (lives & unpaid, STATUSES[CANCELLED], paid),
        (lives & ~unpaid, STATUSES[PAID], paid),
        (lives & ~unpaid & (fate == CANCELLED), STATUSES[CANCELLED], shipped),
        (lives & (fate != CANCELLED), STATUSES[SHIPPED], shipped),
        (lives & (fate != CANCELLED), STATUSES[DELIVERED], delivered),
        (lives & (fate == RETURNED), STATUSES[RETURNED], returned),
    )
    midnight = today.midnight - today.number * DAY_SECONDS
    for chosen, status, day in steps:
        days = day[chosen].tolist()
        seconds = draws.below(len(days), LAST_SECOND).tolist()
        today.connection.executemany(
            "INSERT INTO _order_steps VALUES (?, ?, ?, ?)",
            [
                (number, order, status, plain(midnight + number * DAY_SECONDS + second))
                for number, order, second in zip(
                    days, _ids(rows.number[chosen]), seconds, strict=True
                )
            ],
        )


def _ids(numbers: Int64s) -> list[str]:
    ids: list[str] = identifiers("O", numbers, 9).to_pylist()
    return ids
