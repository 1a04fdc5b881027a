"""The truth about a shop: what its files hold, and what must come out of them.

Belongs here: the report, and its form as JSON. Does not belong here: the counting (`books.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from platform_assets.demo.parameters import ShopParameters
from platform_assets.demo.rates import DirtRates
from platform_assets.errors import SettingsError

FILE_NAME = "_truth.json"
FORMAT = 1
"""The version of the JSON; a report of another version is not read."""


@dataclass(frozen=True)
class PartitionTruth:
    """What one file holds, or several together; rows = cleaned + quarantined + deduplicated.

    Args:
        rows: Rows, the header not counted.
        bytes: Size of the file, the header counted.
        cleaned: Rows that end in the cleaned table.
        quarantined: Rows that break a rule; each breaks exactly one.
        deduplicated: Clean rows that a newer or equal row of the same file replaces.
        by_rule: Quarantined rows by the rule that they break; no rule without rows.
        duplicates: Of the deduplicated rows those that are equal to another row.
        in_file_updates: Of the deduplicated rows those that have a newer version.
        cross_day_updates: Of the cleaned rows those that are newer versions of earlier files'.
        late: Of the cleaned rows those of orders placed before the day of the file.
        spoiled: Whether the file was spoiled on purpose and is not part of the business.
    """

    rows: int
    bytes: int
    cleaned: int
    quarantined: int
    deduplicated: int
    by_rule: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    in_file_updates: int = 0
    cross_day_updates: int = 0
    late: int = 0
    spoiled: bool = False

    @classmethod
    def total(cls, parts: Iterable[PartitionTruth], *, spoiled: bool = False) -> PartitionTruth:
        """The sum over several files.

        Args:
            parts: What each file holds.
            spoiled: Whether they are spoiled files.
        """
        sums = dict.fromkeys(_COUNTS, 0)
        by_rule: dict[str, int] = {}
        for part in parts:
            for name in _COUNTS:
                sums[name] += getattr(part, name)
            for rule, rows in part.by_rule.items():
                by_rule[rule] = by_rule.get(rule, 0) + rows
        return cls(**sums, by_rule=by_rule, spoiled=spoiled)


_COUNTS = (
    "rows",
    "bytes",
    "cleaned",
    "quarantined",
    "deduplicated",
    "duplicates",
    "in_file_updates",
    "cross_day_updates",
    "late",
)


@dataclass(frozen=True)
class Sales:
    """Orders and their amount.

    Args:
        orders: Orders that are not cancelled.
        cancelled: Orders that are cancelled.
        total: The sum of `total_amount` of those that are not, as a decimal.
    """

    orders: int
    cancelled: int
    total: str

    @classmethod
    def sum(cls, parts: Iterable[Sales]) -> Sales:
        """The sum of several sales; amounts are added at face value, whatever their currency."""
        orders, cancelled, total = 0, 0, Decimal("0.00")
        for part in parts:
            orders += part.orders
            cancelled += part.cancelled
            total += Decimal(part.total)
        return cls(orders, cancelled, str(total))


@dataclass(frozen=True)
class Business:
    """The final figures: of each clean order its newest version, spoiled days left out.

    Args:
        orders: Different clean orders, the cancelled ones included.
        cancelled: Of those the cancelled ones.
        customers: Different clean customers.
        products: Different clean products.
        total_amount: By currency the sum of `total_amount` of orders not cancelled, as a decimal.
        sales: By day of `ordered_at` (`YYYY-MM-DD`) and currency; nothing where there is nothing.
    """

    orders: int
    cancelled: int
    customers: int
    products: int
    total_amount: dict[str, str]
    sales: dict[str, dict[str, Sales]]

    def on(self, day: date | str) -> Sales:
        """The sales of a day of `ordered_at`, all currencies added at face value.

        Args:
            day: A day, as a date or as `YYYY-MM-DD`.
        """
        return Sales.sum(self.sales.get(str(day), {}).values())


@dataclass(frozen=True)
class ShopReport:
    """The truth about a shop, as it was made; counted from the plan, not from the files.

    Args:
        parameters: What the shop was made of.
        partitions: By dataset and partition key (`YYYY-MM-DD`; of products `all`).
        business: The final figures.
    """

    parameters: ShopParameters
    partitions: dict[str, dict[str, PartitionTruth]]
    business: Business

    @property
    def totals(self) -> dict[str, PartitionTruth]:
        """By dataset the sum over all files but the spoiled ones."""
        return {
            dataset: PartitionTruth.total(part for part in parts.values() if not part.spoiled)
            for dataset, parts in self.partitions.items()
        }

    @property
    def spoiled(self) -> PartitionTruth:
        """The sum over the spoiled order files."""
        return PartitionTruth.total(
            (part for part in self.partitions["orders"].values() if part.spoiled), spoiled=True
        )

    def to_json(self) -> str:
        """The report as JSON text: the same bytes for the same shop."""
        document = {
            "format": FORMAT,
            "parameters": asdict(self.parameters),
            "totals": {name: asdict(total) for name, total in self.totals.items()},
            "spoiled": asdict(self.spoiled),
            "business": asdict(self.business),
            "partitions": {
                dataset: {key: asdict(part) for key, part in parts.items()}
                for dataset, parts in self.partitions.items()
            },
        }
        return json.dumps(document, indent=1, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ShopReport:
        """The report of a JSON text.

        Args:
            text: What `to_json` gave.

        Raises:
            ValueError, KeyError, TypeError: The text is not a report of this format.
        """
        document = json.loads(text)
        if document["format"] != FORMAT:
            message = f"format {document['format']}, not {FORMAT}"
            raise ValueError(message)
        business = document["business"]
        sales = {
            day: {currency: Sales(**figures) for currency, figures in by_currency.items()}
            for day, by_currency in business["sales"].items()
        }
        return cls(
            parameters=_parameters(document["parameters"]),
            partitions={
                dataset: {key: PartitionTruth(**part) for key, part in parts.items()}
                for dataset, parts in document["partitions"].items()
            },
            business=Business(**{**business, "sales": sales}),
        )

    @classmethod
    def read(cls, root: Path) -> ShopReport:
        """The report that `generate` left beside the files.

        Args:
            root: The folder of the shop.

        Raises:
            SettingsError: There is no report there, or it is none of this version.
        """
        path = root / FILE_NAME
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                "The report of the demo shop cannot be read.",
                where=str(path),
                expected=f"a report of format {FORMAT}",
                found=f"{type(error).__name__}: {error}",
                fix="generate the shop again: it writes the report when all files are there",
            ) from error


def _parameters(values: dict[str, Any]) -> ShopParameters:
    return ShopParameters.checked(
        **{
            **values,
            "start": date.fromisoformat(values["start"]),
            "rates": DirtRates(**values["rates"]),
            "spoil": [date.fromisoformat(day) for day in values["spoil"]],
        }
    )
