"""The platform's process: the shop's datasets through the pipeline, without Dagster.

Belongs here: running it with a clock. Does not belong here: any of its work.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.engine import Clock, lake_config
from bench.unchecked import Checks, with_checks
from platform_assets.datasets import all_datasets
from platform_assets.partitions import Daily
from platform_assets.pipeline import BatchReport, Step, clean, load_raw
from platform_assets.warehouse.lake import Connection, connect


def run_steps(
    lake: Connection,
    source: Path,
    keys: list[str],
    clock: Clock,
    batch_bytes: int,
    label: str = "",
    checks: Checks = "all",
) -> dict[str, dict[str, int]]:
    """Load and clean every dataset; what the ledger then says of each.

    Args:
        lake: An open lake.
        source: The shop's folder.
        keys: The days.
        clock: Times each step.
        batch_bytes: Bytes of source per transaction.
        label: Prefix of the stages' names.
        checks: Which checks are made.
    """
    told: dict[str, dict[str, int]] = {}
    for dataset in (with_checks(each, checks) for each in all_datasets()):
        step = Step(
            dataset, lake, "bench", {"shop": source}, batch_bytes=batch_bytes, key_version="bench"
        )
        partitions = keys if isinstance(dataset.partitions, Daily) else dataset.partitions.keys()
        with clock.stage(f"{label}raw {dataset.name}"):
            _all_good(load_raw(step, partitions))
        with clock.stage(f"{label}cleaned {dataset.name}"):
            report = _all_good(clean(step, partitions))
        told[dataset.name] = {
            count: sum(getattr(entry, count) for entry in report.entries.values())
            for count in ("extracted", "cleaned", "quarantined", "deduplicated", "bytes")
        }
    return told


def _all_good(report: BatchReport) -> BatchReport:
    for entry in report.failed.values():
        raise SystemExit(f"{report.asset} {entry.partition}: {entry.message}")
    return report


def days_in(source: Path) -> list[str]:
    """The days that a shop's folder holds orders of."""
    return sorted(path.stem for path in (source / "orders").glob("*.csv"))


def main() -> None:
    """Run all days of a shop's folder into a new lake."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch-mb", type=int, default=256)
    parser.add_argument("--days", type=int, help="only the first so many")
    parser.add_argument("--without-aggregates", action="store_true")
    parser.add_argument("--checks", choices=("none", "rules", "all"), default="all")
    options = parser.parse_args()
    if not options.without_aggregates:
        # What an installation does once, and what a run of the product has imported anyway.
        from bench import aggregates

        aggregates.prepare()
    clock = Clock()
    days = days_in(options.input)[: options.days]
    config = lake_config(options.lake, options.threads)
    with connect(config) as lake:
        clock.facts["datasets"] = run_steps(
            lake,
            options.input,
            days,
            clock,
            options.batch_mb * 1_000_000,
            checks=options.checks,
        )
    if not options.without_aggregates:
        with clock.stage("aggregates"):
            aggregates.build(config, days, options.lake / "dbt", everything=True)
    clock.tell()


if __name__ == "__main__":
    main()
