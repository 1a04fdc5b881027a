"""``platform-assets freshness``: what it shows, as of which moment, and its exit status."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from platform_assets import definitions
from platform_assets.assets.build import build_definitions
from platform_assets.partitions import Daily
from platform_assets.quality.promise import Freshness
from platform_assets.resources import FolderResource, lake_config
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.test_cli import call
from platform_assets_tests.support import D1, Site, rows_named, text, things


@pytest.fixture
def promised(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A dataset whose first day is published, in a code location of its own."""
    dataset = things(partitions=Daily(date(2025, 1, 1)), freshness=Freshness(by="08:00"))
    folder = installation.root / "delivered"
    folder.mkdir()
    with connect(lake_config(installation.settings)) as lake:
        site = Site(lake, folder)
        site.deliver(D1, text(*rows_named("a")))
        site.run(dataset, [D1])
    own = build_definitions([dataset], resources={"files": FolderResource(path=str(folder))})
    monkeypatch.setattr(definitions, "defs", own)
    return installation


@pytest.mark.usefixtures("promised")
def test_what_is_late_is_shown_and_told_by_the_exit_status() -> None:
    fresh = call("freshness", "--at", "2025-01-02T09:00")
    assert fresh.exit_code == 0, fresh.output
    assert "cleaned/things" in fresh.output
    late = call("freshness", "list", "--at", "2025-01-03T09:00+01:00")
    assert late.exit_code == 1
    assert "2025-01-02 is not there" in late.output
    (told,) = json.loads(call("freshness", "--json", "--at", "2025-01-03T09:00").stdout)
    assert (told["asset"], told["level"], told["expected"], told["newest"]) == (
        "cleaned/things", "late", "2025-01-02", "2025-01-01",
    )  # fmt: skip
    assert told["since"] == told["deadline"] == "2025-01-03T08:00:00+00:00"
    assert told["late_because"] == ["source/files"]
    # Today is long after that.
    assert call("freshness").exit_code == 1
    before = json.loads(call("freshness", "list", "--json", "--at", "2025-01-01").stdout)
    assert [each["level"] for each in before] == ["fresh"]


@pytest.mark.usefixtures("promised")
def test_a_moment_that_is_none_is_explained() -> None:
    wrong = call("freshness", "--at", "tomorrow")
    assert wrong.exit_code == 2
    assert "not a moment" in wrong.output


def test_nothing_is_promised(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = build_definitions([things()], resources={"files": FolderResource(path=str(tmp_path))})
    monkeypatch.setattr(definitions, "defs", none)
    shown = call("freshness")
    assert (shown.exit_code, "nothing is promised" in shown.output) == (0, True)
    assert json.loads(call("freshness", "--json").stdout) == []
