"""One more day in a process of its own: every dataset and the aggregates, without Dagster.

Belongs here: a day's work. Does not belong here: the history before it (``history_run``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import aggregates
from bench.engine import Clock, lake_config
from bench.platform_run import run_steps
from platform_assets.pipeline.steps import DEFAULT_BATCH_BYTES
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import LakeConfig, connect


def publish_day(config: LakeConfig, source: Path, day: str, clock: Clock) -> None:
    """Publish a day, its aggregates included.

    Args:
        config: The lake.
        source: The shop's folder.
        day: The day.
        clock: Times each step.
    """
    with connect(config) as lake:
        run_steps(lake, source, [day], clock, DEFAULT_BATCH_BYTES)
    with clock.stage("aggregates"):
        aggregates.build(config, [day], config.catalog.parent / "dbt", everything=False)
        with connect(config) as lake:
            compact(lake, "aggregated/fct_orders", "aggregated/daily_sales")


def main() -> None:
    """Publish one day into a lake that has its history."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--day", required=True)
    options = parser.parse_args()
    clock = Clock()
    publish_day(lake_config(options.lake), options.input, options.day, clock)
    clock.tell()


if __name__ == "__main__":
    main()
