"""The living shop's datasets: one for each way in which companies keep their data.

Belongs here: the declarations. Does not belong here: connections (``definitions``).
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.datasets.customers import Customer
from platform_assets.datasets.orders import Order
from platform_assets.partitions import Daily
from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.sources.deliveries import CompletionFlag
from platform_assets.sources.files import CsvFiles
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import PageNumber
from platform_assets.sources.tables import SnapshotTable, WatermarkTable

START = date(2025, 1, 1)
DAYS = Daily(start=START)


class Product(Contract):
    """A product, as the API has it: money is nested."""

    product_id: str = Key(description="The shop's number of the product.")
    name: str = Field(description="What it is called.")
    category: str = Field(description="The shelf it stands on.")
    unit_price: Decimal = Field(
        ge=0, decimal=(18, 2), source="price.amount", description="List price (GBP)."
    )
    cost: Decimal = Field(
        ge=0, decimal=(18, 2), source="cost.amount", description="What the shop pays (GBP)."
    )
    active: bool = Field(description="Whether it is on sale.")
    updated_at: datetime = Field(cursor=True, description="When it was changed last (UTC).")


class MarketingEvent(Contract):
    """Something that a campaign did, or that somebody did with it."""

    event_id: str = Key(description="Number of the event.")
    campaign: str = Field(description="The campaign.")
    channel: str = Field(isin=["email", "push", "social", "search", "display", "sms"])
    action: str = Field(description="What was done.")
    customer_id: str = Field(nullable=True, description="Who did it, where that is known.")
    product_id: str = Field(nullable=True, description="What it was about.")
    occurred_at: datetime = EventTime(description="When (UTC).")


class Ticket(Contract):
    """A ticket of the support desk, as its change log tells it."""

    ticket_id: str = Key(description="The desk's number of the ticket.")
    customer_id: str = Field(references="customers.customer_id", severity="warn")
    order_id: str = Field(nullable=True, description="What it is about, where that is an order.")
    topic: str = Field(description="What it is about.")
    subject: str = Field(description="What the customer wrote.")
    priority: str = Field(isin=["low", "normal", "high"])
    status: str = Field(isin=["open", "pending", "solved", "closed"])
    opened_at: datetime = Field(description="When (UTC).")
    updated_at: datetime = Field(description="When something happened to it last (UTC).")


customers = Dataset(
    name="customers",
    description="The shop's customers, each with its history.",
    contract=Customer,
    source=SnapshotTable("customers", connection="database"),
    history=True,
    owners=("team:crm",),
)
products = Dataset(
    name="products",
    description="The shop's catalogue.",
    contract=Product,
    source=RestEndpoint(
        "/products",
        connection="api",
        records="items",
        paginator=PageNumber(size_param="page_size", size=50, pages="pages"),
        total="total",
    ),
    owners=("team:sales",),
)
orders = Dataset(
    name="orders",
    description="The shop's orders, as they stand now.",
    contract=Order,
    source=WatermarkTable("orders", connection="database"),
    partitions=DAYS,
    max_bad_share=0.2,
    owners=("team:sales",),
)
marketing_events = Dataset(
    name="marketing_events",
    description="What campaigns did.",
    contract=MarketingEvent,
    source=CsvFiles(
        "marketing/{partition}/events-*.csv.gz",
        connection="files",
        complete=CompletionFlag("marketing/{partition}/processing_complete.flag"),
    ),
    partitions=DAYS,
    owners=("team:marketing",),
)
tickets = Dataset(
    name="tickets",
    description="Support tickets, each with its history.",
    contract=Ticket,
    # A line that breaks off is written once more: it is kept in quarantine, and stops nothing.
    source=DebeziumFiles("tickets/changes/*.ndjson", connection="files", on_bad_line="quarantine"),
    history=True,
    owners=("team:support",),
)
ALL = (customers, products, orders, tickets, marketing_events)
