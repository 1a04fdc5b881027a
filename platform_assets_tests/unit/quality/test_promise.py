"""A promise of freshness: its deadlines are right in every time zone, and nonsense is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.errors import ContractError
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.quality.policy import Calendar, Event
from platform_assets.quality.promise import Freshness
from platform_assets.quality.promise_values import read, told

LONDON = Freshness(by="08:00", timezone="Europe/London", days="business")
ZONES = (
    "UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Tokyo",
    "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Auckland", "Pacific/Chatham",
    "America/Havana",
)  # fmt: skip
TIMES = st.times().map(lambda t: f"{t:%H:%M}")
DATES = st.dates(date(2020, 1, 1), date(2030, 12, 31))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type] # a tuple of any length


def first_from(promise: Freshness, moment: datetime) -> datetime:
    return next(promise.deadlines_from(moment))


@pytest.mark.parametrize(
    ("day", "by", "zone", "deadline"),
    [
        (date(2025, 1, 10), "08:00", "Europe/London", utc(2025, 1, 10, 8)),
        (date(2025, 7, 10), "08:00", "Europe/London", utc(2025, 7, 10, 7)),
        # The clock is put forward from 01:00 to 02:00: there is no 01:30, and it is 02:30 then.
        (date(2025, 3, 30), "01:30", "Europe/London", utc(2025, 3, 30, 1, 30)),
        # It is put back from 02:00 to 01:00: of two times 01:30 the first.
        (date(2025, 10, 26), "01:30", "Europe/London", utc(2025, 10, 26, 0, 30)),
        # Half an hour is left out.
        (date(2025, 10, 5), "02:15", "Australia/Lord_Howe", utc(2025, 10, 4, 15, 45)),
    ],
)
def test_a_deadline_is_a_moment(day: date, by: str, zone: str, deadline: datetime) -> None:
    assert Freshness(by=by, timezone=zone).deadline_on(day) == deadline


@given(DATES, TIMES, st.sampled_from(ZONES))
def test_a_clock_shows_a_deadline_or_leaves_it_out(day: date, by: str, zone: str) -> None:
    promise = Freshness(by=by, timezone=zone)
    deadline = promise.deadline_on(day)
    local = deadline.astimezone(ZoneInfo(zone))
    wanted = datetime.fromisoformat(f"{day}T{by}")
    moved = local.replace(tzinfo=None) - wanted
    if moved:
        # It was left out: so much as the clock was put forward, and just before it showed less.
        assert timedelta(0) < moved <= timedelta(hours=2)
        before = (deadline - moved - timedelta(minutes=1)).astimezone(ZoneInfo(zone))
        assert before.replace(tzinfo=None) < wanted
    # It is the first moment at which the clock shows it.
    earlier = (deadline - timedelta(hours=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert earlier < wanted
    length = promise.deadline_on(day + timedelta(days=1)) - deadline
    assert timedelta(hours=22) <= length <= timedelta(hours=26)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    TIMES,
    st.sampled_from(ZONES),
    st.sampled_from(["all", "business"]),
    st.sampled_from([None, "GB"]),
)
def test_the_last_deadline_and_the_next_have_none_between(
    now: datetime, by: str, zone: str, days: Any, holidays: str | None
) -> None:
    promise = Freshness(by=by, timezone=zone, days=days, calendar=Calendar(holidays))
    last = promise.last_deadline(now)
    coming = first_from(promise, now)
    assert last <= now <= coming
    assert first_from(promise, last) == last
    if last < now:
        assert first_from(promise, last + timedelta(microseconds=1)) == coming
    # What it asks for is over: the partition exists by then.
    asked = promise.asked_for(last)
    assert datetime(asked.year, asked.month, asked.day, tzinfo=UTC) + timedelta(days=1) <= last


def test_a_weekend_and_a_holiday_have_no_deadline() -> None:
    friday = utc(2025, 1, 10, 8)
    assert first_from(LONDON, friday + timedelta(minutes=1)) == utc(2025, 1, 13, 8)
    promise = Freshness(by="08:00", days="business", calendar=Calendar("GB"))
    # Christmas is a Thursday, Boxing Day a Friday.
    assert first_from(promise, utc(2025, 12, 24, 9)) == utc(2025, 12, 29, 8)
    assert promise.last_deadline(utc(2025, 12, 28)) == utc(2025, 12, 24, 8)
    # The next day that has one asks for the newest day: that before it.
    assert promise.asked_for(utc(2025, 12, 29, 8)) == date(2025, 12, 28)
    stocktaking = Calendar(events=[Event("stocktaking", date(2025, 6, 3), date(2025, 6, 4))])
    every_day = Freshness(by="08:00", calendar=stocktaking)
    assert first_from(every_day, utc(2025, 6, 2, 9)) == utc(2025, 6, 5, 8)
    assert first_from(every_day, utc(2025, 6, 7, 1)) == utc(2025, 6, 7, 8)


def test_a_source_that_rests_is_asked_for_its_last_working_day() -> None:
    promise = Freshness(by="08:00", days="business", partitions="business", calendar=Calendar("GB"))
    assert promise.asked_for(utc(2025, 1, 13, 8)) == date(2025, 1, 10)
    assert promise.asked_for(utc(2025, 12, 29, 8)) == date(2025, 12, 24)
    assert promise.asked_for(utc(2025, 1, 14, 8)) == date(2025, 1, 13)


def test_a_deadline_asks_for_the_day_that_is_over_in_utc() -> None:
    tokyo = Freshness(by="08:00", timezone="Asia/Tokyo")
    # Eight in Tokyo is eleven the evening before: that day is not over.
    assert tokyo.asked_for(tokyo.deadline_on(date(2025, 1, 10))) == date(2025, 1, 8)
    new_york = Freshness(by="20:00", timezone="America/New_York")
    assert new_york.asked_for(new_york.deadline_on(date(2025, 1, 10))) == date(2025, 1, 10)


@pytest.mark.parametrize(
    "promise",
    [
        LONDON,
        Freshness(by="23:59", warn_before=timedelta(minutes=30), quiet="late"),
        Freshness(within=timedelta(hours=26), warn=timedelta(minutes=90)),
        Freshness(by="00:00", partitions="business", calendar=Calendar("US")),
        Freshness(
            by="07:30",
            calendar=Calendar("GB-SCT", [Event("a", date(2025, 1, 1)),
                                         Event("b", date(2025, 2, 1), date(2025, 2, 3))]),
        ),
    ],
)  # fmt: skip
def test_a_promise_is_told_and_read(promise: Freshness) -> None:
    found = read(told(promise), "here")
    assert told(found) == told(promise)
    assert (found.in_words, found.by, found.within) == (
        promise.in_words, promise.by, promise.within,
    )  # fmt: skip


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("values", "where", "found"),
    [
        ({}, "by, within", "neither"),
        ({"by": "08:00", "within": HOUR}, "by, within", "both"),
        ({"by": "8:00"}, "by", "8:00"),
        ({"by": "24:00"}, "by", "24:00"),
        ({"by": "08:00", "timezone": "Europe/Lundon"}, "timezone", "Europe/Lundon"),
        ({"by": "08:00", "timezone": "../etc/passwd"}, "timezone", "../etc/passwd"),
        ({"by": "08:00", "timezone": ""}, "timezone", ""),
        ({"by": "08:00", "days": "weekdays"}, "days", "weekdays"),
        ({"by": "08:00", "partitions": "some"}, "partitions", "some"),
        ({"by": "08:00", "quiet": "error"}, "quiet", "error"),
        ({"by": "08:00", "warn": HOUR}, "warn", "by"),
        ({"by": "08:00", "warn_before": timedelta(0)}, "warn_before", "0s"),
        ({"by": "08:00", "warn_before": timedelta(days=2)}, "warn_before", "2d"),
        ({"by": "08:00", "warn_before": timedelta(seconds=90)}, "warn_before", "0:01:30"),
        ({"within": timedelta(0)}, "within", "0s"),
        ({"within": 7200}, "within", "7200"),
        ({"within": "2h"}, "within", "2h"),
        ({"within": HOUR, "warn": HOUR}, "warn", "1h"),
        ({"within": HOUR, "days": "business"}, "days", "within"),
        ({"within": HOUR, "timezone": "Europe/London"}, "timezone", "within"),
        ({"within": HOUR, "calendar": Calendar("GB")}, "calendar", "within"),
    ],
)
def test_what_cannot_be_judged_is_refused(values: dict[str, Any], where: str, found: str) -> None:
    with pytest.raises(ContractError, match="cannot be promised so") as refused:
        Freshness(**values)
    assert refused.value.where == f"freshness, {where}"
    assert refused.value.found == found
    assert refused.value.fix


def test_a_calendar_without_a_working_day_is_refused() -> None:
    closed = Calendar(events=[Event("closed", date(2024, 1, 1), date(2027, 1, 1))])
    with pytest.raises(ContractError, match="cannot be promised so"):
        Freshness(by="08:00", calendar=closed)


def test_daily_data_cannot_be_younger_than_a_day() -> None:
    promise = Freshness(within=timedelta(hours=24))
    with pytest.raises(ContractError, match="no daily data can have") as refused:
        promise.examine("dataset things", Daily(date(2025, 1, 1)))
    assert refused.value.where == "dataset things, freshness, within"
    promise.examine("dataset things", Unpartitioned())
    Freshness(within=timedelta(hours=25)).examine("dataset things", Daily(date(2025, 1, 1)))


def test_a_rule_cannot_have_the_name_of_the_check() -> None:
    with pytest.raises(ContractError, match="name of the check on freshness"):
        LONDON.examine("dataset things", Unpartitioned(), ["a__ge", "freshness"])
    LONDON.examine("dataset things", Unpartitioned(), ["a__ge"])


@pytest.mark.parametrize(
    ("values", "where"),
    [
        (3, "model x, freshness"),
        ({"bye": "08:00"}, "model x, freshness, bye"),
        ({"by": 630}, "model x, freshness, by"),
        ({"within": "2 hours"}, "model x, freshness, within"),
        ({"by": "08:00", "calendar": {"holidays": "XX"}}, "model x, calendar, holidays"),
        ({"by": "08:00", "calendar": {"events": [{"name": "a"}]}}, "model x, freshness"),
        ({"by": "08:00", "calendar": {"holiday": "GB"}}, "model x, freshness, calendar, holiday"),
        ({"by": "08:00", "calendar": 3}, "model x, freshness"),
    ],
)
def test_plain_values_that_tell_no_promise_are_refused(values: object, where: str) -> None:
    with pytest.raises(ContractError) as refused:
        read(values, "model x")
    assert refused.value.where == where
