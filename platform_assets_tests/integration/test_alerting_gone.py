"""Problems of what is taken out of the code: over, not said to be good; nothing else is."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer

from platform_assets.alerts.signals import Kind
from platform_assets.resources import FolderResource
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets_tests.alert_world import AlertWorld, begun, recovered
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.test_alert_loop import write
from platform_assets_tests.integration.test_alerting_ticks import Daemon
from platform_assets_tests.support import D1, things

SOON, LATER = timedelta(seconds=30), timedelta(minutes=11)
LETTERS = dg.AssetKey(["reports", "letters"])
OTHERS = things("others", source=CsvFiles("others/{partition}.csv", connection="partner"))


@dg.sensor(asset_selection="*", minimum_interval_seconds=30)
def watching() -> None:
    return


def letters(*checks: str) -> dg.AssetsDefinition:
    """An asset none of whose checks pass."""

    @dg.asset(key=LETTERS, check_specs=[dg.AssetCheckSpec(name, asset=LETTERS) for name in checks])
    def made() -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster takes no other
        results = [dg.AssetCheckResult(check_name=name, passed=False) for name in checks]
        return dg.MaterializeResult(check_results=results)

    return made


def failures(*assets: str) -> list[LedgerEntry]:
    return [
        LedgerEntry(name, D1, "r", Status.FAILED, stopped_by="x", message="Too bad\n  fix: it")
        for name in assets
    ]


def deployed(world: AlertWorld, **changes: Any) -> AlertWorld:
    """The same installation with other code."""
    world.messages()
    return replace(world, **changes)


def titles(messages: Sequence[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {(each["what"], each["subject"]): each["title"] for each in messages}


@pytest.fixture
def full(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> AlertWorld:
    """A code location, looked at once when nothing was wrong."""
    made = AlertWorld(
        installation,
        instance,
        httpserver,
        datasets=[things(), OTHERS],
        assets=[letters("polite", "short")],
        further=dg.Definitions(sensors=[watching]),
        resources={"partner": FolderResource(path=str(installation.root))},
    )
    made.tick()
    assert made.messages() == []
    return made


def test_what_is_taken_out_is_over_and_not_said_to_be_good(full: AlertWorld) -> None:
    store = BreakerStore(full.installation.settings.breakers)
    for _ in range(store.failures):
        store.failed(store.admit("partner"), "connection refused")
    write(failures("cleaned/things", "cleaned/others"))
    assert full.run((), LETTERS).success
    Daemon(full.instance).tick("watching", full.now - timedelta(minutes=10))
    all_of_it = {
        *begun(Kind.PARTITION_FAILED, "cleaned/things"),
        *begun(Kind.PARTITION_FAILED, "cleaned/others"),
        *begun(Kind.CHECK_FAILED, "reports/letters"),
        *begun(Kind.HEARTBEAT, "sensor/watching"),
        *begun(Kind.BREAKER_OPEN, "source/partner"),
    }
    assert set(full.said()) == all_of_it
    assert len(full.open(Kind.CHECK_FAILED)) == 2

    less = deployed(
        full, datasets=[things()], assets=[letters("short")], further=dg.Definitions(), resources={}
    )
    # A deployment that leaves something out by mistake has ten minutes.
    assert less.said() == less.said(LATER - timedelta(minutes=2)) == []
    less.tick(timedelta(minutes=2))
    ended = titles(less.messages())
    assert set(ended) == {
        ("recovered", "cleaned/others"),
        ("recovered", "sensor/watching"),
        ("recovered", "source/partner"),
    }
    assert all(title.endswith(", as it is no longer defined") for title in ended.values())
    # Its other check still does not pass.
    assert {(each.subject, each.part) for each in less.open()} == {
        ("cleaned/things", ""),
        ("reports/letters", "short"),
    }
    # The breaker is open as before, and a run that was at work has failed.
    write(failures("cleaned/others", "raw/things"))
    assert less.said() == begun(Kind.PARTITION_FAILED, "raw/things")

    none = deployed(less, assets=[])
    assert none.said() == []
    none.tick(LATER)
    (message,) = none.messages()
    assert message["title"].startswith(
        "OVER reports/letters: check polite did not pass, over after"
    )
    assert sorted(message["undefined"]) == [
        "check polite of reports/letters",
        "check short of reports/letters",
    ]
    # It is taken in again, and what is wrong with it is told again.
    again = deployed(full, ahead=none.ahead, read=none.read)
    told = again.said()
    assert begun(Kind.BREAKER_OPEN, "source/partner")[0] in told
    write(failures("cleaned/others"))
    assert begun(Kind.PARTITION_FAILED, "cleaned/others")[0] in again.said()


def test_another_code_location_closes_nothing_and_neither_does_one_that_is_not_there(
    full: AlertWorld,
) -> None:
    write(failures("cleaned/things", "cleaned/others"))
    assert full.run((), LETTERS).success
    Daemon(full.instance).tick("watching", full.now - timedelta(minutes=10))
    full.tick()
    assert len(full.open()) == 5
    # One that shares the book, and has some of it.
    other = deployed(full, datasets=[things()], assets=[], further=dg.Definitions(), place="there")
    for _ in range(3):
        assert other.said(LATER) == []
    # What it has no more, the first one still has.
    neither = deployed(other, datasets=[])
    for _ in range(3):
        assert neither.said(LATER) == []
    # The first one could not be loaded for days.
    back = deployed(full, ahead=neither.ahead + timedelta(days=3), read=neither.read)
    assert {what for what, _, _ in [*back.said(), *back.said(LATER)]} == {"repeated"}
    assert len(back.open()) == 5


def test_a_failed_run_of_another_locations_asset_is_over_once_that_is_there(
    full: AlertWorld,
) -> None:
    broken: list[bool] = [True]

    @dg.asset(key=["elsewhere", "sums"])
    def sums() -> None:
        if broken:
            raise ValueError

    assert not dg.materialize([sums], instance=full.instance, raise_on_error=False).success
    assert full.said() == begun(Kind.RUN_FAILED, "elsewhere/sums")
    assert full.said() == full.said(LATER) == []
    broken.clear()
    assert dg.materialize([sums], instance=full.instance).success
    assert full.said() == recovered(Kind.RUN_FAILED, "elsewhere/sums")
