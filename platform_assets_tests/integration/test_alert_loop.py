"""The alert loop: storms, kills, its first round, and what goes on where something is broken."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer

from platform_assets.alerts.signals import Kind
from platform_assets.resources.lake import lake_config
from platform_assets.sensors.alerting import loop
from platform_assets.settings import load_settings
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import connect, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets_tests.alert_world import AlertWorld
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, DAYS, START

MESSAGE = "Too many rows break a rule: x\n  where: here\n  found: nothing"
MakeWorld = Callable[[], AlertWorld]


@pytest.fixture
def make_world(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> MakeWorld:
    return lambda: AlertWorld(installation, instance, httpserver)


def attempts(status: Status, assets: int, days: int, run: str) -> list[LedgerEntry]:
    """An attempt at each of many partitions of many assets."""
    stopped = "x" if status is Status.FAILED else ""
    return [
        LedgerEntry(
            f"cleaned/asset_{asset:02}", str(START + timedelta(days=day)), f"{run}{asset}", status,
            stopped_by=stopped, message=MESSAGE if stopped else "",
        )
        for asset in range(assets)
        for day in range(days)
    ]  # fmt: skip


def write(entries: list[LedgerEntry]) -> None:
    with connect(lake_config(load_settings())) as lake:
        tables.ensure_platform_tables(lake)
        in_transaction(lake, lambda con: ledger.record(con, entries))


def test_a_storm_of_failures_is_few_messages_and_none_is_lost(make_world: MakeWorld) -> None:
    world = make_world()
    world.policy()
    text = (world.installation.root / "alerts.yaml").read_text()
    stormy = text.replace("storm: {messages: 1000, within: 1s}", "")
    (world.installation.root / "alerts.yaml").write_text(stormy)
    world.tick()
    write(attempts(Status.FAILED, assets=40, days=25, run="r"))
    for _ in range(4):
        world.tick()
    found = world.open(Kind.PARTITION_FAILED)
    assert len(found) == len({(e.subject, e.partition) for e in found}) == 1_000
    messages = world.messages()
    assert 0 < len(messages) <= 10
    # What is beyond the single messages is told together, by name.
    told = "\n".join(each["title"] + each["text"] for each in messages)
    assert "35" in told
    write(attempts(Status.PUBLISHED, assets=40, days=25, run="s"))
    for _ in range(4):
        world.tick(timedelta(minutes=11))
    assert world.open() == []
    assert {each["what"] for each in world.messages()} == {"recovered", "digest"}


KILLED_ROUND = """
import os, signal, sys
from platform_assets.alerts.book import Book

where = sys.argv[1]
take = Book.take

def killed(self, signals, *rest):
    if where == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    take(self, signals, *rest)
    os.kill(os.getpid(), signal.SIGKILL)

Book.take = killed
exec(open(sys.argv[2]).read())
"""
ROUND = """
import sys
import dagster as dg
from platform_assets.assets.build import build_definitions
from platform_assets.resources import FolderResource, LakeResource
from platform_assets_tests.support import things

files = FolderResource(path=sys.argv[3])
definitions = build_definitions([things()], resources={"files": files})
from dagster._core.instance import InstanceRef
with dg.DagsterInstance.from_ref(dg.deserialize_value(sys.argv[4], InstanceRef)) as instance:
    with dg.build_sensor_context(
        instance=instance, definitions=definitions,
        resources={"files": files, "lake": LakeResource()},
    ) as context:
        definitions.get_sensor_def("alerts").evaluate_tick(context)
"""


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_round_that_is_killed_says_nothing_twice_and_leaves_nothing_out(
    make_world: MakeWorld, tmp_path: Path, where: str
) -> None:
    world = make_world()
    world.tick()
    write(attempts(Status.FAILED, assets=1, days=3, run="r"))
    script = tmp_path / "round.py"
    script.write_text(ROUND)
    done = subprocess.run(
        [
            sys.executable, "-c", KILLED_ROUND, where, str(script), str(world.folder),
            dg.serialize_value(world.instance.get_ref()),
        ],
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert world.messages() == []
    assert len(world.open()) == (3 if where == "after" else 0)
    for _ in range(3):
        world.tick()
    (message,) = world.messages()
    assert message["partition_count"] == 3
    assert Counter(e.seen for e in world.book.open_problems()) == {1: 3}


def test_the_first_round_tells_what_stands_and_not_the_past(make_world: MakeWorld) -> None:
    entries = attempts(Status.FAILED, assets=2, days=5, run="r")
    write(entries)
    write([each for each in attempts(Status.PUBLISHED, 2, 5, "s") if each.partition != D1])
    world = make_world()
    world.site.deliver(DAYS[0], "x\n")
    assert not world.run([DAYS[0]]).success
    world.tick()
    # The run and its checks are of the past; the partitions stand, those of nobody's asset too.
    assert {(e.kind, e.subject, e.partition) for e in world.open()} == {
        (Kind.PARTITION_FAILED, "cleaned/asset_00", D1),
        (Kind.PARTITION_FAILED, "cleaned/asset_01", D1),
        (Kind.PARTITION_FAILED, "raw/things", D1),
    }
    assert len(world.messages()) == 3
    world.tick()
    assert world.messages() == []


def test_a_collector_that_fails_is_told_and_keeps_no_other_from_telling(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.tick()
    write(attempts(Status.FAILED, assets=1, days=1, run="r"))
    catalog = world.installation.settings.catalog
    away = catalog.rename(catalog.with_name("away"))
    catalog.mkdir()
    assert "failed: " in world.tick()
    assert world.messages() == []
    # Once may be a locked file; whoever needs no lake goes on.
    world.tick()
    told = {each["subject"] for each in world.messages()}
    assert "collector/partitions" in told
    assert "collector/runs" not in told
    catalog.rmdir()
    away.rename(catalog)
    said = world.said()
    assert ("recovered", Kind.HEARTBEAT, "collector/partitions") in said
    # Nothing was left out meanwhile.
    assert ("begun", Kind.PARTITION_FAILED, "cleaned/asset_00") in said


def test_a_mistake_in_the_file_of_alerts_is_told_and_what_it_said_before_holds(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.tick()
    good = (world.installation.root / "alerts.yaml").read_text()
    (world.installation.root / "alerts.yaml").write_text(good + "\nstrom: {}\n")
    write(attempts(Status.FAILED, assets=1, days=1, run="r"))
    assert sorted(world.said()) == [
        ("begun", Kind.HEARTBEAT, "collector/policy"),
        ("begun", Kind.PARTITION_FAILED, "cleaned/asset_00"),
    ]
    assert world.said() == []
    (world.installation.root / "alerts.yaml").write_text(good)
    assert world.said() == [("recovered", Kind.HEARTBEAT, "collector/policy")]


def test_a_round_that_takes_too_long_begins_the_next_time_where_it_stopped(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    monkeypatch.setattr(loop, "BUDGET", timedelta(seconds=-1))
    assert "next time: checks" in world.tick()
    write(attempts(Status.FAILED, assets=1, days=1, run="r"))
    monkeypatch.undo()
    monkeypatch.chdir(world.installation.root)
    assert "next time" not in world.tick()
    assert len(world.open()) == 1
