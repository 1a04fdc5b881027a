"""Invoice lines, one CSV file per trading day: all that the platform has to be told of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pandas as pd
import pandera.pandas as pandera

from platform_assets.contracts import Contract, EventTime, Field, RulePolicy
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.sources.files import CsvFiles


class InvoiceLine(Contract):
    """A line of an invoice. Its identity is its content and its place: the source has no key.

    Business, and kept: cancellations (`C…`) with the quantities that they take back, free goods,
    and sales without a customer or a description. Dirt, and quarantined: stock corrections booked
    as sales (a negative quantity that is no cancellation) and negative prices.
    """

    invoice_no: str = Field(
        source="InvoiceNo",
        str_matches=r"[AC]?[0-9]{6}$",
        description="Six digits; C before them is a cancellation, A an adjustment of bad debt.",
    )
    stock_code: str = Field(source="StockCode", description="The product, or a charge like POST.")
    description: str = Field(source="Description", nullable=True, description="The product's name.")
    quantity: int = Field(source="Quantity", description="Pieces; negative where taken back.")
    invoice_date: datetime = EventTime(source="InvoiceDate", description="UK local time.")
    unit_price: Decimal = Field(
        source="UnitPrice",
        ge=0,
        gt=0,
        decimal=(18, 3),
        description="GBP a piece; 0 is a free good.",
    )
    # Not `pii`: a published pseudonym. With the list of customers at hand: pii="hash".
    customer_id: int = Field(
        source="CustomerID", nullable=True, description="Written 17850.0; none for a guest."
    )
    country: str = Field(source="Country", description="Where the customer lives.")

    @pandera.dataframe_check(description="a negative quantity belongs to a cancellation")
    @classmethod
    def only_cancellations_are_negative(cls, lines: pd.DataFrame) -> pd.Series[bool]:
        """Two columns at once: what a single column's rule cannot say."""
        return (lines["quantity"] >= 0) | lines["invoice_no"].str.startswith("C")


invoice_lines = Dataset(
    name="invoice_lines",
    description="A UK retailer's invoice lines.",
    contract=InvoiceLine,
    source=CsvFiles("{partition}.csv", connection="retail"),
    partitions=Daily(start=date(2010, 12, 1), end=date(2011, 12, 9)),
    # The worst day of this year has 3.9 % (2011-01-28, stock corrections): twice that is no
    # ordinary day, and somebody should look before it is published.
    max_bad_share=0.08,
    # Free goods are business: published and counted, and nobody is told.
    rules={"unit_price__gt": RulePolicy(severity="info")},
    owners=("team:sales",),
)
