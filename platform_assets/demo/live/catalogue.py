"""The living shop's products: launched one by one, repriced, taken off sale and put back.

Belongs here: the catalogue as it is today, and a product as a JSON document. Does not belong
here: how it is served (`api.py`), the names and first prices (`demo/products.py`).
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from platform_assets.demo.live.today import FOUNDING_DAY, Today, iso
from platform_assets.demo.products import COLUMNS, CURRENCIES, Products
from platform_assets.demo.streams import Draws, Int64s, Stream

DRIFT_FIELD = "dimensions.weight_g"
"""The field that `drift` turns from a number into a string."""

_TAGS = ("new", "gift", "bestseller", "fragile", "eco", "seasonal")
_LAUNCHED_LATER_EVERY = 10
_LAST_LAUNCH_DAY = 30
_REPRICED_EVERY = 33
_LEAST_PRICE = 100
_OPENING_SECOND = 300
"""Prices change in the first minutes of a day: the day's orders are at the new ones."""


def first_products(today: Today) -> Products:
    """The catalogue with the prices of the founding, whatever the day.

    Args:
        today: Any day.
    """
    parameters = today.parameters
    return Products.make(parameters.seed, parameters.volume().products, parameters.rates)


def found(today: Today) -> None:
    """Take in the products that the shop has before its first day.

    Args:
        today: The day of the founding.
    """
    _launch(today)


def advance(today: Today) -> int:
    """Live a day of the catalogue.

    Args:
        today: The day.

    Returns:
        The number of products that changed or are new.
    """
    launched = _launch(today)
    draws = today.draws(Stream.LIVE_PRODUCTS)
    clean = first_products(today).clean
    there = [
        position
        for (position,) in today.connection.execute(
            "SELECT position FROM _catalogue WHERE position < ? ORDER BY position", [clean]
        )
    ]
    size = -(-len(there) // _REPRICED_EVERY)
    repriced = draws.distinct(size, len(there)).tolist()
    percent = (85 + draws.below(size, 31)).tolist()
    seconds = draws.below(size + 1, _OPENING_SECOND).tolist()
    today.connection.executemany(
        "UPDATE _catalogue SET price = max(?, price * ? / 100), updated_at = ? WHERE position = ?",
        [
            (_LEAST_PRICE, share, iso(today.midnight + second), there[index])
            for share, second, index in zip(percent, seconds[1:], repriced, strict=True)
        ],
    )
    # The first product is always on sale: there is always something to sell.
    switched = there[1 + int(draws.below(1, len(there) - 1)[0])]
    today.connection.execute(
        "UPDATE _catalogue SET active = 1 - active, updated_at = ? WHERE position = ?",
        [iso(today.midnight + seconds[0]), switched],
    )
    return launched + len({switched, *(there[index] for index in repriced)})


def on_sale(today: Today) -> Products:
    """The catalogue for the order desk: today's prices, and what is not launched not active.

    Args:
        today: The day.
    """
    products = first_products(today)
    price, active = products.price.copy(), np.zeros(len(products), dtype=np.bool_)
    for position, now, sold in today.connection.execute(
        "SELECT position, price, active FROM _catalogue"
    ):
        price[position], active[position] = now, bool(sold)
    return replace(products, price=price, active=active)


def _launch(today: Today) -> int:
    products = first_products(today)
    due = np.flatnonzero(_launch_days(today, products) == today.number)
    names = list(csv.reader(io.StringIO(bytes(products.lines()).decode("utf-8"), newline="")))
    draws = today.draws(Stream.LIVE_PRODUCTS)
    sizes = 20 + draws.below(4 * len(due), 600).reshape(-1, 4)
    tags = draws.below(len(due), 2 ** len(_TAGS)).tolist()
    seconds = draws.below(len(due), _OPENING_SECOND).tolist()
    for index, position in enumerate(due.tolist()):
        fields = dict(zip(COLUMNS, names[position], strict=True))
        width, height, depth, weight = sizes[index].tolist()
        body = {
            "product_id": fields["product_id"],
            "name": fields["name"] or None,
            "category": fields["category"],
            "cost": {"amount": fields["cost"], "currency": CURRENCIES[0]},
            "dimensions": {
                "width_mm": width,
                "height_mm": height,
                "depth_mm": depth,
                "weight_g": weight,
            },
            "tags": [tag for bit, tag in enumerate(_TAGS) if tags[index] >> bit & 1],
        }
        today.connection.execute(
            "INSERT INTO _catalogue VALUES (?, ?, ?, ?, ?)",
            [
                position,
                int(products.price[position]),
                bool(products.active[position]),
                iso(today.midnight + seconds[index]),
                json.dumps(body, ensure_ascii=False),
            ],
        )
    return len(due)


def _launch_days(today: Today, products: Products) -> Int64s:
    """For each product the day of its launch, the same whenever it is asked for."""
    draws = Draws(today.parameters.seed, Stream.PRODUCTS, 1)
    later = draws.below(len(products), _LAUNCHED_LATER_EVERY) == 0
    day = draws.below(len(products), _LAST_LAUNCH_DAY)
    later[0] = False
    later[products.clean :] = False
    return np.where(later, day, FOUNDING_DAY).astype(np.int64)


def read(
    connection: sqlite3.Connection,
    *,
    updated_since: str = "",
    after: int = -1,
    offset: int = 0,
    limit: int = -1,
    drifted: bool = False,
) -> tuple[list[tuple[int, dict[str, Any]]], int]:
    """Products as documents, in the order of their ids.

    Args:
        connection: A connection of the shop.
        updated_since: Only products that changed at or after this time (`iso`).
        after: Only products at positions after this one.
        offset: The products to leave out at the beginning.
        limit: The most products to give; -1 for all.
        drifted: Whether `DRIFT_FIELD` is a string.

    Returns:
        Each product with its position, and the number of products without offset and limit.
    """
    where, values = "updated_at >= ? AND position > ?", [updated_since, after]
    (total,) = connection.execute(
        f"SELECT count(*) FROM _catalogue WHERE {where}", values
    ).fetchone()
    rows = connection.execute(
        f"SELECT position, price, active, updated_at, body FROM _catalogue WHERE {where}"
        " ORDER BY position LIMIT ? OFFSET ?",
        [*values, limit, offset],
    )
    return list(_documents(rows, drifted=drifted)), int(total)


def _documents(
    rows: Iterable[tuple[int, int, int, str, str]], *, drifted: bool
) -> Iterable[tuple[int, dict[str, Any]]]:
    for position, price, active, updated_at, body in rows:
        document: dict[str, Any] = json.loads(body)
        document["price"] = {"amount": money(price), "currency": CURRENCIES[0]}
        document["active"] = bool(active)
        document["updated_at"] = updated_at
        if drifted:
            outer, inner = DRIFT_FIELD.split(".")
            document[outer][inner] = str(document[outer][inner])
        yield position, document


def money(cents: int) -> str:
    """An amount in hundredths as an exact decimal."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
