"""Each kind of problem, from what happens to a real HTTP server: told once, and when it is over."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer

from platform_assets.alerts.signals import Kind
from platform_assets_tests.alert_world import AlertWorld
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, D3, row, rows_named, text

RAW, CLEANED, QUARANTINE = (
    dg.AssetKey([layer, "things"]) for layer in ("raw", "cleaned", "quarantine")
)
LAYERS = (RAW, CLEANED, QUARANTINE)
SOON = timedelta(minutes=2)
SPOILED = text(row("a"), row("b", quantity=-1))
GOOD = text(*rows_named("a", "b"))


@pytest.fixture
def world(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> AlertWorld:
    """An installation that was looked at once, when nothing was wrong."""
    made = AlertWorld(installation, instance, httpserver)
    made.tick()
    assert made.messages() == []
    return made


def begun(kind: Kind, subject: str) -> list[tuple[str, str, str]]:
    return [("begun", kind, subject)]


def recovered(kind: Kind, subject: str) -> list[tuple[str, str, str]]:
    return [("recovered", kind, subject)]


def test_a_partition_that_fails_is_one_alert_with_all_that_follows(world: AlertWorld) -> None:
    for day in (D1, D3):
        world.site.deliver(day, GOOD)
    world.site.deliver(D2, SPOILED)
    assert not world.run([D1, D2, D3], *LAYERS).success
    world.tick()
    (message,) = world.messages()
    assert message["title"].startswith(f"ERROR cleaned/things {D2}: stopped by quantity__ge: Too")
    assert "expected: at most 10.0% of rows rejected" in message["detail"]
    assert message["owners"] == ["team:tests"]
    assert message["command"] == (
        f"platform-assets quarantine list --dataset things --partition {D2}"
    )
    assert message["run_url"].startswith("http://localhost:3000/runs/")
    # The failed run and the failed check follow from it.
    assert {(e.kind, e.subject, e.part) for e in world.open()} == {
        (Kind.PARTITION_FAILED, "cleaned/things", ""),
        (Kind.CHECK_FAILED, "cleaned/things", "quantity__ge"),
    }
    assert world.said() == []
    world.site.deliver(D2, GOOD)
    assert world.run([D2], *LAYERS).success
    assert world.said() == recovered(Kind.PARTITION_FAILED, "cleaned/things")
    assert world.open() == []


def test_what_is_stopped_upstream_is_told_by_its_root(world: AlertWorld) -> None:
    for day in (D1, D2):
        world.site.deliver(day, GOOD)
    assert world.run([D1, D2], *LAYERS).success
    assert world.said() == []
    world.site.deliver(D1, text("x"))
    assert not world.run([D1], RAW).success
    assert not world.run([D1], CLEANED, QUARANTINE).success
    assert world.said() == begun(Kind.PARTITION_FAILED, "raw/things")
    assert {(e.kind, e.subject) for e in world.open()} == {
        (Kind.PARTITION_FAILED, "raw/things"),
        (Kind.PARTITION_FAILED, "cleaned/things"),
    }
    world.site.deliver(D1, text(*rows_named("c")))
    assert world.run([D1], *LAYERS).success
    assert world.said() == recovered(Kind.PARTITION_FAILED, "raw/things")


def test_a_full_quarantine_is_told_until_it_is_not(world: AlertWorld) -> None:
    good = [row(name) for name in "abcdefghijklmnopqrs"]
    world.site.deliver(D1, text(*good, row("t", quantity=-1)))
    assert world.run([D1], *LAYERS).success
    # Five per cent are as many as may be; the rule's check has failed, and that is no news.
    assert world.said() == []
    world.site.deliver(D1, text(*good[1:], row("t", quantity=-1)))
    assert world.run([D1], *LAYERS).success
    assert world.said() == begun(Kind.QUARANTINE_SHARE, "cleaned/things")
    # Run again, nothing has changed and nothing is said.
    assert world.run([D1], *LAYERS).success
    assert world.said() == []
    world.site.deliver(D1, text(*good))
    assert world.run([D1], *LAYERS).success
    assert world.said() == recovered(Kind.QUARANTINE_SHARE, "cleaned/things")


def test_a_change_of_columns_that_stops_partitions_is_told_instead_of_them(
    world: AlertWorld,
) -> None:
    for day in (D1, D2):
        world.site.deliver(day, GOOD)
    assert world.run([D1], *LAYERS).success
    assert world.said() == []
    narrow = text("a,1,1.00,n", header="thing_id,quantity,price,note")
    wide = text(row("a") + ",1", header="thing_id,quantity,price,note,changed_at,colour")
    world.site.deliver(D2, narrow)
    world.site.deliver(D3, narrow)
    assert not world.run([D2, D3], *LAYERS).success
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["subject"]) == (Kind.SCHEMA_DRIFT, "raw/things")
    assert "changed_at" in message["title"]
    assert message["command"] == "platform-assets contracts diff things"
    assert len(world.open(Kind.PARTITION_FAILED)) == 2
    # A change that is taken in is told once, and has no end.
    world.site.deliver(D2, GOOD)
    world.site.deliver(D3, wide)
    assert world.run([D2, D3], *LAYERS).success
    told = world.said()
    assert sorted(told) == [
        ("happened", Kind.SCHEMA_DRIFT, "raw/things"),
        *recovered(Kind.SCHEMA_DRIFT, "raw/things"),
    ]
    assert world.said() == []
