"""How long a tick of the freshness sensor takes with many datasets and a year of ledger.

Belongs here: the one question. Does not belong here: the ticks (``freshness_run``).
"""

from __future__ import annotations

from bench.measure import BenchError, median, run_module
from bench.plan import Plan
from bench.results import Section, milliseconds, seconds

DATASETS, DAYS = 500, 365
GOAL_SECONDS = 2.0


def freshness(plan: Plan) -> Section:
    """A tick over all datasets: opening the lake, judging, and telling Dagster what has changed."""
    datasets, days = DATASETS // plan.scale, DAYS // plan.scale
    environment = plan.instance("freshness", plan.work)
    options = ("--datasets", datasets, "--days", days)
    found = run_module(
        "bench.freshness_run", "--lake", plan.fresh("lake-freshness"), *options, env=environment
    ).told
    first, *others = found["ticks"]
    if found["told"] != [datasets] + [0] * len(others) or not 0 < found["late"] < datasets:
        raise BenchError(f"ticks told {found['told']}, {found['late']} late")
    section = Section(
        "A tick of the freshness sensor",
        f"{datasets} datasets with {days} days each, {found['ledger_rows']:,} rows of ledger; one "
        "in twenty is late. The lake is opened, every promise is judged, and checks are told where "
        "they say something else. The first tick tells all of them.",
        ("", "time"),
    )
    section.row("the first tick", seconds(first))
    section.row("the others, median", milliseconds(median(others)))
    section.row("of which judging, median", milliseconds(median(found["judging"])))
    section.goal(
        f"a tick over {datasets} datasets",
        milliseconds(median(others)),
        f"under {GOAL_SECONDS:.0f} s",
        met=median(others) < GOAL_SECONDS,
    )
    return section
