"""How fast a table of a database comes in: against DuckDB itself, against dlt, and once it changes.

Belongs here: which readings are compared. Does not belong here: the server (``source_server``) and
a reading (``source_run``). Only the standard library is imported.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import ROOT, BenchError, Measured, alternate, median, median_ratio, run_module
from bench.plan import Plan
from bench.results import Section, seconds, times

ROWS, MANY_ROWS = 1_000_000, 10_000_000
# Readings of a change; each changes other rows.
CHANGES = 3
MEGABYTE = 1_000_000


class _Server:
    """A Postgres with a table of orders."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._place = self._answer()
        self._changed = 0

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the Postgres of the benchmark has ended")
        return line

    def change(self, kind: str) -> None:
        """Change one row in a hundred: recent ones, or scattered over the table."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {self._changed}\n")
        self._process.stdin.flush()
        self._changed += 1
        self._answer()

    def read(self, by: str, to: Path) -> Measured:
        """Read it in a process of its own."""
        return run_module(
            "bench.source_run", "--by", by, "--to", to, env={"BENCH_SOURCE": self._place}
        )


@contextmanager
def _serving(rows: int) -> Iterator[_Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.source_server", "--rows", str(rows)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield _Server(process)
    finally:
        # It ends when its input does, and takes its files with it.
        process.communicate()


def _stage(run: Measured, name: str) -> float:
    return float(run.told["stages"][name]["seconds"])


def _all_arrived(runs: list[Measured], rows: int) -> None:
    """Hold each change to have brought its rows, all of them and nothing else."""
    replaced = [int(each.told["deduplicated"]) for each in runs]
    brought = {after - before for before, after in zip([0, *replaced], replaced, strict=False)}
    if {int(each.told["rows"]) for each in runs} != {rows} or brought != {rows // 100}:
        raise BenchError(f"changes of {rows // 100:,} rows brought {brought}")


def sources(plan: Plan) -> Section:
    """A table of Postgres: 1M rows by three tools; 10M rows of which one in a hundred changes."""
    section = Section(
        "A table of Postgres",
        f"{ROWS:,} rows of 10 columns from a Postgres on this machine, {plan.pairs} pairs in turn, "
        "medians. DuckDB makes a table of the attached one (`CREATE TABLE AS`, with a checkpoint); "
        "the platform reads typed values into its raw table, with control totals asked of the "
        "source, and `clean` is what follows: rules, references, reconciliation and publish. dlt "
        f"runs `sql_database` into DuckDB. Then the same table with {MANY_ROWS:,} rows, of which "
        f"1 % change between two runs of the platform, {CHANGES} times each way.",
        ("", "load", "clean", "whole process", "peak memory"),
    )

    def row(name: str, runs: list[Measured]) -> None:
        stages = runs[0].told["stages"]
        section.row(
            name,
            seconds(median(_stage(each, "load") for each in runs)),
            seconds(median(_stage(each, "clean") for each in runs)) if "clean" in stages else "",
            seconds(median(each.seconds for each in runs)),
            f"{median(each.peak_bytes for each in runs) / MEGABYTE:,.0f} MB",
        )

    def file(name: str) -> Path:
        return plan.fresh(name) / "warehouse.duckdb"

    with _serving(ROWS // plan.scale) as server:
        duckdb, ours = alternate(
            plan.pairs,
            lambda: server.read("duckdb", file("source-duckdb")),
            lambda: server.read("platform", plan.fresh("source-lake")),
        )
        (dlt,) = alternate(1, lambda: server.read("dlt", file("source-dlt")))
    rows = {int(each.told["rows"]) for each in (*duckdb, *ours, *dlt)}
    if rows != {ROWS // plan.scale}:
        raise BenchError(f"rows that were read: {rows}")
    row("DuckDB, CREATE TABLE AS", duckdb)
    row("platform", ours)
    row("dlt, sql_database", dlt)
    ratio = median_ratio(
        [_stage(each, "load") for each in duckdb], [_stage(each, "load") for each in ours]
    )
    section.goal("speed of DuckDB's own load", times(ratio), "at least 0.80x", met=ratio >= 0.8)
    dlts = _stage(dlt[0], "load") / median(_stage(each, "load") for each in ours)
    section.goal("faster than dlt", times(dlts), "at least 5x", met=dlts >= 5)

    with _serving(MANY_ROWS // plan.scale) as server:
        lake = plan.fresh("source-lake")
        full = server.read("platform", lake)
        changed: dict[str, list[Measured]] = {}
        for kind in ("recent", "scattered"):
            for _ in range(CHANGES):
                server.change(kind)
                changed.setdefault(kind, []).append(server.read("platform", lake))
    shutil.rmtree(lake)
    _all_arrived([*changed["recent"], *changed["scattered"]], MANY_ROWS // plan.scale)
    row(f"platform, {MANY_ROWS // plan.scale:,} rows", [full])

    def seconds_of(run: Measured) -> float:
        return _stage(run, "load") + _stage(run, "clean")

    for kind, runs in changed.items():
        row(f"platform, 1 % of them changed, {kind}", runs)
        share = median(seconds_of(each) for each in runs) / seconds_of(full)
        section.goal(
            f"1 % changed, {kind}: of the full load",
            f"{share:.1%}",
            "at most 5 %",
            met=share <= 0.05,
        )
    section.note(
        "Recent rows are a third of the newest 3 %; scattered ones lie in every page of Postgres "
        "and in every part of the cleaned table, of which each has to be read to find them."
    )
    peaks = [median(float(each.told["load_peak"]) for each in runs) for runs in (ours, [full])]
    section.goal(
        "memory of a load with 10 times the rows",
        times(peaks[1] / peaks[0]),
        "at most 1.25x",
        met=peaks[1] <= 1.25 * peaks[0],
    )
    section.note(
        f"Peak memory at the end of the load: {peaks[0] / MEGABYTE:,.0f} MB and "
        f"{peaks[1] / MEGABYTE:,.0f} MB. `clean` looks for keys with several versions among all "
        "rows, within the engine's memory limit (600 MB by default), and spills beyond it."
    )
    return section
