"""The report keeps what was missed, and tells the goals."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from platform_assets.drill import report
from platform_assets.drill.evidence import Signal
from platform_assets.drill.incident import Expect
from platform_assets.drill.judgement import FalseAlarms, Outcome, Verdict
from platform_assets.drill.plan import Plan

VOLUME = Signal(
    "orders", "2026-03-02", "statistics", "volume", "error", observed=300.0, low=450.0, high=700.0
)
FOUND = Outcome(
    "a flood", "orders", "Water.", Expect.AT_ONCE, Verdict.DETECTED, 1, (VOLUME,),
    blocked=True, holds=True,
)  # fmt: skip
MISSED = replace(FOUND, incident="a draught", verdict=Verdict.MISSED, runs=0, signals=())
LOUD = replace(
    FOUND, incident="a drizzle", expect=Expect.SILENCE, verdict=Verdict.FALSE_ALARM, blocked=False
)
QUIET_YEAR = (FalseAlarms("orders", 0, 1, 4, 9, 1),)


def made(*outcomes: Outcome, alarms: tuple[FalseAlarms, ...] = QUIET_YEAR) -> report.Report:
    return report.Report(Plan(), {"orders": 1_000}, outcomes, alarms, (VOLUME,), 1.0, 2.0)


def text(told: report.Report) -> str:
    written = io.StringIO()
    Console(width=200, file=written).print(report.as_text(told))
    return written.getvalue()


def test_goals_that_are_met_leave_nothing_to_say() -> None:
    assert made(FOUND).failures == []
    assert "All are met." in report.as_markdown(made(FOUND))
    assert "goal missed" not in text(made(FOUND))


def test_a_missed_incident_stays_in_every_form() -> None:
    told = made(FOUND, MISSED)
    assert told.failures == ["a draught: missed"]
    assert "| a draught | Water. | **missed** |" in report.as_markdown(told)
    assert "a draught" in text(told)
    assert "1 of 2 incidents were noticed" in text(told)
    found = report.as_json(told)
    assert not found["ok"]
    assert [each["verdict"] for each in found["incidents"]] == ["detected", "missed"]
    json.dumps(found)


def test_why_an_incident_was_noticed_is_told_with_its_figures() -> None:
    page = report.as_markdown(made(FOUND))
    assert (
        "| a flood | Water. | detected | volume | 1 | blocked | 300, expected 450 to 700 |" in page
    )


def test_controls_stand_apart_and_a_false_alarm_is_a_failure() -> None:
    told = made(FOUND, LOUD)
    assert [each.incident for each in told.controls] == ["a drizzle"]
    assert told.failures == ["a drizzle: harmless, and this was said: volume"]


def test_false_alarms_of_the_year_are_a_failure_beyond_the_goal() -> None:
    told = made(FOUND, alarms=(FalseAlarms("orders", 1, 2, 0, 0, 1),))
    assert told.failures == [
        "orders: 1 false alarms at error and 2 at warn in the clean days (goal: 0 and at most 1)"
    ]


def test_what_is_late_or_does_not_hold_is_told() -> None:
    late, broken = replace(FOUND, runs=3), replace(FOUND, holds=False)
    assert made(late).failures == ["a flood: noticed after 3 runs, not in the first"]
    assert "are not those of before" in made(broken).failures[0]


def test_a_miss_that_could_not_be_helped_is_told_apart() -> None:
    assert "perhaps too small" in report.line(replace(MISSED, expect=Expect.PERHAPS))
    assert "too few rows or days" in report.line(replace(MISSED, counts=False))


def test_a_signal_is_described_by_what_it_has() -> None:
    rule = Signal("orders", "", "rule", "status__isin", "warn", amount=1_200)
    words = Signal("orders", "", "step", "source", "error", message="It is down\n  where: there")
    assert report.described(rule) == "1,200 rows"
    assert report.described(words) == "It is down"
    assert report.described(replace(VOLUME, low=None)) == "300, expected any to 700"
