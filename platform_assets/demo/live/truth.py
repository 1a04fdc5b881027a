"""The truth about a living shop: what it holds now, counted by itself.

Belongs here: the figures, and how they are counted from the shop's own state. Does not belong
here: anything that a reader of the shop made of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from platform_assets.demo.live import injections
from platform_assets.demo.live.catalogue import first_products, money
from platform_assets.demo.live.injections import Injection
from platform_assets.demo.live.today import Today
from platform_assets.demo.rates import DirtRates


@dataclass(frozen=True)
class DayOrders:
    """Orders of one day of `ordered_at`.

    Args:
        orders: Their number.
        total: The sum of their `total_amount`, whatever the currency, as a decimal.
    """

    orders: int
    total: str


@dataclass(frozen=True)
class Effect:
    """What a misbehaviour did on a day.

    Args:
        day: The date of the day.
        name: The misbehaviour.
        place: `orders`, `tickets`, `marketing` or `marketing flag`.
        rows: The rows, messages or files that it touched.
        detail: Where to find them.
    """

    day: str
    name: str
    place: str
    rows: int
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class LiveTruth:
    """What a living shop holds after the days that it lived.

    Args:
        days: The number of days that it lived.
        last_day: The last of them; None before the first.
        orders: Rows of `orders`.
        orders_total: The sum of their `total_amount`, as a decimal.
        orders_by_day: The same by day of `ordered_at`.
        orders_by_status: Rows of `orders` by `status`.
        orders_by_rule: Dirty rows of `orders` by the contract's rule that they break.
        customers: Rows of `customers`.
        products: Products that the API gives.
        products_by_rule: Dirty products by the contract's rule that they break.
        tickets: Tickets that are not deleted.
        tickets_by_status: The same by `status`.
        marketing_events: Different events of each day's folder that lies there.
        deleted: Ids that are no more, by `orders`, `customers` and `tickets`.
        withheld: Rows that are still to arrive, by `orders` and `marketing`; files by
            `marketing flag`.
        rates: How dirty the orders and products are.
        injections: What was asked for, with its days.
        effects: What that did in tables and files; the API's part is not noted.
    """

    days: int
    last_day: date | None
    orders: int
    orders_total: str
    orders_by_day: dict[str, DayOrders]
    orders_by_status: dict[str, int]
    orders_by_rule: dict[str, int]
    customers: int
    products: int
    products_by_rule: dict[str, int]
    tickets: int
    tickets_by_status: dict[str, int]
    marketing_events: dict[str, int]
    deleted: dict[str, tuple[str, ...]]
    withheld: dict[str, int]
    rates: DirtRates
    injections: tuple[Injection, ...]
    effects: tuple[Effect, ...]

    def to_json(self) -> str:
        """The truth as a JSON document."""
        return json.dumps(asdict(self), default=str, indent=2, sort_keys=True) + "\n"


# The texts are exact decimals of two places: without the point they are whole cents.
_CENTS = "coalesce(sum(CAST(replace(total_amount, '.', '') AS INTEGER)), 0)"


def count(connection: sqlite3.Connection, today: Today) -> LiveTruth:
    """Count the shop's tables.

    Args:
        connection: A connection of the shop, in a transaction: one state for all figures.
        today: The day that comes next.
    """

    def one(query: str) -> int:
        (number,) = connection.execute(query).fetchone()
        return int(number)

    def groups(query: str) -> dict[str, int]:
        return {str(key): int(number) for key, number in connection.execute(query)}

    by_day = connection.execute(
        f"SELECT substr(ordered_at, 1, 10), count(*), {_CENTS} FROM orders GROUP BY 1 ORDER BY 1"
    )
    days = today.number
    return LiveTruth(
        days=days,
        last_day=today.date - timedelta(days=1) if days else None,
        orders=one("SELECT count(*) FROM orders"),
        orders_total=money(one(f"SELECT {_CENTS} FROM orders")),
        orders_by_day={day: DayOrders(rows, money(cents)) for day, rows, cents in by_day},
        orders_by_status=groups("SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 1"),
        orders_by_rule=groups(
            "SELECT rule, count(*) FROM _order_dirt JOIN orders USING (order_id)"
            " GROUP BY 1 ORDER BY 1"
        ),
        customers=one("SELECT count(*) FROM customers"),
        products=one("SELECT count(*) FROM _catalogue"),
        products_by_rule=first_products(today).by_rule(),
        tickets=one("SELECT count(*) FROM _tickets"),
        tickets_by_status=groups("SELECT status, count(*) FROM _tickets GROUP BY 1 ORDER BY 1"),
        marketing_events=groups("SELECT date, events FROM _marketing ORDER BY 1"),
        deleted={place: tuple(today.buried(place)) for place in ("customers", "orders", "tickets")},
        withheld={
            "orders": one("SELECT count(*) FROM _orders_withheld"),
            "marketing": one("SELECT count(*) FROM _events_withheld"),
            "marketing flag": one("SELECT count(*) FROM _outbox"),
        },
        rates=today.parameters.rates,
        injections=tuple(injections.all_of(connection)),
        effects=tuple(
            Effect(
                day=(today.parameters.start + timedelta(days=day)).isoformat(),
                name=name,
                place=place,
                rows=rows,
                detail=json.loads(detail),
            )
            for day, name, place, rows, detail in connection.execute(
                "SELECT day, name, place, rows, detail FROM _effects ORDER BY day, name, place"
            )
        ),
    )
