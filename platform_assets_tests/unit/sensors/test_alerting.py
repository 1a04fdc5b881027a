"""Words, order and transitions of what collectors tell; names that two layers have in common."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.alerts.signals import Kind, Severity, Signal, Standing
from platform_assets.assets import describe, drift, freshness
from platform_assets.dataset import Dataset
from platform_assets.errors import ContractError
from platform_assets.sensors.alerting import checks
from platform_assets.sensors.alerting.loop import causes_first
from platform_assets.sensors.alerting.wording import in_words, retry, without_values
from platform_assets.sensors.alerting.world import over, transitions
from platform_assets_tests.support import things

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


def problem(subject: str, **options: Any) -> Signal:
    return replace(Signal(Kind.FRESHNESS, subject, NOW), **options)


def test_checks_that_show_what_is_told_elsewhere_are_called_so() -> None:
    assert checks.PUBLISHED == describe.PUBLISHED
    assert checks.SCHEMA == drift.CHECK
    assert checks.FRESHNESS == freshness.CHECK


def test_what_only_goes_on_is_not_told_again() -> None:
    stands = problem("cleaned/a")
    worse = problem("cleaned/b", severity=Severity.WARN)
    gone = problem("cleaned/c")
    present = [stands, problem("cleaned/b"), problem("cleaned/d")]
    told = transitions(present, [stands, worse, gone], NOW)
    assert [(e.subject, e.standing) for e in told] == [
        ("cleaned/b", Standing.OPEN),
        ("cleaned/d", Standing.OPEN),
        ("cleaned/c", Standing.OVER),
    ]
    assert transitions([stands], [stands], NOW) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=12))
def test_causes_come_first_and_nothing_changes_its_order_of_its_own(
    drawn: list[tuple[int, int, bool]],
) -> None:
    # Also in a circle, which no collector should make.
    prints = [problem(f"s{n}").fingerprint for n in range(6)]
    signals = []
    for index, (own, cause, ends) in enumerate(drawn):
        made = problem(f"s{own}", cause=prints[cause] if cause != own else "", title=str(index))
        signals.append(over(made, NOW) if ends else made)
    ordered = causes_first(signals)
    assert sorted(ordered, key=lambda e: int(e.title)) == signals
    for each in prints:
        own_titles = [int(e.title) for e in ordered if e.fingerprint == each]
        assert own_titles == sorted(own_titles)


def test_an_effect_that_was_seen_first_comes_after_its_cause() -> None:
    root = problem("raw/a")
    middle = problem("cleaned/a", cause=root.fingerprint)
    last = problem("aggregated/a", cause=middle.fingerprint)
    assert causes_first([last, middle, root]) == [root, middle, last]


def test_values_are_left_out_of_errors_that_are_not_ours() -> None:
    text = (
        "Could not convert string 'ada@example.com' to INT64\nrow 1234567: \"x\"\n\n" + "more\n" * 9
    )
    assert without_values(text).splitlines() == [
        "Could not convert string … to INT64",
        "row …: …",
        *["more"] * 4,
    ]


@pytest.mark.parametrize(
    ("partition", "command"),
    [
        (
            "2025-01-01",
            "platform-assets backfill --from 2025-01-01 --to 2025-01-01 --select 'key:\"raw/a\"+'",
        ),
        (
            "2025-01-01..2025-01-05",
            "platform-assets backfill --from 2025-01-01 --to 2025-01-05 --select 'key:\"raw/a\"+'",
        ),
        (
            "north west",
            "dagster asset materialize -m platform_assets.definitions --select 'key:\"raw/a\"' "
            "--partition 'north west'",
        ),
        (
            "all",
            "dagster asset materialize -m platform_assets.definitions --select 'key:\"raw/a\"'",
        ),
    ],
)
def test_the_command_that_tries_again(partition: str, command: str) -> None:
    assert retry("raw/a", partition) == command


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(90, "90 s"), (130, "2 min"), (47 * 60, "47 min"), (11_100, "3 h 5 min")],
)
def test_lengths_of_time(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize("sla", [timedelta(0), timedelta(minutes=-1)])
def test_an_sla_that_every_run_would_break_is_refused(sla: timedelta) -> None:
    with pytest.raises(
        ContractError, match=r"may take is none[\s\S]*dataset things, sla[\s\S]*fix"
    ):
        things(sla=sla)
    made: Dataset = things(sla=timedelta(minutes=20))
    metadata = {n: describe.definition_metadata(made, n) for n in ("raw", "cleaned", "quarantine")}
    told = {name: each.get("platform_assets/sla_seconds") for name, each in metadata.items()}
    assert told == {"raw": 1200.0, "cleaned": 1200.0, "quarantine": None}
