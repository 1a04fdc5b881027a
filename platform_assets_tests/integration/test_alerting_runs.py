"""Runs and checks of users' own assets, killed runs, and slow ones: told to a real HTTP server."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer

from platform_assets.alerts.signals import Kind
from platform_assets.assets.partitions import requested
from platform_assets.sensors.alerting import checks
from platform_assets.sensors.dead_runs import dead_runs
from platform_assets_tests.alert_world import AlertWorld, begun, recovered
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, row, rows_named, text, things

RAW, CLEANED, QUARANTINE = (
    dg.AssetKey([layer, "things"]) for layer in ("raw", "cleaned", "quarantine")
)
LAYERS = (RAW, CLEANED, QUARANTINE)
SOON = timedelta(minutes=2)
SPOILED = text(row("a"), row("b", quantity=-1))
GOOD = text(*rows_named("a", "b"))


class PersonError(Exception):
    """What a user's code may raise."""


@pytest.fixture
def mended() -> list[bool]:
    """Whether the user's asset works."""
    return []


@pytest.fixture
def users_world(
    installation: Installation,
    instance: dg.DagsterInstance,
    httpserver: HTTPServer,
    mended: list[bool],
) -> AlertWorld:
    """With an asset, checks and a job that a user wrote."""

    @dg.asset(
        key=["reports", "letters"],
        owners=["team:letters"],
        partitions_def=dg.StaticPartitionsDefinition(["north", "south"]),
        check_specs=[
            dg.AssetCheckSpec("polite", asset=["reports", "letters"]),
            dg.AssetCheckSpec("short", asset=["reports", "letters"]),
        ],
    )
    def letters() -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster takes no other
        if not mended:
            raise PersonError("no address 'Jane Doe, 12 High Street' of ada@example.com")
        strict = dg.AssetCheckSeverity.ERROR
        good = len(mended) > 1
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(check_name="polite", passed=good, severity=strict),
                dg.AssetCheckResult(
                    check_name="short", passed=good, severity=dg.AssetCheckSeverity.WARN
                ),
            ]
        )

    @dg.op
    def post() -> None:
        if not mended:
            raise PersonError

    @dg.job
    def posting() -> None:
        post()

    made = AlertWorld(
        installation, instance, httpserver, assets=[letters], further=dg.Definitions(jobs=[posting])
    )
    made.tick()
    return made


LETTERS = dg.AssetKey(["reports", "letters"])


def write_letters(world: AlertWorld, partition: str, **tags: str) -> bool:
    job = world.definitions.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=world.instance,
        partition_key=partition,
        asset_selection=[LETTERS],
        tags=tags,
        raise_on_error=False,
    )
    return done.success


def test_a_users_run_that_fails_is_told_until_its_partition_is_there(
    users_world: AlertWorld, mended: list[bool]
) -> None:
    world = users_world
    # One that Dagster will try again is none, yet.
    assert not write_letters(world, "north", **{"dagster/will_retry": "true"})
    assert world.said() == []
    assert not write_letters(world, "north")
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["subject"]) == (Kind.RUN_FAILED, "reports/letters")
    assert message["partitions"] == ["north"]
    assert message["owners"] == ["team:letters"]
    assert "PersonError: no address …" in message["detail"]
    assert not any(word in json.dumps(message) for word in ("Jane", "High Street", "ada@"))
    mended += [True, True]
    assert write_letters(world, "south")
    assert world.said() == []
    assert write_letters(world, "north")
    assert world.said() == recovered(Kind.RUN_FAILED, "reports/letters")

    mended.clear()
    posting = world.definitions.resolve_job_def("posting")
    assert not posting.execute_in_process(instance=world.instance, raise_on_error=False).success
    assert world.said() == begun(Kind.RUN_FAILED, "run/posting")
    mended.append(True)
    assert posting.execute_in_process(instance=world.instance).success
    assert world.said() == recovered(Kind.RUN_FAILED, "run/posting")


def test_a_users_check_is_told_as_severe_as_it_says(
    users_world: AlertWorld, mended: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = users_world
    # However many pages there are, a round reads them all.
    monkeypatch.setattr(checks, "PAGE", 1)
    mended.append(True)
    assert write_letters(world, "north")
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["subject"]) == (Kind.CHECK_FAILED, "reports/letters")
    assert {(e.part, e.severity) for e in world.open()} == {("polite", "error"), ("short", "warn")}
    mended.append(True)
    assert write_letters(world, "north")
    assert world.said() == recovered(Kind.CHECK_FAILED, "reports/letters")


# A process that does a run's work and is killed while it does.
WORKER = """
import sys
import dagster as dg
from dagster._core.instance import InstanceRef
from platform_assets.workers import worker_tags

@dg.asset(key=["reports", "letters"], partitions_def=dg.StaticPartitionsDefinition(["north"]))
def letters(context):
    context.instance.add_run_tags(context.run_id, worker_tags())
    print("at work", flush=True)
    sys.stdin.read()

ref = dg.deserialize_value(sys.argv[1], InstanceRef)
with dg.DagsterInstance.from_ref(ref) as instance:
    job = dg.Definitions(assets=[letters]).resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, partition_key="north")
"""


def test_a_run_whose_process_is_killed_is_found_failed_and_told(users_world: AlertWorld) -> None:
    world = users_world
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, dg.serialize_value(world.instance.get_ref())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        assert world.said() == []
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        dead_runs(dg.build_sensor_context(instance=world.instance))
    finally:
        process.kill()
        process.communicate()
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["subject"]) == (Kind.RUN_FAILED, "reports/letters")
    assert message["partitions"] == ["north"]
    assert "The process of this run was killed." in message["detail"]


def test_a_run_that_takes_too_long_is_told_while_it_runs(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["north"]))
    def slow(context: dg.AssetExecutionContext) -> None:
        if context.run.tags.get("slow"):
            # What is seen while it runs, at once and much later.
            world.ahead = timedelta(0)
            seen.append(world.said(timedelta(0)))
            seen.append(world.said(timedelta(minutes=30)))

    world = AlertWorld(
        installation, instance, httpserver, datasets=[things(sla=timedelta(minutes=20))],
        assets=[slow],
    )  # fmt: skip
    seen: list[list[tuple[str, str, str]]] = []
    job = world.definitions.resolve_implicit_global_asset_job_def()

    def run(**tags: str) -> None:
        job.execute_in_process(
            instance=instance, partition_key="north", tags=tags,
            asset_selection=[dg.AssetKey("slow")],
        )  # fmt: skip

    for _ in range(4):
        run()
    world.tick()
    # Four earlier runs do not tell what is usual.
    run(slow="yes")
    assert seen == [[], []]
    seen.clear()
    run(slow="yes")
    assert seen == [[], begun(Kind.DURATION, "slow")]
    assert world.said() == recovered(Kind.DURATION, "slow")


def test_an_sla_needs_no_history(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    world = AlertWorld(
        installation, instance, httpserver, datasets=[things(sla=timedelta(minutes=20))]
    )
    world.tick()
    seen: list[list[tuple[str, str, str]]] = []

    def look(step: Any) -> None:
        """While the raw step is at work: within its time, and beyond it."""
        world.ahead = timedelta(0)
        seen.extend([world.said(timedelta(minutes=19)), world.said(timedelta(minutes=2))])

    world.site.deliver(D1, GOOD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "platform_assets.assets.datasets.requested",
            lambda context, cut: look(context) or requested(context, cut),
        )
        assert world.run([D1], RAW).success
    assert seen[:2] == [[], begun(Kind.DURATION, "raw/things")]
    assert recovered(Kind.DURATION, "raw/things")[0] in world.said()
