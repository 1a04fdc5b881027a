"""Customer metrics: value and recency of each customer, scored against the others in pandas.

Belongs here: the one asset, its contract and its scores. Does not belong here: other aggregates
(``dbt/``), and how a frame is judged and swapped in (``pipeline.frames``).

Orders are grouped by the engine; pandas sees one row per customer, and only for what SQL cannot say
as well: quantile scores, and validation by the contract's own pandera model.
"""

from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa

from platform_assets.assets.aggregate_names import FCT_ORDERS
from platform_assets.assets.frame_asset import frame_asset
from platform_assets.contracts import Contract, Field, Key
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline.frames import Frame
from platform_assets.sql import quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.tables import aggregated_table

CURRENCIES = ("GBP", "EUR", "USD")
SCORES = 5


class CustomerMetric(Contract):
    """A customer who has ordered; cancelled orders do not count."""

    customer_id: str = Key(description="The shop's number of the customer.")
    first_order_at: datetime = Field(description="When the first order was placed (UTC).")
    last_order_at: datetime = Field(description="When the last order was placed (UTC).")
    orders: int = Field(ge=1, description="Orders.")
    lifetime_value_gbp: Decimal = Field(ge=0, decimal=(18, 2), description="Sum of GBP orders.")
    lifetime_value_eur: Decimal = Field(ge=0, decimal=(18, 2), description="Sum of EUR orders.")
    lifetime_value_usd: Decimal = Field(ge=0, decimal=(18, 2), description="Sum of USD orders.")
    main_currency: str = Field(isin=list(CURRENCIES), description="That most orders were paid in.")
    days_since_last_order: int = Field(
        ge=0, description="Days from the last order to the newest order of all customers."
    )
    recency_score: int = Field(
        in_range={"min_value": 1, "max_value": SCORES},
        description="5: among the fifth that ordered last.",
    )
    frequency_score: int = Field(
        in_range={"min_value": 1, "max_value": SCORES},
        description="5: among the fifth with most orders.",
    )
    monetary_score: int = Field(
        in_range={"min_value": 1, "max_value": SCORES},
        description="5: among the fifth with the highest value in their main currency.",
    )

    @pandera.dataframe_check
    @classmethod
    def first_order_is_not_after_last(cls, frame: pd.DataFrame) -> pd.Series:
        """Nobody's first order is later than the last."""
        return frame["first_order_at"] <= frame["last_order_at"]


# pandas knows no decimals, so it is given the rank of a value, which the engine takes exactly.
_RANKED = """
    SELECT * EXCLUDE (main_value),
        dense_rank() OVER (PARTITION BY main_currency ORDER BY main_value) AS main_rank
    FROM ({by_customer})
    ORDER BY customer_id
"""
# What is measured in several currencies cannot be added, so a customer's value is ranked among
# customers of the same main currency.
_BY_CUSTOMER = """
    WITH by_currency AS (
        SELECT customer_id, currency, count(*) AS orders, sum(total_amount) AS total,
            min(ordered_at) AS first_order_at, max(ordered_at) AS last_order_at
        FROM {fct_orders}
        WHERE status <> 'cancelled'
        GROUP BY customer_id, currency
    ), newest AS (SELECT max(ordered_at) AS ordered_at FROM {fct_orders})
    SELECT
        customer_id,
        min(first_order_at) AS first_order_at,
        max(last_order_at) AS last_order_at,
        CAST(sum(orders) AS BIGINT) AS orders,
        {values},
        max_by(currency, (orders, currency)) AS main_currency,
        CAST(date_diff('day', max(last_order_at), any_value(newest.ordered_at)) AS BIGINT)
            AS days_since_last_order,
        max_by(total, (orders, currency)) AS main_value
    FROM by_currency, newest
    GROUP BY customer_id
"""


def measure(connection: Connection, partition: str = UNPARTITIONED_KEY) -> pa.Table:
    """The metrics of every customer who has ordered, not validated yet.

    Args:
        connection: An open lake.
        partition: The one that holds all customers.
    """
    del partition
    values = ", ".join(
        f"CAST(coalesce(sum(total) FILTER (currency = {quote_literal(name)}), 0) "
        f"AS DECIMAL(18, 2)) AS lifetime_value_{name.lower()}"
        for name in CURRENCIES
    )
    query = _BY_CUSTOMER.format(fct_orders=aggregated_table("fct_orders"), values=values)
    ranked = _RANKED.format(by_customer=query)
    return _scored(connection.execute(ranked).to_arrow_table())


def _scored(grouped: pa.Table) -> pa.Table:
    value = grouped.column("main_rank").to_pandas()
    currency = grouped.column("main_currency").to_pandas()
    scores = {
        "recency_score": _score(-grouped.column("days_since_last_order").to_pandas()),
        "frequency_score": _score(grouped.column("orders").to_pandas()),
        "monetary_score": _score(value, by=currency),
    }
    table = grouped.drop_columns(["main_rank"])
    for name, score in scores.items():
        table = table.append_column(name, pa.array(score))
    return table


def _score(values: pd.Series, by: pd.Series | None = None) -> pd.Series:
    """1 to 5 by quantile, 5 the highest; equal values have equal scores."""
    ranked = values if by is None else values.groupby(by)
    share = ranked.rank(method="max", pct=True)
    # A share that is a whole fifth must not be lifted above it by its last binary digit.
    return pd.Series(np.ceil((share * SCORES).round(9)), dtype="int64")


_VALUE = ("total_amount", "currency", "status")
_MADE_FROM = {
    "customer_id": ("customer_id",),
    "first_order_at": ("ordered_at", "status"),
    "last_order_at": ("ordered_at", "status"),
    "orders": ("status",),
    **{f"lifetime_value_{name.lower()}": _VALUE for name in CURRENCIES},
    "main_currency": ("currency", "status"),
    "days_since_last_order": ("ordered_at", "status"),
    "recency_score": ("ordered_at", "status"),
    "frequency_score": ("status",),
    "monetary_score": _VALUE,
}
CUSTOMER_METRICS = Frame(
    name="customer_metrics",
    description="Per customer: value by currency, recency and RFM scores.",
    contract=CustomerMetric,
    compute=measure,
    upstream=(FCT_ORDERS,),
    columns_from={
        name: tuple(f"{FCT_ORDERS}.{column}" for column in columns)
        for name, columns in _MADE_FROM.items()
    },
    owners=("team:crm",),
)
customer_metrics = frame_asset(CUSTOMER_METRICS)
