"""Statistics: each check fires on what it is for, and is silent on an ordinary year."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from platform_assets.errors import ContractError
from platform_assets.quality.findings import Standing
from platform_assets.quality.policy import CHECKS, Calendar, Event, Statistics
from platform_assets.quality.profiles import Observed
from platform_assets_tests.unit.quality.support import (
    START,
    STATUSES,
    a_day,
    checks,
    days,
    found_in,
    with_column,
)

TODAY = 60
Change = Callable[[Observed], Observed]


def _profile(seen: Observed, **changes: object) -> Observed:
    return replace(seen, profile=replace(seen.profile, **changes))  # type: ignore[arg-type] # its fields


ODD: dict[str, tuple[Change, str, str]] = {
    "volume_down": (lambda _: a_day(TODAY, 600), "volume", "rows"),
    "volume_doubled": (lambda _: a_day(TODAY, 2000), "volume", "rows"),
    "nothing_came": (lambda _: a_day(TODAY, 0), "volume", "rows"),
    "nulls": (lambda _: a_day(TODAY, nulls=0.06), "null_share", "amount"),
    "all_null": (
        lambda s: with_column(s, "amount", nulls=s.profile.rows), "null_share", "amount",
    ),
    "zeros": (lambda s: with_column(s, "amount", zeros=90), "null_share", "amount, zero"),
    "cents": (lambda _: a_day(TODAY, mean=5000.0), "mean", "amount"),
    "shape": (lambda _: a_day(TODAY, mean=70.0), "distribution", "amount"),
    "mix": (
        lambda _: a_day(TODAY, statuses={"paid": 0.3, "shipped": 0.6, "returned": 0.1}),
        "distribution", "status",
    ),
    "new_category": (
        lambda _: a_day(TODAY, statuses={**STATUSES, "lost": 0.02}),
        "categories", "status=lost",
    ),
    "lost_category": (
        lambda _: a_day(TODAY, statuses={"paid": 0.6, "shipped": 0.3}),
        "categories", "status=returned",
    ),
    "outlier": (lambda s: with_column(s, "amount", high=1e6), "outliers", "amount, highest"),
    "few_values": (lambda s: with_column(s, "amount", distinct=12), "distinct", "amount"),
    "late": (lambda s: _profile(s, before=60), "event_time", "before the day"),
    "future": (lambda s: _profile(s, after=60), "event_time", "after the day"),
    "rejected": (lambda s: replace(s, quarantined=60), "rejected", "quarantined"),
    "copies": (lambda s: replace(s, deduplicated=60), "rejected", "deduplicated"),
    "one_rule": (lambda s: replace(s, broken={"amount__ge": 60}), "rejected", "amount__ge"),
    "slow": (lambda s: replace(s, seconds=60.0), "duration", "seconds to clean"),
    "slow_source": (lambda s: replace(s, load_seconds=60.0), "duration", "seconds to load"),
    "dear": (lambda s: replace(s, bytes=s.bytes * 3), "duration", "bytes per row"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_found_on_its_first_day(name: str) -> None:
    change, check, column = ODD[name]
    found = found_in(days(TODAY), change(a_day(TODAY)))
    about = [each for each in found if (each.check_name, each.column_name) == (check, column)]
    assert len(about) == 1, found
    finding = about[0]
    assert not finding.expected_low <= finding.observed <= finding.expected_high
    assert finding.confidence > 0.999
    assert finding.history == 56
    assert finding.severity == "warn"
    assert "expected" in finding.message
    assert "56 days" in finding.message


def test_every_check_can_fire() -> None:
    assert {check for _, check, _ in ODD.values()} == set(CHECKS)


@pytest.mark.parametrize("seed", range(3))
def test_an_ordinary_year_is_silent(seed: int) -> None:
    """A year with its weekly cycle, growth by half and the noise of counting."""
    year = [a_day(n, 800 + n, seed=seed) for n in range(365)]
    assert found_in([], year) == []


def test_little_history_says_nothing() -> None:
    assert found_in(days(13), a_day(13, 10)) == []
    # With two of each weekday it takes more than a third to be sure; with three it does not.
    assert "volume" not in checks(found_in(days(14), a_day(14, 300)))
    assert "volume" in checks(found_in(days(21), a_day(21, 300)))


def test_the_less_history_the_wider_the_range() -> None:
    short = found_in(days(21), a_day(21, 100))
    long = found_in(days(63), a_day(63, 100))
    widths = [
        each.expected_high - each.expected_low
        for found in (short, long)
        for each in found
        if each.check_name == "volume"
    ]
    assert widths[0] > widths[1]


def test_a_sunday_is_compared_with_sundays() -> None:
    # As many rows as on a Saturday: ordinary for the shop, and twice those of a Sunday.
    sunday = 62
    assert (START + timedelta(days=sunday)).weekday() == 6
    found = found_in(days(sunday), replace(a_day(sunday), extracted=1300))
    volume = next(each for each in found if each.check_name == "volume")
    assert volume.expected_high < 1300
    assert "by weekday" in volume.message


def test_what_was_odd_yesterday_is_odd_today() -> None:
    """A fault that nobody mends does not become what is expected."""
    two = [a_day(TODAY, 400), a_day(TODAY + 1, 400)]
    found = [each for each in found_in(days(TODAY), two) if each.check_name == "volume"]
    assert [each.partition for each in found] == [each.partition for each in two]


def test_a_new_category_is_new_until_it_is_accepted() -> None:
    mix = {"paid": 0.6, "lost": 0.05, "shipped": 0.3, "returned": 0.1}
    two = [a_day(TODAY, statuses=mix), a_day(TODAY + 1, statuses=mix)]
    found = found_in(days(TODAY), two)
    new = [each for each in found if each.column_name == "status=lost"]
    assert len(new) == 2
    fine = [replace(each, status=Standing.ACCEPTED) for each in found]
    assert found_in([*days(TODAY), two[0]], two[1], known=fine[:1] + fine[1:]) == []


@pytest.mark.parametrize("name", ODD)
def test_what_a_person_said_was_fine_is_expected(name: str) -> None:
    change = ODD[name][0]
    found = found_in(days(TODAY), change(a_day(TODAY)))
    fine = [replace(each, status=Standing.ACCEPTED) for each in found]
    assert found_in(days(TODAY), change(a_day(TODAY)), known=fine) == []


def test_farther_off_than_what_was_fine_is_odd_again() -> None:
    found = found_in(days(TODAY), a_day(TODAY, 600))
    fine = [replace(each, status=Standing.ACCEPTED) for each in found]
    again = found_in([*days(TODAY), a_day(TODAY, 600)], a_day(TODAY + 1, 250), known=fine)
    assert "volume" in checks(again)


def test_a_declared_day_is_neither_judged_nor_learnt_from() -> None:
    day = START + timedelta(days=TODAY)
    declared = Statistics(calendar=Calendar(events=[Event("sale", day)]))
    sale = a_day(TODAY, 3000, mean=80.0)
    assert {"volume", "mean", "distribution"} <= checks(found_in(days(TODAY), sale))
    assert found_in(days(TODAY), sale, declared) == []
    # What is wrong on any day is wrong on that day, too.
    assert checks(found_in(days(TODAY), a_day(TODAY, 3000, nulls=0.3), declared)) == {"null_share"}
    # The week after it is judged as if it had not been.
    after = found_in([*days(TODAY), sale], a_day(TODAY + 7, 3000), declared)
    assert "volume" in checks(after)


def test_public_holidays_are_such_days() -> None:
    calendar = Calendar(holidays="GB-SCT")
    assert calendar.name_of(date(2025, 1, 2)) == "New Year Holiday"
    assert Calendar(holidays="GB-ENG").name_of(date(2025, 1, 2)) is None
    assert calendar.name_of(date(2025, 1, 3)) is None


def test_publishes_of_one_table_are_compared_with_those_before() -> None:
    history = [replace(a_day(n, weekly=False), partition="all") for n in range(20)]
    today = replace(a_day(20, 300, weekly=False), partition="all")
    found = found_in(history, today, daily=False)
    assert "volume" in checks(found)
    assert "20 publishes" in found[0].message
    assert found_in(history, replace(a_day(20, weekly=False), partition="all"), daily=False) == []


def test_severities_are_the_datasets() -> None:
    statistics = Statistics(severities={"volume": "error", "mean": "off", "null_share": "info"})
    found = found_in(days(TODAY), a_day(TODAY, 300, mean=500.0, nulls=0.2), statistics)
    told = {each.check_name: each.severity for each in found}
    assert told["volume"] == "error"
    assert told["null_share"] == "info"
    assert "mean" not in told


@pytest.mark.parametrize(
    ("declare", "named"),
    [
        (lambda: Statistics(severities={"volumes": "warn"}), "volume"),
        (lambda: Statistics(severities={"volume": "fatal"}), "error"),  # type: ignore[dict-item] # wrong
        (lambda: Statistics(min_history=60), "56"),
        (lambda: Statistics(min_history=2), "3"),
        (lambda: Statistics(false_alarms=0), "12"),
        (lambda: Calendar(holidays="Atlantis"), "ISO 3166"),
        (lambda: Event("sale", date(2025, 2, 1), date(2025, 1, 1)), "2025-02-01"),
    ],
)
def test_what_cannot_be_meant_is_refused(declare: Callable[[], object], named: str) -> None:
    with pytest.raises(ContractError) as refused:
        declare()
    assert named in f"{refused.value.expected} {refused.value.fix}"
