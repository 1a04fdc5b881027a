"""The bookkeeping of a shop: counts what the generator decides, as it decides it.

Belongs here: the figures of a partition by its rows' kinds, and the running totals of the
business. Does not belong here: any reading of files; the tests count those independently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from platform_assets.demo import customers, order_rows
from platform_assets.demo.customers import DAY_SECONDS, CustomerKind
from platform_assets.demo.order_rows import CANCELLED, OrderKind, OrderRows
from platform_assets.demo.parameters import ShopParameters
from platform_assets.demo.products import CURRENCIES, Products
from platform_assets.demo.report import Business, PartitionTruth, Sales

KindT = TypeVar("KindT", bound=IntEnum)
Counts = npt.NDArray[np.integer[Any]]

_NEW_ORDERS = (OrderKind.CLEAN, OrderKind.LATE, OrderKind.IN_FILE_UPDATE)
"""The kinds of rows that are a file's newest version of an order of that file."""


def order_partition(
    kind: npt.NDArray[np.uint8], size: int, *, spoiled: bool = False
) -> PartitionTruth:
    """The figures of an order file.

    Args:
        kind: The `OrderKind` of each row.
        size: The size of the file in bytes.
        spoiled: Whether it is the file of a spoiled day.
    """
    rows = np.bincount(kind, minlength=len(OrderKind))
    return replace(
        _partition(rows, size, order_rows.RULES, order_rows.DEDUPLICATED),
        duplicates=int(rows[OrderKind.DUPLICATE]),
        in_file_updates=int(rows[OrderKind.SUPERSEDED]),
        cross_day_updates=int(rows[OrderKind.CROSS_DAY_UPDATE]),
        late=int(rows[OrderKind.LATE]),
        spoiled=spoiled,
    )


def customer_partition(kind: npt.NDArray[np.uint8], size: int) -> PartitionTruth:
    """The figures of a customer file.

    Args:
        kind: The `CustomerKind` of each row.
        size: The size of the file in bytes.
    """
    rows = np.bincount(kind, minlength=len(CustomerKind))
    return replace(
        _partition(rows, size, customers.RULES, customers.DEDUPLICATED),
        duplicates=int(rows[CustomerKind.DUPLICATE]),
        cross_day_updates=int(rows[CustomerKind.UPDATE]),
    )


def product_partition(products: Products, size: int) -> PartitionTruth:
    """The figures of the product file.

    Args:
        products: The catalogue.
        size: The size of the file in bytes.
    """
    by_rule = products.by_rule()
    return PartitionTruth(
        rows=len(products),
        bytes=size,
        cleaned=products.clean,
        quarantined=sum(by_rule.values()),
        deduplicated=0,
        by_rule=by_rule,
    )


def _partition(
    rows: Counts, size: int, rules: Mapping[KindT, str], replaced: Collection[KindT]
) -> PartitionTruth:
    by_rule = {rule: int(rows[kind]) for kind, rule in rules.items() if rows[kind]}
    total, quarantined = int(rows.sum()), sum(by_rule.values())
    deduplicated = sum(int(rows[kind]) for kind in replaced)
    return PartitionTruth(
        rows=total,
        bytes=size,
        cleaned=total - quarantined - deduplicated,
        quarantined=quarantined,
        deduplicated=deduplicated,
        by_rule=by_rule,
    )


class Books:
    """The running totals of the business, by day of `ordered_at` and currency.

    Args:
        parameters: The shop.
        products: The catalogue, for the prices.
    """

    def __init__(self, parameters: ShopParameters, products: Products) -> None:
        """Open the books, with nothing in them."""
        self._parameters = parameters
        self._products = products
        shape = (parameters.days, len(CURRENCIES))
        self._orders = np.zeros(shape, dtype=np.int64)
        self._cancelled = np.zeros(shape, dtype=np.int64)
        self._cents = np.zeros(shape, dtype=np.int64)

    def post(self, rows: OrderRows) -> None:
        """Enter the rows of an order file that is published."""
        new = np.isin(rows.kind, _NEW_ORDERS)
        gone = rows.status == CANCELLED
        self._enter(rows[new & ~gone], self._orders, 1)
        self._enter(rows[new & gone], self._cancelled, 1)
        # Of an update only this matters: no order is cancelled before its last version, and
        # nothing but the status changes.
        withdrawn = rows[(rows.kind == OrderKind.CROSS_DAY_UPDATE) & gone]
        self._enter(withdrawn, self._orders, -1)
        self._enter(withdrawn, self._cancelled, 1)

    def _enter(self, rows: OrderRows, account: npt.NDArray[np.int64], sign: int) -> None:
        day = (rows.ordered - self._parameters.midnight) // DAY_SECONDS
        where = (day, rows.currency)
        np.add.at(account, where, sign)
        if account is self._orders:
            np.add.at(self._cents, where, sign * rows.cents(self._products))

    def close(self, customer_count: int) -> Business:
        """The final figures.

        Args:
            customer_count: Different clean customers.
        """
        total = self._cents.sum(axis=0)
        return Business(
            orders=int(self._orders.sum() + self._cancelled.sum()),
            cancelled=int(self._cancelled.sum()),
            customers=customer_count,
            products=self._products.clean,
            total_amount={
                currency: _decimal(int(total[index])) for index, currency in enumerate(CURRENCIES)
            },
            sales={
                (self._parameters.start + timedelta(days=day)).isoformat(): self._sales(day)
                for day in range(self._parameters.days)
            },
        )

    def _sales(self, day: int) -> dict[str, Sales]:
        return {
            currency: Sales(
                orders=int(self._orders[day, index]),
                cancelled=int(self._cancelled[day, index]),
                total=_decimal(int(self._cents[day, index])),
            )
            for index, currency in enumerate(CURRENCIES)
            if self._orders[day, index] or self._cancelled[day, index]
        }


def _decimal(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
