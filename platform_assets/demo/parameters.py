"""What makes one demo shop differ from another: its parameters, checked.

Belongs here: the parameters and the errors about them. Does not belong here: what is made of
them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from platform_assets.demo.rates import DirtRates
from platform_assets.errors import SettingsError

_FIRST_START = date(1970, 1, 1)


@dataclass(frozen=True)
class ShopParameters:
    """The parameters of a shop; equal parameters make equal bytes.

    Args:
        start: The first day.
        days: The number of days, at least 1.
        orders_per_day: The mean number of new orders a day over whole weeks, at least 1.
        seed: Where the random numbers start, not negative.
        rates: How dirty the files are.
        spoil: The days of the span whose orders file is spoiled, sorted, each once.
    """

    start: date
    days: int
    orders_per_day: int
    seed: int
    rates: DirtRates
    spoil: tuple[date, ...]

    @classmethod
    def checked(
        cls,
        *,
        start: date,
        days: int,
        orders_per_day: int,
        seed: int,
        rates: DirtRates,
        spoil: Collection[date],
    ) -> ShopParameters:
        """The parameters, where they make a shop.

        Args:
            start: The first day.
            days: The number of days.
            orders_per_day: The mean number of new orders a day.
            seed: Where the random numbers start.
            rates: How dirty the files are.
            spoil: The days whose orders file is spoiled.

        Raises:
            SettingsError: `days` or `orders_per_day` is below 1, `seed` is negative, the span
                leaves the calendar, or a day to spoil is outside the span.
        """
        _at_least("days", days, 1)
        _at_least("orders_per_day", orders_per_day, 1)
        _at_least("seed", seed, 0)
        start = _day(start)
        if start < _FIRST_START or days > (date.max - start).days:
            raise SettingsError(
                "The span of the demo shop leaves the calendar.",
                where="start, days",
                expected=f"days from {_FIRST_START} to before {date.max}",
                found=f"{days} days from {start}",
                fix="choose a later start or fewer days",
            )
        last = start + timedelta(days=days - 1)
        spoiled = sorted({_day(day) for day in spoil})
        outside = [day for day in spoiled if not start <= day <= last]
        if outside:
            raise SettingsError(
                "A day to spoil is not a day of the demo shop.",
                where="spoil",
                expected=f"days from {start} to {last}",
                found=", ".join(day.isoformat() for day in outside),
                fix="leave these days out of `spoil`, or let the span include them",
            )
        return cls(start, days, orders_per_day, seed, rates, tuple(spoiled))

    @property
    def midnight(self) -> int:
        """The start of the first day, in seconds since 1970."""
        return int(datetime.combine(self.start, time(), UTC).timestamp())

    def date_of(self, day: int) -> date:
        """The date of a day, given in days since the start."""
        return self.start + timedelta(days=day)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise SettingsError(
            "A parameter of the demo shop is too small.",
            where=name,
            expected=f"a whole number of at least {least}",
            found=str(value),
            fix=f"set {name} to {least} or more",
        )


def _day(moment: date) -> date:
    # A datetime is a date too, but its text is not the name of a partition.
    return moment.date() if isinstance(moment, datetime) else moment
