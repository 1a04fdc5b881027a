"""The drill's own judgement: a planted miss is a miss, a false alarm is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from platform_assets.drill.evidence import Signal, State
from platform_assets.drill.incident import Expect, Incident, Scene, learnt
from platform_assets.drill.judgement import (
    FalseAlarms,
    Run,
    Verdict,
    beyond,
    false_alarms,
    judge,
)
from platform_assets.drill.plan import Plan

EMPTY, FULL = State(0, "0"), State(10, "77")
VOLUME = Signal("orders", "2026-03-02", "statistics", "volume", "error", observed=1.0)
SLOW = replace(VOLUME, check="duration", column="seconds to load")
RULE = Signal("orders", "2026-03-02", "rule", "status__isin", "warn", amount=3)
PLAN = Plan()


def nothing(scene: Scene) -> None:
    """Nothing happens."""


def incident(expect: Expect = Expect.AT_ONCE, **options: int) -> Incident:
    return Incident("a flood", "Water.", "orders", nothing, "volume", expect, **options)


def run(*signals: Signal, published: bool = True, **options: object) -> Run:
    states = {"before": EMPTY, "after": FULL if published else EMPTY}
    return Run(signals, published, **{**states, **options})  # type: ignore[arg-type]


def test_what_is_said_in_the_first_run_is_noticed_at_once() -> None:
    outcome = judge(incident(), PLAN, [run(VOLUME, published=False)])
    assert (outcome.verdict, outcome.runs) == (Verdict.DETECTED, 1)
    assert outcome.blocked
    assert outcome.signals == (VOLUME,)
    assert not outcome.failed


def test_a_planted_miss_is_missed_and_breaks_the_goal() -> None:
    outcome = judge(incident(), PLAN, [run(), run(), run()])
    assert (outcome.verdict, outcome.runs, outcome.blocked) == (Verdict.MISSED, 0, False)
    assert outcome.failed


def test_what_is_noticed_later_than_it_could_be_breaks_the_goal() -> None:
    outcome = judge(incident(), PLAN, [run(), run(RULE)])
    assert (outcome.verdict, outcome.runs) == (Verdict.DETECTED, 2)
    assert outcome.failed


@pytest.mark.parametrize(
    ("expect", "runs", "failed"),
    [
        (Expect.LATER, [run(), run(RULE)], False),
        (Expect.LATER, [run(), run()], True),
        (Expect.PERHAPS, [run(), run()], False),
    ],
)
def test_what_cannot_be_seen_at_once_is_judged_by_what_is_expected(
    expect: Expect, runs: list[Run], failed: bool
) -> None:
    assert judge(incident(expect), PLAN, runs).failed is failed


@pytest.mark.parametrize(("days", "orders"), [(28, 600), (364, 299)])
def test_too_small_a_drill_gates_nothing_that_has_to_be_learnt(days: int, orders: int) -> None:
    small = Plan(days=days, orders_per_day=orders)
    told = learnt("a flood", "Water.", "orders", nothing, "volume")
    outcome = judge(told, small, [run()])
    assert outcome.verdict is Verdict.MISSED
    assert not outcome.counts
    assert not outcome.failed
    assert judge(told, PLAN, [run()]).failed


def test_an_alarm_about_a_control_is_false() -> None:
    assert judge(incident(Expect.SILENCE), PLAN, [run()]).verdict is Verdict.QUIET
    loud = judge(incident(Expect.SILENCE), PLAN, [run(), run(RULE)])
    assert loud.verdict is Verdict.FALSE_ALARM
    assert loud.failed


def test_a_control_whose_rows_are_others_is_no_harmless_one() -> None:
    outcome = judge(incident(Expect.SILENCE), PLAN, [run(unlike=("orders",))])
    assert outcome.verdict is Verdict.FALSE_ALARM


def test_a_control_whose_rows_are_rightly_others_is_quiet() -> None:
    told = replace(incident(Expect.SILENCE), changes=True)
    assert judge(told, PLAN, [run(unlike=("orders",))]).verdict is Verdict.QUIET


def test_a_blocked_partition_must_leave_every_row_as_it_was() -> None:
    outcome = judge(incident(), PLAN, [run(VOLUME, published=False, after=FULL)])
    assert not outcome.holds
    assert outcome.failed


def test_what_is_said_of_the_clean_day_too_is_no_detection() -> None:
    assert beyond([VOLUME, RULE], [VOLUME, RULE]) == ()
    assert beyond([VOLUME, RULE], [RULE]) == (VOLUME,)
    other = replace(VOLUME, partition="2026-03-03")
    assert beyond([VOLUME], [other]) == (VOLUME,)


def test_a_rule_that_more_rows_break_than_on_the_clean_day_is_one() -> None:
    assert beyond([replace(RULE, amount=4)], [RULE]) == (replace(RULE, amount=4),)
    assert beyond([replace(RULE, amount=2)], [RULE]) == ()


def test_what_is_for_information_only_is_no_alarm() -> None:
    assert beyond([replace(VOLUME, severity="info")], []) == ()


def test_the_time_of_a_run_counts_only_where_it_is_a_matter_of_the_incident() -> None:
    assert beyond([SLOW], []) == ()
    assert beyond([SLOW], [], of_machine=True) == (SLOW,)


def test_the_most_telling_signal_comes_first() -> None:
    gate = replace(VOLUME, layer="gate", check="status__isin")
    warned = replace(VOLUME, severity="warn", check="mean", column="total_amount")
    assert beyond([RULE, warned, VOLUME, gate], []) == (gate, VOLUME, warned, RULE)


def test_false_alarms_are_counted_by_dataset_and_severity() -> None:
    warned = replace(VOLUME, severity="warn")
    told = replace(VOLUME, severity="info")
    found = false_alarms(["orders", "tickets"], 364, [VOLUME, warned, warned, told, SLOW])
    assert found == [FalseAlarms("orders", 1, 2, 1, 1, 1), FalseAlarms("tickets", 0, 0, 0, 0, 1)]
    assert [each.failed for each in found] == [True, False]


@pytest.mark.parametrize(
    ("warnings", "days", "failed"),
    [(1, 364, False), (2, 364, True), (2, 730, False), (1, 70, False)],
)
def test_a_dataset_may_warn_once_a_year(warnings: int, days: int, failed: bool) -> None:
    warned = [replace(VOLUME, severity="warn")] * warnings
    assert false_alarms(["orders"], days, warned)[0].failed is failed


def test_an_error_in_the_clean_year_is_one_too_many() -> None:
    assert false_alarms(["orders"], 364, [VOLUME])[0].failed
