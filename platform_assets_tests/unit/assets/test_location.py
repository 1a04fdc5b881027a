"""A code location has every part; so has each example that a user may start from."""

from __future__ import annotations

import importlib
from pathlib import Path

import dagster as dg
import pytest

from platform_assets.assets.location import build_code_location
from platform_assets.assets.report import KEY, SCHEDULE
from platform_assets.quality.promise import Freshness
from platform_assets.resources import FolderResource
from platform_assets.sensors.alerting.sensor import NAME as ALERTS
from platform_assets.sensors.dead_runs import dead_runs
from platform_assets.sensors.freshness import NAME as FRESHNESS
from platform_assets_tests.support import things

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*/definitions.py"))


def assert_whole(location: dg.Definitions) -> None:
    """What is started is what tells: the page, its schedule, alerts, and the end of dead runs."""
    assert KEY in location.resolve_asset_graph().get_all_asset_keys()
    on = dg.DefaultScheduleStatus.RUNNING
    assert location.resolve_schedule_def(SCHEDULE).default_status is on
    for name in (ALERTS, dead_runs.name):
        sensor = location.resolve_sensor_def(name)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize("path", EXAMPLES, ids=[each.parent.name for each in EXAMPLES])
def test_an_example_has_every_part(path: Path) -> None:
    assert_whole(importlib.import_module(f"examples.{path.parent.name}.definitions").defs)


@pytest.mark.usefixtures("installation")
def test_a_location_of_ones_own_has_every_part(tmp_path: Path) -> None:
    folder = FolderResource(path=str(tmp_path))
    promised = things(freshness=Freshness(by="08:00", timezone="UTC"))
    location = build_code_location([promised], {"files": folder})
    assert_whole(location)
    dg.Definitions.validate_loadable(location)
    assert FRESHNESS in {each.name for each in location.sensors or ()}


def test_there_are_examples() -> None:
    assert {each.parent.name for each in EXAMPLES} >= {"live_shop", "online_retail"}
