"""A small drill from end to end: its table, its exit code, and that it tells the same again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from platform_assets.cli.console import EXIT_BAD_INPUT, EXIT_PARTIAL
from platform_assets.drill import __main__ as command
from platform_assets.drill import evidence, harness
from platform_assets.drill.__main__ import app
from platform_assets.drill.datasets import scope
from platform_assets.drill.incident import Expect, Incident, Scene
from platform_assets.drill.incidents import BY_NAME, CATALOGUE
from platform_assets.drill.judgement import Outcome, Verdict
from platform_assets.drill.site import opened

WEEKS = 5
SIZE = ["--days", str(7 * WEEKS), "--orders-per-day", "60"]
# By which check, and whether it is published.
NOTICED = {
    "column renamed": ("schema", "blocked"),
    "enum renamed": ("status__isin", "blocked"),
    "events of yesterday again": ("event_time", "published"),
    "partial page from the API": ("control_total", "blocked"),
    "stale file: none comes": ("volume", "published"),
}
BUILD, HAPPEN = harness.build, harness.happen
QUIET = ("rows shuffled", "replayed change log")
# What is noticed is so in its first run, and what harms on the day after does so in the second.
WATCHED = tuple(replace(each, watch=min(each.watch, 2)) for each in CATALOGUE)


@dataclass(frozen=True)
class Drill:
    """A drill that was run."""

    year: harness.Year
    outcomes: list[Outcome]
    code: int
    told: dict[str, Any]
    page: str

    def of(self, name: str) -> dict[str, Any]:
        """What was told of an incident."""
        (found,) = (each for each in self.told["incidents"] if each["incident"] == name)
        return dict(found)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Drill:
    """A drill by the command, whose clean year other tests go on with."""
    folder = tmp_path_factory.mktemp("drill")
    only = [part for name in (*NOTICED, *QUIET) for part in ("--only", name)]
    out = folder / "drill.md"
    arguments = [*SIZE, *only, "--folder", str(folder), "--out", str(out), "--json"]
    years: list[harness.Year] = []
    outcomes: list[Outcome] = []

    def build(*given: Any, **options: Any) -> harness.Year:
        years.append(BUILD(*given, **options))
        return years[-1]

    def happen(*given: Any) -> Outcome:
        outcomes.append(HAPPEN(*given))
        return outcomes[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "build", build)
        patch.setattr(harness, "happen", happen)
        patch.setattr(command, "CATALOGUE", WATCHED)
        done = CliRunner().invoke(app, [*arguments, "--workers", "1"])
    told = json.loads(done.stdout)
    return Drill(years[0], outcomes, done.exit_code, told, out.read_text("utf-8"))


@pytest.mark.parametrize("name", NOTICED)
def test_an_incident_is_noticed_in_its_first_run(drill: Drill, name: str) -> None:
    check, partition = NOTICED[name]
    found = drill.of(name)
    assert found["verdict"] == "detected", found
    assert found["runs"] == 1
    assert check in {signal["check"] for signal in found["signals"]}
    assert ("blocked" if found["blocked"] else "published") == partition
    assert found["holds"]


@pytest.mark.parametrize("name", QUIET)
def test_a_harmless_control_is_quiet(drill: Drill, name: str) -> None:
    assert drill.of(name)["verdict"] == "quiet"


def test_the_clean_days_of_files_raise_no_alarm(drill: Drill) -> None:
    quiet = {"customers", "orders", "products", "tickets", "user_events"}
    told = {each["dataset"]: each for each in drill.told["false_alarms"]}
    assert [told[name] for name in quiet if told[name]["errors"] or told[name]["warnings"]] == []


def test_the_page_and_the_exit_code_tell_of_the_goals(drill: Drill) -> None:
    assert not any(each["failed"] for each in drill.told["incidents"])
    missed = drill.told["failures"]
    assert drill.code == (EXIT_PARTIAL if missed else 0)
    assert ("All are met." in drill.page) is not bool(missed)
    assert all(f"- **missed**: {each}" in drill.page for each in missed)
    assert all(f"| {name} |" in drill.page for name in (*NOTICED, *QUIET))
    assert f"{7 * WEEKS} clean days" in drill.page


def planted(name: str, inject: Any, **options: Any) -> Incident:
    return Incident(name, "It is planted.", "user_events", inject, "none", **options)


@pytest.fixture(scope="module")
def year(drill: Drill) -> harness.Year:
    return drill.year


def test_what_nobody_can_see_is_told_as_missed(year: harness.Year) -> None:
    def nothing(scene: Scene) -> None:
        """Nothing happens, and an alarm is expected."""

    (outcome,) = harness.drill(year, [planted("a ghost", nothing, watch=2)])
    assert outcome.verdict is Verdict.MISSED
    assert outcome.failed


def test_a_control_that_does_harm_is_told(year: harness.Year) -> None:
    def harm(scene: Scene) -> None:
        scene.rewrite("SELECT * REPLACE (-1 AS duration_ms) FROM file")

    silent = planted("a harmful control", harm, watch=1, expect=Expect.SILENCE)
    (outcome,) = harness.drill(year, [silent])
    assert outcome.verdict is Verdict.FALSE_ALARM
    assert "duration_ms__ge" in {signal.check for signal in outcome.signals}


def test_processes_side_by_side_tell_the_same(drill: Drill) -> None:
    chosen = ["enum renamed", "partial page from the API"]
    together = harness.drill(drill.year, [BY_NAME[name] for name in chosen], workers=2)
    alone = [outcome for outcome in drill.outcomes if outcome.incident in chosen]
    assert [told(each) for each in alone] == [told(each) for each in together]


def told(outcome: Outcome) -> tuple[Any, ...]:
    checks = [(signal.identity, signal.amount) for signal in outcome.signals]
    return (outcome.incident, outcome.verdict, outcome.runs, outcome.blocked, checks)


def test_a_missed_goal_is_the_exit_code(
    year: harness.Year, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(scene: Scene) -> None:
        """Nothing happens, and an alarm is expected."""

    monkeypatch.setattr(command, "CATALOGUE", (planted("a ghost", nothing, watch=1),))
    monkeypatch.setattr(harness, "build", lambda *given, **options: year)
    done = CliRunner().invoke(app, [*SIZE, "--workers", "1"])
    assert done.exit_code == EXIT_PARTIAL
    assert "goal missed: a ghost: missed" in done.stdout


def test_what_is_known_can_be_listed_and_what_is_not_is_refused() -> None:
    listed = CliRunner().invoke(app, ["--list", "--only", "half a file"])
    assert listed.exit_code == 0
    assert "half a file (orders): The orders file ends in the middle of a row." in listed.stdout
    refused = CliRunner().invoke(app, ["--list", "--only", "flood"])
    assert refused.exit_code == EXIT_BAD_INPUT


def test_a_range_says_of_a_day_what_a_run_a_day_says(year: harness.Year, tmp_path: Path) -> None:
    """The clean history is loaded as one range: an incident in its middle is seen there too."""
    days, odd = year.plan.history[-8:], year.plan.history[-2]
    chosen = [
        replace(each, statistics=replace(each.statistics, min_history=5))
        for each in scope("user_events")
    ]

    def live(folder: Path, runs: list[list[str]]) -> set[tuple[str, ...]]:
        with opened(folder, year.store, year.plan.seed, days) as site:
            site.source.deliver(days, ["user_events"])
            incident = BY_NAME["events of yesterday again"]
            incident.inject(Scene(site.source, "user_events", odd, 0, incident.name))
            for run in runs:
                site.run(run[0], run, chosen)
            said = [each for run in runs for each in evidence.signals(site, run[0], chosen)]
        return {each.identity for each in said if not each.is_of_machine}

    together = live(tmp_path / "range", [days])
    assert ("user_events", odd, "statistics", "event_time", "before the day") in together
    assert together == live(tmp_path / "days", [[day] for day in days])
