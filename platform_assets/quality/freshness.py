"""Freshness: what was promised of an asset's data, held against what is there.

Belongs here: the state of one asset, and what it is judged by. Does not belong here: the promise
(``promise``), asking the lake (``pipeline``), telling Dagster (``assets``, ``sensors``) or a person
(``alerts``).

One moment decides: the one at which what is there is no longer enough. It follows from the promise
and the newest data alone, so that time can only make things worse, older data can never make them
better, and what stands of a partition is what was published as that partition, whatever failed
since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from platform_assets.partitions import Daily, Partitions
from platform_assets.quality.promise import A_DAY, Freshness


class Level(StrEnum):
    """How fresh an asset is."""

    FRESH = "fresh"
    """What should be there is there."""
    WARN = "warn"
    """It is not, and it is soon late."""
    LATE = "late"
    """It is not, past its deadline: also where the asset was never materialized."""


@dataclass(frozen=True)
class FreshnessState:
    """How fresh an asset is at one moment.

    Attributes:
        asset: The asset's key, such as ``cleaned/orders``.
        level: How fresh.
        message: All of it in a sentence: what was promised, what is there.
        expected: The newest partition that should be published by now; None: none yet, or the
            asset is not cut.
        newest: The newest partition that is published; None: none.
        newest_event: The newest event time inside the data (UTC); None: not known.
        published_at: When the newest partition was published last (UTC); None: never.
        deadline: Until when ``expected`` was promised (UTC); None: nothing is promised yet.
        since: Since when it is late, or near it (UTC); None: it is fresh, or there never was any
            data and nothing says since when there should be.
        late_because: Keys of the assets and sources (``source/<connection>``) that it is late on
            account of, nearest the source; empty: it is late by itself, or fresh.
    """

    asset: str
    level: Level
    message: str
    expected: str | None = None
    newest: str | None = None
    newest_event: datetime | None = None
    published_at: datetime | None = None
    deadline: datetime | None = None
    since: datetime | None = None
    late_because: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What is there of an asset.

    Attributes:
        newest: The newest partition that is published; None: none.
        filled: The newest partition that is published and has rows; None: none.
        published_at: When the newest partition was published last (UTC).
        newest_event: The newest event time of all that is published (UTC), of which none is later
            than its publish; None: not known.
        reach: Of an asset that is not cut, the moment (UTC) at which its source was last looked at
            for what it holds; None: never.
    """

    newest: str | None = None
    filled: str | None = None
    published_at: datetime | None = None
    newest_event: datetime | None = None
    reach: datetime | None = None


@dataclass(frozen=True)
class _Due:
    """What a promise comes to, whatever the time.

    Attributes:
        fails_at: When what is there is no longer enough; None: it always is.
        quiet_at: When that has brought nothing new; None: it always has.
        expected: The newest partition that should be there by now.
        deadline: Until when that was promised.
        next_expected: The partition that is missing at ``fails_at``.
    """

    fails_at: datetime | None
    quiet_at: datetime | None = None
    expected: str | None = None
    deadline: datetime | None = None
    next_expected: str | None = None


# What never was there is late, whenever it is asked for.
_EVER = datetime.min.replace(tzinfo=UTC)


def judge(
    asset: str, promise: Freshness, partitions: Partitions, evidence: Evidence, now: datetime
) -> FreshnessState:
    """How fresh an asset is.

    Args:
        asset: Its key.
        promise: What was promised of it.
        partitions: How it is cut.
        evidence: What is there.
        now: The moment (with a time zone) that is asked about.
    """
    now = now.astimezone(UTC)
    if not isinstance(partitions, Daily):
        due = _of_looks(promise, evidence, now)
    elif promise.within is None:
        due = _of_days(promise, partitions, evidence, now)
    else:
        due = _of_age(promise, partitions, evidence, now)
    fails, lead = due.fails_at, _lead(promise)
    state = FreshnessState(
        asset=asset,
        level=Level.FRESH,
        message="",
        expected=due.expected,
        newest=evidence.newest if isinstance(partitions, Daily) else None,
        newest_event=evidence.newest_event,
        published_at=evidence.published_at,
        deadline=due.deadline,
    )
    brings_nothing = False
    if fails is not None and fails <= now:
        state = replace(state, level=Level.LATE, since=None if fails == _EVER else fails)
    elif due.quiet_at is not None and due.quiet_at <= now and promise.quiet != "fresh":
        brings_nothing = True
        state = replace(state, level=Level(promise.quiet), since=due.quiet_at)
    elif fails is not None and lead is not None and fails - lead <= now:
        expected = due.next_expected or due.expected
        state = replace(
            state, level=Level.WARN, since=fails - lead, expected=expected, deadline=fails
        )
    return replace(state, message=_message(promise, state, evidence, brings_nothing))


def _lead(promise: Freshness) -> timedelta | None:
    """How long before it fails it is warned of."""
    if promise.within is None:
        return promise.warn_before
    return None if promise.warn is None else promise.within - promise.warn


def _of_days(promise: Freshness, days: Daily, evidence: Evidence, now: datetime) -> _Due:
    """The newest day that has data and is over at a deadline is published by it."""
    expected = _clipped(days, promise.asked_for(promise.last_deadline(now)))
    fails_at = _first_asking(promise, days, _after(days, evidence.newest))
    brought = evidence.filled
    if brought is not None and evidence.newest_event is not None:
        brought = min(brought, str(evidence.newest_event.date()))
    asked = None if fails_at is None else _clipped(days, promise.asked_for(fails_at))
    return _Due(
        fails_at,
        _first_asking(promise, days, _after(days, brought)),
        _key(expected),
        # More than one asks for a day where others have no data, or no more come.
        None if expected is None else _first_asking(promise, days, expected),
        _key(asked),
    )


def _of_age(promise: Freshness, days: Daily, evidence: Evidence, now: datetime) -> _Due:
    """The newest data are no older than that: by their event time, else by the end of their day."""
    assert promise.within is not None  # it is what is promised
    expected = _clipped(days, (now - promise.within).date())
    missing = _after(days, evidence.newest)
    newest = _begin(missing) if evidence.newest is None else evidence.newest_event
    is_over = days.end is not None and missing > days.end
    return _Due(
        None if is_over else (newest or _begin(missing)) + promise.within,
        expected=_key(expected),
        deadline=None if expected is None else _begin(expected) + promise.within,
        next_expected=_key(_clipped(days, missing)),
    )


def _of_looks(promise: Freshness, evidence: Evidence, now: datetime) -> _Due:
    """What is not cut: its newest event, or the last look at its source, is new enough."""
    if promise.within is not None:
        newest = evidence.newest_event or evidence.reach
        fails_at = _EVER if newest is None else newest + promise.within
        return _Due(fails_at, deadline=None if newest is None else fails_at)
    last = promise.last_deadline(now)
    if evidence.reach is None:
        return _Due(_EVER, deadline=last)
    fails_at = _first_a_day_after(promise, evidence.reach)
    brought = evidence.newest_event if evidence.filled else evidence.published_at
    quiet_at = None if brought is None else _first_a_day_after(promise, brought)
    return _Due(fails_at, quiet_at, deadline=min(last, fails_at))


def _first_a_day_after(promise: Freshness, moment: datetime) -> datetime:
    """The first deadline for which what is of a moment is too old: by more than a day."""
    return next(
        each for each in promise.deadlines_from(moment) if promise.a_day_before(each) > moment
    )


def _first_asking(promise: Freshness, days: Daily, wanted: date) -> datetime | None:
    """The first deadline that asks for a day or a later one; None: none ever does."""
    if days.end is not None and wanted > days.end:
        return None
    found = promise.deadlines_from(_begin(wanted))
    return next((each for each in found if promise.asked_for(each) >= wanted), None)


def _clipped(days: Daily, day: date) -> date | None:
    """A day as a partition: the last one after the end, none before the start."""
    if day < days.start:
        return None
    return day if days.end is None else min(day, days.end)


def _after(days: Daily, newest: str | None) -> date:
    """The first partition that is missing."""
    return days.start if newest is None else max(days.start, date.fromisoformat(newest) + A_DAY)


def _message(
    promise: Freshness, state: FreshnessState, evidence: Evidence, brings_nothing: bool
) -> str:
    if state.newest is not None and state.published_at is not None:
        there = f"the newest partition is {state.newest}, published {_told(state.published_at)}"
    elif evidence.reach is not None:
        there = f"its source was looked at last {_told(evidence.reach)}"
    else:
        there = "nothing was ever published"
    if state.newest_event is not None:
        there += f", its newest event is of {_told(state.newest_event)}"
    elif brings_nothing:
        there += ", and is empty"
    promised = f"promised is {promise.in_words}"
    if state.level is Level.FRESH:
        return f"Fresh: {there}; {promised}."
    since = f" since {_told(state.since)}" if state.since else ""
    if brings_nothing:
        return f"Nothing new{since}: {there}; {promised}."
    lacking = state.expected and (state.newest is None or state.newest < state.expected)
    missing = f"{state.expected} is not there; {there}" if lacking else there
    if state.level is Level.WARN and state.deadline is not None:
        return f"Late from {_told(state.deadline)} on: {missing}; {promised}."
    return f"Late{since}: {missing}; {promised}."


def _key(day: date | None) -> str | None:
    return None if day is None else str(day)


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
