"""Freshness on a real lake and instance: what the ledger tells, and what Dagster shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from platform_assets.assets import aggregates
from platform_assets.assets.build import build_definitions
from platform_assets.assets.dbt_project import load_manifest, prepare_dbt_project
from platform_assets.assets.dbt_translation import translate
from platform_assets.assets.frame_asset import frame_asset
from platform_assets.assets.freshness import promised_of
from platform_assets.assets.runs import run_assets
from platform_assets.errors import ContractError
from platform_assets.partitions import UNPARTITIONED_KEY, Daily, Unpartitioned
from platform_assets.pipeline.frames import Frame
from platform_assets.pipeline.freshness import evaluate
from platform_assets.pipeline.lateness import Made
from platform_assets.quality.freshness import FreshnessState
from platform_assets.quality.policy import Calendar
from platform_assets.quality.promise import Freshness
from platform_assets.resources import FolderResource, LakeResource, lake_config
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse.lake import Connection, connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.visits import CHECK, EIGHT, HEADER, Count, moment, visits


def _counted(lake: Connection, partition: str) -> Any:
    where = "" if partition == UNPARTITIONED_KEY else f"WHERE _partition = '{partition}'"
    return lake.execute(
        f"SELECT '{partition}' AS day, count(*) AS visits FROM lake.cleaned.visits {where}"
    ).to_arrow_table()


START_OF_TEST = moment("2025-01-04T07:00")


@dataclass
class World:
    """Visits, what is counted of them, an instance, and a clock."""

    folder: Path
    instance: dg.DagsterInstance
    now: datetime = START_OF_TEST

    def __post_init__(self) -> None:
        daily = Frame(
            "daily_visits", Count, _counted, ("cleaned/visits",),
            partitions=Daily(date(2025, 1, 1)), freshness=Freshness(by="09:00"), owners=("a@b.co",),
        )  # fmt: skip
        total = Frame(
            "all_visits", Count, _counted, ("aggregated/daily_visits",),
            lookups=("cleaned/visits",), freshness=Freshness(by="09:00"),
        )  # fmt: skip
        self.definitions = build_definitions(
            [visits()],
            resources={"files": FolderResource(path=str(self.folder))},
            assets=[frame_asset(daily), frame_asset(total)],
            clock=lambda: self.now,
        )

    def deliver(self, day: str, pages: int = 1) -> None:
        path = self.folder / "visits" / f"{day}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{HEADER}a{day},{pages},{day} 20:00:00\n")

    def run(self, *days: str) -> bool:
        keys = self.definitions.resolve_asset_graph().materializable_asset_keys
        return run_assets(self.definitions, self.instance, keys, days).success

    def tick(self, now: str) -> str:
        self.now = moment(now)
        sensor = self.definitions.resolve_sensor_def("freshness")
        resources = {"lake": LakeResource()}
        with dg.build_sensor_context(instance=self.instance, resources=resources) as context:
            result = sensor.evaluate_tick(context)
        assert result.run_requests == []
        assert result.skip_message is not None
        return result.skip_message

    def states(self) -> dict[str, FreshnessState]:
        promised = promised_of(self.definitions)
        from platform_assets.settings import load_settings

        with connect(lake_config(load_settings())) as lake:
            return evaluate(lake, promised, self.now)

    def shown(self, check: dg.AssetCheckKey = CHECK) -> tuple[bool, str, str]:
        """What the UI shows: the newest execution, if it is of the newest materialization."""
        storage = self.instance.event_log_storage
        record = storage.get_latest_asset_check_execution_by_key([check])[check]
        evaluation = record.evaluation
        assert evaluation is not None
        # What the UI asks before it shows one.
        context = LoadingContextForTest(self.instance)
        assert asyncio.run(record.targets_latest_materialization(context))
        return evaluation.passed, evaluation.severity.value, evaluation.description or ""

    def told(self) -> int:
        storage = self.instance.event_log_storage
        return len(storage.get_asset_check_execution_history(CHECK, limit=100))


@pytest.fixture
def world(installation: Installation, instance: dg.DagsterInstance) -> World:
    folder = installation.root / "delivered"
    (folder / "visits").mkdir(parents=True)
    return World(folder, instance)


def test_late_then_fresh_and_downstream_because_of_it(world: World) -> None:
    # Never materialized is late.
    assert world.tick("2025-01-04T10:00") == "0 fresh, 0 warn, 3 late; told of 3"
    passed, severity, text = world.shown()
    assert (passed, severity) == (False, "ERROR")
    assert "nothing was ever published" in text
    # What is said already is not said again.
    assert world.tick("2025-01-04T10:00:30").endswith("told of 0")
    assert world.told() == 1

    for day in ("2025-01-02", "2025-01-03"):
        world.deliver(day)
    assert world.run("2025-01-02", "2025-01-03")
    # A run says so itself.
    assert world.shown()[0]
    assert world.told() == 2
    assert world.tick("2025-01-04T10:01") == "3 fresh, 0 warn, 0 late; told of 0"

    # The next day brings nothing.
    assert world.tick("2025-01-05T07:40") == "2 fresh, 1 warn, 0 late; told of 1"
    assert world.shown()[:2] == (False, "WARN")
    assert world.tick("2025-01-05T10:00") == "0 fresh, 0 warn, 3 late; told of 3"
    states = world.states()
    assert {s.late_because for s in states.values()} == {("source/files",)}
    assert states["aggregated/daily_visits"].expected == "2025-01-04"

    # An old backfill does not make it fresh, and the check speaks of what it materialized.
    world.deliver("2025-01-01")
    runs = world.instance.get_runs_count()
    assert world.run("2025-01-01")
    assert world.shown()[:2] == (False, "ERROR")
    assert world.tick("2025-01-05T10:01").startswith("0 fresh, 0 warn, 3 late")
    assert world.shown()[:2] == (False, "ERROR")

    # What is stopped by its own rule is the root of what follows from it.
    world.deliver("2025-01-04", pages=-1)
    assert not world.run("2025-01-04")
    world.tick("2025-01-05T10:02")
    states = world.states()
    assert states["cleaned/visits"].late_because == ()
    assert "It was stopped by pages__ge." in world.shown()[2]
    assert states["aggregated/daily_visits"].late_because == ("cleaned/visits",)
    assert states["aggregated/all_visits"].late_because == ("cleaned/visits",)

    # The data come: all is over.
    world.deliver("2025-01-04")
    assert world.run("2025-01-04")
    assert world.tick("2025-01-05T10:03").startswith("3 fresh, 0 warn, 0 late")
    for name in ("daily_visits", "all_visits"):
        check = dg.AssetCheckKey(dg.AssetKey(["aggregated", name]), "freshness")
        assert world.shown(check)[0]
    # Only the runs of this test were made.
    assert world.instance.get_runs_count() == runs + 3


def test_a_check_is_run_on_demand(world: World) -> None:
    world.now = moment("2025-01-03T10:00")
    job = world.definitions.resolve_implicit_global_asset_job_def()
    one = job.get_subset(asset_check_selection={CHECK})
    result = one.execute_in_process(instance=world.instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.asset_check_key, evaluation.passed) == (CHECK, False)
    assert evaluation.metadata["expected"].value == "2025-01-02"
    assert evaluation.metadata["late_because"].value == "source/files"


def test_what_a_skipped_step_did_not_say_is_said_by_the_sensor(world: World) -> None:
    """A run plans the check; where it comes to nothing, the sensor says what it would have said."""
    world.deliver("2025-01-02", pages=-1)
    assert not world.run("2025-01-02")
    storage = world.instance.event_log_storage
    record = storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    assert record.status is AssetCheckExecutionRecordStatus.PLANNED
    assert world.tick("2025-01-03T10:00").endswith("told of 3")
    assert "It was stopped by pages__ge." in world.shown()[2]


def test_assets_tell_what_is_promised(world: World) -> None:
    found = {each.asset: each for each in promised_of(world.definitions)}
    cleaned = found["cleaned/visits"]
    assert (cleaned.promise, cleaned.partitions) == (EIGHT, Daily(date(2025, 1, 1)))
    assert (cleaned.owners, cleaned.dataset, cleaned.layer) == (("team:web",), "visits", "cleaned")
    assert cleaned.ancestors == (Made("raw/visits", (), "files", is_cut=True),)
    total = found["aggregated/all_visits"]
    assert (total.upstream, total.partitions) == (("aggregated/daily_visits",), Unpartitioned())
    assert [made.asset for made in total.ancestors] == [
        "aggregated/daily_visits", "cleaned/visits", "raw/visits",
    ]  # fmt: skip
    graph = world.definitions.resolve_asset_graph()
    policy = graph.get(CHECK.asset_key).freshness_policy
    assert policy == dg.FreshnessPolicy.cron("0 8 * * *", timedelta(days=1), "UTC")
    assert graph.get(dg.AssetKey(["raw", "visits"])).freshness_policy is None


@pytest.mark.parametrize(
    ("promise", "policy"),
    [
        (
            Freshness(
                by="17:45", timezone="Europe/London", days="business", calendar=Calendar("GB")
            ),
            dg.FreshnessPolicy.cron("45 17 * * 1-5", timedelta(days=1), "Europe/London"),
        ),
        (
            Freshness(within=timedelta(hours=2), warn=timedelta(hours=1)),
            dg.FreshnessPolicy.time_window(timedelta(hours=2), timedelta(hours=1)),
        ),
    ],
)
def test_dagster_is_told_what_it_can_understand(
    promise: Freshness, policy: dg.FreshnessPolicy, tmp_path: Path
) -> None:
    whole = visits(source=CsvFiles("visits.csv"), partitions=Unpartitioned(), freshness=promise)
    definitions = build_definitions(
        [whole], resources={"files": FolderResource(path=str(tmp_path))}
    )
    node = definitions.resolve_asset_graph().get(CHECK.asset_key)
    assert node.freshness_policy == policy
    assert promised_of(definitions)[0].promise == promise


def test_without_a_promise_nothing_is_there_for_it(tmp_path: Path) -> None:
    definitions = build_definitions(
        [visits(freshness=None)], resources={"files": FolderResource(path=str(tmp_path))}
    )
    assert promised_of(definitions) == []
    assert CHECK not in definitions.resolve_asset_graph().asset_check_keys
    assert "freshness" not in {sensor.name for sensor in definitions.sensors or ()}


def test_a_promise_that_cannot_be_kept_is_refused_where_it_is_written() -> None:
    young = Freshness(within=timedelta(hours=2))
    with pytest.raises(ContractError, match="no daily data can have"):
        visits(freshness=young)
    with pytest.raises(ContractError, match="no daily data can have"):
        Frame("f", Count, _counted, ("cleaned/visits",), partitions=Daily(date(2025, 1, 1)),
              freshness=young)  # fmt: skip


def _models(model: str, meta: object, monkeypatch: pytest.MonkeyPatch) -> dg.AssetsDefinition:
    """The dbt models, where one of them declares a freshness."""
    manifest = load_manifest()
    (unique_id,) = [n for n in manifest["nodes"] if n.endswith(f".{model}")]
    node = manifest["nodes"][unique_id]
    config = {**node["config"], "meta": {**node["config"]["meta"], "freshness": meta}}
    translation = translate(
        {**manifest, "nodes": {**manifest["nodes"], unique_id: {**node, "config": config}}}
    )
    monkeypatch.setattr(aggregates, "load_translation", lambda: translation)
    return aggregates.build_aggregates(Daily(date(2025, 1, 1)))


def test_a_dbt_model_promises_by_its_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_dbt_project()
    meta = {"by": "09:30", "timezone": "Europe/London", "days": "business"}
    models = _models("daily_sales", meta, monkeypatch)
    (promised,) = promised_of([models])
    assert promised.promise == Freshness(by="09:30", timezone="Europe/London", days="business")
    assert (promised.asset, promised.partitions) == (
        "aggregated/daily_sales", Daily(date(2025, 1, 1)),
    )  # fmt: skip
    assert (promised.upstream, promised.layer) == (("cleaned/orders",), "aggregated")
    key = dg.AssetKey(["aggregated", "daily_sales"])
    assert models.get_asset_spec(key).freshness_policy == dg.FreshnessPolicy.cron(
        "30 9 * * 1-5", timedelta(days=1), "Europe/London"
    )
    assert promised_of([_models("daily_sales", None, monkeypatch)]) == []


@pytest.mark.parametrize(
    ("model", "meta", "where"),
    [
        ("daily_sales", {"by": 570}, "dbt model aggregated/daily_sales, freshness, by"),
        ("daily_sales", 3, "dbt model aggregated/daily_sales, freshness"),
        ("fct_orders", {"within": "2h"}, "dbt model aggregated/fct_orders, freshness, within"),
        ("stg_orders", {"by": "08:00"}, "dbt model staging/stg_orders, meta, freshness"),
    ],
)
def test_a_dbt_model_that_cannot_promise_so_is_refused(
    model: str, meta: object, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_dbt_project()
    with pytest.raises(ContractError) as refused:
        _models(model, meta, monkeypatch)
    assert refused.value.where == where
