"""Orders: one row per order as of the day's file; a later file may bring a newer version."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from platform_assets.contracts import Compare, Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.sources.files import CsvFiles


class Order(Contract):
    """An order of the shop."""

    order_id: str = Key(description="The shop's number of the order.")
    customer_id: str = Field(references="customers.customer_id", description="Who ordered.")
    product_id: str = Field(references="products.product_id", description="What was ordered.")
    quantity: int = Field(ge=1, description="Pieces.")
    unit_price: Decimal = Field(ge=0, decimal=(18, 2), description="Price of a piece.")
    total_amount: Decimal = Field(ge=0, decimal=(18, 2), description="Price of the order.")
    currency: str = Field(isin=["GBP", "EUR", "USD"], description="Of both prices.")
    status: str = Field(
        isin=["placed", "paid", "shipped", "delivered", "cancelled", "returned"],
        description="Where the order stands.",
    )
    channel: str = Field(isin=["web", "app", "store", "phone"], description="Where it was placed.")
    country: str = Field(str_length={"min_value": 2, "max_value": 2}, description="Delivered to.")
    ordered_at: datetime = EventTime(description="When it was placed (UTC).")
    updated_at: datetime = Field(cursor=True, description="When this version was made (UTC).")

    updated_after_ordered = Compare("updated_at", ">=", "ordered_at")


orders = Dataset(
    name="orders",
    description="The shop's orders.",
    contract=Order,
    source=CsvFiles("orders/{partition}.csv", connection="shop"),
    partitions=Daily(start=date(2025, 1, 1)),
    owners=("team:sales",),
)
