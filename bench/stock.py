"""The stock pattern: pandas assets validated by pandera, an IO manager, one run per partition.

Belongs here: the pattern as Dagster's own examples lead to it, with as few lines as it takes. Does
not belong here: anything of the platform. It is generous: it keeps no raw rows and no quarantine,
hashes nothing, looks up no references and reports no counts; bad rows are simply dropped.

Its code location is this module: ``dagster asset materialize -m bench.stock``.
"""

import os
from pathlib import Path

import dagster as dg
import pandas as pd
import pandera.pandas as pa
from dagster_duckdb import DuckDBResource
from pandera.errors import SchemaErrors

START = "2025-01-01"
DAYS = dg.DailyPartitionsDefinition(START)
SOURCE = Path(os.environ.get("BENCH_STOCK_SOURCE", "."))
DATABASE = os.environ.get("BENCH_STOCK_DATABASE", ":memory:")
IN_PROCESS = os.environ.get("BENCH_STOCK_EXECUTOR") == "in_process"

_TEXT = pa.Column(str)
_MOMENT = pa.Column("datetime64[ns]")
CUSTOMERS = pa.DataFrameSchema(
    {
        "customer_id": _TEXT,
        "email": pa.Column(str, pa.Check.str_matches(r"[^@\s]+@[^@\s]+\.[^@\s]+$")),
        "full_name": _TEXT,
        "country": pa.Column(str, pa.Check.str_length(2, 2)),
        "consent": pa.Column(str, pa.Check.isin(["true", "false"])),
        "signed_up_at": _MOMENT,
        "updated_at": _MOMENT,
    }
)
PRODUCTS = pa.DataFrameSchema(
    {
        "product_id": _TEXT,
        "name": _TEXT,
        "category": _TEXT,
        "unit_price": pa.Column(float, pa.Check.ge(0)),
        "cost": pa.Column(float, pa.Check.ge(0)),
    }
)
ORDERS = pa.DataFrameSchema(
    {
        "order_id": _TEXT,
        "customer_id": _TEXT,
        "product_id": _TEXT,
        "quantity": pa.Column(float, [pa.Check.ge(1), pa.Check(lambda s: s % 1 == 0)]),
        "unit_price": pa.Column(float, pa.Check.ge(0)),
        "total_amount": pa.Column(float, pa.Check.ge(0)),
        "currency": pa.Column(str, pa.Check.isin(["GBP", "EUR", "USD"])),
        "status": pa.Column(
            str,
            pa.Check.isin(["placed", "paid", "shipped", "delivered", "cancelled", "returned"]),
        ),
        "channel": pa.Column(str, pa.Check.isin(["web", "app", "store", "phone"])),
        "country": pa.Column(str, pa.Check.str_length(2, 2)),
        "ordered_at": _MOMENT,
        "updated_at": _MOMENT,
    }
)


class PandasIOManager(dg.ConfigurableIOManager):
    """What dagster-duckdb-pandas does: delete the partition, insert the frame by position."""

    duckdb: dg.ResourceDependency[DuckDBResource]

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Write a frame."""
        table = context.asset_key.path[-1]
        with self.duckdb.get_connection() as connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS SELECT * FROM obj LIMIT 0")
            where = f"_partition = '{context.partition_key}'" if context.has_partition_key else "1"
            connection.execute(f"DELETE FROM {table} WHERE {where}")
            connection.execute(f"INSERT INTO {table} SELECT * FROM obj")

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Read a frame; no asset here has an input."""
        raise NotImplementedError(f"nothing reads {context.asset_key}")


def _validated(
    frame: pd.DataFrame, schema: pa.DataFrameSchema, key: str, partition: str
) -> pd.DataFrame:
    """The rows that keep the schema, the newest of each key."""
    for name, column in schema.columns.items():
        if str(column.dtype) == "float64":
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
        elif str(column.dtype).startswith("datetime64"):
            frame[name] = pd.to_datetime(frame[name], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        frame = frame.drop(index=errors.failure_cases["index"].dropna().unique())
    if "updated_at" in frame:
        frame = frame.sort_values("updated_at")
    return frame.drop_duplicates(key, keep="last").assign(_partition=partition)


@dg.asset(partitions_def=DAYS)
def customers(context: dg.AssetExecutionContext) -> pd.DataFrame:
    """The day's customers."""
    day = context.partition_key
    frame = pd.read_csv(SOURCE / "customers" / f"{day}.csv", dtype=str)
    return _validated(frame, CUSTOMERS, "customer_id", day)


@dg.asset
def products() -> pd.DataFrame:
    """The catalogue."""
    frame = pd.read_csv(SOURCE / "products" / "products.csv", dtype=str)
    return _validated(frame, PRODUCTS, "product_id", "all")


@dg.asset(partitions_def=DAYS)
def orders(context: dg.AssetExecutionContext) -> pd.DataFrame:
    """The day's orders."""
    day = context.partition_key
    frame = pd.read_csv(SOURCE / "orders" / f"{day}.csv", dtype=str)
    return _validated(frame, ORDERS, "order_id", day)


defs = dg.Definitions(
    assets=[customers, products, orders],
    resources={"io_manager": PandasIOManager(duckdb=DuckDBResource(database=DATABASE))},
    executor=dg.in_process_executor if IN_PROCESS else None,
)
