"""The data set's control totals: what they are, and counting them in the published tables.

Belongs here: the figures and the queries that count them. Does not belong here: printing them.

Each figure is counted alike in every layer. The proof that nothing was lost or altered is that
cleaned and quarantine together give what raw gives; sums are exact decimals in the engine and here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from examples.online_retail.dataset import invoice_lines
from examples.online_retail.delivery import Delivery
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.tables import cleaned_table, quarantine_view, raw_table

Value: TypeAlias = int | Decimal

KNOWN_FILES = 305
KNOWN_ROWS = 541_909

_CANCELLED = "starts_with(invoice_no, 'C')"
_DAYS = len(invoice_lines.partitions.keys())
_LINE = ", ".join(quote_identifier(c.name) for c in invoice_lines.compiled.columns)


@dataclass(frozen=True)
class Figure:
    """A control total: its name, its meaning, how it is counted, what the data set's is."""

    name: str
    meaning: str
    sql: str
    expected: Value


FIGURES = (
    Figure("rows", "rows", "count(*)", KNOWN_ROWS),
    Figure(
        "total",
        "Quantity * UnitPrice",
        "coalesce(sum(quantity * unit_price), 0)",
        Decimal("9747747.934"),
    ),
    Figure(
        "total_without_cancellations",
        "  without cancellations",
        f"coalesce(sum(quantity * unit_price) FILTER (NOT {_CANCELLED}), 0)",
        Decimal("10644560.424"),
    ),
    Figure(
        "rows_without_customer",
        "rows without CustomerID",
        "count(*) FILTER (customer_id IS NULL)",
        135_080,
    ),
    Figure("customers", "distinct customers", "count(DISTINCT customer_id)", 4_372),
    Figure(
        "surplus_copies",
        "surplus duplicate rows",
        f"count(*) - count(DISTINCT row({_LINE}))",
        5_268,
    ),
    Figure("cancellation_lines", "cancellation lines", f"count(*) FILTER ({_CANCELLED})", 9_288),
    Figure(
        "cancelled_invoices",
        "  in invoices",
        f"count(DISTINCT invoice_no) FILTER ({_CANCELLED})",
        3_836,
    ),
    Figure(
        "negative_quantities_not_cancelled",
        "negative, not cancelled",
        f"count(*) FILTER (quantity < 0 AND NOT {_CANCELLED})",
        1_336,
    ),
    Figure("negative_prices", "UnitPrice < 0", "count(*) FILTER (unit_price < 0)", 2),
    Figure("zero_prices", "UnitPrice = 0", "count(*) FILTER (unit_price = 0)", 2_515),
    Figure("empty_days", "days without a row", f"{_DAYS} - count(DISTINCT day)", 69),
)


@dataclass(frozen=True)
class Total:
    """A figure as the published tables have it.

    Attributes:
        figure: The figure.
        expected: What it has to be; None where the input is not the known data set.
        raw: In the raw table.
        cleaned: In the cleaned table.
        quarantine: Among the open rows of the quarantine.
        together: In cleaned and quarantine taken together.
    """

    figure: Figure
    expected: Value | None
    raw: Value
    cleaned: Value
    quarantine: Value
    together: Value

    @property
    def agrees(self) -> bool:
        """Whether nothing was lost on the way, and the figure is the expected one."""
        return self.together == self.raw and self.expected in (None, self.raw)


def is_known(delivery: Delivery) -> bool:
    """Whether an input is the data set that the control totals are of, told from its files alone.

    By what the platform read of them, a run that loses rows would excuse itself.
    """
    return (delivery.files, delivery.rows) == (KNOWN_FILES, KNOWN_ROWS)


def count_totals(connection: Connection, *, known: bool) -> list[Total]:
    """Count every figure in every layer.

    Args:
        connection: An open lake that the dataset was published in.
        known: Whether the input is the known data set.
    """
    layers = _layers()
    layers["together"] = f"{layers['cleaned']} UNION ALL BY NAME {layers['quarantine']}"
    counted = {layer: _count(connection, relation) for layer, relation in layers.items()}
    return [
        Total(
            figure,
            figure.expected if known else None,
            **{layer: values[figure.name] for layer, values in counted.items()},
        )
        for figure in FIGURES
    ]


def _layers() -> dict[str, str]:
    """For each layer a SELECT of lines and their day; text is cast as the contract casts it."""
    name, compiled = invoice_lines.name, invoice_lines.compiled
    typed = ", ".join(
        f"{compiled.cast_sql(column)} AS {quote_identifier(column.name)}"
        for column in compiled.columns
    )
    texts = ", ".join(
        f"original_row ->> {quote_literal(column.source)} AS {quote_identifier(column.source)}"
        for column in compiled.columns
    )
    quarantined = (
        f"SELECT {texts}, partition FROM {quarantine_view(name)} "
        f"WHERE status = {quote_literal(RowStatus.OPEN)}"
    )
    return {
        "raw": f"SELECT {typed}, {PARTITION_COLUMN} AS day FROM {raw_table(name)}",
        "cleaned": f"SELECT {_LINE}, {PARTITION_COLUMN} AS day FROM {cleaned_table(name)}",
        "quarantine": f"SELECT {typed}, partition AS day FROM ({quarantined})",
    }


def _count(connection: Connection, relation: str) -> Mapping[str, Value]:
    selected = ", ".join(f"{figure.sql} AS {figure.name}" for figure in FIGURES)
    result = connection.execute(f"SELECT {selected} FROM ({relation})")
    return dict(zip((figure.name for figure in FIGURES), result.fetchall()[0], strict=True))
