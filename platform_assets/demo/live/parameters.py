"""What makes one living shop differ from another, kept with the shop that was founded on it.

Belongs here: the parameters, their defaults, their form in the shop's own state. Does not belong
here: what is injected (`injections.py`): that changes while the shop lives.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from typing import Any

from platform_assets.demo.parameters import ShopParameters
from platform_assets.demo.rates import DirtRates
from platform_assets.demo.volume import Volume
from platform_assets.errors import SettingsError

LIVE_RATES = replace(
    DirtRates.none(),
    null_customer=0.002,
    negative_total=0.002,
    unknown_status=0.002,
    orphan=0.002,
    product_negative_price=1,
    product_null_name=1,
)
"""The dirt of a living shop, where no other is asked for: about 1 % of its orders."""

_POSSIBLE = (
    "null_customer",
    "wrong_type",
    "bad_date",
    "negative_total",
    "unknown_status",
    "orphan",
    "product_negative_price",
    "product_null_name",
)
"""The kinds of dirt that a table with a primary key, and without declared rules, can hold."""


@dataclass(frozen=True)
class LiveParameters:
    """The parameters of a living shop; equal parameters make equal shops.

    Args:
        start: The first day that the shop lives.
        seed: Where the random numbers start, not negative.
        orders_per_day: The mean number of new orders a day over whole weeks, at least 1.
        rates: How dirty its orders and products are.
        ticket_schema: Whether each key and value of the change log carries its schema.

    Raises:
        SettingsError: They make no shop, or ask for dirt that a keyed table cannot hold.
    """

    start: date = date(2025, 1, 1)
    seed: int = 7
    orders_per_day: int = 40
    rates: DirtRates = LIVE_RATES
    ticket_schema: bool = False

    def __post_init__(self) -> None:
        """Refuse parameters that make no shop."""
        # A datetime is a date too, but not one that the shop's state gives back.
        object.__setattr__(self, "start", self.shop().start)
        impossible = [
            field.name
            for field in fields(DirtRates)
            if field.name not in _POSSIBLE and getattr(self.rates, field.name)
        ]
        if impossible:
            raise SettingsError(
                "The living shop keeps its rows in tables with keys, and cannot have this dirt.",
                where="rates: " + ", ".join(impossible),
                expected="0 for all but " + ", ".join(_POSSIBLE),
                found="a rate above 0",
                fix="set these rates to 0; repeated and late rows come with inject=dup and late",
            )

    def shop(self) -> ShopParameters:
        """The parameters in the form that the shop's people, orders and products ask for."""
        return ShopParameters.checked(
            start=self.start,
            days=1,
            orders_per_day=self.orders_per_day,
            seed=self.seed,
            rates=self.rates,
            spoil=(),
        )

    def volume(self) -> Volume:
        """How many orders and customers there are by when."""
        return Volume(self.shop().start, self.orders_per_day)

    def to_json(self) -> str:
        """The parameters as they stand in the shop's state."""
        return json.dumps({**asdict(self), "start": self.start.isoformat()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> LiveParameters:
        """The parameters of a shop that was founded before.

        Args:
            text: What `to_json` wrote.
        """
        values: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **values,
                "start": date.fromisoformat(values["start"]),
                "rates": DirtRates(**values["rates"]),
            }
        )
