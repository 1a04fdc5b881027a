"""Checks in Dagster have a result for each partition of a batch, and one of the run.

Guards what ``assets/evaluations.py`` and ``event_log.py`` use of Dagster that is not public: where
an upgrade changes that, results here are missing or of the wrong partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecordStatus as Stored,
)
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionResolvedStatus as Shown,
)
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from platform_assets.assets.build import build_definitions
from platform_assets.assets.evaluations import Verdict
from platform_assets.assets.runs import QUIET
from platform_assets.contracts import RulePolicy
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.resources import FolderResource
from platform_assets.sources.files import CsvFiles
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import DAYS, row, text, things

RAW, CLEANED = dg.AssetKey(["raw", "things"]), dg.AssetKey(["cleaned", "things"])
THINGS = [RAW, CLEANED, dg.AssetKey(["quarantine", "things"])]
PARTITIONS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-08")
WEEK = DAYS[:5]
GOOD = [row(name) for name in "abcdefgh"]
SPOILED, CHEAP = row("bad", quantity=-1), row("cheap", price="-1.00")
POLICIES = {
    "quantity__ge": RulePolicy(block_above=1),
    "price__ge": RulePolicy(alert_above=1),
    "note__str_length": RulePolicy(severity="info"),
}


@dataclass
class World:
    """A week of things, and an instance that is told of them."""

    folder: Path
    instance: dg.DagsterInstance
    whole: bool = False

    def deliver(self, day: str, *rows: str) -> None:
        path = self.folder / "things" / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(*GOOD, *rows))

    @cached_property
    def job(self) -> dg.JobDefinition:
        dataset = things(
            partitions=Daily(date(2025, 1, 1), date(2025, 1, 7)), rules=POLICIES, max_bad_share=0.5
        )
        (self.folder / "whole.csv").write_text(text(*GOOD))
        return build_definitions(
            [dataset, things("whole", source=CsvFiles("whole.csv"), partitions=Unpartitioned())],
            resources={"files": FolderResource(path=str(self.folder))},
        ).resolve_implicit_global_asset_job_def()

    def run(self, *days: str) -> dg.ExecuteInProcessResult:
        tags = {ASSET_PARTITION_RANGE_START_TAG: days[0], ASSET_PARTITION_RANGE_END_TAG: days[-1]}
        single = len(days) == 1
        return self.job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            partition_key=days[0] if single else None,
            tags={} if single else tags,
            # The other dataset matters where its checks are looked at.
            asset_selection=None if self.whole else THINGS,
            raise_on_error=False,
        )

    def shown(self, check: str, asset: dg.AssetKey = CLEANED) -> dict[str, str]:
        """What the UI shows of a check, partition by partition."""
        key = dg.AssetCheckKey(asset, check)
        state = self.instance.event_log_storage.get_asset_check_state([(key, PARTITIONS)])[key]
        return {
            partition: status.value.lower()
            for status, subset in state.subsets.items()
            for partition in subset.subset_value.get_partition_keys()
        }

    def latest(self, check: str, partition: str | None = None) -> Any:
        """The newest evaluation of a check: of a partition, or whichever it is."""
        key = dg.AssetCheckKey(CLEANED, check)
        records = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=500)
        for record in records:
            if partition is None or record.partition == partition:
                assert record.evaluation is not None
                return record.evaluation
        raise AssertionError(f"{check} has no evaluation of {partition}")

    def left_planned(self) -> list[tuple[str, str | None]]:
        """Executions that nothing came of."""
        storage = self.instance.event_log_storage
        checks = [(RAW, name) for name in ("schema", "partitions_published")] + [
            (CLEANED, name)
            for name in ("quantity__ge", "price__ge", "reconciliation", "partitions_published")
        ]
        return [
            (name, record.partition)
            for asset, name in checks
            for record in storage.get_asset_check_execution_history(
                dg.AssetCheckKey(asset, name), limit=500
            )
            if record.status is Stored.PLANNED
        ]


@pytest.fixture
def world(installation: Installation, instance: dg.DagsterInstance) -> World:
    folder = installation.root / "delivered"
    folder.mkdir()
    return World(folder, instance)


@pytest.fixture(params=["ours", "another"])
def either(request: pytest.FixtureRequest, installation: Installation, tmp_path: Path) -> Any:
    """A world on our event log, and on one that knows nothing of batches."""
    folder = installation.root / "delivered"
    folder.mkdir()
    if request.param == "another":
        with dg.DagsterInstance.ephemeral() as instance:
            yield World(folder, instance)
    else:
        yield World(folder, request.getfixturevalue("instance"))


def values(evaluation: Any) -> dict[str, Any]:
    """Metadata as plain values."""
    return {name: value.value for name, value in evaluation.metadata.items()}


def test_a_batch_has_a_result_of_each_check_for_each_partition(either: World) -> None:
    world = either
    for day in WEEK:
        world.deliver(day)
    world.deliver(WEEK[1], SPOILED, row("bad2", quantity=-2))
    world.deliver(WEEK[3], CHEAP, row("cheap2", price="-2"), row("n", note="x" * 30))
    assert not world.run(*WEEK).success
    good = dict.fromkeys(WEEK, "succeeded")
    assert world.shown("quantity__ge") == {**good, WEEK[1]: "failed"}
    assert world.shown("price__ge") == {**good, WEEK[3]: "failed"}
    assert world.shown("note__str_length") == good
    assert world.shown("reconciliation") == good
    assert world.shown("schema", RAW) == good
    assert world.shown("partitions_published", RAW) == good
    assert world.shown("partitions_published") == {**good, WEEK[1]: "failed"}
    assert world.left_planned() == []

    stopped = world.latest("quantity__ge", WEEK[1])
    assert (stopped.passed, stopped.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert values(stopped) == {
        "layer": "business", "severity": "error", "action": "block", "alert_above": 0,
        "block_above": 1, "rows_broken": 2, "rows_judged": 10, "share_broken": 0.2,
    }  # fmt: skip
    alerted = world.latest("price__ge", WEEK[3])
    assert (alerted.passed, alerted.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert values(alerted)["action"] == "alert"
    told = world.latest("note__str_length", WEEK[3])
    assert told.passed
    assert (values(told)["severity"], values(told)["rows_broken"]) == ("info", 1)
    assert values(told)["alert_above"] == "never"


def test_the_latest_result_is_that_of_the_run(world: World) -> None:
    for day in WEEK:
        world.deliver(day)
    world.deliver(WEEK[1], SPOILED, row("bad2", quantity=-2))
    world.run(*WEEK)
    of_run = world.latest("quantity__ge")
    assert of_run.partition is None
    assert (of_run.passed, of_run.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert values(of_run)["action"] == "block"
    assert (values(of_run)["rows_broken"], values(of_run)["rows_judged"]) == (2, 42)
    (worst,) = of_run.metadata["worst_partitions"].records
    assert (worst.data["partition"], worst.data["action"]) == (WEEK[1], "block")
    assert world.latest("price__ge").passed


def test_a_run_of_one_partition_changes_the_result_of_that_one(world: World) -> None:
    for day in WEEK[:3]:
        world.deliver(day)
    world.deliver(WEEK[1], SPOILED, row("bad2", quantity=-2))
    world.run(*WEEK[:3])
    assert world.shown("quantity__ge")[WEEK[1]] == "failed"
    world.deliver(WEEK[1])
    assert world.run(WEEK[1]).success
    assert world.shown("quantity__ge") == dict.fromkeys(WEEK[:3], "succeeded")
    # Of one partition there is one evaluation a run, not two.
    assert world.latest("quantity__ge").partition == WEEK[1]
    assert world.left_planned() == []


def test_a_partition_that_was_not_judged_has_no_result(world: World) -> None:
    world.deliver(WEEK[0])
    (world.folder / "things" / f"{WEEK[1]}.csv").write_text(text("a,1"))
    world.deliver(WEEK[2])
    assert not world.run(*WEEK[:3]).success
    good = {WEEK[0]: "succeeded", WEEK[2]: "succeeded"}
    assert world.shown("quantity__ge") == {**good, WEEK[1]: "execution_failed"}
    assert world.shown("schema", RAW) == {**good, WEEK[1]: "execution_failed"}
    assert world.shown("partitions_published", RAW) == {**good, WEEK[1]: "failed"}
    assert set(world.left_planned()) >= {("quantity__ge", WEEK[1])}


@pytest.mark.parametrize("days", [WEEK[:2], WEEK[:1]])
def test_a_check_that_is_not_cut_has_one_result_a_run(world: World, days: Sequence[str]) -> None:
    for day in days:
        world.deliver(day)
    world.whole = True
    assert world.run(*days).success
    for layer, check in (("raw", "schema"), ("cleaned", "price__ge")):
        key = dg.AssetCheckKey(dg.AssetKey([layer, "whole"]), check)
        storage = world.instance.event_log_storage
        (record,) = storage.get_asset_check_execution_history(key, limit=50)
        assert (record.status, record.partition) == (Stored.SUCCEEDED, None)


def test_nothing_is_told_twice_by_running_again(world: World) -> None:
    for day in WEEK[:2]:
        world.deliver(day)
    world.run(*WEEK[:2])
    world.run(*WEEK[:2])
    key = dg.AssetCheckKey(CLEANED, "quantity__ge")
    history = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
    assert [record.partition for record in history].count(WEEK[0]) == 2
    assert [record.partition for record in history].count(None) == 2
    assert {Shown.SUCCEEDED.value} == {record.status.value for record in history}
    assert Verdict(passed=True).metadata == {}
