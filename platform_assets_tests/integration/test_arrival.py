"""The arrival sensor, on a real instance and lake: when it requests a run, when it is silent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from platform_assets.assets.build import build_definitions
from platform_assets.dataset import Dataset
from platform_assets.errors import ContractError
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.resources import FolderResource
from platform_assets.resources.lake import LakeResource
from platform_assets.sensors import arrival
from platform_assets.sensors.arrival import build_arrival_sensor
from platform_assets.sensors.requests import DATASET_TAG
from platform_assets.sources.deliveries import CompletionFlag
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse import ledger
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, D3, DAYS, Site, row, text, things

Range = tuple[str, str]


@dataclass
class Watch:
    """The sensor over some datasets, ticked by a clock of the test's own."""

    instance: dg.DagsterInstance
    folder: Path
    datasets: Sequence[Dataset]
    clock: Callable[[float], None]
    options: dict[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    now: float = 1000.0
    skipped: str = ""

    @property
    def definitions(self) -> dg.Definitions:
        return build_definitions(
            self.datasets, resources={"files": FolderResource(path=str(self.folder))}
        )

    def tick(self, after: float = 30.0) -> list[dg.RunRequest]:
        self.now += after
        self.clock(self.now)
        sensor = build_arrival_sensor(self.datasets, **self.options)
        assert sensor is not None
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={"files": FolderResource(path=str(self.folder)), "lake": LakeResource()},
        ) as context:
            result = sensor.evaluate_tick(context)
        self.cursor = result.cursor
        self.skipped = result.skip_message or ""
        return list(result.run_requests or [])

    def ranges(self, after: float = 30.0) -> list[Range]:
        return [range_of(request) for request in self.tick(after)]

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            tags=request.tags,
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection or ()),
            raise_on_error=False,
        )


def range_of(request: dg.RunRequest) -> Range:
    one = request.partition_key or ""
    return (
        request.tags.get(ASSET_PARTITION_RANGE_START_TAG, one),
        request.tags.get(ASSET_PARTITION_RANGE_END_TAG, one),
    )


@pytest.fixture
def watch(
    instance: dg.DagsterInstance,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Watch]:
    folder = installation.root / "delivered"
    (folder / "things").mkdir(parents=True)

    def clock(now: float) -> None:
        monkeypatch.setattr(arrival.time, "time", lambda: now)

    def make(*datasets: Dataset, **options: Any) -> Watch:
        return Watch(instance, folder, datasets or (things(),), clock, options)

    return make


def deliver(watch: Watch, day: str, *rows: str, dataset: str = "things") -> Path:
    return Site(None, watch.folder).deliver(day, text(*rows), dataset)  # type: ignore[arg-type] # no lake is asked


def test_nothing_has_arrived(watch: Callable[..., Watch]) -> None:
    sensor = watch()
    assert sensor.tick() == []
    assert sensor.skipped == "no files have arrived or changed"
    assert json.loads(sensor.cursor or "") == {}


def test_what_has_arrived_is_loaded_once_and_again_when_it_changes(
    watch: Callable[..., Watch],
) -> None:
    sensor = watch()
    for day in (D1, D2, DAYS[4]):
        deliver(sensor, day, row("a"))
    assert sensor.ranges() == []  # seen once: it may still grow
    found = sensor.tick()
    assert [range_of(each) for each in found] == [(D1, D2), (DAYS[4], DAYS[4])]
    assert {str(key.to_user_string()) for key in found[0].asset_selection or ()} == {
        "raw/things",
        "cleaned/things",
        "quarantine/things",
    }
    assert sensor.tick() == []  # requested, not yet run
    assert all(sensor.run(each).success for each in found)
    with LakeResource().get_connection() as lake:
        assert set(ledger.published(lake, "cleaned/things")) == {D1, D2, DAYS[4]}
    assert sensor.tick() == []
    assert json.loads(sensor.cursor or "") == {}

    path = deliver(sensor, D2, row("b"))
    assert sensor.ranges() == []
    deliver(sensor, D2, row("b"), row("c"))
    assert sensor.ranges() == []  # it has grown between the two looks
    changed = sensor.tick()
    assert [range_of(each) for each in changed] == [(D2, D2)]
    assert sensor.run(changed[0]).success
    assert sensor.tick() == []
    path.unlink()
    assert sensor.ranges() == sensor.ranges() == []  # what is taken away is nobody's arrival


def test_content_that_comes_back_is_loaded_again(watch: Callable[..., Watch]) -> None:
    sensor = watch(things(source=CsvFiles("things/{partition}.csv", settled_seconds=0)))
    keys = set()
    for content in ("a", "b", "a"):
        path = deliver(sensor, D1, row(content * (1 + (content == "b"))))
        os.utime(path, ns=(1, 1))
        (found,) = sensor.tick()
        keys.add(found.run_key)
        assert sensor.run(found).success
    assert len(keys) == 3


def test_a_flag_is_waited_for_and_a_run_without_it_fails(watch: Callable[..., Watch]) -> None:
    flag = CompletionFlag("things/{partition}.complete")
    dataset = things(source=CsvFiles("things/{partition}.csv", complete=flag, settled_seconds=0))
    sensor = watch(dataset)
    deliver(sensor, D1, row("a"))
    assert sensor.tick() == sensor.tick() == []
    by_hand = dg.RunRequest(
        asset_selection=[dg.AssetKey(["raw", "things"])],
        tags={ASSET_PARTITION_RANGE_START_TAG: D1, ASSET_PARTITION_RANGE_END_TAG: D2},
    )
    assert not sensor.run(by_hand).success
    with LakeResource().get_connection() as lake:
        failed = ledger.latest(lake, "raw/things")
    assert set(failed) == {D1, D2}
    assert failed[D1].message.startswith("A delivery is not complete")
    assert str(sensor.folder / f"things/{D1}.complete") in failed[D1].message
    (sensor.folder / f"things/{D1}.complete").touch()
    (found,) = sensor.tick()
    assert sensor.run(found).success


def test_a_partition_that_fails_is_not_requested_again_until_it_changes(
    watch: Callable[..., Watch],
) -> None:
    sensor = watch()
    path = deliver(sensor, D1, row("a"))
    path.write_text("nothing,that,is,known\n")
    sensor.tick()
    (found,) = sensor.tick()
    assert not sensor.run(found).success
    assert sensor.tick() == sensor.tick() == []
    deliver(sensor, D1, row("a"), row("b"))
    sensor.tick()
    (again,) = sensor.tick()
    assert again.run_key != found.run_key
    assert sensor.run(again).success


def test_what_is_running_is_left_alone(watch: Callable[..., Watch]) -> None:
    sensor = watch()

    @dg.job
    def work() -> None:
        return

    tags = {
        DATASET_TAG: "things",
        ASSET_PARTITION_RANGE_START_TAG: D1,
        ASSET_PARTITION_RANGE_END_TAG: D2,
    }
    run = sensor.instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTED, tags=tags)
    for day in (D1, D2, D3):
        deliver(sensor, day, row("a"))
    sensor.tick()
    assert sensor.ranges() == [(D3, D3)]
    sensor.instance.report_run_failed(run)
    assert sensor.ranges() == [(D1, D2)]


def test_a_tick_requests_at_most_so_many(watch: Callable[..., Watch]) -> None:
    sensor = watch(max_partitions=3)
    for day in DAYS[:7]:
        deliver(sensor, day, row("a"))
    sensor.tick()
    assert sensor.ranges() == [(DAYS[0], DAYS[2])]
    assert sensor.ranges() == [(DAYS[3], DAYS[5])]
    assert sensor.ranges() == [(DAYS[6], DAYS[6])]
    assert sensor.ranges() == []


def test_a_source_that_is_down_holds_up_no_other(watch: Callable[..., Watch]) -> None:
    whole = things("whole", source=CsvFiles("things/all.csv"), partitions=Unpartitioned())
    sensor = watch(things("gone", source=CsvFiles("gone/{partition}.csv")), whole)
    (sensor.folder / "things" / "all.csv").write_text(text(row("a")))
    assert sensor.tick() == []
    assert "gone: The folder of a source does not exist" in sensor.skipped
    (found,) = sensor.tick()
    assert range_of(found) == ("", "")
    assert sensor.run(found).success
    assert sensor.tick() == []


def test_a_flag_has_to_tell_the_partition() -> None:
    with pytest.raises(ContractError, match="completion flag"):
        CompletionFlag("things/{partition}/*.flag")


def test_there_is_one_sensor_that_runs_by_itself(watch: Callable[..., Watch]) -> None:
    sensor = watch().definitions.resolve_sensor_def("arrival")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert build_arrival_sensor([]) is None


def test_datasets_that_are_cut_differently_are_watched_side_by_side() -> None:
    datasets = [
        things("early"),
        things("late", partitions=Daily(date(2025, 3, 1))),
        things("whole", source=CsvFiles("whole.csv"), partitions=Unpartitioned()),
    ]
    definitions = build_definitions(datasets, resources={"files": FolderResource(path="/")})
    dg.Definitions.validate_loadable(definitions)
    assert definitions.resolve_sensor_def("arrival").asset_selection is not None
