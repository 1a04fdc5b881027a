"""The demo shop: a seeded e-commerce business whose files have the dirt that real data has.

Belongs here: the shop as a source system, and the truth about its files. Does not belong here:
anything about how the platform reads them; nothing of the platform but its errors is used.
"""

from platform_assets.demo.generator import PRODUCTS_KEY, generate
from platform_assets.demo.rates import DirtRates
from platform_assets.demo.report import Business, PartitionTruth, Sales, ShopReport

__all__ = [
    "PRODUCTS_KEY",
    "Business",
    "DirtRates",
    "PartitionTruth",
    "Sales",
    "ShopReport",
    "generate",
]
