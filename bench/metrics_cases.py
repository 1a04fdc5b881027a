"""What a scrape of the metrics takes after a year.

Belongs here: the one question. Does not belong here: making the year (``metrics_site``).
"""

from __future__ import annotations

from bench import machine
from bench.measure import BenchError, median, run_module
from bench.plan import DAYS, Plan
from bench.results import Section, milliseconds, seconds

ASSETS = 500
SCRAPES = 12
GOAL = 0.3


def metrics_scrape(plan: Plan) -> Section:
    """Scrapes of a lake that nobody writes to, and of one that is written to before each."""
    assets, days = max(5, ASSETS // plan.scale), max(10, DAYS // plan.scale)
    before = machine.load_average()
    measured = run_module(
        "bench.metrics_run", "--folder", plan.fresh("metrics"), "--assets", assets,
        "--days", days, "--scrapes", SCRAPES,
    )  # fmt: skip
    told = measured.told
    if told["failing"]:
        raise BenchError(f"collectors failed: {told['failing']}")
    section = Section(
        "A scrape of the metrics after a year",
        f"{assets} assets and {days} days: {told['attempts']:,} attempts in the ledger, "
        f"{told['files']:,} files in the catalog, {told['runs']:,} runs of Dagster; "
        f"{told['samples']:,} samples, {told['bytes'] / 1e6:.1f} MB of text. Each scrape is one "
        f"HTTP request to the real server, {SCRAPES} of each kind.",
        ("published since the last one", "median", "slowest", "processor time"),
    )
    kinds = {"none": "nothing", "few": "a day of ten assets", "all": "a day of every asset"}
    for key, name in kinds.items():
        section.row(
            name,
            milliseconds(median(told[key])),
            milliseconds(max(told[key])),
            milliseconds(told[f"{key}_cpu"]),
        )
    for key in ("few", "all"):
        taken = median(told[key])
        section.goal(
            f"a scrape after {kinds[key]}", milliseconds(taken), "under 300 ms", met=taken < GOAL
        )
    section.note(
        f"Once, when the exporter starts, the whole ledger is read: {seconds(told['warm_up'])}. "
        f"Peak memory of the process, which also made the year: {measured.peak_bytes / 1e6:,.0f} "
        f"MB. Load average of the machine before and after: {before}, {machine.load_average()}."
    )
    return section
