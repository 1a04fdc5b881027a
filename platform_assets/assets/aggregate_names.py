"""The aggregates that dbt builds, by name, and where their tables are.

A model that is added to the project is added here.
"""

from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_name
from platform_assets.warehouse.lake import LAKE

FCT_ORDERS = "aggregated/fct_orders"
DAILY_SALES = "aggregated/daily_sales"
PARTITION_OF = {FCT_ORDERS: PARTITION_COLUMN, DAILY_SALES: "CAST(order_date AS VARCHAR)"}
"""By table, as SQL, the partition that a row counts for."""
KEY_OF = {FCT_ORDERS: ("order_id",), DAILY_SALES: ("order_date", "currency")}
"""By table, the columns that tell its rows apart."""
TABLES = tuple(PARTITION_OF)
"""Built and published together, whichever is asked for: who reads several sees one state."""


def table_of(asset: str) -> str:
    """The table of an asset, quoted."""
    return quote_name(LAKE, *asset.split("/"))
