"""Daemons, sensors and schedules that have stopped, or fail at every tick; and the watchdog.

Belongs here: signs of life in Dagster's own storage, and in the table of heartbeats. Does not
belong here: watching the alert loop itself, which only another process can (``cli.watchdog``).

A sensor or schedule that a person has switched off is not dead. One that this code location does
not define is not looked at: it is another one's, or gone (``gone``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickStatus,
)
from dagster._utils.schedules import schedule_execution_time_iterator

from platform_assets.alerts.database import Database
from platform_assets.alerts.heartbeats import ALERT_LOOP, beats, process, silent
from platform_assets.alerts.signals import Kind, Signal
from platform_assets.sensors.alerting.wording import plural, without_values
from platform_assets.sensors.alerting.world import Collected, World, transitions

DAEMON_SILENCE = timedelta(minutes=3)
"""A daemon beats every half minute, but not while a sensor of it takes its time."""
TICK_SILENCE = timedelta(minutes=2)
"""How long a tick may be late."""
FAILED_TICKS = 3
"""So many failed ticks in a row are no accident."""
SUBJECTS = ("daemon/", "sensor/", "schedule/", "process/")


class Heartbeats:
    """The collector of signs of life.

    Args:
        database: Where heartbeats are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, world: World, cursor: str | None) -> Collected:
        """What has newly stopped, or goes on again.

        Args:
            world: What there is to look at.
            cursor: Of no use: what stands is looked at.
        """
        del cursor
        present = [*_daemons(world), *_instigators(world), *self._others(world)]
        known = [e for e in world.own(Kind.HEARTBEAT) if e.subject.startswith(SUBJECTS)]
        # Whoever watches the loop has told of it, and sees by itself that it goes on.
        known = [each for each in known if each.subject != process(ALERT_LOOP)]
        return Collected(transitions(present, known, world.now))

    def _others(self, world: World) -> Iterator[Signal]:
        for each in beats(self._database):
            # This is the loop.
            if each.name != ALERT_LOOP and each.is_silent(world.now):
                yield silent(each)


def _daemons(world: World) -> Iterator[Signal]:
    statuses = world.instance.get_daemon_statuses()
    for name, status in sorted(statuses.items()):
        # One that never ran is of an instance without daemons, such as a test's or a command's.
        if not status.required or status.last_heartbeat is None:
            continue
        seen = datetime.fromtimestamp(status.last_heartbeat.timestamp, UTC)
        if world.now - seen > DAEMON_SILENCE:
            yield Signal(
                kind=Kind.HEARTBEAT,
                subject=f"daemon/{name}",
                at=seen,
                title="the daemon has stopped",
                detail=f"expected: a sign of life every 30 s\nfound: none since {_moment(seen)}",
                command="dagster-daemon run",
            )


def _instigators(world: World) -> Iterator[Signal]:
    states = world.instance.all_instigator_state()
    sensors = {each.name: each for each in world.repository.sensor_defs}
    schedules = {each.name: each for each in world.repository.schedule_defs}
    for state in sorted(states, key=lambda each: each.instigator_name):
        if state.status is InstigatorStatus.STOPPED:
            continue
        if state.instigator_type is InstigatorType.SENSOR and state.instigator_name in sensors:
            subject, late = f"sensor/{state.instigator_name}", _late_sensor(world, state)
        elif (
            state.instigator_type is InstigatorType.SCHEDULE and state.instigator_name in schedules
        ):
            subject = f"schedule/{state.instigator_name}"
            late = _late_schedule(world, state, schedules[state.instigator_name])
        else:
            continue
        told = late or _failing(world, state)
        if told is not None:
            at, title, detail = told
            yield Signal(kind=Kind.HEARTBEAT, subject=subject, at=at, title=title, detail=detail)


Told = tuple[datetime, str, str]


def _late_sensor(world: World, state: InstigatorState) -> Told | None:
    data = state.instigator_data
    if not isinstance(data, SensorInstigatorData) or not data.last_tick_timestamp:
        return None
    seen = datetime.fromtimestamp(data.last_tick_timestamp, UTC)
    every = timedelta(seconds=data.min_interval or 30)
    if world.now - seen <= every + TICK_SILENCE:
        return None
    expected = f"expected: a tick every {every.total_seconds():.0f} s"
    return seen, "it ticks no longer", f"{expected}\nfound: none since {_moment(seen)}"


def _late_schedule(
    world: World, state: InstigatorState, schedule: dg.ScheduleDefinition
) -> Told | None:
    newest = world.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    if not newest:
        return None
    seen = newest[0].timestamp
    due = schedule_execution_time_iterator(
        start_timestamp=(world.now - TICK_SILENCE).timestamp(),
        cron_schedule=schedule.cron_schedule,
        execution_timezone=schedule.execution_timezone or "UTC",
        ascending=False,
    )
    expected = next(due)
    if seen >= expected.timestamp():
        return None
    at = datetime.fromtimestamp(expected.timestamp(), UTC)
    last = datetime.fromtimestamp(seen, UTC)
    return at, "it ticks no longer", f"expected: a tick at {_moment(at)}\nfound: {_moment(last)}"


def _failing(world: World, state: InstigatorState) -> Told | None:
    ticks = world.instance.get_ticks(
        state.instigator_origin_id, state.selector_id, limit=FAILED_TICKS
    )
    wanted = FAILED_TICKS if state.instigator_type is InstigatorType.SENSOR else 1
    finished = [each for each in ticks if each.status is not TickStatus.STARTED][:wanted]
    if len(finished) < wanted or any(each.status is not TickStatus.FAILURE for each in finished):
        return None
    newest, first = finished[0], finished[-1]
    text = without_values(newest.error.message) if newest.error is not None else ""
    at = datetime.fromtimestamp(first.timestamp, UTC)
    return at, f"it failed in {plural(len(finished), 'tick')} in a row", text


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
