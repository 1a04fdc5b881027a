"""How large a drill is: its days, its rows, its seed.

Belongs here: the parameters, and the days that follow from them. Does not belong here: what is on a
day (``weather``, ``shop``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from platform_assets.errors import SettingsError

START = date(2025, 3, 3)
"""A Monday, so that whole weeks end on a Sunday and the first incident meets a Monday."""

WEEK = 7
LEAST_DAYS = 4 * WEEK
LEAST_ORDERS = 20
DAYS_AFTER = 14
"""Days after the history that incidents happen on; the clean run lives all of them."""


@dataclass(frozen=True)
class Plan:
    """The parameters of a drill; equal parameters make equal sources.

    Attributes:
        seed: Where the random numbers start, not negative.
        days: Days of clean history before the first incident, in whole weeks.
        orders_per_day: The mean number of new orders a day.

    Raises:
        SettingsError: They make no drill.
    """

    seed: int = 7
    days: int = 364
    orders_per_day: int = 600

    def __post_init__(self) -> None:
        """Refuse what makes no drill."""
        _at_least("seed", self.seed, 0)
        _at_least("days", self.days, LEAST_DAYS)
        _at_least("orders-per-day", self.orders_per_day, LEAST_ORDERS)
        if self.days % WEEK:
            raise SettingsError(
                "The history of a drill is not whole weeks",
                where="--days",
                expected=f"a multiple of {WEEK}, so that incidents meet the same weekdays",
                found=str(self.days),
                fix=f"give {self.days - self.days % WEEK} days",
            )

    @property
    def history(self) -> list[str]:
        """The days before the first incident."""
        return [self.day(number) for number in range(-self.days, 0)]

    @property
    def after(self) -> list[str]:
        """The days that incidents happen on."""
        return [self.day(number) for number in range(DAYS_AFTER)]

    @property
    def every(self) -> list[str]:
        """All days."""
        return [*self.history, *self.after]

    def day(self, number: int) -> str:
        """The day so many days after the history; negative: in it."""
        return str(START + timedelta(days=self.days + number))


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise SettingsError(
            "A parameter of the drill is too small",
            where=f"--{name}",
            expected=f"a whole number of at least {least}",
            found=str(value),
            fix=f"give {least} or more",
        )
