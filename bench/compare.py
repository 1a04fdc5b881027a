"""Whether two lakes hold the same tables: rows and a checksum of each, printed as JSON.

Belongs here: what is compared. Does not belong here: making the lakes. The checksum adds up a
hash of each row, so that the order of rows does not matter, and every value of it does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.engine import lake_config
from platform_assets.warehouse.lake import Connection, connect

DATASETS = ("customers", "products", "orders")
AGGREGATES = ("fct_orders", "daily_sales")


def _relations(aggregates: bool) -> dict[str, str]:
    """What is compared: a query by name that both lakes can answer."""
    queries = {f"{layer}.{name}": "" for layer in ("raw", "cleaned") for name in DATASETS}
    if aggregates:
        queries |= {f"aggregated.{name}": "" for name in AGGREGATES}
    whole = {name: f"SELECT * FROM lake.{name}" for name in queries}
    # The bare script keeps no history of attempts and numbers no rows.
    told = "partition, rules, row_key, source_file, CAST(original_row AS VARCHAR) AS original_row"
    rejected = {
        f"quarantine.{name}": f"SELECT {told} FROM lake.quarantine.{name}" for name in DATASETS
    }
    return whole | rejected


def fingerprints(lake: Connection, *, aggregates: bool) -> dict[str, tuple[int, str]]:
    """Rows and checksum of every table.

    Args:
        lake: An open lake.
        aggregates: Whether the aggregates are there too.
    """
    found = {}
    for name, query in _relations(aggregates).items():
        described = lake.execute(f"DESCRIBE {query}").fetchall()
        # By name: the order of columns is no part of a table's content. With type: a sum that
        # became a float would otherwise look the same.
        columns = ", ".join(f'"{column[0]}"' for column in sorted(described))
        types = ", ".join(f"{column[0]} {column[1]}" for column in sorted(described))
        rows, checksum = lake.execute(
            f"SELECT count(*), coalesce(sum(hash(row({columns}))), 0) FROM ({query})"
        ).fetchone() or (0, 0)
        found[name] = (int(rows), f"{checksum} of {types}")
    return found


def main() -> None:
    """Print both lakes' fingerprints and the names of tables that differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lakes", type=Path, nargs=2)
    parser.add_argument("--without-aggregates", action="store_true")
    options = parser.parse_args()
    both = []
    for folder in options.lakes:
        with connect(lake_config(folder)) as lake:
            both.append(fingerprints(lake, aggregates=not options.without_aggregates))
    left, right = both
    differing = {name: [left[name], right[name]] for name in left if left[name] != right[name]}
    rows = {name: count for name, (count, _) in left.items()}
    print(json.dumps({"rows": rows, "differing": differing}))


if __name__ == "__main__":
    main()
