"""The aggregates that dbt builds, by name, and where their tables are."""

from platform_assets.sql import quote_name
from platform_assets.warehouse.lake import LAKE

FCT_ORDERS = "aggregated/fct_orders"
DAILY_SALES = "aggregated/daily_sales"
TABLES = (FCT_ORDERS, DAILY_SALES)
"""Built and published together, whichever of them is asked for: who reads both sees one state."""


def table_of(asset: str) -> str:
    """The table of an asset, quoted."""
    return quote_name(LAKE, *asset.split("/"))
