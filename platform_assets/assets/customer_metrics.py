"""Customer metrics: value and recency of each customer, scored against the others in pandas.

Belongs here: the one asset, its contract and its scores. Does not belong here: other aggregates
(``dbt/``), and how rows are replaced (``warehouse``).

Orders are grouped by the engine; pandas sees one row per customer, and only for what SQL cannot say
as well: quantile scores, and validation by the contract's own pandera model.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
from pandera.errors import SchemaErrors

from platform_assets import __version__
from platform_assets.assets import reporting
from platform_assets.assets.aggregate_plan import FCT_ORDERS
from platform_assets.assets.datasets import LAKE_KEY
from platform_assets.contracts import Contract, Field, Key, compile_contract
from platform_assets.contracts.checks import SHORT_NAMES
from platform_assets.errors import PublishError
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_literal
from platform_assets.warehouse import hold, ledger
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.publish import Publish, publish
from platform_assets.warehouse.tables import aggregated_table, ensure_platform_tables

CURRENCIES = ("GBP", "EUR", "USD")
KEY = dg.AssetKey(["aggregated", "customer_metrics"])
SCORES = 5
_STAGED = "_customer_metrics"


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


COMPILED = compile_contract(CustomerMetric, "customer_metrics")
RULES = tuple(rule for rule in COMPILED.rules if rule.kind != "cast")
"""What the frame can break; that text can be cast is no question for typed columns."""

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

Results = Iterator[dg.MaterializeResult[Any] | dg.Output[None] | dg.AssetCheckResult]


@dg.multi_asset(
    name="customer_metrics",
    specs=[
        dg.AssetSpec(
            KEY,
            group_name="aggregated",
            description="Per customer: value by currency, recency and RFM scores.",
            deps=[dg.AssetKey(FCT_ORDERS.split("/"))],
            kinds={"duckdb", "pandas", "pandera"},
            owners=["team:crm"],
            tags={"layer": "aggregated"},
            code_version=COMPILED.version,
            metadata={
                "dagster/table_name": aggregated_table("customer_metrics").replace('"', ""),
                "dagster/column_schema": dg.TableSchema(
                    [
                        dg.TableColumn(name, kind, COMPILED.column(name).description or None)
                        for name, kind in COMPILED.published_columns
                    ]
                ),
                "contract": dg.MetadataValue.md(COMPILED.markdown()),
            },
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(rule.name, asset=KEY, description=rule.description) for rule in RULES
    ],
    required_resource_keys={LAKE_KEY},
)
def customer_metrics(context: dg.AssetExecutionContext) -> Results:
    """Group the orders in the engine, score in pandas, validate, publish."""
    started = time.perf_counter()
    asset = KEY.to_user_string()
    with context.resources.lake.get_connection() as connection:
        ensure_platform_tables(connection)
        orders = ledger.last_snapshot(connection, FCT_ORDERS)
        if orders < 0:
            raise _no_orders()
        fingerprint = f"{orders}-{COMPILED.version}"
        last = ledger.latest(connection, asset, None, (Status.PUBLISHED, Status.FAILED)).get(
            UNPARTITIONED_KEY
        )
        if (
            last is not None
            and last.status is Status.PUBLISHED
            and hold.refused_input(last) == fingerprint
            and not reporting.is_forced(context)
        ):
            entry = replace(last, run_id=context.run.run_id, status=Status.UNCHANGED)
            in_transaction(connection, lambda con: ledger.record(con, [entry]))
            broken: Mapping[str, int] = {}
        else:
            frame = measure(connection)
            broken = broken_rules(frame)
            entry = LedgerEntry(
                asset=asset,
                partition=UNPARTITIONED_KEY,
                run_id=context.run.run_id,
                status=Status.FAILED if broken else Status.PUBLISHED,
                extracted=len(frame),
                cleaned=0 if broken else len(frame),
                seconds=round(time.perf_counter() - started, 6),
                code_version=__version__,
                contract_version=COMPILED.version,
                input_fingerprint=fingerprint,
                broken=broken,
                stopped_by=next(iter(broken), ""),
                message=_told(broken),
            )
            if broken:
                in_transaction(connection, lambda con: ledger.record(con, [entry]))
            else:
                _publish(connection, frame, entry)
    yield from _check_results(broken, entry)
    if broken:
        raise reporting.failure({UNPARTITIONED_KEY: entry})
    yield dg.MaterializeResult(
        asset_key=KEY,
        metadata={
            "dagster/row_count": entry.cleaned,
            "seconds": entry.seconds,
            "unchanged": entry.status is Status.UNCHANGED,
        },
    )


def measure(connection: Connection) -> pd.DataFrame:
    """The metrics of every customer who has ordered, not validated yet.

    Args:
        connection: An open lake.
    """
    values = ", ".join(
        f"CAST(coalesce(sum(total) FILTER (currency = {quote_literal(name)}), 0) "
        f"AS DECIMAL(18, 2)) AS lifetime_value_{name.lower()}"
        for name in CURRENCIES
    )
    query = _BY_CUSTOMER.format(fct_orders=aggregated_table("fct_orders"), values=values)
    ranked = _RANKED.format(by_customer=query)
    return _scored(connection.execute(ranked).to_arrow_table())


def _scored(grouped: pa.Table) -> pd.DataFrame:
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
    return COMPILED.to_frame(table)


def _score(values: pd.Series, by: pd.Series | None = None) -> pd.Series:
    """1 to 5 by quantile, 5 the highest; equal values have equal scores."""
    ranked = values if by is None else values.groupby(by)
    share = ranked.rank(method="max", pct=True)
    # A share that is a whole fifth must not be lifted above it by its last binary digit.
    return pd.Series(np.ceil((share * SCORES).round(9)), dtype="int64")


def broken_rules(frame: pd.DataFrame) -> dict[str, int]:
    """The contract's rules that a frame breaks, with the rows that break each; no value of any.

    Args:
        frame: Metrics.
    """
    try:
        CustomerMetric.validate(frame, lazy=True)
    except SchemaErrors as errors:
        found: dict[str, int] = {}
        for error in errors.schema_errors:
            cases = error.failure_cases
            # A check of several columns has a case per column of a row.
            rows = cases["index"].nunique() if isinstance(cases, pd.DataFrame) else len(frame)
            rule = _rule_name(error)
            found[rule] = found.get(rule, 0) + rows
        return found
    return {}


def _rule_name(error: Any) -> str:  # noqa: ANN401 # pandera's errors have no types
    check = error.check if isinstance(error.check, str) else error.check.name
    if "uniqueness" in check:
        return f"{error.schema.name}__unique"
    if check in {rule.name for rule in RULES}:
        return str(check)
    return f"{error.schema.name}__{SHORT_NAMES.get(check, 'not_null')}"


def _publish(connection: Connection, frame: pd.DataFrame, entry: LedgerEntry) -> None:
    table = aggregated_table("customer_metrics")
    extra = [(PARTITION_COLUMN, "VARCHAR")]
    in_transaction(connection, lambda con: con.execute(COMPILED.ddl(table, "cleaned", extra)))
    connection.register(_STAGED, pa.Table.from_pandas(frame, preserve_index=False))

    def audit(_: Connection, rows: Mapping[str, int], __: Mapping[str, int]) -> None:
        if rows[UNPARTITIONED_KEY] != len(frame):
            raise PublishError(
                "The published customers are not those that were measured",
                where=f"table {table}",
                expected=f"{len(frame):,} rows",
                found=f"{rows[UNPARTITIONED_KEY]:,} rows",
                fix="run it again; what was published before stays",
            )

    try:
        publish(
            connection,
            Publish(
                table,
                [UNPARTITIONED_KEY],
                f"SELECT *, {quote_literal(UNPARTITIONED_KEY)} AS {PARTITION_COLUMN} "
                f"FROM {_STAGED}",
                [*frame.columns, PARTITION_COLUMN],
            ),
            audit=audit,
            commit_with=lambda con: ledger.record(con, [entry]),
        )
    finally:
        connection.unregister(_STAGED)


def _check_results(broken: Mapping[str, int], entry: LedgerEntry) -> Iterator[dg.AssetCheckResult]:
    for rule in RULES:
        yield dg.AssetCheckResult(
            asset_key=KEY,
            check_name=rule.name,
            passed=rule.name not in broken,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"rows_broken": broken.get(rule.name, 0), "rows_judged": entry.extracted},
        )


def _told(broken: Mapping[str, int]) -> str:
    if not broken:
        return ""
    listed = ", ".join(f"{name}: {rows:,}" for name, rows in broken.items())
    return str(
        PublishError(
            "Customer metrics break their contract",
            where=f"table {KEY.to_user_string()}",
            expected="no row that breaks a rule",
            found=listed,
            fix="look at the orders of these customers in aggregated.fct_orders; "
            "what was published before stays",
        )
    )


def _no_orders() -> PublishError:
    return PublishError(
        "There are no orders to measure customers by",
        where=f"table {FCT_ORDERS}",
        expected="at least one published partition",
        found="none in the ledger",
        fix=f"materialize {FCT_ORDERS} first",
    )
