"""Freshness speaks of the data: what was promised by now, and what is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from platform_assets.partitions import Daily, Partitions, Unpartitioned
from platform_assets.quality.freshness import Evidence, FreshnessState, Level, judge
from platform_assets.quality.policy import Calendar
from platform_assets.quality.promise import Freshness

START = date(2025, 1, 1)
DAYS = Daily(START)
WHOLE = Unpartitioned()
LONDON = Freshness(
    by="08:00", timezone="Europe/London", days="business", warn_before=timedelta(minutes=30)
)
RANK = {Level.FRESH: 0, Level.WARN: 1, Level.LATE: 2}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type] # a tuple of any length


def published(newest: str | None, **options: Any) -> Evidence:
    """A newest partition with rows of its own day."""
    event = None if newest is None else datetime.fromisoformat(f"{newest}T20:00:00+00:00")
    at = None if event is None else event + timedelta(hours=9)
    values = {"newest": newest, "filled": newest, "published_at": at, "newest_event": event}
    return Evidence(**{**values, **options})


def state(
    now: datetime,
    evidence: Evidence,
    promise: Freshness = LONDON,
    partitions: Partitions = DAYS,
) -> FreshnessState:
    return judge("cleaned/orders", promise, partitions, evidence, now)


def level(now: datetime, evidence: Evidence, *args: Any) -> Level:
    return state(now, evidence, *args).level


# 2025-01-10 is a Friday.
def test_a_partition_that_is_there_by_its_deadline_is_fresh() -> None:
    found = state(utc(2025, 1, 10, 9), published("2025-01-09"))
    assert (found.level, found.expected, found.newest) == (Level.FRESH, "2025-01-09", "2025-01-09")
    assert found.deadline == utc(2025, 1, 10, 8)
    assert (found.since, found.late_because) == (None, ())
    assert found.message == (
        "Fresh: the newest partition is 2025-01-09, published 2025-01-10 05:00 UTC, its newest "
        "event is of 2025-01-09 20:00 UTC; promised is the newest partition by 08:00 "
        "Europe/London on business days."
    )


def test_one_that_is_missing_warns_before_its_deadline_and_is_late_after_it() -> None:
    there = published("2025-01-08")
    assert level(utc(2025, 1, 10, 7, 29), there) is Level.FRESH
    near = state(utc(2025, 1, 10, 7, 30), there)
    assert (near.level, near.expected) == (Level.WARN, "2025-01-09")
    assert (near.since, near.deadline) == (utc(2025, 1, 10, 7, 30), utc(2025, 1, 10, 8))
    assert near.message.startswith(
        "Late from 2025-01-10 08:00 UTC on: 2025-01-09 is not there; the newest partition is "
        "2025-01-08, published"
    )
    late = state(utc(2025, 1, 10, 8), there)
    assert (late.level, late.expected) == (Level.LATE, "2025-01-09")
    assert (late.since, late.deadline) == (utc(2025, 1, 10, 8), utc(2025, 1, 10, 8))
    assert late.message.startswith("Late since 2025-01-10 08:00 UTC: 2025-01-09 is not there")
    # Days later it is late since the same moment, and another partition is expected.
    later = state(utc(2025, 1, 14, 12), there)
    assert (later.since, later.expected) == (utc(2025, 1, 10, 8), "2025-01-13")
    assert later.deadline == utc(2025, 1, 14, 8)


def test_what_was_never_published_is_late_and_not_unknown() -> None:
    found = state(utc(2025, 1, 10, 9), Evidence())
    assert (found.level, found.newest, found.since) == (Level.LATE, None, utc(2025, 1, 2, 8))
    assert "nothing was ever published" in found.message
    # Before the first deadline nothing is promised.
    early = state(utc(2025, 1, 1, 12), Evidence())
    assert (early.level, early.expected, early.deadline) == (Level.FRESH, None, None)
    looked = state(utc(2025, 1, 10, 9), Evidence(), Freshness(by="08:00"), WHOLE)
    assert (looked.level, looked.since) == (Level.LATE, None)
    aged = state(utc(2025, 1, 10), Evidence(), Freshness(within=timedelta(hours=2)), WHOLE)
    assert (aged.level, aged.since) == (Level.LATE, None)


def test_an_old_backfill_does_not_make_it_fresh() -> None:
    now = utc(2025, 2, 3, 9)
    before = state(now, published("2025-01-20"))
    # It is published now, and is older than what was there.
    after = state(now, published("2025-01-20", published_at=now))
    assert before.level is after.level is Level.LATE
    assert before.since == after.since == utc(2025, 1, 22, 8)


def test_a_weekend_passes_and_on_monday_the_newest_day_is_due() -> None:
    there = published("2025-01-09")
    assert level(utc(2025, 1, 12, 23), there) is Level.FRESH
    monday = state(utc(2025, 1, 13, 8), there)
    assert (monday.level, monday.expected) == (Level.LATE, "2025-01-12")
    # The newest day is asked for; days between are not freshness.
    assert level(utc(2025, 1, 13, 8), published("2025-01-12")) is Level.FRESH


def test_a_holiday_has_no_deadline() -> None:
    promise = replace(LONDON, calendar=Calendar("GB"))
    there = published("2025-12-23")
    assert level(utc(2025, 12, 28, 12), there, promise) is Level.FRESH
    assert level(utc(2025, 12, 28, 12), there) is Level.LATE
    found = state(utc(2025, 12, 29, 9), there, promise)
    assert (found.level, found.expected) == (Level.LATE, "2025-12-28")


def test_a_source_that_rests_at_weekends_is_not_late_on_monday() -> None:
    promise = Freshness(by="08:00", days="business", partitions="business")
    there = published("2025-01-10")
    assert level(utc(2025, 1, 13, 12), there, promise) is Level.FRESH
    found = state(utc(2025, 1, 14, 8), there, promise)
    assert (found.level, found.expected) == (Level.LATE, "2025-01-13")


def test_after_the_end_nothing_more_is_promised() -> None:
    days = Daily(START, date(2025, 1, 31))
    assert level(utc(2026, 1, 1), published("2025-01-31"), LONDON, days) is Level.FRESH
    found = state(utc(2026, 1, 1), published("2025-01-30"), LONDON, days)
    # The 31st is a Friday: it is due on Monday.
    assert (found.level, found.expected, found.since) == (
        Level.LATE, "2025-01-31", utc(2025, 2, 3, 8),
    )  # fmt: skip
    assert found.deadline == utc(2025, 2, 3, 8)
    aged = Freshness(within=timedelta(hours=26))
    assert level(utc(2026, 1, 1), published("2025-01-31"), aged, days) is Level.FRESH


@pytest.mark.parametrize(
    ("quiet", "expected"), [("warn", Level.WARN), ("late", Level.LATE), ("fresh", Level.FRESH)]
)
def test_a_partition_that_brings_nothing_new(quiet: Any, expected: Level) -> None:
    promise = Freshness(by="08:00", quiet=quiet)
    empty = published("2025-01-09", filled="2025-01-08", newest_event=utc(2025, 1, 8, 22))
    old = published("2025-01-09", newest_event=utc(2025, 1, 8, 22))
    for evidence in (empty, old):
        # Before the deadline there is time for more to come.
        assert level(utc(2025, 1, 10, 7), evidence, promise) is Level.FRESH
        found = state(utc(2025, 1, 10, 8), evidence, promise)
        assert found.level is expected
        if expected is not Level.FRESH:
            assert found.since == utc(2025, 1, 10, 8)
            assert found.message.startswith("Nothing new since 2025-01-10 08:00 UTC: ")
            assert "its newest event is of 2025-01-08 22:00 UTC" in found.message
    without = published("2025-01-09", filled="2025-01-08", newest_event=None)
    if expected is not Level.FRESH:
        assert "and is empty" in state(utc(2025, 1, 10, 8), without, promise).message
    # Without an event time the partition counts.
    filled = published("2025-01-09", newest_event=None)
    assert level(utc(2025, 1, 10, 8), filled, promise) is Level.FRESH


def test_newest_data_may_have_an_age() -> None:
    promise = Freshness(within=timedelta(hours=2), warn=timedelta(hours=1))
    there = Evidence(
        "all", "all", utc(2025, 1, 1), newest_event=utc(2025, 1, 10, 8), reach=utc(2025, 1, 10, 20)
    )
    assert level(utc(2025, 1, 10, 8, 59), there, promise, WHOLE) is Level.FRESH
    near = state(utc(2025, 1, 10, 9), there, promise, WHOLE)
    assert (near.level, near.since) == (Level.WARN, utc(2025, 1, 10, 9))
    assert near.deadline == utc(2025, 1, 10, 10)
    late = state(utc(2025, 1, 10, 10), there, promise, WHOLE)
    assert (late.level, late.since) == (Level.LATE, utc(2025, 1, 10, 10))
    # Without an event time, that the source was looked at counts.
    looked = replace(there, newest_event=None)
    assert level(utc(2025, 1, 10, 20, 59), looked, promise, WHOLE) is Level.FRESH
    assert level(utc(2025, 1, 10, 22), looked, promise, WHOLE) is Level.LATE


def test_daily_data_may_have_an_age() -> None:
    promise = Freshness(within=timedelta(hours=30))
    there = published("2025-01-09", newest_event=None)
    assert level(utc(2025, 1, 11, 5, 59), there, promise) is Level.FRESH
    late = state(utc(2025, 1, 11, 6), there, promise)
    assert (late.level, late.expected, late.since) == (
        Level.LATE, "2025-01-10", utc(2025, 1, 11, 6),
    )  # fmt: skip
    assert late.deadline == utc(2025, 1, 11, 6)
    # Events tell it more exactly: the last one was at eight in the evening.
    assert level(utc(2025, 1, 11, 2), published("2025-01-09"), promise) is Level.LATE
    never = state(utc(2025, 1, 10), Evidence(), promise)
    assert (never.level, never.since) == (Level.LATE, utc(2025, 1, 2, 6))
    assert level(utc(2025, 1, 2, 5), Evidence(), promise) is Level.FRESH


def test_a_whole_table_is_made_from_a_look_of_the_day_before() -> None:
    promise = Freshness(by="08:00", timezone="Europe/London", days="business")
    there = Evidence("all", "all", utc(2024, 12, 1), reach=utc(2025, 1, 9, 22))
    assert level(utc(2025, 1, 10, 9), there, promise, WHOLE) is Level.FRESH
    # A look on Friday evening does not serve Monday.
    friday = replace(there, reach=utc(2025, 1, 10, 20))
    assert level(utc(2025, 1, 13, 7, 59), friday, promise, WHOLE) is Level.FRESH
    monday = state(utc(2025, 1, 13, 8), friday, promise, WHOLE)
    assert (monday.level, monday.since) == (Level.LATE, utc(2025, 1, 13, 8))
    assert (monday.expected, monday.newest) == (None, None)
    assert "its source was looked at last 2025-01-10 20:00 UTC" in monday.message
    # What it holds is old, though it was looked at: that is warned of.
    old = replace(there, newest_event=utc(2025, 1, 6, 12))
    found = state(utc(2025, 1, 10, 9), old, promise, WHOLE)
    assert (found.level, found.since) == (Level.WARN, utc(2025, 1, 8, 8))


PROMISES = st.one_of(
    st.builds(
        Freshness,
        by=st.times().map(lambda t: f"{t:%H:%M}"),
        timezone=st.sampled_from(["UTC", "Europe/London", "America/New_York", "Asia/Tokyo"]),
        days=st.sampled_from(["all", "business"]),
        partitions=st.sampled_from(["all", "business"]),
        calendar=st.sampled_from([Calendar(), Calendar("GB")]),
        warn_before=st.sampled_from([None, timedelta(minutes=30), timedelta(days=1)]),
        quiet=st.sampled_from(["warn", "late", "fresh"]),
    ),
    st.builds(
        Freshness,
        within=st.integers(1501, 5000).map(lambda n: timedelta(minutes=n)),
        warn=st.sampled_from([None, timedelta(hours=25)]),
    ),
)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 6, 1), timezones=st.just(UTC))
KEYS = st.dates(START, date(2026, 5, 31)).map(str)
CUTS = st.sampled_from([DAYS, Daily(START, date(2025, 6, 30))])


def evidence_of(newest: str | None, with_events: bool, is_empty: bool) -> Evidence:
    found = published(newest)
    if is_empty:
        found = replace(found, filled=None, newest_event=None)
    return found if with_events else replace(found, newest_event=None)


EVIDENCE = st.builds(evidence_of, st.none() | KEYS, st.booleans(), st.booleans())


@given(PROMISES, CUTS, EVIDENCE, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_time_alone_never_makes_it_better(
    promise: Freshness, days: Daily, evidence: Evidence, now: datetime, more: timedelta
) -> None:
    before, after = state(now, evidence, promise, days), state(now + more, evidence, promise, days)
    assert RANK[before.level] <= RANK[after.level]
    if before.level is after.level is Level.LATE and promise.quiet != "late":
        assert before.since == after.since
    if after.since is not None:
        assert after.since <= now + more


@given(PROMISES, EVIDENCE, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_time_alone_never_makes_a_whole_table_better(
    promise: Freshness, evidence: Evidence, now: datetime, more: timedelta
) -> None:
    evidence = replace(evidence, reach=evidence.published_at)
    before = state(now, evidence, promise, WHOLE)
    after = state(now + more, evidence, promise, WHOLE)
    assert RANK[before.level] <= RANK[after.level]


@given(PROMISES, CUTS, EVIDENCE, MOMENTS)
def test_publishing_an_older_partition_changes_nothing(
    promise: Freshness, days: Daily, evidence: Evidence, now: datetime
) -> None:
    # Of all that is published the newest is told: it, its rows and its events stay the newest.
    assume(evidence.newest is not None)
    again = replace(evidence, published_at=now)
    before, after = state(now, evidence, promise, days), state(now, again, promise, days)
    assert (before.level, before.since) == (after.level, after.since)


@given(PROMISES, CUTS, EVIDENCE, MOMENTS)
def test_publishing_the_expected_partition_makes_it_fresh(
    promise: Freshness, days: Daily, evidence: Evidence, now: datetime
) -> None:
    before = state(now, evidence, promise, days)
    assume(before.expected is not None)
    assert before.expected is not None
    newest = max(before.expected, evidence.newest or "")
    # Its events are of all of its day.
    event = datetime.fromisoformat(f"{newest}T23:59:59+00:00")
    after = state(now, published(newest, newest_event=event), promise, days)
    if promise.within is None:
        near = after.level is Level.WARN and after.expected != before.expected
        assert after.level is Level.FRESH or near
    else:
        assert after.level is not Level.LATE


@given(PROMISES, CUTS, KEYS, KEYS, MOMENTS)
def test_newer_data_are_never_worse(
    promise: Freshness, days: Daily, one: str, other: str, now: datetime
) -> None:
    older, newer = published(min(one, other)), published(max(one, other))
    assert RANK[level(now, newer, promise, days)] <= RANK[level(now, older, promise, days)]


@given(PROMISES, CUTS, EVIDENCE, MOMENTS)
def test_a_state_says_what_it_is_judged_by(
    promise: Freshness, days: Daily, evidence: Evidence, now: datetime
) -> None:
    found = state(now, evidence, promise, days)
    assert (found.since is None) is (found.level is Level.FRESH)
    assert found.message.endswith(f"promised is {promise.in_words}.")
    if found.expected is not None:
        assert found.deadline is not None
        assert str(days.start) <= found.expected
        assert days.end is None or found.expected <= str(days.end)
