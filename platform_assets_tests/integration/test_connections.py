"""A source that is down: its own assets fail and keep what they had; everybody can see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from typer.testing import CliRunner, Result

from platform_assets.assets.build import build_definitions
from platform_assets.cli.main import app
from platform_assets.errors import SourceError
from platform_assets.pipeline import load_raw
from platform_assets.resources import FolderResource
from platform_assets.sources.base import Access, SourceInput
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.files import CsvFiles
from platform_assets.sources.retrying import Guard, RetryPolicy
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, DAYS, Site, rows_named, text, things

AT_ONCE = RetryPolicy(wait_initial=0, wait_max=0, jitter=0)


def nothing() -> None:
    """A call that is answered."""


@dataclass(frozen=True)
class Remote(CsvFiles):
    """Files behind a system that every listing and every look at a file goes through."""

    listing: list[Callable[[], None]] = field(default_factory=lambda: [nothing])
    looking: list[Callable[[], None]] = field(default_factory=lambda: [nothing])

    def inputs(self, access: Access, partitions: Sequence[str]) -> list[SourceInput]:
        access.guard(self.connection, self.listing[-1], where="list", policy=AT_ONCE)
        return super().inputs(access, partitions)

    def inspect(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> dict[str, SourceError]:
        self.looking[-1]()
        return dict(super().inspect(access, dataset, inputs, columns))


def down() -> None:
    raise ConnectionRefusedError(111, "refused")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def test_a_source_that_is_down_fails_each_partition_and_keeps_its_rows(site: Site) -> None:
    source = Remote("things/{partition}.csv")
    dataset = things(source=source)
    for day in (D1, D2):
        site.deliver(day, text(*rows_named("a", "b")))
    site.run(dataset, [D1, D2])
    before = site.contents()
    source.listing.append(down)
    guard = Guard()
    report = load_raw(site.step(dataset, guard=guard), DAYS)
    assert set(report.failed) == set(DAYS)
    for entry in report.failed.values():
        assert entry.stopped_by == "source"
        assert "A source does not answer" in entry.message
        assert "connection 'files', list" in entry.message
    assert site.contents() == before
    assert len(site.published("raw")) == 2
    # Two more failures open the breaker; then nobody calls any more.
    load_raw(site.step(dataset, guard=guard), [D1])
    source.listing.append(lambda: pytest.fail("called although the breaker is open"))
    entry = load_raw(site.step(dataset, guard=guard), [D1]).failed[D1]
    assert "5 failures in a row" in entry.message
    guard.breakers.reset("files")
    source.listing.append(nothing)
    assert load_raw(site.step(dataset, guard=guard), [D1, D2]).good.keys() == {D1, D2}


@pytest.mark.parametrize("error", [SourceError("gone"), duckdb.IOException("gone"), OSError(5, "")])
def test_a_source_that_goes_down_while_it_is_looked_at(site: Site, error: Exception) -> None:
    source = Remote("things/{partition}.csv")

    def broken() -> None:
        raise error

    source.looking.append(broken)
    site.deliver(D1, text(*rows_named("a")))
    report = load_raw(site.step(things(source=source)), [D1, D2])
    assert set(report.failed) == {D1, D2}


def test_one_partition_that_cannot_be_had_fails_alone(site: Site) -> None:
    class Partly(CsvFiles):
        def inputs(self, access: Access, partitions: Sequence[str]) -> list[SourceInput]:
            found = super().inputs(access, partitions)
            error = SourceError("garbage", where="page 3")
            return [found[0], SourceInput(found[1].partition, (), 0, "", error)]

    site.deliver(D1, text(*rows_named("a")))
    report = load_raw(site.step(things(source=Partly("things/{partition}.csv"))), [D1, D2])
    assert set(report.good) == {D1}
    assert "page 3" in report.failed[D2].message


def test_an_open_breaker_fails_its_own_asset_and_no_other(
    installation: Installation, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    for name in ("near", "far"):
        folder = tmp_path / name / name
        folder.mkdir(parents=True)
        (folder / f"{D1}.csv").write_text(text(*rows_named("a", "b")))
    near = things("near", source=CsvFiles("near/{partition}.csv", connection="near"))
    far = things("far", source=Remote("far/{partition}.csv", connection="far"))
    definitions = build_definitions(
        [near, far],
        resources={name: FolderResource(path=str(tmp_path / name)) for name in ("near", "far")},
    )
    store = BreakerStore(installation.settings.breakers)
    for _ in range(5):
        store.failed(store.admit("far"), "timeout")

    def run() -> tuple[dg.ExecuteInProcessResult, set[str]]:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, partition_key=D1, raise_on_error=False
        )
        events = result.get_asset_materialization_events()
        return result, {e.asset_key.to_user_string() for e in events if e.asset_key}

    result, built = run()
    assert not result.success
    assert built == {"raw/near", "cleaned/near", "quarantine/near"}
    told = [
        str(event.step_failure_data.user_failure_data.description)
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.STEP_FAILURE
        and event.step_failure_data.user_failure_data
    ]
    assert len(told) == 1
    assert "connection 'far'" in told[0]
    assert "5 failures in a row" in told[0]
    assert call("connections", "reset", "far").exit_code == 0
    result, built = run()
    assert result.success
    assert "cleaned/far" in built


def test_the_command_shows_and_resets(installation: Installation) -> None:
    shown = json.loads(call("connections", "list", "--json").stdout)
    assert shown == [
        {
            "connection": "shop",
            "state": "closed",
            "failures": 0,
            "failing_since": None,
            "opened_at": None,
            "next_try": None,
            "last_failure": None,
        }
    ]
    assert call("connections", "list").exit_code == 0
    store = BreakerStore(installation.settings.breakers, clock=lambda: 1_760_000_000.0)
    for _ in range(5):
        store.failed(store.admit("crm"), "HTTP 503")
    listed = call("connections", "list", "--json")
    assert listed.exit_code == 1
    crm, shop = json.loads(listed.stdout)
    assert shop["state"] == "closed"
    assert crm == {
        "connection": "crm",
        "state": "opened",
        "failures": 5,
        "failing_since": "2025-10-09T08:53:20+00:00",
        "opened_at": "2025-10-09T08:53:20+00:00",
        "next_try": "2025-10-09T08:54:20+00:00",
        "last_failure": "HTTP 503",
    }
    table = call("connections", "list").stdout
    for part in ("crm", "left alone", "5", "2025-10-09T08:54:20+00:00", "HTTP 503", "in use"):
        assert part in table
    assert "crm is used again" in call("connections", "reset", "crm").stdout
    assert "crm was in use" in call("connections", "reset", "crm").stdout
    assert call("connections", "list").exit_code == 0
    wrong = call("connections", "reset", "[cmr]")
    assert wrong.exit_code == 2
    for part in ("There is no such connection", "one of crm, shop", "[cmr]"):
        assert part in wrong.stderr
