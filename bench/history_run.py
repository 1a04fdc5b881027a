"""A history in a lake: filled at once but for its last days, which are published one by one.

Belongs here: making the state that the next day is timed on. Does not belong here: what a day's
work is (``day_run``). Publishing ten years day by day would take hours; what daily work leaves that
a backfill does not, small files and a ledger in small pieces, comes from the last days, which are
more than the platform lets come together before it merges them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import aggregates
from bench.day_run import publish_day
from bench.engine import Clock, lake_config
from bench.platform_run import days_in, run_steps
from platform_assets.datasets import all_datasets
from platform_assets.pipeline.steps import DEFAULT_BATCH_BYTES
from platform_assets.warehouse.lake import connect


def main() -> None:
    """Fill a new lake with the first days of a shop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--history", type=int, required=True, help="days of history")
    parser.add_argument("--daily", type=int, required=True, help="the last of them, one by one")
    options = parser.parse_args()
    days = days_in(options.input)[: options.history]
    aggregates.prepare()
    clock = Clock()
    config = lake_config(options.lake)
    with connect(config) as lake:
        run_steps(lake, options.input, days[: -options.daily], clock, DEFAULT_BATCH_BYTES)
    aggregates.build(config, days[: -options.daily], options.lake / "dbt", everything=True)
    for day in days[-options.daily :]:
        publish_day(config, options.input, day, clock)
    with connect(config) as lake:
        clock.facts["files"] = sum(
            len(
                lake.execute(
                    f"FROM ducklake_list_files('lake', '{dataset.name}', schema => '{schema}')"
                ).fetchall()
            )
            for schema in ("raw", "cleaned")
            for dataset in all_datasets()
        )
    clock.tell()


if __name__ == "__main__":
    main()
