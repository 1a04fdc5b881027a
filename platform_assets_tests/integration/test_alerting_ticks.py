"""Sensors and schedules that should tick: late, failing, switched off, or of no code any more."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._utils.error import SerializableErrorInfo
from pytest_httpserver import HTTPServer

from platform_assets.alerts.signals import Kind
from platform_assets_tests.alert_world import AlertWorld
from platform_assets_tests.conftest import Installation

PLACE = GrpcServerCodeLocationOrigin(host="h", port=1, location_name="here")


@dataclass
class Daemon:
    """What Dagster's daemon writes down of ticks; what is called ``hourly`` is a schedule."""

    instance: dg.DagsterInstance

    def tick(self, name: str, at: datetime, status: TickStatus = TickStatus.SKIPPED) -> None:
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(PLACE, "there"), name)
        kind = InstigatorType.SCHEDULE if name == "hourly" else InstigatorType.SENSOR
        failed = SerializableErrorInfo("KeyError: 'Jane Doe'\n", [], "KeyError")
        self.instance.create_tick(
            TickData(
                origin.get_id(), name, kind, status, at.timestamp(),
                error=failed if status is TickStatus.FAILURE else None,
                selector_id=origin.get_selector().get_id(),
            )
        )  # fmt: skip
        self.switch(name, at)

    def switch(
        self, name: str, at: datetime, status: InstigatorStatus = InstigatorStatus.RUNNING
    ) -> None:
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(PLACE, "there"), name)
        schedule = name == "hourly"
        data: ScheduleInstigatorData | SensorInstigatorData = (
            ScheduleInstigatorData("0 * * * *", at.timestamp())
            if schedule
            else SensorInstigatorData(last_tick_timestamp=at.timestamp(), min_interval=30)
        )
        kind = InstigatorType.SCHEDULE if schedule else InstigatorType.SENSOR
        state = InstigatorState(origin, kind, status, data)
        known = self.instance.get_instigator_state(origin.get_id(), origin.get_selector().get_id())
        if known is None:
            self.instance.add_instigator_state(state)
        else:
            self.instance.update_instigator_state(state)


def begun(subject: str) -> tuple[str, str, str]:
    return ("begun", Kind.HEARTBEAT, subject)


def recovered(subject: str) -> tuple[str, str, str]:
    return ("recovered", Kind.HEARTBEAT, subject)


def test_sensors_and_schedules_that_should_tick(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    @dg.sensor(asset_selection="*", minimum_interval_seconds=30)
    def watching() -> None:
        return

    hourly = dg.ScheduleDefinition(
        name="hourly", target="*", cron_schedule="0 * * * *", execution_timezone="UTC"
    )
    further = dg.Definitions(sensors=[watching], schedules=[hourly])
    world = AlertWorld(installation, instance, httpserver, further=further)
    daemon = Daemon(instance)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    world.ahead = hour + timedelta(minutes=30) - datetime.now(UTC)
    daemon.tick("hourly", hour)
    daemon.tick("watching", world.now)
    # One that is of no code any more is nobody's.
    daemon.tick("forgotten", hour - timedelta(days=1))
    assert world.said() == []

    world.ahead += timedelta(minutes=33)
    daemon.tick("watching", world.now - timedelta(minutes=2))
    assert world.said(timedelta(0)) == [begun("schedule/hourly")]
    daemon.tick("hourly", hour + timedelta(hours=1))
    # Its interval and two minutes are what a sensor has.
    assert sorted(world.said(timedelta(minutes=1))) == [
        begun("sensor/watching"),
        recovered("schedule/hourly"),
    ]
    for _ in range(2):
        daemon.tick("watching", world.now, TickStatus.FAILURE)
    assert world.said(timedelta(seconds=1)) == [recovered("sensor/watching")]
    world.ahead += timedelta(minutes=30)
    daemon.tick("watching", world.now, TickStatus.FAILURE)
    world.tick(timedelta(seconds=1))
    (message,) = world.messages()
    assert message["subject"] == "sensor/watching"
    assert "it failed in 3 ticks in a row" in message["title"]
    assert message["detail"] == "KeyError: …"
    # Whoever switches it off knows.
    daemon.switch("watching", world.now, InstigatorStatus.STOPPED)
    assert recovered("sensor/watching") in world.said(timedelta(hours=1))
