"""Ticks of the freshness sensor over many datasets with a long ledger, in one process.

Belongs here: a ledger as years of daily work leave it, and timing what a tick does. Does not belong
here: what is asked of it (``freshness_cases``). The ledger is written by the engine: to publish
500 datasets for a year would take days.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg

from bench.engine import Clock, lake_config
from platform_assets.assets import freshness
from platform_assets.partitions import Daily
from platform_assets.pipeline.freshness import Promised, evaluate
from platform_assets.pipeline.lateness import Made
from platform_assets.quality.freshness import Level
from platform_assets.quality.policy import Calendar
from platform_assets.quality.promise import Freshness
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection, connect, in_transaction
from platform_assets.warehouse.tables import LEDGER

LAST = date(2026, 1, 1)
NOW = datetime(2026, 1, 2, 9, tzinfo=UTC)
# Of the newest days rows are still in the catalog, as between two merges.
IN_CATALOG = 2
ONE_IN_LATE = 20
PROMISE = Freshness(
    by="08:00",
    timezone="Europe/London",
    days="business",
    calendar=Calendar("GB"),
    warn_before=timedelta(minutes=30),
)
TICKS = 5


def _names(datasets: int) -> list[str]:
    return [f"dataset_{number:04}" for number in range(datasets)]


def _fill(lake: Connection, datasets: int, days: int) -> None:
    """Two attempts a day and dataset, raw and cleaned; some datasets lack the last day."""

    def insert(con: Connection, first: int, last: int) -> None:
        con.execute(
            f"""
            INSERT INTO {LEDGER} BY NAME
            SELECT layer || '/dataset_' || lpad(n::VARCHAR, 4, '0') AS asset,
                strftime(DATE '{LAST}' - ago::INTEGER, '%Y-%m-%d') AS partition,
                uuid()::VARCHAR AS run_id, 'published' AS status,
                1000 AS extracted, 990 AS cleaned, 10 AS quarantined, 0 AS deduplicated,
                100000 AS bytes, 0.1 AS seconds, '0.1.0' AS code_version,
                '0123456789ab' AS contract_version, md5(n::VARCHAR) AS input_fingerprint,
                '{{"a__ge": 10}}' AS broken, '' AS stopped_by, '' AS message,
                DATE '{LAST}' - ago::INTEGER + INTERVAL 28 HOUR AS recorded_at,
                DATE '{LAST}' - ago::INTEGER + INTERVAL 23 HOUR AS newest_event
            FROM range({datasets}) AS d(n), range({first}, {last}) AS a(ago),
                (VALUES ('raw'), ('cleaned')) AS l(layer)
            WHERE NOT (ago = 0 AND n % {ONE_IN_LATE} = 0)
            ORDER BY ago DESC, n, layer DESC
            """
        )

    in_transaction(lake, lambda con: insert(con, IN_CATALOG, days))
    lake.execute(
        "CALL lake.set_option('data_inlining_row_limit', 1000000, "
        "schema => 'platform', table_name => 'ledger')"
    )
    in_transaction(lake, lambda con: insert(con, 0, IN_CATALOG))


def _promised(datasets: int) -> list[Promised]:
    return [
        Promised(
            f"cleaned/{name}",
            PROMISE,
            Daily(date(2015, 1, 1)),
            (f"raw/{name}",),
            ancestors=(Made(f"raw/{name}", (), f"source_{number % 10}", is_cut=True),),
        )
        for number, name in enumerate(_names(datasets))
    ]


def _materialize(instance: dg.DagsterInstance, promised: Sequence[Promised]) -> None:
    for each in promised:
        key = dg.AssetKey(each.asset.split("/"))
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=str(LAST)))


def main() -> None:
    """Fill a ledger, tick, and tell how long a tick took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--datasets", type=int, required=True)
    parser.add_argument("--days", type=int, required=True)
    options = parser.parse_args()
    clock = Clock()
    config = lake_config(options.lake)
    promised = _promised(options.datasets)
    with connect(config) as lake:
        tables.ensure_platform_tables(lake)
        _fill(lake, options.datasets, options.days)
    with dg.DagsterInstance.get() as instance:
        _materialize(instance, promised)
        judging, ticks, told, late = [], [], [], 0
        for _ in range(TICKS):
            started = time.perf_counter()
            with connect(config) as lake:
                states = evaluate(lake, promised, NOW)
            judging.append(time.perf_counter() - started)
            told.append(len(freshness.tell(instance, states)))
            ticks.append(time.perf_counter() - started)
            late = sum(state.level is Level.LATE for state in states.values())
    clock.facts |= {
        "judging": judging,
        "ticks": ticks,
        "told": told,
        "late": late,
        "ledger_rows": options.datasets * options.days * 2,
    }
    clock.tell()


if __name__ == "__main__":
    main()
