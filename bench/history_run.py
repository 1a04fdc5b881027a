"""One more day after a history: fills a lake with days, then times the days that follow.

Belongs here: the two layouts of a history and the next days' clock. Does not belong here: what a
day's work is (``platform_run``).

A history filled at once stands in few files; one that grew day by day has a file a day. Publishing
ten years day by day would take most of an hour, so the second layout is made by having the format
cut what is filled by partition; the days that are timed are published as ever.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from bench.engine import Clock, lake_config
from bench.platform_run import days_in, run_steps
from platform_assets.datasets import all_datasets
from platform_assets.pipeline.steps import DEFAULT_BATCH_BYTES, Step, ensure_tables
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection, connect

LAYOUTS = ("few files", "a file a day")


def _cut_by_day(lake: Connection, *, on: bool) -> None:
    """Have the tables' new files cut by partition, or not."""
    how = "SET PARTITIONED BY (_partition)" if on else "RESET PARTITIONED BY"
    for dataset in all_datasets():
        ensure_tables(Step(dataset, lake, "bench"))
        for table in (tables.raw_table(dataset.name), tables.cleaned_table(dataset.name)):
            lake.execute(f"ALTER TABLE {table} {how}")


def _files(lake: Connection) -> int:
    rows = [
        lake.execute(f"FROM ducklake_list_files('lake', '{name}', schema => '{schema}')").fetchall()
        for schema in ("raw", "cleaned")
        for name in (dataset.name for dataset in all_datasets())
    ]
    return sum(len(each) for each in rows)


def main() -> None:
    """Fill the days of history, then publish the next days one by one, each in a new session."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--history", type=int, required=True, help="days of history")
    parser.add_argument("--next", type=int, required=True, help="days to time")
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0])
    options = parser.parse_args()
    days = days_in(options.input)
    clock = Clock()
    config = lake_config(options.lake)
    with connect(config) as lake:
        daily = options.layout == LAYOUTS[1]
        if daily:
            _cut_by_day(lake, on=True)
        run_steps(
            lake, options.input, days[: options.history], clock, DEFAULT_BATCH_BYTES, "history "
        )
        if daily:
            _cut_by_day(lake, on=False)
        clock.facts["files"] = _files(lake)
    each: list[Clock] = []
    for day in days[options.history : options.history + options.next]:
        own = Clock()
        with connect(config) as lake:
            run_steps(lake, options.input, [day], own, DEFAULT_BATCH_BYTES)
        each.append(own)
    for figure in ("seconds", "cpu_seconds"):
        clock.facts[f"next_{figure}"] = [one.total(figure) for one in each]
    clock.facts["next_stages"] = {
        stage: statistics.median(one.stages[stage]["cpu_seconds"] for one in each)
        for stage in each[0].stages
    }
    clock.tell()


if __name__ == "__main__":
    main()
