"""The quarantine's jobs: what they change shows in Dagster, and just what changed is followed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from platform_assets.assets.build import build_definitions
from platform_assets.assets.replays import REPLAY_TAG, Site, replay_withdrawn, rerun_commands
from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.resources import FolderResource, lake_config
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import LakeConfig, connect
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_export import ID
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, D3, DAYS, Thing, row, text, things

CLEANED, QUARANTINE = dg.AssetKey(["cleaned", "things"]), dg.AssetKey(["quarantine", "things"])
DOWNSTREAM = dg.AssetKey("downstream")
PARTITIONS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-08")
BAD = row("bad", quantity=-1)
SAID = {"reason": "r", "author": "a"}


class Lenient(Thing):
    """Things that may be owed."""

    quantity: int


@dataclass
class World:
    """Definitions over tiny datasets, an instance, and what the downstream was asked for."""

    folder: Path
    instance: dg.DagsterInstance
    lake: LakeConfig
    datasets: Sequence[Dataset] = ()
    built: list[list[str]] = field(default_factory=list)
    definitions: dg.Definitions = field(init=False)

    def define(self, **options: Any) -> None:
        """Declare the things anew, with other options."""

        @dg.asset(
            deps=[CLEANED],
            partitions_def=PARTITIONS,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def downstream(context: dg.AssetExecutionContext) -> None:
            self.built.append(list(context.partition_keys))

        own = {"partitions": Daily(date(2025, 1, 1), date(2025, 1, 7)), "max_bad_share": 1.0}
        self.definitions = build_definitions(
            [things(**{**own, **options}), *self.datasets],
            resources={"files": FolderResource(path=str(self.folder))},
            assets=[downstream],
        )

    def deliver(self, day: str, *rows: str, name: str = "things") -> None:
        path = self.folder / name / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(*rows))

    def fill(self, days: Sequence[str], *keys: dg.AssetKey) -> None:
        tags = {ASSET_PARTITION_RANGE_START_TAG: days[0], ASSET_PARTITION_RANGE_END_TAG: days[-1]}
        self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            tags=tags,
            asset_selection=list(keys) or None,
            raise_on_error=False,
        )
        self.built.clear()

    def run(self, name: str, **config: Any) -> dg.ExecuteInProcessResult:
        (op,) = self.definitions.resolve_job_def(f"quarantine_{name}").graph.node_defs
        given = {"ops": {op.name: {"config": config}}} if config else {}
        return self.definitions.resolve_job_def(f"quarantine_{name}").execute_in_process(
            instance=self.instance, run_config=given, raise_on_error=False
        )

    def told(self, result: dg.ExecuteInProcessResult) -> dict[str, Any]:
        """The metadata of a job's one output."""
        assert result.success, result.all_events[-2]
        (event,) = result.filter_events(lambda each: each.is_successful_output)
        return {k: v.value for k, v in event.step_output_data.metadata.items()}

    def failure(self, result: dg.ExecuteInProcessResult) -> str:
        assert not result.success
        (event,) = result.filter_events(lambda each: each.is_step_failure)
        assert event.step_failure_data.user_failure_data is not None
        return str(event.step_failure_data.user_failure_data.description)

    def newest(self, key: dg.AssetKey, partition: str) -> tuple[str, dict[str, Any]]:
        """The run and the metadata of a partition's newest materialization."""
        (record,) = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition]), limit=1
        ).records
        assert record.asset_materialization is not None
        metadata = record.asset_materialization.metadata
        return record.run_id, {k: v.value for k, v in metadata.items()}

    def select(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query; the lake is not held open while runs are made."""
        with connect(self.lake) as lake:
            return lake.execute(query).fetchall()

    def ids(self) -> dict[tuple[str, str], str]:
        rows = self.select(
            "SELECT partition, original_row ->> '/thing_id', quarantine_id "
            f"FROM {tables.QUARANTINE}"
        )
        return {(day, key): identity for day, key, identity in rows}


@pytest.fixture
def world(installation: Installation, instance: dg.DagsterInstance, tmp_path: Path) -> World:
    (tmp_path / "delivered").mkdir()
    return World(tmp_path / "delivered", instance, lake_config(installation.settings))


def test_exactly_what_has_changed_is_followed(world: World) -> None:
    world.define()
    world.deliver(D1, row("good"), BAD)
    world.deliver(D2, row("good"))
    world.deliver(D3, row("good"), row("worse", quantity=-1, price="-1"))
    world.deliver(DAYS[3], row("good"), BAD)
    world.fill(DAYS[:4])
    before = {day: world.newest(CLEANED, day)[0] for day in DAYS[:4]}
    # Nothing was changed: the rows are judged, their partitions published again, and nothing moves.
    told = world.told(world.run("replay", dataset="things", **SAID))
    assert (told["open"], told["changed"], world.built) == (3, {}, [])
    judged = {day for day in DAYS[:4] if world.newest(CLEANED, day)[0] != before[day]}
    assert judged == {D1, D3, DAYS[3]}
    with connect(world.lake) as lake:
        newest = ledger.latest(lake, "cleaned/things", [D1, D3])
    assert {entry.status for entry in newest.values()} == {ledger.Status.PUBLISHED}
    # The contract allows two of them now: their partitions have changed, the third has not.
    world.define(contract=Lenient)
    told = world.told(world.run("replay", dataset="things", **SAID))
    assert (told["released"], told["published"], told["open"]) == (2, 2, 1)
    assert told["changed"] == {"things": [D1, DAYS[3]]}
    assert world.built == [[D1], [DAYS[3]]]
    # Dagster shows what a run of its own would show: rows, checks, and which run it was.
    for key in (CLEANED, QUARANTINE, DOWNSTREAM):
        run, metadata = world.newest(key, D1)
        assert run in told["runs"]
        if key == CLEANED:
            assert metadata["dagster/partition_row_count"] == 2
    run = world.instance.get_run_by_id(told["runs"][0])
    assert run is not None
    assert run.tags[REPLAY_TAG]


def test_what_is_released_adds_up_where_newer_rows_stand_already(world: World) -> None:
    world.define()
    late = "2025-01-01 09:00:00"
    world.deliver(
        D1,
        row("good"),
        row("came again", quantity=-1),
        row("came again", quantity=-2),
        row("came right", quantity=-1),
        row("came right", quantity=3, changed_at=late),
        row("worse", quantity=-1, price="-1"),
    )
    world.deliver(D2, row("good"), BAD)
    world.fill([D1, D2])
    # Delivered anew, the row is another one: its place is taken, and it comes back as nothing.
    world.deliver(D2, row("good"), row("bad", quantity=8))
    world.fill([D2], dg.AssetKey(["raw", "things"]))
    world.define(contract=Lenient)
    told = world.told(world.run("replay", dataset="things", **SAID))
    parts = ("published", "deduplicated", "replaced", "open")
    assert {name: told[name] for name in ("judged", "released", *parts)} == {
        "judged": 5, "released": 4, "published": 1, "deduplicated": 2, "replaced": 1, "open": 1,
    }  # fmt: skip
    assert told["judged"] == sum(told[name] for name in parts)
    cleaned = tables.cleaned_table("things")
    assert world.select(f"SELECT thing_id, quantity, _partition FROM {cleaned} ORDER BY ALL") == [
        ("bad", 8, D2), ("came again", -2, D1), ("came right", 3, D1), ("good", 1, D1),
        ("good", 1, D2),
    ]  # fmt: skip


def test_a_stopped_partition_moves_nothing(world: World) -> None:
    world.define(max_bad_share=0.1)
    world.deliver(D1, row("good"), BAD)
    world.fill([D1])
    failed = world.failure(world.run("replay", dataset="things", **SAID))
    assert f"{D1}: stopped by quantity__ge" in failed
    assert world.built == []
    done = world.told(world.run("resolve", dataset="things", **SAID))
    assert done["resolved"] == 1
    assert f"--from {D1} --to {D1}" in done["to_run_again"]


def test_edited_rows_are_replayed_from_a_file(world: World, tmp_path: Path) -> None:
    world.define()
    world.deliver(D1, row("good"), BAD)
    world.deliver(D2, row("good"), BAD)
    world.fill([D1, D2])
    path = tmp_path / "out" / "rows.csv"
    written = world.told(world.run("export", dataset="things", partition=D2, file=str(path)))
    assert written["rows"] == 1
    path.write_text(path.read_text().replace("-1", "1"))
    told = world.told(world.run("replay", file=str(path), **SAID))
    assert (told["corrected"], told["unchanged"], told["released"]) == (1, 0, 1)
    assert world.built == [[D2]]
    again = world.told(world.run("replay", file=str(path), **SAID))
    assert (again["corrected"], again["unchanged"], again["runs"]) == (0, 1, [])
    assert world.built == [[D2]]
    # Taken back, the row is judged as it came, and what follows is made anew again.
    site = Site(world.definitions, [things()], world.instance, lambda: connect(world.lake))
    picked = Picked(ids=[world.ids()[D2, "bad"]], statuses=tuple(RowStatus))
    back = replay_withdrawn(site, picked, **SAID)
    assert back is not None
    assert (back.rows, back.failures) == ({RowStatus.OPEN: 1}, [])
    assert world.built == [[D2], [D2]]
    assert replay_withdrawn(site, picked, **SAID) is None
    # What cannot be taken fails the job, in words.
    path.write_text(f"{ID},colour\n{world.ids()[D1, 'bad']},red\n")
    assert "colour" in world.failure(world.run("replay", file=str(path), **SAID))
    both = world.run("replay", file=str(path), dataset="things", **SAID)
    assert "itself which rows" in world.failure(both)


def test_rows_of_a_whole_table_bring_back_those_that_refer_to_them(world: World) -> None:
    class Label(Contract):
        """A label, of a table that comes whole."""

        label: str = Key()
        weight: int = Field(ge=0)

    class Labelled(Thing):
        """Things with a label."""

        note: str = Field(references="labels.label")

    world.datasets = [
        Dataset("labels", Label, CsvFiles("labels.csv"), Unpartitioned(), max_bad_share=1.0)
    ]
    world.define(contract=Labelled)
    (world.folder / "labels.csv").write_text("label,weight\nred,1\nblue,-1\n")
    world.deliver(D1, row("a", note="red"))
    world.deliver(D2, row("b", note="red"), row("c", note="blue"))
    world.fill([D1, D2])
    path = world.folder / "rows.csv"
    ((identity,),) = world.select(
        f"SELECT quarantine_id FROM {tables.QUARANTINE} WHERE dataset = 'labels'"
    )
    path.write_text(f"{ID},weight\n{identity},1\n")
    told = world.told(world.run("replay", file=str(path), **SAID))
    assert told["changed"] == {"labels": ["all"], "things": [D2]}
    assert world.built == [[D2]]


def test_old_content_is_erased_by_a_schedule(world: World) -> None:
    world.define()
    assert not world.definitions.schedules
    world.define(quarantine_retention=timedelta(seconds=1))
    (schedule,) = world.definitions.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "quarantine_expire"
    world.deliver(D1, row("good"), BAD, row("worse", quantity=-1))
    world.fill([D1])
    identity = world.ids()[D1, "bad"]
    world.told(world.run("resolve", ids=[identity], **SAID))
    world.select(f"UPDATE {tables.QUARANTINE} SET first_seen = first_seen - INTERVAL 1 HOUR")
    told = world.told(world.run("expire"))
    assert told == {"rows": 1, "corrections": 0, "as_old_and_open": 1}


@pytest.mark.parametrize(
    ("job", "config", "said"),
    [
        ("replay", SAID, "never all of it at once"),
        ("replay", {**SAID, "dataset": "nothing"}, "There is no such dataset"),
        ("resolve", {**SAID, "older_than": "soon"}, "such as 7d"),
        ("resolve", {**SAID, "statuses": ["lost"]}, "not a status"),
        ("export", {"file": "rows.xlsx", "dataset": "things"}, ".csv or .ndjson"),
        ("export", {"file": "rows.csv"}, "There is no such dataset"),
    ],
)
def test_wrong_words_fail_a_job_in_words(
    world: World, job: str, config: dict[str, Any], said: str
) -> None:
    world.define()
    assert said in world.failure(world.run(job, **config))


def test_a_replay_of_nothing_is_none(world: World) -> None:
    world.define()
    assert world.told(world.run("replay", rule="no_such", **SAID)) == {
        "judged": 0, "released": 0, "published": 0, "deduplicated": 0, "replaced": 0,
    }  # fmt: skip


def test_how_to_run_partitions_again() -> None:
    blocked = [("things", D1), ("things", D2), ("labels", "all")]
    (labels, of_things) = rerun_commands(blocked, [things()])
    assert labels.startswith("platform-assets quarantine replay --dataset labels")
    assert of_things == (
        f"platform-assets backfill --from {D1} --to {D2} "
        """--select 'key:"cleaned/things"+ or key:"quarantine/things"'"""
    )
