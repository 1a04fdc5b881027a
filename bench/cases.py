"""What is measured: one function per question, each answering with a section of the results.

Belongs here: which processes are compared, and the figures of a section. Does not belong here: how
a process is measured (``measure``) and what it does (the ``*_run`` modules). Only the standard
library is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.check_cases import checks_cost
from bench.freshness_cases import freshness
from bench.measure import (
    BenchError,
    Measured,
    alternate,
    median,
    median_ratio,
    run,
    run_module,
)
from bench.metrics_cases import metrics_scrape
from bench.plan import DAYS, Plan
from bench.results import Section, milliseconds, seconds, times
from bench.source_cases import sources

HISTORY_ORDERS_PER_DAY = 6_000
SHORT_HISTORY, LONG_HISTORY = 365, 3_650
# Days published one by one; more than the platform lets small files come together (history_run).
DAILY = 40
STOCK_LAUNCHED = 5
# 10M orders and three times as many.
LARGE_FACTOR = 3
MEGABYTE = 1_000_000


def _bytes_of(shop: Path) -> int:
    return sum(path.stat().st_size for path in shop.glob("*/*.csv"))


def _platform(plan: Plan, shop: Path, checks: str = "all") -> Measured:
    options = ["--checks", checks, *([] if plan.aggregates else ["--without-aggregates"])]
    lake = plan.fresh("lake-platform")
    return run_module("bench.platform_run", "--input", shop, "--lake", lake, *options)


def _bare(plan: Plan, shop: Path) -> Measured:
    options = [] if plan.aggregates else ["--without-aggregates"]
    lake = plan.fresh("lake-bare")
    return run_module("bench.bare_run", "--input", shop, "--lake", lake, *options)


def _told(runs: Sequence[Measured], figure: str) -> list[float]:
    return [float(each.told[figure]) for each in runs]


def against_bare(plan: Plan) -> Section:
    """The platform's pipeline against a hand-written script; both must make the same tables."""
    shop = plan.main_shop()
    ours, bare = alternate(
        plan.pairs, lambda: _platform(plan, shop, "rules"), lambda: _bare(plan, shop)
    )
    options = [] if plan.aggregates else ["--without-aggregates"]
    lakes = (plan.work / "lake-platform", plan.work / "lake-bare")
    compared = run_module("bench.compare", *lakes, *options).told
    if compared["differing"]:
        raise BenchError(f"the two sides made other tables: {compared['differing']}")
    size = _bytes_of(shop)
    ratio = median_ratio(_told(ours, "seconds"), _told(bare, "seconds"))
    speed = size / MEGABYTE / median(_told(ours, "seconds"))
    section = Section(
        "The platform against a bare script",
        f"{sum(compared['rows'][f'raw.{n}'] for n in ('orders', 'customers', 'products')):,} rows "
        f"in {size / MEGABYTE:,.0f} MB of CSV, {plan.pairs} pairs in turn, medians. Both sides "
        "read the same files and write the same tables into the same lake format; after the last "
        f"pair {len(compared['rows'])} tables were compared by rows and checksum, and are equal. "
        "The script keeps no statistics, so the platform's are off here; what they cost is below.",
        ("", "time", "processor time", "whole process", "peak memory", "MB/s"),
    )
    for name, runs in (("platform", ours), ("bare script", bare)):
        section.row(
            name,
            seconds(median(_told(runs, "seconds"))),
            seconds(median(_told(runs, "cpu_seconds"))),
            seconds(median(each.seconds for each in runs)),
            f"{median(each.peak_bytes for each in runs) / MEGABYTE:,.0f} MB",
            f"{size / MEGABYTE / median(_told(runs, 'seconds')):,.0f}",
        )
    section.row(
        "ratio",
        times(ratio),
        times(median_ratio(_told(ours, "cpu_seconds"), _told(bare, "cpu_seconds"))),
        times(median_ratio([r.seconds for r in ours], [r.seconds for r in bare])),
        "",
        "",
    )
    section.goal("time of the bare script", times(ratio), "at most 1.25x", met=ratio <= 1.25)
    section.goal("source per second", f"{speed:,.0f} MB", "116 MB", met=speed >= 116)
    section.note("Stages, platform: " + _stages(ours) + ".")
    section.note("Stages, bare script: " + _stages(bare) + ".")
    return section


def _stages(runs: Sequence[Measured]) -> str:
    """The median time and processor time of each stage."""
    parts = []
    for stage in runs[0].told["stages"]:
        figures = [
            median(each.told["stages"][stage][figure] for each in runs)
            for figure in ("seconds", "cpu_seconds")
        ]
        parts.append(f"{stage} {figures[0]:.2f} s ({figures[1]:.2f} s)")
    return ", ".join(parts)


def memory(plan: Plan) -> Section:
    """Peak memory with the main shop and with one three times as large."""
    section = Section(
        "Memory does not grow with the data",
        "The platform's pipeline with its aggregates. Peak memory is the largest process's, as "
        "the operating system kept it; beside it the largest sum over all its processes, sampled.",
        ("orders", "peak memory", "sum of processes", "time"),
    )
    peaks = []
    larger = plan.shop(plan.days, plan.orders_per_day * LARGE_FACTOR)
    for shop in (plan.main_shop(), larger):
        measured = _platform(plan, shop)
        peaks.append(measured.peak_bytes)
        section.row(
            f"{measured.told['datasets']['orders']['extracted']:,}",
            f"{measured.peak_bytes / MEGABYTE:,.0f} MB",
            f"{measured.tree_bytes / MEGABYTE:,.0f} MB",
            seconds(measured.told["seconds"]),
        )
    growth = peaks[1] / peaks[0]
    section.goal(
        "peak memory",
        f"{max(peaks) / MEGABYTE:,.0f} MB",
        "at most 1,500 MB",
        met=max(peaks) <= 1500 * MEGABYTE,
    )
    section.goal("three times the rows", times(growth), "at most 1.10x", met=growth <= 1.1)
    return section


def against_stock(plan: Plan) -> Section:
    """One range run of the platform against one run per partition, the stock way."""
    shop = plan.main_shop()
    days = sorted(path.stem for path in (shop / "orders").glob("*.csv"))[: plan.stock_days]
    if len(days) < plan.stock_days:
        raise BenchError(f"the shop in {shop} has {len(days)} days; {plan.stock_days} are needed")

    def pipeline() -> Measured:
        lake = plan.fresh("lake-platform")
        options = ("--days", len(days), "--without-aggregates")
        return run_module("bench.platform_run", "--input", shop, "--lake", lake, *options)

    def with_dagster() -> Measured:
        environment = plan.instance("dagster-platform", shop)
        return run_module("bench.dagster_run", days[0], days[-1], env=environment)

    def stock() -> Measured:
        return run_module("bench.stock_run", *days, env=_stock_environment(plan, shop))

    found = [median(m.seconds for m in way) for way in alternate(3, pipeline, with_dagster, stock)]
    apart, whole, in_one = found
    section = Section(
        "One range against one run per partition",
        f"{plan.stock_days} days of the main shop: customers, products and orders; whole processes "
        "from their start to their end, medians of 3. The platform loads, judges, quarantines, "
        "reconciles and publishes; the stock pattern validates with pandera, drops bad rows and "
        "writes through an IO manager, one run per day on an instance as Dagster makes it. A "
        f"process per run is measured on {STOCK_LAUNCHED} days with `dagster asset materialize` "
        f"and multiplied by {plan.stock_days / STOCK_LAUNCHED:.0f}; that the daemon looks at its "
        "queue only now and then is left out.",
        (
            "",
            f"time for {plan.stock_days} days",
            "to the platform, Dagster's events apart",
            "to the platform with Dagster",
        ),
    )
    section.row("platform, Dagster's events apart", seconds(apart), "", "")
    section.row("platform, one range run with Dagster", seconds(whole), "", "")
    stocks = {"every run in one process": in_one}
    for executor in ("in_process", "multiprocess"):
        launched = _launched(plan, shop, days[:STOCK_LAUNCHED], executor)
        default = ", Dagster's default" if executor == "multiprocess" else ""
        stocks[f"a process per run, {executor} executor{default}"] = (
            median(each.seconds for each in launched) * plan.stock_days
        )
    for name, spent in stocks.items():
        section.row(f"stock, {name}", seconds(spent), times(spent / apart), times(spent / whole))
    ratio = spent / apart
    section.goal(
        "faster than stock as it comes, Dagster's events apart",
        times(ratio),
        "at least 30x",
        met=ratio >= 30,
    )
    section.note(
        "The goal names the platform with Dagster's events apart (they have a section of their "
        "own) and the stock pattern as it comes: a process for each run, and by the default "
        "executor one for each step. The last column is what a user waits with everything. The "
        "first stock row takes all these processes away: what is left is pandas, pandera and the "
        "IO manager, of a pattern that keeps no raw rows and no quarantine, hashes and looks up "
        "nothing."
    )
    return section


def _stock_environment(plan: Plan, shop: Path, executor: str = "") -> dict[str, str]:
    environment = plan.instance("dagster-stock", shop, settings="telemetry: {enabled: false}\n")
    return {
        **environment,
        "BENCH_STOCK_SOURCE": str(shop),
        "BENCH_STOCK_DATABASE": str(plan.work / "dagster-stock" / "stock.duckdb"),
        "BENCH_STOCK_EXECUTOR": executor,
    }


def _launched(plan: Plan, shop: Path, days: Sequence[str], executor: str) -> list[Measured]:
    environment = _stock_environment(plan, shop, executor)
    dagster = str(Path(sys.executable).with_name("dagster"))
    select = [dagster, "asset", "materialize", "-m", "bench.stock", "--select", "customers,orders"]
    return [run([*select, "--partition", day], env=environment) for day in days]


def after_history(plan: Plan) -> Section:
    """One more day after a year of history and after ten."""
    lengths = [max(2 * DAILY, days // plan.scale) for days in (SHORT_HISTORY, LONG_HISTORY)]
    shop = plan.shop(lengths[1] + plan.next_days, HISTORY_ORDERS_PER_DAY)
    days = sorted(path.stem for path in (shop / "orders").glob("*.csv"))
    section = Section(
        "One more day after a year and after ten",
        f"{HISTORY_ORDERS_PER_DAY:,} orders a day; the median of {plan.next_days} next days, each "
        "published by a new process from its start to its end: customers, products (unchanged), "
        "orders and the aggregates with their tests, without Dagster. The history was filled at "
        f"once but for its last {DAILY} days, which were published one by one.",
        ("history", "files of its tables", "one more day", "without the start", "processor time"),
    )
    found: list[float] = []
    for length in lengths:
        lake = plan.fresh("lake-history")
        where = ("--input", shop, "--lake", lake)
        told = run_module("bench.history_run", *where, "--history", length, "--daily", DAILY).told
        nexts = [
            run_module("bench.day_run", *where, "--day", day)
            for day in days[length : length + plan.next_days]
        ]
        found.append(median(each.seconds for each in nexts))
        section.row(
            f"{length:,} days",
            f"{told['files']:,}",
            milliseconds(found[-1]),
            milliseconds(median(_told(nexts, "seconds"))),
            milliseconds(median(each.cpu_seconds for each in nexts)),
        )
        section.note(f"{length:,} days: {_stages(nexts)}.")
    growth = found[1] / found[0]
    section.goal("ten years against one", times(growth), "at most 1.10x", met=growth <= 1.1)
    section.note(
        "What grows is the look-up of customers: their keys are read once by the contract's rule "
        "and once by dbt's test, and ten years have ten times as many."
    )
    return section


def orchestration(plan: Plan) -> Section:
    """Dagster's own cost in a range run over a year."""
    shop = plan.shop(DAYS, max(1, 500 // plan.scale))
    section = Section(
        "What Dagster costs in a range run",
        f"One run over {DAYS} days of a small shop on an instance with the project's "
        "`dagster.yaml`, its metadata and check results included: the run's time without that of "
        "the engine, which is clocked where the assets call it, per partition and asset.",
        ("selection", "run", "engine", "materializations", "each", "processor time each"),
    )
    for name, select in (("raw, cleaned, quarantine", None), ("everything", "*")):
        if select and not plan.aggregates:
            continue
        told = run_module(
            "bench.dagster_run",
            "2025-01-01",
            "2025-12-31",
            *(["--select", select] if select else []),
            env=plan.instance("dagster-cost", shop),
        ).told
        count = int(told["materializations"])
        each = (told["seconds"] - told["engine_seconds"]) / count
        cpu = (told["cpu_seconds"] - told["engine_cpu_seconds"]) / count
        section.row(
            name,
            seconds(told["seconds"]),
            seconds(told["engine_seconds"]),
            f"{count:,}",
            milliseconds(each),
            milliseconds(cpu),
        )
        section.goal(
            f"per partition and asset, {name}",
            milliseconds(each),
            "at most 15 ms",
            met=each <= 0.015,
        )
    return section


def start_up(plan: Plan) -> Section:
    """How long the code location loads, and the demo from nothing but an installation."""
    environment = plan.instance("start-up", plan.work / "start-up" / "shop")
    (plan.work / "start-up" / "shop").mkdir()
    loading = [sys.executable, "-c", "import platform_assets.definitions"]
    loads = [run(loading, env=environment) for _ in range(3)]
    del environment["PLATFORM_ASSETS_SHOP_DIR"]
    command = "from platform_assets.cli.main import main; main()"
    demo = run([sys.executable, "-c", command, "demo"], env=environment)
    load = median(each.seconds for each in loads)
    section = Section(
        "Start-up",
        "Loading the code location in a new process (the median of 3), and `make demo` after the "
        "installation: 60 days delivered, filled, aggregated and counted.",
        ("", "time", "processor time", "peak memory"),
    )
    for name, runs in (("code location", loads), ("make demo", [demo])):
        section.row(
            name,
            seconds(median(each.seconds for each in runs)),
            seconds(median(each.cpu_seconds for each in runs)),
            f"{median(each.peak_bytes for each in runs) / MEGABYTE:,.0f} MB",
        )
    section.goal("code location", seconds(load), "under 5 s", met=load < 5)
    section.goal("make demo", seconds(demo.seconds), "under 60 s", met=demo.seconds < 60)
    return section


CASES = {
    "bare": against_bare,
    "checks": checks_cost,
    "stock": against_stock,
    "memory": memory,
    "history": after_history,
    "dagster": orchestration,
    "start": start_up,
    "sources": sources,
    "freshness": freshness,
    "metrics": metrics_scrape,
}
