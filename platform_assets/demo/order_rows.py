"""Rows of an order file as numbers, and the same rows as text.

Belongs here: the columns of an order, its vocabularies, what each kind of dirt looks like in the
file. Does not belong here: which orders there are, and which of them are dirty (`orders.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.demo import text
from platform_assets.demo.customers import COUNTRIES, customer_ids
from platform_assets.demo.products import CURRENCIES, Products
from platform_assets.demo.streams import Int64s

Bytes: TypeAlias = npt.NDArray[np.uint8]

COLUMNS = (
    "order_id",
    "customer_id",
    "product_id",
    "quantity",
    "unit_price",
    "total_amount",
    "currency",
    "status",
    "channel",
    "country",
    "ordered_at",
    "updated_at",
)

STATUSES = ("placed", "paid", "shipped", "delivered", "returned", "cancelled")
PLACED, PAID, SHIPPED, DELIVERED, RETURNED, CANCELLED = range(len(STATUSES))
CHANNELS = ("web", "app", "store", "phone")


class OrderKind(IntEnum):
    """What a row of an order file is; each has exactly one kind."""

    CLEAN = 0
    NULL_KEY = 1
    NULL_CUSTOMER = 2
    WRONG_TYPE = 3
    BAD_DATE = 4
    NEGATIVE_TOTAL = 5
    UNKNOWN_STATUS = 6
    ORPHAN = 7
    LATE = 8
    DUPLICATE = 9  # the copy; the row that it copies is clean
    SUPERSEDED = 10  # a newer version follows in the same file
    IN_FILE_UPDATE = 11  # that newer version
    CROSS_DAY_UPDATE = 12


RULES = {
    OrderKind.NULL_KEY: "order_id__not_null",
    OrderKind.NULL_CUSTOMER: "customer_id__not_null",
    OrderKind.WRONG_TYPE: "quantity__castable",
    OrderKind.BAD_DATE: "ordered_at__castable",
    OrderKind.NEGATIVE_TOTAL: "total_amount__ge",
    OrderKind.UNKNOWN_STATUS: "status__isin",
    OrderKind.ORPHAN: "customer_id__references_customers",
}
"""The contract's rule that a row of each dirty kind breaks."""

DEDUPLICATED = (OrderKind.DUPLICATE, OrderKind.SUPERSEDED)
"""The kinds of clean rows that a newer or equal row of the same file replaces."""

_SPOILT_FIELDS: dict[OrderKind, tuple[str, tuple[str, ...]]] = {
    OrderKind.NULL_KEY: ("order_id", ("",)),
    OrderKind.NULL_CUSTOMER: ("customer_id", ("",)),
    OrderKind.WRONG_TYPE: ("quantity", ("two", "n/a", "1.5")),
    OrderKind.BAD_DATE: (
        "ordered_at",
        ("2025-02-30 10:00:00", "2025-13-01 10:00:00", "2025-06-31 25:00:00"),
    ),
    OrderKind.UNKNOWN_STATUS: ("status", ("unknown", "refunded", "on_hold")),
}
"""The field that a kind of dirt spoils, and what stands there instead of its value."""


@dataclass(frozen=True)
class OrderRows:
    """Rows of order files, as numbers; an array for each column.

    Args:
        number: The order number.
        customer: The customer number.
        product: The position of the product in the catalogue.
        quantity: Pieces.
        currency: Index into `CURRENCIES`.
        status: Index into `STATUSES`.
        channel: Index into `CHANNELS`.
        country: Index into `COUNTRIES`.
        ordered: Seconds since 1970.
        updated: Seconds since 1970.
        kind: An `OrderKind`.
    """

    number: Int64s
    customer: Int64s
    product: Int64s
    quantity: Int64s
    currency: Bytes
    status: Bytes
    channel: Bytes
    country: Int64s
    ordered: Int64s
    updated: Int64s
    kind: Bytes

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.number)

    def __getitem__(self, index: Int64s | npt.NDArray[np.bool_] | slice) -> OrderRows:
        """The rows of an index, a mask or a slice."""
        return OrderRows(*(getattr(self, column.name)[index] for column in fields(self)))

    @classmethod
    def nothing(cls) -> OrderRows:
        """No rows at all."""
        numbers, codes = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8)
        return cls(
            number=numbers,
            customer=numbers,
            product=numbers,
            quantity=numbers,
            currency=codes,
            status=codes,
            channel=codes,
            country=numbers,
            ordered=numbers,
            updated=numbers,
            kind=codes,
        )

    @classmethod
    def concatenated(cls, parts: Sequence[OrderRows]) -> OrderRows:
        """The rows of all parts, in order."""
        return cls(
            *(
                np.concatenate([getattr(part, column.name) for part in parts])
                for column in fields(cls)
            )
        )

    def cents(self, products: Products) -> Int64s:
        """The total amount of each row in hundredths of its currency, before any dirt."""
        return self.quantity * products.prices()[self.product, self.currency]


class OrderText:
    """Writes order rows as text.

    Args:
        products: The catalogue that the orders refer to.
    """

    def __init__(self, products: Products) -> None:
        """Write down the ids and prices once."""
        self._products = products
        self._product_ids = products.ids()
        self._unit_prices = text.amounts(products.prices().ravel())

    def lines(self, rows: OrderRows) -> Iterator[memoryview]:
        """The rows as the lines of their file, without its header."""
        for span in text.spans(len(rows)):
            yield self._lines(rows[span])

    def _lines(self, rows: OrderRows) -> memoryview:
        cents = rows.cents(self._products)
        cents = np.where(rows.kind == OrderKind.NEGATIVE_TOTAL, -cents, cents)
        price = rows.product * len(CURRENCIES) + rows.currency
        columns = {
            "order_id": text.identifiers("O", rows.number, 9),
            "customer_id": customer_ids(rows.customer),
            "product_id": text.pick_words(self._product_ids, rows.product),
            "quantity": text.integers(rows.quantity),
            "unit_price": text.pick_words(self._unit_prices, price),
            "total_amount": text.amounts(cents),
            "currency": text.pick_words(_CURRENCY_WORDS, rows.currency),
            "status": text.pick_words(_STATUS_WORDS, rows.status),
            "channel": text.pick_words(_CHANNEL_WORDS, rows.channel),
            "country": text.pick_words(_COUNTRY_WORDS, rows.country),
            "ordered_at": text.times(rows.ordered),
            "updated_at": text.times(rows.updated),
        }
        for kind, (column, values) in _SPOILT_FIELDS.items():
            mask = rows.kind == kind
            if mask.any():
                spoilt = text.pick_words(text.words(values), rows.number[mask] % len(values))
                columns[column] = pc.replace_with_mask(columns[column], pa.array(mask), spoilt)
        return text.lines({name: columns[name] for name in COLUMNS})


_CURRENCY_WORDS = text.words(CURRENCIES)
_STATUS_WORDS = text.words(STATUSES)
_CHANNEL_WORDS = text.words(CHANNELS)
_COUNTRY_WORDS = text.words(COUNTRIES)
