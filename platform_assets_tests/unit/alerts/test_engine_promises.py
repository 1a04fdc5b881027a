"""What holds of the engine whatever happens, in whatever order, at whatever time."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.hours import QuietHours
from platform_assets.alerts.incidents import What
from platform_assets.alerts.matching import Match
from platform_assets.alerts.routing import Escalation, Storm
from platform_assets.alerts.signals import Kind, Severity, Signal, Standing, fingerprint
from platform_assets_tests.alerting import ERROR, START, World, policy, route, silence

SUBJECTS = ("source/shop", "raw/a", "raw/b", "cleaned/a")
BEGINS = (What.BEGUN, What.ESCALATED)
ENDS = (What.RECOVERED, What.PASSED)

spans = st.sampled_from([0, 5, 20, 60, 300, 900, 3600, 6 * 3600]).map(
    lambda seconds: timedelta(seconds=seconds)
)
causes = st.sampled_from(["", *(fingerprint(Kind.FRESHNESS, each) for each in SUBJECTS)])
signals = st.builds(
    Signal,
    kind=st.sampled_from([Kind.FRESHNESS, Kind.PARTITION_FAILED, Kind.RUN_FAILED]),
    subject=st.sampled_from(SUBJECTS),
    at=st.just(START),
    standing=st.sampled_from([Standing.OPEN, Standing.OPEN, *Standing]),
    partition=st.sampled_from(["", "2025-01-01"]),
    severity=st.sampled_from(Severity),
    cause=causes,
    run_id=st.sampled_from(["", "r1", "r2", "r3"]),
    dataset=st.sampled_from(["a", "b", ""]),
)
histories = st.lists(st.tuples(spans, st.lists(signals, max_size=6)), min_size=1, max_size=14)
routes = st.builds(
    route,
    name=st.just("team"),
    group_wait=st.sampled_from([timedelta(0), timedelta(seconds=30)]),
    repeat_after=st.sampled_from([None, timedelta(hours=1)]),
    match=st.sampled_from([Match(), Match(severity=ERROR), Match(datasets=("a",))]),
    quiet_hours=st.sampled_from([None, QuietHours(time(22), time(7), ZoneInfo("Europe/London"))]),
)
policies = st.builds(
    lambda one, other, storm, escalations: policy(
        one, replace(other, name="errors"), route("on-call", match=None),
        storm=storm, escalations=escalations,
    ),
    one=routes,
    other=routes,
    storm=st.sampled_from([Storm(), Storm(messages=2), Storm(messages=4)]),
    escalations=st.sampled_from(
        [
            (),
            (Escalation("on-call", failures=2),),
            (Escalation("on-call", unacknowledged=timedelta(minutes=10)),),
        ]
    ),
)  # fmt: skip


def lived(history, chosen):
    """A world in which all of it happens; what holds at each moment is asked at each."""
    world, now = World(chosen), START
    for pause, seen in history:
        now += pause
        world.at(now, *(replace(each, at=now) for each in seen))
        assert_everybody_was_told(world, now)
    return world, now


def assert_everybody_was_told(world, now):
    for problem in world.state.problems.values():
        incident = world.state.incidents[problem.incident]
        if not problem.is_open or incident.silence:
            continue
        for each in world.policy.routes_of(problem.signal):
            if now >= incident.noticed_at + each.group_wait:
                assert not incident.told[each.name].ended


def ended(world, now):
    """Everything is over, and time passes."""
    at = now + timedelta(seconds=1)
    gone = [
        replace(each.signal, standing=Standing.OVER, at=at)
        for each in world.state.problems.values()
        if each.is_open
    ]
    world.at(at, *gone)
    for hours in range(1, 25):
        world.at(at + timedelta(hours=hours))


@settings(max_examples=60)
@given(histories, policies)
def test_a_beginning_and_an_end_take_turns(history, chosen):
    world, now = lived(history, chosen)
    ended(world, now)
    turns = defaultdict(list)
    for message in world.said:
        if message.incident:
            turns[message.incident, message.route].append(message.what)
    for told in turns.values():
        there = False
        for what in told:
            if what is What.BEGUN:
                assert not there
            if what is What.RECOVERED or what in (What.REPEATED, What.WORSE):
                assert there
            if what in (What.PASSED, What.HAPPENED):
                assert told == [what] or not there
            there = (there or what in BEGINS) and what not in ENDS
        assert not there


@settings(max_examples=60)
@given(histories, policies)
def test_nothing_is_left_and_nothing_is_lost(history, chosen):
    world, now = lived(history, chosen)
    ended(world, now)
    assert world.state.incidents == {} == world.state.problems
    assert world.state.waiting == ()
    waited = [each.id for each in world.said if each.waits]
    told = [part for each in world.said for part in each.parts]
    assert sorted(waited) == sorted(told)
    assert len({each.id for each in world.said}) == len(world.said)


@settings(max_examples=60)
@given(histories, policies)
def test_no_route_gets_more_than_its_measure(history, chosen):
    world, now = lived(history, chosen)
    ended(world, now)
    storm = chosen.storm
    for each in chosen.routes:
        sent = [
            message.at
            for message in world.said
            if message.route == each.name and not message.waits and message.what is not What.SUMMARY
        ]
        for first in sent:
            within = sum(first <= at < first + storm.within for at in sent)
            assert within <= storm.messages


@settings(max_examples=60)
@given(histories, policies)
def test_what_is_silenced_is_not_said(history, chosen):
    world, now = World(chosen), START
    quiet = silence(START + timedelta(hours=3))
    world.state = replace(world.state, silences=(quiet,))
    for pause, seen in history:
        now += pause
        world.at(now, *(replace(each, at=now) for each in seen))
    assert all(each.at >= quiet.until for each in world.said)


@settings(max_examples=25)
@given(histories, policies)
def test_whoever_begins_anew_after_each_step_says_the_same(history, chosen):
    world, now = World(chosen), START
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "watch.sqlite")
        for pause, seen in history:
            now += pause
            happened = [replace(each, at=now) for each in seen]
            before = len(world.said)
            world.at(now, *happened)
            # A book that knows what the file says, and no more.
            said = Book(database, "http://ui").take(happened, chosen, now, {"log": str(now)})
            assert said == world.said[before:]
        kept = Book(database).messages()
        assert [each.id for each in kept] == [each.id for each in world.said]
        assert Book(database).cursor("log") == str(now)
