"""How it is known that something is defined no longer, and that it merely cannot be seen."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from platform_assets.alerts.signals import Kind, Signal
from platform_assets.sensors.alerting.definitions import (
    GONE_AFTER,
    HELD_FOR,
    WRITTEN_EVERY,
    Definitions,
    known_by,
    names_of,
    written,
)

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
BOTH, ONE = frozenset({"cleaned/a", "cleaned/b"}), frozenset({"cleaned/a"})
SOON = timedelta(minutes=1)


def problem(subject: str, kind: Kind = Kind.PARTITION_FAILED, part: str = "") -> Signal:
    return Signal(kind, subject, NOW, part=part)


def looked(
    lists: dict[str, str], now: datetime, here: frozenset[str], place: str = "one"
) -> Definitions:
    """What a location knows after a round, in which it writes what it has to."""
    found = known_by(place, here, lists, now)
    text = written(found, lists.get(place), now)
    lists.update({} if text is None else {place: text})
    return found


def gone(found: Definitions, now: datetime) -> list[str]:
    return [name for name in sorted(BOTH) if found.is_gone(problem(name), now)]


def test_what_was_there_and_is_missing_for_a_while_is_gone_until_it_is_back() -> None:
    lists: dict[str, str] = {}
    assert gone(looked(lists, NOW, BOTH), NOW) == []
    first = NOW + SOON
    assert gone(looked(lists, first, ONE), first) == []
    almost, then = first + GONE_AFTER - SOON, first + GONE_AFTER
    assert gone(looked(lists, almost, ONE), almost) == []
    assert gone(looked(lists, then, ONE), then) == ["cleaned/b"]
    later = then + timedelta(days=30)
    assert gone(looked(lists, later, ONE), later) == ["cleaned/b"]
    assert gone(looked(lists, later, BOTH), later) == []
    # Missing again, its time begins anew.
    assert gone(looked(lists, later + SOON, ONE), later + SOON) == []


def test_a_location_that_could_not_be_loaded_or_is_new_has_lost_nothing() -> None:
    lists: dict[str, str] = {}
    looked(lists, NOW, BOTH)
    for days in range(1, 30):
        now = NOW + timedelta(days=days)
        assert gone(looked(lists, now, frozenset(), place="another"), now) == []
    assert gone(looked(lists, now, BOTH), now) == []


def test_what_another_location_defines_is_not_gone_as_long_as_that_one_is_there() -> None:
    lists: dict[str, str] = {}
    looked(lists, NOW, BOTH)
    looked(lists, NOW, BOTH, place="another")
    looked(lists, NOW + SOON, ONE)
    now = NOW
    for _ in range(30):
        now += WRITTEN_EVERY
        # It goes round, and writes again what has not changed.
        looked(lists, now, BOTH, place="another")
        assert gone(looked(lists, now, ONE), now) == []
    assert gone(looked(lists, now + HELD_FOR, ONE), now + HELD_FOR) == ["cleaned/b"]


def test_a_list_is_written_where_it_has_changed_or_is_old() -> None:
    found = Definitions(ONE)
    text = written(found, None, NOW)
    assert written(found, text, NOW + WRITTEN_EVERY - SOON) is None
    assert written(found, text, NOW + WRITTEN_EVERY) is not None
    assert written(Definitions(BOTH), text, NOW) is not None
    assert written(Definitions(ONE, {"cleaned/b": NOW}), text, NOW) is not None


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (problem("cleaned/a"), ("cleaned/a",)),
        (problem("cleaned/a", Kind.CHECK_FAILED, "tidy"), ("cleaned/a", "cleaned/a:tidy")),
        (problem("source/shop", Kind.BREAKER_OPEN), ("source/shop",)),
        (problem("run/nightly", Kind.RUN_FAILED), ("run/nightly",)),
        (problem("sensor/watching", Kind.HEARTBEAT), ("sensor/watching",)),
        (problem("schedule/hourly", Kind.HEARTBEAT), ("schedule/hourly",)),
        (problem("daemon/SENSOR", Kind.HEARTBEAT), ()),
        (problem("process/alerts", Kind.HEARTBEAT), ()),
        (problem("collector/runs", Kind.HEARTBEAT), ()),
        (problem("run/8f3a", Kind.DURATION), ()),
        (problem("backfill/b", Kind.BACKFILL_FINISHED), ()),
    ],
)
def test_what_must_be_defined_for_a_problem_to_be_one(told: Signal, names: tuple[str, ...]) -> None:
    assert names_of(told) == names
    missing: Mapping[str, datetime] = dict.fromkeys(names, NOW - GONE_AFTER)
    assert Definitions(frozenset(), missing).is_gone(told, NOW) is bool(names)
    # What is not about code, every location may say to be over.
    assert Definitions(frozenset(names)).judges(told)
    assert Definitions(frozenset()).judges(told) is not bool(names)
