"""Where the platform's processor time goes, statement by statement: ``python -m bench.profile``.

Belongs here: a connection with a clock, and its report. Does not belong here: anything that
``make bench`` reports; a tool for whoever wants to make the platform faster.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

from bench.engine import Clock, lake_config, processor_seconds
from bench.platform_run import days_in, run_steps
from platform_assets.warehouse.lake import Connection, connect

SHOWN_CHARACTERS = 96


class ClockedConnection:
    """A connection that adds up the time of its statements by what they begin with."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.spent: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])

    def execute(self, query: str, *arguments: Any) -> ClockedConnection:  # noqa: ANN401
        """Run a statement and add its time to those like it."""
        shape = re.sub(r"'[^']*'(, '[^']*')*", "?", " ".join(query.split()))
        wall, cpu = time.perf_counter(), processor_seconds()
        self._connection.execute(query, *arguments)
        row = self.spent[shape[:SHOWN_CHARACTERS]]
        row[0] += 1
        row[1] += time.perf_counter() - wall
        row[2] += processor_seconds() - cpu
        return self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Everything else as the connection has it."""
        return getattr(self._connection, name)


def main() -> None:
    """Run a shop's folder into a new lake and print the dearest statements."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--top", type=int, default=30)
    options = parser.parse_args()
    clock = Clock()
    with connect(lake_config(options.lake)) as lake:
        clocked = ClockedConnection(lake)
        run_steps(
            cast(Connection, clocked), options.input, days_in(options.input), clock, 256_000_000
        )
    for name, stage in clock.stages.items():
        print(f"{stage['seconds']:8.2f} s {stage['cpu_seconds']:8.2f} CPU s  {name}")
    told = sum(cpu for _, _, cpu in clocked.spent.values())
    print(f"{clock.total('cpu_seconds') - told:8.2f} CPU s outside of statements\n")
    dearest = sorted(clocked.spent.items(), key=lambda item: -item[1][2])[: options.top]
    for shape, (calls, seconds, cpu) in dearest:
        print(f"{calls:5.0f} x {seconds:8.2f} s {cpu:8.2f} CPU s  {shape}")


if __name__ == "__main__":
    main()
