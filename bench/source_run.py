"""A table of Postgres into a warehouse: by the platform, by DuckDB itself, by dlt.

Belongs here: one reading in a process of its own. Does not belong here: the server
(``source_server``), and what is compared (``cases``).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from bench.engine import Clock, lake_config
from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.sources.connections import Database
from platform_assets.sources.dialects import attached
from platform_assets.sources.tables import WatermarkTable
from platform_assets.warehouse.lake import connect
from platform_assets.warehouse.tables import ensure_platform_tables

# As the platform's own engine has it, so that neither checks signatures of extensions.
ENGINE: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "600MB",
    "allow_unsigned_extensions": True,
}
KIB = 1024  # what Linux counts a process's peak in


class Order(Contract):
    """An order of the benchmark."""

    order_id: int = Key()
    customer_id: str = Field()
    product_id: str = Field()
    quantity: int = Field(ge=1)
    unit_price: Decimal = Field(ge=0, decimal=(18, 2))
    total_amount: Decimal = Field(ge=0, decimal=(18, 2))
    currency: str = Field(isin=["GBP", "EUR", "USD"])
    status: str = Field(isin=["placed", "paid", "shipped", "delivered"])
    ordered_at: datetime = EventTime()
    updated_at: datetime = Field(cursor=True)


orders = Dataset(name="orders", contract=Order, source=WatermarkTable("orders"))


def by_platform(database: Database, lake: Path, clock: Clock) -> dict[str, int]:
    """Load and clean what is new since the last time."""
    with connect(lake_config(lake)) as connection:
        step = Step(orders, connection, "bench", {"database": database})
        with clock.stage("set-up"):
            # Once in the life of a lake, as DuckDB's own file is made before its clock starts.
            ensure_platform_tables(connection)
        with clock.stage("load"):
            loaded = load_raw(step, [UNPARTITIONED_KEY])
        clock.facts["load_peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
        with clock.stage("clean"):
            cleaned = clean(step, [UNPARTITIONED_KEY])
    assert not loaded.failed, loaded.failed
    assert not cleaned.failed, cleaned.failed
    entry = cleaned.entries[UNPARTITIONED_KEY]
    return {"rows": entry.cleaned, "deduplicated": entry.deduplicated}


def by_duckdb(database: Database, file: Path, clock: Clock) -> dict[str, int]:
    """What DuckDB does by itself: create a table as the attached one is."""
    import duckdb

    with duckdb.connect(str(file), config=ENGINE) as engine:
        with clock.stage("load"), attached(engine, database, "database"):
            engine.execute("CREATE TABLE orders AS FROM _source.public.orders")
            engine.execute("CHECKPOINT")
        row = engine.execute("SELECT count(*) FROM orders").fetchone()
    assert row is not None
    return {"rows": int(row[0])}


def by_dlt(database: Database, file: Path, clock: Clock) -> dict[str, int]:
    """Dlt as its documentation has it: ``sql_database`` into DuckDB."""
    import dlt
    from dlt.sources.sql_database import sql_database

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    assert database.password is not None
    secret = database.password.get_secret_value()
    address = f"postgresql+psycopg://shop:{secret}@127.0.0.1:{database.port}/postgres"
    with clock.stage("load"):
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=str(file.parent / "dlt"),
            destination=dlt.destinations.duckdb(str(file)),
            dataset_name="shop",
        )
        pipeline.run(sql_database(address, table_names=["orders"]))
    with pipeline.sql_client() as client:
        counted = client.execute_sql("SELECT count(*) FROM orders")
    assert counted is not None
    return {"rows": int(counted[0][0])}


def main() -> None:
    """Read once; the last line of output tells rows and times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", choices=("platform", "duckdb", "dlt"), required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    told = json.loads(os.environ["BENCH_SOURCE"])
    database = Database(
        "postgres",
        port=told["port"],
        database="postgres",
        user="shop",
        password=SecretStr(told["password"]),
    )
    clock = Clock()
    read = {"platform": by_platform, "duckdb": by_duckdb, "dlt": by_dlt}[options.by]
    clock.facts.update(read(database, options.to, clock))
    clock.tell()


if __name__ == "__main__":
    main()
