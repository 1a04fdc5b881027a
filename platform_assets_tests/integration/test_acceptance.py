"""What a person says to be fine is so in Dagster at once: no run has to look at it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from pytest_httpserver import HTTPServer

from platform_assets.alerts.signals import Kind
from platform_assets.assets import acceptance
from platform_assets.cli import ROOT
from platform_assets.cli.instance import ensure_home
from platform_assets.quality import findings
from platform_assets.quality.findings import Finding
from platform_assets.resources import lake_config
from platform_assets.warehouse.lake import connect, in_transaction
from platform_assets_tests.alert_world import AlertWorld, recovered
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.test_cli import call
from platform_assets_tests.support import row, rows_named, text

CLEANED = dg.AssetKey(["cleaned", "things"])
LAYERS = (dg.AssetKey(["raw", "things"]), CLEANED, dg.AssetKey(["quarantine", "things"]))
DAYS = [f"2025-01-{day:02}" for day in range(1, 16)]
ODD = DAYS[-1]


class World:
    """Two weeks of things and a day that is odd, on the instance that commands work on."""

    def __init__(self, alerts: AlertWorld) -> None:
        self.alerts, self.instance = alerts, alerts.instance

    def state(self, check: str) -> str:
        """What the UI shows of the odd day."""
        key = dg.AssetCheckKey(CLEANED, check)
        cut = dg.DailyPartitionsDefinition(DAYS[0], end_date="2025-01-16")
        state = self.instance.event_log_storage.get_asset_check_state([(key, cut)])[key]
        (shown,) = (
            status.value.lower()
            for status, subset in state.subsets.items()
            if ODD in subset.subset_value.get_partition_keys()
        )
        return shown

    def history(self, check: str) -> list[AssetCheckExecutionRecord]:
        """What was said of a check, the newest first."""
        key = dg.AssetCheckKey(CLEANED, check)
        return list(
            self.instance.event_log_storage.get_asset_check_execution_history(key, limit=500)
        )

    def newest(self, check: str) -> Any:
        """What was said last of a check."""
        return self.history(check)[0].evaluation

    def materialization(self) -> int:
        """The newest one of the odd day."""
        return self.instance.event_log_storage.get_latest_storage_id_by_partition(
            CLEANED, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions={ODD}
        )[ODD]


@pytest.fixture
def world(installation: Installation, httpserver: HTTPServer) -> Iterator[World]:
    ensure_home(ROOT / "dagster.yaml")
    with dg.DagsterInstance.get() as instance:
        alerts = AlertWorld(installation, instance, httpserver)
        for day in DAYS[:-1]:
            alerts.site.deliver(day, text(*rows_named(*(f"{day}{n}" for n in range(100)))))
        alerts.site.deliver(
            ODD,
            text(*(row(f"odd{n}", quantity=900 + n, price=f"{900 + n}") for n in range(20))),
        )
        assert alerts.run(DAYS, *LAYERS).success
        yield World(alerts)


def open_findings(check: str | None = None) -> list[dict[str, Any]]:
    found = json.loads(call("checks", "list", "--json").stdout)
    return [each for each in found if check in (None, each["check_name"])]


def test_what_was_accepted_is_passed_at_once_and_its_alert_is_over(world: World) -> None:
    world.alerts.tick()
    assert [each["kind"] for each in world.alerts.messages()] == [Kind.FINDING]
    assert world.state("volume") == "failed"
    found = open_findings()
    assert len({each["check_name"] for each in found}) > 1
    by_check = {name: open_findings(name) for name in {each["check_name"] for each in found}}
    several = next(name for name, own in by_check.items() if len(own) > 1)

    # Of several numbers of a check one is fine: the check says which, and is not passed yet.
    one, *rest = by_check[several]
    why = "asked ada@example.org"
    done = call("checks", "accept", one["finding_id"], "--reason", why, "--author", "bob")
    assert done.exit_code == 0, done.output
    assert "Dagster was told: 1 checks" in done.output
    told = world.newest(several)
    assert (told.passed, told.partition) == (False, ODD)
    (fine,) = told.metadata["accepted"].records
    assert (fine.data["finding"], fine.data["by"]) == (one["finding_id"], "bob")
    assert {each.data["finding"] for each in told.metadata["findings"].records} == {
        each["finding_id"] for each in rest
    }
    assert "ada@" not in str(told.metadata), "a reason is free text"
    assert world.state(several) == "failed"
    assert world.state("volume") == "failed", "of it nothing was said"

    ids = [each["finding_id"] for each in open_findings()]
    done = call("checks", "accept", *ids, "--reason", "a holiday", "--author", "ada")
    assert f"Dagster was told: {len(by_check)} checks" in done.output
    for check in by_check:
        assert world.state(check) == "succeeded"
        told = world.newest(check)
        assert (told.passed, told.partition) == (True, ODD)
        assert told.metadata["accepted_by"].value in {"ada", "ada, bob"}
        assert "a holiday" in told.metadata["reason"].value
        assert told.description.startswith("accepted by ada")
        # The UI hides what was said of an earlier one.
        assert told.target_materialization_data.storage_id == world.materialization()
    assert world.alerts.said() == recovered(Kind.FINDING, "cleaned/things")

    # Said again, nothing is new: nobody is told twice.
    before = {check: len(world.history(check)) for check in by_check}
    done = call("checks", "accept", *ids, "--reason", "again", "--author", "eve")
    assert done.exit_code == 0, done.output
    assert "Dagster" not in done.output
    assert {check: len(world.history(check)) for check in by_check} == before


def test_where_dagster_is_not_told_it_is_accepted_all_the_same(
    installation: Installation, world: World
) -> None:
    # A run that works on a check tells of it.
    job = world.alerts.definitions.resolve_implicit_global_asset_job_def()
    run = world.instance.create_run_for_job(
        job.get_subset(asset_selection=set(LAYERS[1:])),
        tags={"dagster/partition": ODD},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert world.history("volume")[0].run_id == run.run_id
    ids = [each["finding_id"] for each in open_findings("volume")]
    done = call("checks", "accept", *ids, "--reason", "a holiday", "--author", "ada")
    assert done.exit_code == 0, done.output
    assert "1 checks are told by the run that works on them" in done.output
    assert world.history("volume")[0].run_id == run.run_id
    # A run that is over says nothing any more.
    world.instance.report_run_failed(run)
    done = call("checks", "accept", *ids, "--reason", "a holiday", "--author", "ada")
    assert "Dagster was told: 1 checks" in done.output
    assert world.newest("volume").description == "accepted by ada: a holiday"

    # There is no instance.
    first, second, *_ = [each["finding_id"] for each in open_findings()]
    home = installation.root / "dagster_home"
    home.rename(home.with_name("elsewhere"))
    done = call("checks", "accept", first, "--reason", "fine")
    assert done.exit_code == 0, done.output
    assert "there is no Dagster instance yet: its UI follows with the next run" in done.output
    assert not home.exists(), "nothing is made for that"
    # A storage that is not one.
    home.mkdir()
    _spoil(home)
    done = call("checks", "accept", second, "--reason", "fine")
    assert done.exit_code == 0, done.output
    assert "Dagster could not be told: its UI follows with the next run" in done.output
    assert "Error" in done.output
    assert {first, second}.isdisjoint(each["finding_id"] for each in open_findings())


def _spoil(home: Path) -> None:
    for name in ("index.db", "runs.db"):
        for folder in (home, home / "history"):
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"no database " * 1000)


def test_an_asset_that_is_not_cut_has_one_evaluation(installation: Installation) -> None:
    finding = Finding(
        dataset="whole", asset="cleaned/whole", partition="all", run_id="r", check_name="volume",
        column_name="rows", severity="warn", observed=1, expected_low=2, expected_high=3,
        history=20, confidence=0.99, message="few rows",
    )  # fmt: skip
    with connect(lake_config(installation.settings)) as lake:
        in_transaction(
            lake, lambda con: findings.record(con, finding.asset, ["all"], [finding], [])
        )
        accepted = findings.accept(lake, [finding.finding_id], reason="a holiday", author="ada")
        said = acceptance.verdicts(lake, accepted)
        # Judged again in between, it is open: that run tells of it.
        known = findings.standing(lake, finding.asset)
        in_transaction(
            lake, lambda con: findings.record(con, finding.asset, ["all"], [finding], known)
        )
        assert acceptance.verdicts(lake, accepted) == {}
    with dg.DagsterInstance.ephemeral() as instance:
        done = acceptance.tell(instance, said)
        (key,) = done.told
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert (record.partition, record.evaluation.passed) == (None, True)
