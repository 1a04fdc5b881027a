"""A Postgres to read from, with a table of orders; ends when its input is closed.

Belongs here: the server and its rows. Does not belong here: reading them (``source_run``).
"""

from __future__ import annotations

import argparse
import json
import sys

import duckdb

from platform_assets.sources.dialects import attached
from platform_assets.sql import quote_literal
from platform_assets_tests.servers import PASSWORD, postgres_server

TABLE = """
    CREATE TABLE orders AS
    SELECT g AS order_id, 'c' || g % 100000 AS customer_id, 'p' || g % 1000 AS product_id,
           (g % 5 + 1)::integer AS quantity, (g % 10000 / 100.0)::numeric(12, 2) AS unit_price,
           (g % 50000 / 100.0)::numeric(12, 2) AS total_amount,
           (ARRAY['GBP', 'EUR', 'USD'])[g % 3 + 1] AS currency,
           (ARRAY['placed', 'paid', 'shipped', 'delivered'])[g % 4 + 1] AS status,
           timestamp '2025-01-01' + (g % 31536000) * interval '1 second' AS ordered_at,
           timestamp '2025-06-01' + (g % 8640000) * interval '1 second' AS updated_at
    FROM generate_series(1, {rows}) AS g
"""
AFTERWARDS = (
    "ALTER TABLE orders ALTER COLUMN ordered_at SET NOT NULL, "
    "ALTER COLUMN updated_at SET NOT NULL, ADD PRIMARY KEY (order_id)",
    "CREATE INDEX ON orders (updated_at)",
    "ANALYZE orders",
)
# The table is in memory.
SETTINGS = ["shared_buffers=3GB", "max_wal_size=8GB", "autovacuum=off"]
# One row in a hundred, newer than all that was seen.
CHANGE = (
    "UPDATE orders SET status = 'delivered', total_amount = total_amount + 1, "
    "updated_at = timestamp '2026-01-01' + {number} * interval '1 day' "
    "+ order_id * interval '1 millisecond' WHERE {rows}"
)
CHANGED = {
    "recent": "order_id > {count} * 0.97 AND order_id % 3 = {number} % 3",
    "scattered": "order_id % 100 = {number}",
}


def main() -> None:
    """Serve; each line of input says which rows to change and how often some were changed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    rows = parser.parse_args().rows
    engine = duckdb.connect()
    with (
        postgres_server(SETTINGS) as database,
        attached(engine, database, "benchmark"),
    ):

        def execute(statement: str) -> None:
            engine.execute("DETACH _source")
            engine.execute("ATTACH '' AS _source (TYPE postgres, SECRET _source)")
            engine.execute(f"CALL postgres_execute('_source', {quote_literal(statement)})")

        execute(TABLE.format(rows=rows))
        for statement in AFTERWARDS:
            execute(statement)
        print(json.dumps({"port": database.port, "password": PASSWORD}), flush=True)
        for line in sys.stdin:
            kind, number = line.split()
            changed = CHANGED[kind].format(count=rows, number=int(number))
            execute(CHANGE.format(rows=changed, number=int(number)))
            # As in a shop that is used, where the extract is not the first to look at the new rows:
            # the first one has Postgres mark each of their pages and write it whole to its log.
            execute("DO $$ BEGIN PERFORM count(*) FROM orders; END $$")
            print("{}", flush=True)


if __name__ == "__main__":
    main()
