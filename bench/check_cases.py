"""What checks and profiles cost a publish.

Belongs here: the one question. Does not belong here: taking checks away (``unchecked``).
"""

from __future__ import annotations

from bench.measure import Measured, alternate, median, median_ratio, run_module
from bench.plan import Plan
from bench.results import Section, seconds, times

GOAL = 1.3


def checks_cost(plan: Plan) -> Section:
    """The same rows published with all checks, with rules alone, and with none."""
    shop = plan.main_shop()

    def publish(checks: str) -> Measured:
        options = ("--lake", plan.fresh("lake-checks"), "--checks", checks, "--without-aggregates")
        return run_module("bench.platform_run", "--input", shop, *options)

    kinds = ("none", "rules", "all")
    found = dict(
        zip(kinds, alternate(plan.pairs, *(lambda k=k: publish(k) for k in kinds)), strict=True)
    )
    rows = sum(each["extracted"] for each in found["all"][0].told["datasets"].values())
    section = Section(
        "What checks and profiles cost a publish",
        f"{rows:,} rows of the main shop loaded and cleaned, {plan.pairs} times in turn, medians. "
        "Without checks, columns keep their types and keys stay keys; no rule is judged, no "
        "reference looked up, nothing profiled. Statistics are profiles of every partition and "
        "their comparison with the history.",
        ("", "load and clean", "clean alone", "to none"),
    )
    labels = {"none": "no checks", "rules": "rules", "all": "rules and statistics"}
    ratios = {}
    for kind, runs in found.items():
        ratios[kind] = median_ratio(
            *([float(each.told["seconds"]) for each in side] for side in (runs, found["none"]))
        )
        section.row(
            labels[kind],
            seconds(median(float(each.told["seconds"]) for each in runs)),
            seconds(median(_cleaning(each) for each in runs)),
            times(ratios[kind]),
        )
    section.goal(
        "all checks and profiles",
        times(ratios["all"]),
        f"at most {GOAL:.2f}x",
        met=ratios["all"] <= GOAL,
    )
    return section


def _cleaning(run: Measured) -> float:
    stages = run.told["stages"]
    return float(sum(spent["seconds"] for name, spent in stages.items() if "cleaned" in name))
