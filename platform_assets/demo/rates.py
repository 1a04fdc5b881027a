"""How dirty the demo shop is: one rate per kind of dirt.

Belongs here: the rates, their defaults and their limits. Does not belong here: what a dirty row
looks like (`orders.py`, `customers.py`, `products.py`) or on which day it falls (`volume.py`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from platform_assets.errors import SettingsError

MAX_SHARE = 0.5
"""No more than half of a dataset's rows can be dirty: the rest has to stay a business."""

MAX_PRODUCT_ROWS = 100
"""No more dirty product rows than this, of each kind."""


@dataclass(frozen=True)
class DirtRates:
    """The share of rows that is dirty, by kind; each dirty row has exactly one kind.

    The order rates are shares of the new orders and add up to 1 %, the customer rates are shares
    of the new and updated customers and add up to 1 %. The two product fields are numbers of
    rows. Rates are kept to exactly over time (a rate of 0.001 gives one row per 1,000, spread
    evenly), not drawn at random, so that a small shop shows every kind too.

    Args:
        null_key: Orders without `order_id`.
        null_customer: Orders without `customer_id`.
        wrong_type: Orders whose `quantity` is no whole number.
        bad_date: Orders whose `ordered_at` is no date of the calendar.
        negative_total: Orders with a negative `total_amount`.
        unknown_status: Orders with a status that does not exist.
        orphan: Orders of a well-formed `customer_id` that no customer file has.
        duplicate: Orders that are in their file twice, byte by byte the same.
        in_file_update: Orders that come again later in their file, newer and in a new status.
        cross_day_update: Rows of later files that give an order of this day a new status.
        late: Orders that arrive in the file 1 to 3 days after they were placed.
        customer_bad_email: Customer rows whose e-mail address is none.
        customer_null_key: Customer rows without `customer_id`.
        customer_duplicate: Customers that are in their file twice, byte by byte the same.
        product_negative_price: Product rows (a number, not a share) with a negative price.
        product_null_name: Product rows (a number, not a share) without a name.

    Raises:
        SettingsError: A rate is negative or not finite, the rates of a dataset add up to more
            than `MAX_SHARE`, or a number of product rows is not in 0 to `MAX_PRODUCT_ROWS`.
    """

    null_key: float = 0.0009
    null_customer: float = 0.0009
    wrong_type: float = 0.0009
    bad_date: float = 0.0009
    negative_total: float = 0.0009
    unknown_status: float = 0.0009
    orphan: float = 0.0009
    duplicate: float = 0.0009
    in_file_update: float = 0.0009
    cross_day_update: float = 0.0009
    late: float = 0.0009
    customer_bad_email: float = 0.0033
    customer_null_key: float = 0.0033
    customer_duplicate: float = 0.0033
    product_negative_price: int = 1
    product_null_name: int = 1

    def __post_init__(self) -> None:
        """Refuse rates that make no shop."""
        groups: dict[str, float] = {"orders": 0.0, "customers": 0.0}
        for name, value in asdict(self).items():
            if name.startswith("product_"):
                _check_product_rows(name, value)
                continue
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(
                    "A rate of the demo shop is not a share of rows.",
                    where=f"DirtRates.{name}",
                    expected=f"a number from 0 to {MAX_SHARE}",
                    found=str(value),
                    fix=f"set {name} to 0 for none, or to a share such as 0.001",
                )
            groups["customers" if name.startswith("customer_") else "orders"] += value
        for dataset, total in groups.items():
            if total > MAX_SHARE:
                raise SettingsError(
                    "The rates of the demo shop leave too few clean rows.",
                    where=f"DirtRates, the rates of {dataset}",
                    expected=f"rates that add up to at most {MAX_SHARE}",
                    found=f"a sum of {total:g}",
                    fix="lower the rates, or name whole days to spoil with `spoil`",
                )

    @classmethod
    def none(cls) -> DirtRates:
        """The rates of a shop without any dirt."""
        return cls(**{field.name: 0 for field in fields(cls)})


def _check_product_rows(name: str, value: object) -> None:
    if isinstance(value, int) and 0 <= value <= MAX_PRODUCT_ROWS:
        return
    raise SettingsError(
        "A number of dirty product rows is out of range.",
        where=f"DirtRates.{name}",
        expected=f"a whole number from 0 to {MAX_PRODUCT_ROWS}",
        found=str(value),
        fix=f"set {name} to 0 for none, or to 1",
    )
