"""Customers: new and changed customers of each day."""

from __future__ import annotations

from datetime import date, datetime

from platform_assets.contracts import EMAIL, Compare, Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.sources.files import CsvFiles


class Customer(Contract):
    """A customer of the shop."""

    customer_id: str = Key(description="The shop's number of the customer.")
    email: str = Field(str_matches=EMAIL, pii="hash", description="E-mail address.")
    full_name: str = Field(pii="drop", description="First and last name.")
    phone: str = Field(nullable=True, pii="mask", description="Telephone number.")
    country: str = Field(str_length={"min_value": 2, "max_value": 2}, description="Lives in.")
    consent: bool = Field(description="Agreed to receive marketing.")
    signed_up_at: datetime = EventTime(description="When the account was made (UTC).")
    updated_at: datetime = Field(cursor=True, description="When this version was made (UTC).")

    updated_after_signed_up = Compare("updated_at", ">=", "signed_up_at")


customers = Dataset(
    name="customers",
    description="The shop's customers.",
    contract=Customer,
    source=CsvFiles("customers/{partition}.csv", connection="shop"),
    partitions=Daily(start=date(2025, 1, 1)),
    owners=("team:crm",),
)
