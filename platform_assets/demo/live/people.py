"""The living shop's customers: they sign up, change, and some ask to be forgotten.

Belongs here: the rows of `customers`. Does not belong here: who a person is
(`demo/customers.py`).

Only people who never ordered anything are forgotten: the orders of the others have to be kept,
and keep their customer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from platform_assets.demo.customers import COLUMNS, CustomerKind, CustomerRows, Customers
from platform_assets.demo.live.today import FOUNDING_DAY, Today, fields_of
from platform_assets.demo.streams import Stream

_FLIPS_EVERY = 4
_FORGOTTEN_EVERY_DAYS = 2
_ORDERS_PER_FORGOTTEN = 200


@dataclass(frozen=True)
class PeopleDay:
    """What happened to the table on a day.

    Args:
        inserted: Customers who signed up.
        updated: Customers who changed.
        forgotten: The ids of those who are no more.
    """

    inserted: int
    updated: int
    forgotten: tuple[str, ...]


def found(today: Today, customers: Customers) -> None:
    """Take in the customers that the shop has before its first day.

    Args:
        today: The day of the founding.
        customers: The customers.
    """
    rows = customers.rows(FOUNDING_DAY + 1)
    first_day = today.parameters.shop().midnight
    _insert(today, customers, rows[: int(np.count_nonzero(rows.signed_up < first_day))])


def advance(today: Today, customers: Customers) -> PeopleDay:
    """Live a day of the table; after the day's orders, which tell who never ordered.

    Args:
        today: The day.
        customers: The customers.
    """
    rows = customers.rows(today.number)
    new = (rows.kind == CustomerKind.NEW) & (rows.signed_up >= today.midnight)
    inserted = _insert(today, customers, rows[new])
    updated = _update(today, customers, rows[rows.kind == CustomerKind.UPDATE])
    return PeopleDay(inserted, updated, _forget(today))


def _insert(today: Today, customers: Customers, rows: CustomerRows) -> int:
    marks = ", ".join("? = 'true'" if name == "consent" else "?" for name in COLUMNS)
    today.connection.executemany(
        f"INSERT INTO customers ({', '.join(COLUMNS)}) VALUES ({marks})",
        fields_of(customers.lines(rows)),
    )
    return len(rows)


def _update(today: Today, customers: Customers, rows: CustomerRows) -> int:
    """Change who is still there: the phone, the country of some, the consent of some."""
    flips = today.draws(Stream.LIVE_CUSTOMERS).below(len(rows), _FLIPS_EVERY) == 0
    columns = [COLUMNS.index(name) for name in ("phone", "country", "updated_at", "customer_id")]
    changed = 0
    for fields, flip in zip(fields_of(customers.lines(rows)), flips.tolist(), strict=True):
        changed += today.connection.execute(
            "UPDATE customers SET consent = CASE WHEN ? THEN 1 - consent ELSE consent END,"
            " phone = ?, country = ?, updated_at = ? WHERE customer_id = ?",
            [flip, *(fields[column] for column in columns)],
        ).rowcount
    return changed


def _forget(today: Today) -> tuple[str, ...]:
    if today.number % _FORGOTTEN_EVERY_DAYS == 0:
        return ()
    wanted = 1 + today.parameters.orders_per_day // _ORDERS_PER_FORGOTTEN
    candidates = [
        customer
        for (customer,) in today.connection.execute(
            "SELECT customer_id FROM customers WHERE customer_id NOT IN ("
            "  SELECT customer_id FROM orders WHERE customer_id IS NOT NULL"
            "  UNION ALL SELECT customer_id FROM _orders_withheld WHERE customer_id IS NOT NULL"
            ") ORDER BY customer_id"
        )
    ]
    draws = today.draws(Stream.LIVE_CUSTOMERS)
    chosen = draws.distinct(min(wanted, len(candidates)), len(candidates)).tolist()
    forgotten = tuple(sorted(candidates[position] for position in chosen))
    today.bury("customers", forgotten)
    today.connection.executemany(
        "DELETE FROM customers WHERE customer_id = ?", [(each,) for each in forgotten]
    )
    return forgotten
