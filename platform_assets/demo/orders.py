"""The shop's orders: which there are on a day, and which rows of its file are dirty.

Belongs here: the day's orders, the choice of dirty rows, updates and late rows. Does not belong
here: what a row looks like (`order_rows.py`), how many rows there are (`volume.py`).

Every update is planned on the day of its order, with the day on which it will arrive. So a day's
file needs nothing of the earlier days but these few rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from platform_assets.demo.customers import (
    DAY_SECONDS,
    Customers,
    customer_numbers,
    reserved_numbers,
)
from platform_assets.demo.order_rows import (
    CANCELLED,
    PLACED,
    SHIPPED,
    OrderKind,
    OrderRows,
)
from platform_assets.demo.parameters import ShopParameters
from platform_assets.demo.products import Products
from platform_assets.demo.streams import Draws, Int64s, Stream, shares
from platform_assets.demo.volume import Volume, quotas

MOST_DAYS_BETWEEN = 3
"""The days by which a late row is late, and after which an update comes: 1 to this."""

SPOILT_PERCENT = 30
"""The share of unknown statuses in the file of a spoiled day."""

_LAST_ORDER_SECOND = 86_000
_LAST_UPDATE_SECOND = 86_100
_ORPHAN_NUMBERS = 9_999
_TWICE_EVERY = 4
_CANCELLED_EVERY = 4

_QUANTITIES = shares(0, 55, 20, 11, 6, 4, 2, 1, 1)
_CURRENCY_SHARES = shares(85, 10, 5)
_STATUS_SHARES = shares(14, 20, 22, 35, 3, 6)
_CHANNEL_SHARES = shares(55, 30, 10, 5)


@dataclass(frozen=True)
class Planned:
    """Rows that will stand in the files of later days.

    Args:
        rows: Newer versions of orders.
        day: For each row the day of its file, in days since the start of the shop.
    """

    rows: OrderRows
    day: Int64s

    @classmethod
    def nothing(cls) -> Planned:
        """No rows at all."""
        return cls(OrderRows.nothing(), np.empty(0, dtype=np.int64))

    def due(self, day: int) -> OrderRows:
        """The rows of the file of a day."""
        return self.rows[self.day == day]

    def after(self, day: int) -> Planned:
        """What is still to come after a day."""
        later = self.day > day
        return Planned(self.rows[later], self.day[later])

    def and_also(self, more: Planned) -> Planned:
        """These rows and more."""
        rows = OrderRows.concatenated([self.rows, more.rows])
        return Planned(rows, np.concatenate([self.day, more.day]))


class Orders:
    """The orders of one shop.

    Args:
        parameters: The shop: its seed, its first day and how dirty its files are.
        volume: How many orders and customers there are by when.
        customers: Who orders.
        products: What can be ordered.
    """

    def __init__(
        self,
        parameters: ShopParameters,
        volume: Volume,
        customers: Customers,
        products: Products,
    ) -> None:
        """Open the order desk."""
        self._seed = parameters.seed
        self._start = parameters.midnight
        self._rates = parameters.rates
        self._volume = volume
        self._customers = customers
        self._on_sale = products.on_sale()

    def spoiled(self, day: int) -> OrderRows:
        """The rows of the file of a spoiled day: its orders, many of an unknown status.

        Args:
            day: Days since the start of the shop.
        """
        rows = self._new(day)
        wrong = -(-len(rows) * SPOILT_PERCENT // 100)
        draws = Draws(self._seed, Stream.ORDER_SPOIL, day)
        rows.kind[draws.distinct(wrong, len(rows))] = OrderKind.UNKNOWN_STATUS
        return rows

    def rows(self, day: int, updates: OrderRows) -> tuple[OrderRows, Planned]:
        """The rows of a day's file, in its order, and the updates that it causes later.

        Args:
            day: Days since the start of the shop.
            updates: The rows that earlier days planned for this file.
        """
        rows = self._new(day)
        draws = Draws(self._seed, Stream.ORDER_DIRT, day)
        groups = self._chosen(day, draws, len(rows))
        for kind in (*_IN_PLACE, OrderKind.LATE, OrderKind.SUPERSEDED):
            rows.kind[groups[kind]] = kind
        self._make_orphans(rows, groups[OrderKind.ORPHAN], draws)
        self._make_late(rows, groups[OrderKind.LATE], day, draws)
        copied, replaced = groups[OrderKind.DUPLICATE], groups[OrderKind.SUPERSEDED]
        newer = self._newer_versions(rows, replaced, draws)
        planned = self._planned(rows, groups[OrderKind.CROSS_DAY_UPDATE], day, draws)
        copies = rows[copied]
        copies.kind[:] = OrderKind.DUPLICATE

        # A copy and a newer version come anywhere after their row, older orders' updates anywhere.
        following = np.concatenate([copied, replaced])
        places = np.concatenate(
            [
                following + 1 + draws.below(len(following), len(rows) - following),
                draws.below(len(updates), len(rows) + 1),
            ]
        )
        every = OrderRows.concatenated([rows, copies, newer, updates])
        order = np.insert(np.arange(len(rows)), places, np.arange(len(rows), len(every)))
        return every[order], planned

    def _new(self, day: int) -> OrderRows:
        """The new orders of a day, all clean."""
        volume = self._volume
        size = volume.orders_on(day)
        known_before, known = volume.customers_before(day), volume.customers_before(day + 1)
        draws = Draws(self._seed, Stream.ORDERS, day)
        ordinal = draws.skewed(size, known)
        customer = customer_numbers(ordinal)
        second = np.sort(draws.below(size, _LAST_ORDER_SECOND))
        # Nobody orders before signing up.
        signed_up_now = np.where(
            ordinal >= known_before, self._customers.sign_up_seconds(customer) + 60, 0
        )
        second = np.maximum(second, signed_up_now)
        updated = np.minimum(second + draws.below(size, 3_600), _LAST_UPDATE_SECOND)
        midnight = self._start + day * DAY_SECONDS
        return OrderRows(
            number=np.arange(1, size + 1, dtype=np.int64) + volume.orders_before(day),
            customer=customer,
            product=self._on_sale[draws.skewed(size, len(self._on_sale))],
            quantity=draws.pick(size, _QUANTITIES).astype(np.int64),
            currency=draws.pick(size, _CURRENCY_SHARES),
            status=draws.pick(size, _STATUS_SHARES),
            channel=draws.pick(size, _CHANNEL_SHARES),
            country=self._customers.countries(customer),
            ordered=midnight + second,
            updated=midnight + updated,
            kind=np.full(size, OrderKind.CLEAN, dtype=np.uint8),
        )

    def _chosen(self, day: int, draws: Draws, size: int) -> dict[OrderKind, Int64s]:
        """The positions of the orders that each kind of dirt takes; no order has two."""
        rates = self._rates
        # The order of the kinds is part of what a seed means.
        by_kind = {
            OrderKind.NULL_KEY: rates.null_key,
            OrderKind.NULL_CUSTOMER: rates.null_customer,
            OrderKind.WRONG_TYPE: rates.wrong_type,
            OrderKind.BAD_DATE: rates.bad_date,
            OrderKind.NEGATIVE_TOTAL: rates.negative_total,
            # Nothing is late on the first day: there is no day before it.
            OrderKind.LATE: rates.late if day > 0 else 0.0,
            OrderKind.UNKNOWN_STATUS: rates.unknown_status,
            OrderKind.CROSS_DAY_UPDATE: rates.cross_day_update,
            OrderKind.ORPHAN: rates.orphan,
            OrderKind.DUPLICATE: rates.duplicate,
            OrderKind.SUPERSEDED: rates.in_file_update,
        }
        before, after = self._volume.orders_before(day), self._volume.orders_before(day + 1)
        counts = quotas(tuple(by_kind.values()), before, after, size)
        positions = np.split(draws.distinct(sum(counts), size), np.cumsum(counts)[:-1])
        return dict(zip(by_kind, positions, strict=True))

    def _make_orphans(self, rows: OrderRows, chosen: Int64s, draws: Draws) -> None:
        """Give orders a customer who never was."""
        rows.customer[chosen] = reserved_numbers(draws.below(len(chosen), _ORPHAN_NUMBERS))

    def _make_late(self, rows: OrderRows, chosen: Int64s, day: int, draws: Draws) -> None:
        """Put orders on an earlier day, by customers who were there before the shop opened."""
        if len(chosen) == 0:
            return
        base = draws.below(len(chosen), self._volume.base_customers)
        rows.customer[chosen] = customer_numbers(base)
        rows.country[chosen] = self._customers.countries(rows.customer[chosen])
        days = 1 + draws.below(len(chosen), min(MOST_DAYS_BETWEEN, day))
        rows.ordered[chosen] -= days * DAY_SECONDS

    def _newer_versions(self, rows: OrderRows, replaced: Int64s, draws: Draws) -> OrderRows:
        """Newer versions, later on the same day, of orders that are made unfinished for it."""
        rows.status[replaced] %= SHIPPED + 1
        newer = rows[replaced]
        newer.kind[:] = OrderKind.IN_FILE_UPDATE
        newer.status[:] = _next(newer, draws)
        left = DAY_SECONDS - 1 - newer.updated % DAY_SECONDS
        return replace(newer, updated=newer.updated + 1 + draws.below(len(newer), left))

    def _planned(self, rows: OrderRows, chosen: Int64s, day: int, draws: Draws) -> Planned:
        """Updates of later days, of orders that are made fresh for it; some orders have two."""
        rows.status[chosen] = PLACED
        position = np.arange(len(chosen))
        again = position % _TWICE_EVERY == _TWICE_EVERY - 1
        newer = rows[chosen[position - again]]
        newer.kind[:] = OrderKind.CROSS_DAY_UPDATE
        newer.status[again] += 1
        status = _next(newer, draws)
        # An order that is updated again later was not cancelled before.
        first_of_two = np.append(again[1:], False)
        newer.status[:] = np.where(first_of_two, newer.status + 1, status)
        due = day + 1 + draws.below(len(chosen), MOST_DAYS_BETWEEN)
        due += np.where(again, np.roll(due, 1) - day, 0)
        second = draws.below(len(chosen), _LAST_UPDATE_SECOND)
        updated = self._start + due * DAY_SECONDS + second
        return Planned(replace(newer, updated=updated), due.astype(np.int64))


_IN_PLACE = (
    OrderKind.NULL_KEY,
    OrderKind.NULL_CUSTOMER,
    OrderKind.WRONG_TYPE,
    OrderKind.BAD_DATE,
    OrderKind.NEGATIVE_TOTAL,
    OrderKind.UNKNOWN_STATUS,
    OrderKind.ORPHAN,
)
"""The kinds of dirt that spoil an order where it stands."""


def _next(rows: OrderRows, draws: Draws) -> Int64s:
    """The status after the present one; a quarter of the orders is cancelled."""
    cancelled = draws.below(len(rows), _CANCELLED_EVERY) == 0
    return np.where(cancelled, CANCELLED, rows.status + 1).astype(np.int64)
