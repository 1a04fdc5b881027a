"""How many rows of what on which day: the size of the shop as closed formulas.

Belongs here: the weekly cycle, the growth of the customer base, the quota of a rate on a day.
Does not belong here: any randomness. Every count is the difference of a running total, so no
day depends on the days that were generated before it, nor on how many will follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

WEEKDAY_PERCENT = (98, 94, 92, 97, 107, 115, 97)
"""Orders of Monday to Sunday in percent of the mean; seven days add up to 700."""

_WEEK = sum(WEEKDAY_PERCENT)
_BASE_DAYS_OF_ORDERS = 5
_SMALLEST_BASE = 50
_NEW_CUSTOMERS_PERCENT = 6
_UPDATED_CUSTOMERS_PERCENT = 2
_FEWEST_PRODUCTS, _MOST_PRODUCTS = 200, 5_000


@dataclass(frozen=True)
class Volume:
    """The number of rows of each dataset, by day.

    Args:
        start: The first day; its weekday is where the weekly cycle begins.
        orders_per_day: The mean number of new orders a day over whole weeks.
    """

    start: date
    orders_per_day: int

    def orders_before(self, day: int) -> int:
        """The number of new orders of the days before day number `day`."""
        weeks, rest = divmod(day, 7)
        first = self.start.weekday()
        percent = weeks * _WEEK + sum(WEEKDAY_PERCENT[(first + i) % 7] for i in range(rest))
        return self.orders_per_day * percent // 100

    def orders_on(self, day: int) -> int:
        """The number of new orders of a day."""
        return self.orders_before(day + 1) - self.orders_before(day)

    @property
    def base_customers(self) -> int:
        """The number of customers that the shop has before its first day."""
        return max(_SMALLEST_BASE, _BASE_DAYS_OF_ORDERS * self.orders_per_day)

    def customers_before(self, day: int) -> int:
        """The number of customers known before day number `day`, the base included."""
        return self.base_customers + self.orders_before(day) * _NEW_CUSTOMERS_PERCENT // 100

    def customer_updates_on(self, day: int) -> int:
        """The number of earlier customers that change on a day (none on the first)."""
        return 0 if day == 0 else self._updates_before(day + 1) - self._updates_before(day)

    def customer_rows_before(self, day: int) -> int:
        """The number of new and updated customers in the files of the days before `day`."""
        return 0 if day == 0 else self.customers_before(day) + self._updates_before(day)

    def _updates_before(self, day: int) -> int:
        return self.orders_before(day) * _UPDATED_CUSTOMERS_PERCENT // 100

    @property
    def products(self) -> int:
        """The number of clean products: it grows with the square root of the orders."""
        return min(_MOST_PRODUCTS, max(_FEWEST_PRODUCTS, math.isqrt(40 * self.orders_per_day)))


def quota(rate: float, before: int, after: int, phase: float) -> int:
    """The number of dirty rows that a rate gives between two running totals of rows.

    Args:
        rate: Dirty rows per row.
        before: Rows of all days before.
        after: Rows of all days before and this one.
        phase: 0 to below 1: how far the first dirty row is brought forward, so that the kinds
            of a small shop fall on different days.
    """
    return math.floor(rate * after + phase) - math.floor(rate * before + phase)


def quotas(rates: tuple[float, ...], before: int, after: int, limit: int) -> list[int]:
    """The quota of each of several rates, cut off where together they pass `limit` rows.

    Args:
        rates: Dirty rows per row, one for each kind.
        before: Rows of all days before.
        after: Rows of all days before and this one.
        limit: The number of rows there are to choose from.
    """
    counts: list[int] = []
    for position, rate in enumerate(rates):
        wanted = quota(rate, before, after, (position + 0.5) / len(rates))
        counts.append(min(wanted, limit - sum(counts)))
    return counts
