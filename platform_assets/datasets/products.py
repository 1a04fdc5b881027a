"""Products: the whole catalogue, delivered as one file."""

from __future__ import annotations

from decimal import Decimal

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.sources.files import CsvFiles


class Product(Contract):
    """A product of the shop."""

    product_id: str = Key(description="The shop's number of the product.")
    name: str = Field(description="What it is called.")
    category: str = Field(description="The shelf it stands on.")
    unit_price: Decimal = Field(ge=0, decimal=(18, 2), description="List price (GBP).")
    cost: Decimal = Field(ge=0, decimal=(18, 2), description="What the shop pays for it (GBP).")
    active: bool = Field(description="Whether it is on sale.")


products = Dataset(
    name="products",
    description="The shop's catalogue.",
    contract=Product,
    source=CsvFiles("products/products.csv", connection="shop"),
    owners=("team:sales",),
)
