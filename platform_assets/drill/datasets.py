"""The datasets of the drill: one for each way in which sources go wrong.

Belongs here: the declarations. Does not belong here: their rows (``shop``, ``departments``).

Orders, customers and products are the platform's own: what the drill tells of them holds for the
example that everybody starts from. Only what is told of orders that stand in two days' files is
added: most are updates, and an unusual share of them is a finding.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from platform_assets.contracts import Contract, EventTime, Field, Key, RulePolicy
from platform_assets.dataset import Dataset
from platform_assets.datasets.customers import customers
from platform_assets.datasets.orders import orders as platform_orders
from platform_assets.datasets.products import products
from platform_assets.drill.plan import START
from platform_assets.partitions import Daily
from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.sources.ndjson import NdjsonFiles
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import PageNumber
from platform_assets.sources.rest_window import Window
from platform_assets.sources.tables import WatermarkTable

FILES, DATABASE, API = "shop", "database", "api"
PAGE_SIZE = 25
_DAYS = Daily(start=START)


class UserEvent(Contract):
    """Something that somebody did on the web site or in the app."""

    event_id: str = Key(description="Number of the event.")
    customer_id: str = Field(nullable=True, description="Who, where signed in.")
    action: str = Field(description="What was done.")
    page: str = Field(description="Where.")
    device: str = Field(description="With what.")
    country: str = Field(str_length={"min_value": 2, "max_value": 2}, description="From where.")
    campaign: str = Field(nullable=True, description="What brought them; rarely unknown.")
    duration_ms: int = Field(ge=0, description="How long the page was looked at.")
    occurred_at: datetime = EventTime(description="When (UTC).")


class Ticket(Contract):
    """A ticket of the support desk, as its API tells it."""

    ticket_id: str = Key(description="The desk's number of the ticket.")
    topic: str = Field(description="What it is about.")
    priority: str = Field(isin=["low", "normal", "high"], description="How urgent it is.")
    status: str = Field(isin=["open", "pending", "solved", "closed"], description="Where it is.")
    first_reply_minutes: int = Field(ge=0, description="How long the customer waited.")
    opened_at: datetime = EventTime(description="When (UTC).")


class Spend(Contract):
    """What a campaign cost."""

    spend_id: str = Key(description="Number of the booking.")
    campaign: str = Field(description="The campaign.")
    channel: str = Field(isin=["email", "push", "social", "search", "display"])
    clicks: int = Field(ge=0, description="Clicks that were paid for.")
    cost: Decimal = Field(ge=0, decimal=(18, 2), description="What they cost (GBP).")
    booked_at: datetime = EventTime(description="When (UTC).")
    updated_at: datetime = Field(cursor=True, description="When it was booked or corrected (UTC).")


class Account(Contract):
    """An account of the web site, as its change log tells it."""

    account_id: str = Key(description="Number of the account.")
    plan: str = Field(isin=["free", "plus", "family"], description="What it pays for.")
    locale: str = Field(description="Language and country.")
    logins: int = Field(ge=0, description="Logins since it was made.")
    opened_at: datetime = Field(description="When (UTC).")
    updated_at: datetime = Field(description="When something happened to it last (UTC).")


user_events = Dataset(
    name="user_events",
    description="What people did on the web site.",
    contract=UserEvent,
    source=NdjsonFiles("user_events/{partition}.ndjson", connection=FILES),
    partitions=_DAYS,
    owners=("team:web",),
)
tickets = Dataset(
    name="tickets",
    description="Support tickets by the day on which they were opened.",
    contract=Ticket,
    source=RestEndpoint(
        "/tickets",
        connection=API,
        records="items",
        paginator=PageNumber(size_param="page_size", size=PAGE_SIZE, pages="pages"),
        window=Window(format="%Y-%m-%d"),
        total="total",
    ),
    partitions=_DAYS,
    owners=("team:support",),
)
marketing_spend = Dataset(
    name="marketing_spend",
    description="What campaigns cost.",
    contract=Spend,
    source=WatermarkTable("marketing_spend", connection=DATABASE),
    partitions=_DAYS,
    owners=("team:marketing",),
)
accounts = Dataset(
    name="accounts",
    description="Accounts of the web site as they stand now.",
    contract=Account,
    source=DebeziumFiles("accounts/*.ndjson", connection=FILES),
    owners=("team:web",),
)
orders = replace(
    platform_orders,
    unique_across=("order_id",),
    rules={"unique_across__order_id": RulePolicy(severity="info")},
)
ALL = (customers, products, orders, user_events, tickets, marketing_spend, accounts)
BY_NAME = {dataset.name: dataset for dataset in ALL}
TOGETHER = (("customers", "products", "orders"),)
"""Datasets that refer to each other run together; every other one runs alone."""


def scope(name: str) -> list[Dataset]:
    """The datasets that a run holds, in order, when something happens to one of them.

    Args:
        name: The dataset that something happens to.
    """
    names = next((group for group in TOGETHER if name in group), (name,))
    return [BY_NAME[each] for each in names]
