"""A batch of partitions in Dagster: each has a status, counts and checks of its own.

Guards the one private name of Dagster in ``assets/reporting.py``: where an upgrade changes what it
does, the statuses here are wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandera.pandas as pa
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from platform_assets.assets.build import build_definitions
from platform_assets.assets.reporting import FORCE_TAG
from platform_assets.contracts import Contract, Field, Key
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.resources import FolderResource
from platform_assets.sources.files import CsvFiles
from platform_assets.workers import PID_TAG
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import DAYS, row, text, things

RAW, CLEANED, QUARANTINE, DOWNSTREAM = (
    dg.AssetKey(path)
    for path in (["raw", "things"], ["cleaned", "things"], ["quarantine", "things"], "downstream")
)
WEEK = DAYS[:5]
GOOD = text(*(row(name) for name in "abcdefghij"), row("k", quantity=-1))
SPOILED = text(row("a"), row("b", quantity=-1))
UNREADABLE = text("a,1")
PARTITIONS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-08")


class Label(Contract):
    """A label, of a table that comes whole."""

    label: str = Key()


@dataclass
class World:
    """Definitions over tiny datasets, an instance, and what the downstream was asked for."""

    folder: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions = field(init=False)
    built: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        @dg.asset(
            deps=[CLEANED],
            partitions_def=PARTITIONS,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def downstream(context: dg.AssetExecutionContext) -> None:
            self.built.append(list(context.partition_keys))

        self.definitions = build_definitions(
            [
                things(partitions=Daily(date(2025, 1, 1), date(2025, 1, 7))),
                things(
                    "labels",
                    contract=Label,
                    source=CsvFiles("labels.csv"),
                    partitions=Unpartitioned(),
                ),
            ],
            resources={"files": FolderResource(path=str(self.folder))},
            assets=[downstream],
        )

    def deliver(self, day: str, content: str) -> None:
        path = self.folder / "things" / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def run(
        self, days: Sequence[str] | None, *keys: dg.AssetKey, **tags: str
    ) -> dg.ExecuteInProcessResult:
        if days is not None:
            tags[ASSET_PARTITION_RANGE_START_TAG] = days[0]
            tags[ASSET_PARTITION_RANGE_END_TAG] = days[-1]
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            tags=tags,
            asset_selection=list(keys) or None,
            raise_on_error=False,
        )

    def status(self, key: dg.AssetKey) -> tuple[set[str], set[str]]:
        """The partitions that Dagster shows as materialized, and as failed."""
        found = get_and_update_asset_status_cache_value(self.instance, key, PARTITIONS)
        assert found is not None
        return (
            set(found.deserialize_materialized_partition_subsets(PARTITIONS).get_partition_keys()),
            set(found.deserialize_failed_partition_subsets(PARTITIONS).get_partition_keys()),
        )

    def metadata(self, key: dg.AssetKey, partition: str) -> dict[str, Any]:
        """The metadata of a partition's newest materialization."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition]), limit=1
        ).records
        assert records[0].asset_materialization is not None
        return {k: v.value for k, v in records[0].asset_materialization.metadata.items()}


@pytest.fixture
def world(installation: Installation, instance: dg.DagsterInstance, tmp_path: Path) -> World:
    folder = tmp_path / "delivered"
    made = World(folder, instance)
    for day in WEEK:
        made.deliver(day, GOOD)
    (folder / "labels.csv").write_text("label\nx\ny\n")
    return made


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    """By name of the check on cleaned or raw: passed, and how severe."""
    return {
        f"{e.asset_key.path[0]}:{e.check_name}": (e.passed, e.severity.value)
        for e in result.get_asset_check_evaluations()
    }


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The text that a person sees of each step that failed."""
    texts = {}
    for event in result.all_events:
        if event.event_type is dg.DagsterEventType.STEP_FAILURE:
            data = event.step_failure_data
            assert data.user_failure_data is not None
            texts[str(event.step_key)] = str(data.user_failure_data.description)
    return texts


def test_a_range_with_good_and_bad_partitions(world: World) -> None:
    world.deliver(WEEK[1], SPOILED)
    world.deliver(WEEK[3], UNREADABLE)

    result = world.run(WEEK)

    assert not result.success
    assert world.status(RAW) == ({WEEK[0], WEEK[1], WEEK[2], WEEK[4]}, {WEEK[3]})
    good = {WEEK[0], WEEK[2], WEEK[4]}
    assert world.status(CLEANED) == (good, {WEEK[1], WEEK[3]})
    assert world.status(QUARANTINE)[0] == good
    # The same run built what is downstream.
    assert world.built == [list(WEEK)]
    assert world.metadata(CLEANED, WEEK[0]) | {"seconds": 0} == {
        "dagster/partition_row_count": 10,
        "rows_extracted": 11,
        "rows_cleaned": 10,
        "rows_quarantined": 1,
        "rows_deduplicated": 0,
        "seconds": 0,
        "source_bytes": len(GOOD),
        "unchanged": False,
        "contract_version": things().compiled.version,
        "rows_added": 10,
        "rows_removed": 0,
        "rows_changed": 0,
        # One row of eleven is rejected.
        "quality_score": 90.91,
        "quality_validity": pytest.approx(10 / 11),
        "quality_conformity": 1.0,
        "quality_expectedness": 1.0,
        "findings": 0,
    }
    assert world.metadata(QUARANTINE, WEEK[0])["rules_broken"] == {"quantity__ge": 1}
    assert world.metadata(RAW, WEEK[1])["dagster/partition_row_count"] == 2
    raw_failure, cleaned_failure = failures(result).values()
    assert "1 partition(s) of raw/things were not published" in raw_failure
    assert f"{WEEK[3]}: stopped by source" in raw_failure
    assert "missing columns" in raw_failure
    assert f"{WEEK[1]}: stopped by quantity__ge" in cleaned_failure
    found = checks(result)
    assert found["raw:partitions_published"] == (False, "ERROR")
    assert found["cleaned:partitions_published"] == (False, "ERROR")
    assert found["cleaned:quantity__ge"] == (False, "ERROR")
    assert found["cleaned:price__ge"] == (True, "WARN")
    assert found["cleaned:reconciliation"] == (True, "ERROR")

    # A later run of the range does only what is missing, and everything is green.
    world.deliver(WEEK[1], GOOD)
    world.deliver(WEEK[3], GOOD)
    assert world.run(WEEK).success
    for key in (RAW, CLEANED, QUARANTINE):
        assert world.status(key) == (set(WEEK), set())
    assert {day: world.metadata(CLEANED, day)["unchanged"] for day in WEEK} == {
        day: day in good for day in WEEK
    }
    result = world.run(WEEK)
    assert result.success
    assert all(world.metadata(CLEANED, day)["unchanged"] for day in WEEK)
    assert world.metadata(CLEANED, WEEK[0])["rows_cleaned"] == 10
    # Unless it is told to do all.
    assert world.run(WEEK, **{FORCE_TAG: "true"}).success
    assert not any(world.metadata(layer, d)["unchanged"] for layer in (RAW, CLEANED) for d in WEEK)


def test_where_all_partitions_are_bad_the_step_itself_fails(world: World) -> None:
    for day in WEEK[:2]:
        world.deliver(day, UNREADABLE)
    result = world.run(WEEK[:2], RAW, CLEANED, QUARANTINE, DOWNSTREAM)
    assert "2 partition(s) of raw/things were not published" in failures(result)["raw_things"]
    assert world.status(RAW) == (set(), set(WEEK[:2]))
    assert world.built == []
    for day in WEEK[:2]:
        world.deliver(day, SPOILED)
    result = world.run(WEEK[:2], RAW, CLEANED, QUARANTINE, DOWNSTREAM)
    assert "stopped by quantity__ge" in failures(result)["cleaned_things"]
    assert checks(result)["cleaned:quantity__ge"] == (False, "ERROR")
    assert world.status(CLEANED)[1] == set(WEEK[:2])
    assert world.built == []


def test_a_run_of_one_partition(world: World) -> None:
    job = world.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=world.instance,
        partition_key=WEEK[2],
        asset_selection=[RAW, CLEANED, QUARANTINE, DOWNSTREAM],
        raise_on_error=False,
    )
    assert result.success
    assert world.status(CLEANED) == ({WEEK[2]}, set())
    assert world.built == [[WEEK[2]]]
    found = checks(result)
    # One row of eleven was quarantined: noted, and no reason to stop.
    assert found["cleaned:quantity__ge"] == (False, "WARN")
    assert found["cleaned:partitions_published"] == (True, "ERROR")
    run = world.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert PID_TAG in run.tags


def test_an_unpartitioned_dataset_in_a_range_run(world: World) -> None:
    result = world.run(WEEK)
    assert result.success
    event = world.instance.get_latest_materialization_event(dg.AssetKey(["cleaned", "labels"]))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition is None
    metadata = {k: v.value for k, v in event.asset_materialization.metadata.items()}
    assert metadata["rows_cleaned"] == 2
    world.folder.joinpath("labels.csv").write_text("wrong\nx\n")
    result = world.run(WEEK)
    assert "lacks a column: label" in failures(result)["raw_labels"]
    assert "raw_things" not in failures(result)


def test_a_source_that_is_not_there_fails_the_run(world: World) -> None:
    for path in (world.folder / "things").iterdir():
        path.unlink()
    (world.folder / "things").rmdir()
    result = world.run(WEEK, RAW)
    assert not result.success
    told = failures(result)["raw_things"]
    assert f"{len(WEEK)} partition(s) of raw/things were not published" in told
    assert "The folder of a source does not exist" in told
    assert world.status(RAW) == (set(), set(WEEK))


def test_a_partition_outside_of_the_range_is_refused(world: World) -> None:
    job = world.definitions.resolve_implicit_global_asset_job_def()
    with pytest.raises(dg.DagsterError, match="2024-12-31"):
        job.execute_in_process(
            instance=world.instance, partition_key="2024-12-31", asset_selection=[RAW]
        )


class Checked(Contract):
    """With checks that only Python can make."""

    thing_id: str = Key()
    quantity: int = Field()

    @pa.check("quantity")
    def even(cls, values: Any) -> Any:
        """Is even."""
        return values % 2 == 0

    @pa.dataframe_check(raise_warning=True)
    def not_thirteen(cls, frame: Any) -> Any:
        """Is not thirteen or twelve."""
        return frame["quantity"] < 12


def test_checks_in_python_judge_rows_too(
    installation: Installation, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "delivered" / "things").mkdir(parents=True)
    rows = [f"t{n},{n}" for n in range(14)]
    content = text(*rows, "bad,x", header="thing_id,quantity")
    (tmp_path / "delivered" / "things" / f"{WEEK[0]}.csv").write_text(content)
    definitions = build_definitions(
        [things(contract=Checked, max_bad_share=0.6)],
        resources={"files": FolderResource(path=str(tmp_path / "delivered"))},
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key=WEEK[0]
    )
    found = {e.check_name: e for e in result.get_asset_check_evaluations()}
    rows_broken = {
        name: each.metadata["rows_broken"].value
        for name, each in found.items()
        if "rows_broken" in each.metadata
    }
    assert rows_broken == {
        "thing_id__not_null": 0,
        "quantity__castable": 1,
        "quantity__not_null": 0,
        "quantity__even": 7,
        "not_thirteen": 2,
    }
    assert found["reconciliation"].passed
    assert found["reconciliation"].metadata["rows_quarantined"].value == 8
    assert found["reconciliation"].metadata["rows_cleaned"].value == 7
