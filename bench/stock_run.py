"""The stock pattern's process: one run per day, all in one process, which is generous.

Belongs here: running ``bench.stock`` without starting a process for each run. Does not belong
here: the pattern itself.
"""

from __future__ import annotations

import argparse

import dagster as dg

from bench.engine import Clock
from bench.stock import customers, defs, orders, products


def main() -> None:
    """Materialize the days one run at a time on the instance of DAGSTER_HOME."""
    parser = argparse.ArgumentParser()
    parser.add_argument("days", nargs="+")
    options = parser.parse_args()
    clock = Clock()
    resources = defs.resources or {}
    with dg.DagsterInstance.get() as instance, clock.stage("runs"):
        dg.materialize([products], instance=instance, resources=resources)
        for day in options.days:
            dg.materialize(
                [customers, orders], instance=instance, resources=resources, partition_key=day
            )
    clock.tell()


if __name__ == "__main__":
    main()
