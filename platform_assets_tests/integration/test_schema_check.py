"""A drift in Dagster: a check on the raw asset, an observation, and nobody else affected."""

from collections.abc import Mapping, Sequence
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
from platform_assets.assets.drift import OBSERVED
from platform_assets.assets.runs import QUIET
from platform_assets.contracts import Contract, DriftPolicy, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.resources import FolderResource, lake_config
from platform_assets.settings import load_settings
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import DAYS, Site, text
from platform_assets_tests.typed import TypedFiles

D1, D2, D3 = DAYS[:3]
RAW, CLEANED = dg.AssetKey(["raw", "sales"]), dg.AssetKey(["cleaned", "sales"])
BELOW = ["cleaned/sales", "monthly", "quarantine/sales", "weekly"]


class Sale(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: int = Field(source=("amount_gbp", "amount"))
    note: str = Field(nullable=True)


class Label(Contract):
    """A label."""

    label: str = Key()


class OtherLabel(Contract):
    """A label whose column has another type."""

    label: int = Key()


@dg.asset(deps=[CLEANED])
def weekly() -> None:
    """An aggregate."""


@dg.asset(deps=[weekly])
def monthly() -> None:
    """An aggregate of an aggregate."""


def dataset(name: str, contract: type[Contract], **options: Any) -> Dataset:
    values: dict[str, Any] = {"source": CsvFiles(f"{name}/{{partition}}.csv"), **options}
    return Dataset(
        name=name,
        contract=contract,
        partitions=Daily(date(2025, 1, 1), date(2025, 1, 7)),
        **values,
    )


@dataclass
class World:
    """A folder, an instance, and runs over definitions that a test chooses."""

    folder: Path
    instance: dg.DagsterInstance
    observed: int = field(default=0)
    defined: tuple[Sequence[Dataset], dg.Definitions] | None = None

    def deliver(self, day: str, *rows: str, header: str, name: str = "sales") -> None:
        path = self.folder / name / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(*rows, header=header))

    def run(self, datasets: Sequence[Dataset], days: Sequence[str]) -> dg.ExecuteInProcessResult:
        if self.defined is None or self.defined[0] != datasets:
            self.defined = (datasets, self.define(datasets))
        definitions = self.defined[1]
        selected = dg.AssetSelection.groups("raw", "cleaned", "quarantine")
        graph = definitions.resolve_asset_graph()
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            tags={
                ASSET_PARTITION_RANGE_START_TAG: days[0],
                ASSET_PARTITION_RANGE_END_TAG: days[-1],
            },
            asset_selection=sorted(selected.resolve(graph), key=str),
            raise_on_error=False,
        )

    def define(self, datasets: Sequence[Dataset]) -> dg.Definitions:
        return build_definitions(
            datasets,
            resources={"files": FolderResource(path=str(self.folder))},
            assets=[weekly, monthly] if any(d.name == "sales" for d in datasets) else [],
        )

    def without_dagster(self, dataset: Dataset, days: Sequence[str]) -> None:
        """Load and clean partitions as a run does, which is quicker."""
        with connect(lake_config(load_settings())) as lake:
            loaded, cleaned = Site(lake, self.folder).run(dataset, days)
        assert not loaded.failed
        assert not cleaned.failed

    def observations(self) -> list[dg.AssetObservation]:
        """Those of the raw asset since the last call, oldest first."""
        records = self.instance.fetch_observations(RAW, limit=100).records
        found = [r.asset_observation for r in reversed(records) if r.asset_observation is not None]
        new, self.observed = found[self.observed :], len(found)
        return new


@pytest.fixture
def world(installation: Installation, instance: dg.DagsterInstance, tmp_path: Path) -> World:
    (tmp_path / "delivered").mkdir()
    return World(tmp_path / "delivered", instance)


def schema_check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [
        e
        for e in result.get_asset_check_evaluations()
        if (e.asset_key, e.check_name) == (RAW, "schema")
    ]
    return found


def values(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    return {name: each.value for name, each in metadata.items()}


FIRST = "sale_id,amount_gbp,note"
KINDS = {
    "added": (f"{FIRST},coupon", "b,2,y,z", {}, "WARN", ("added", "coupon", "", "VARCHAR", "kept")),
    "added, blocked": (
        f"{FIRST},coupon",
        "b,2,y,z",
        {"added": "block"},
        "ERROR",
        ("added", "coupon", "", "VARCHAR", "blocked"),
    ),
    "removed, filled": (
        "sale_id,amount_gbp",
        "b,2",
        {"removed": "fill"},
        "WARN",
        ("removed", "note", "VARCHAR", "", "filled"),
    ),
    "removed": (
        "sale_id,amount_gbp",
        "b,2",
        {},
        "ERROR",
        ("removed", "note", "VARCHAR", "", "blocked"),
    ),
    "renamed": (
        "sale_id,amount,note",
        "b,2,y",
        {},
        "WARN",
        ("renamed", "amount", "amount_gbp", "amount", "mapped"),
    ),
    "not null": (
        "sale_id,note",
        "b,y",
        {"not_null": {"amount": "0"}},
        "WARN",
        ("removed", "amount_gbp", "VARCHAR", "", "filled"),
    ),
}


# One that is taken in and one that stops its day: runs before and after tell these two apart alone.
FOLLOWED = {"added", "added, blocked"}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_fires_check_and_observation_then_is_silent(world: World, name: str) -> None:
    header, row, policy, severity, told = KINDS[name]
    sales = dataset("sales", Sale, drift=DriftPolicy(**policy))
    world.deliver(D1, "a,1,x", header=FIRST)
    # What a run tells of a day that is as it should be is the same for all kinds.
    if name in FOLLOWED:
        assert schema_check(world.run([sales], [D1])).passed
        assert world.observations() == []
    else:
        world.without_dagster(sales, [D1])
    world.deliver(D2, row, header=header)
    world.deliver(D3, "c,3,x", header=FIRST)
    result = world.run([sales], [D2, D3])
    check = schema_check(result)
    blocked = severity == "ERROR"
    assert (check.passed, check.severity.value, check.blocking) == (False, severity, False)
    found = values(check.metadata)
    [record] = [each.data for each in check.metadata["changes"].records]
    assert tuple(record[k] for k in ("kind", "column", "from", "to", "decision")) == told
    assert (record["which"], record["rows"]) == (D2, 0 if blocked else 1)
    assert found["partitions"] == [D2]
    assert found["downstream"] == BELOW
    assert found["command"] == "platform-assets contracts diff sales"
    assert check.description == record["what"]
    [observation] = world.observations()
    assert observation.tags[OBSERVED] == told[0]
    assert values(observation.metadata)["downstream"] == BELOW
    assert values(observation.metadata)["which"] == [D2]
    # The day that is not affected went all the way.
    assert result.success is not blocked
    materialized = {
        e.partition
        for e in result.all_events
        if e.is_step_materialization and e.asset_key == CLEANED
    }
    assert materialized == ({D3} if blocked else {D2, D3})
    if name not in FOLLOWED:
        return
    again = world.run([sales], [D2, D3])
    assert schema_check(again).passed is not blocked
    assert len(world.observations()) == (1 if blocked else 0)


def test_another_type_fires(world: World) -> None:
    sales = dataset("sales", Sale, source=TypedFiles("sales"))
    import duckdb

    (world.folder / "sales").mkdir()
    for day, sql_type in ((D1, "INTEGER"), (D2, "VARCHAR")):
        duckdb.sql(
            f"COPY (SELECT 'a' AS sale_id, CAST(1 AS {sql_type}) AS amount, 'x' AS note) "
            f"TO '{world.folder / 'sales' / day}.parquet' (FORMAT parquet)"
        )
        result = world.run([sales], [day])
        check = schema_check(result)
        assert result.success
        assert check.passed is (day == D1)
    assert check.description is not None
    assert "amount was INTEGER and is VARCHAR" in check.description
    assert check.severity is dg.AssetCheckSeverity.WARN


def test_every_partition_stopped_tells_the_check_and_fails_the_step(world: World) -> None:
    sales = dataset("sales", Sale)
    world.deliver(D1, "b,2", header="sale_id,amount")
    result = world.run([sales], [D1])
    assert not result.success
    check = schema_check(result)
    assert (check.passed, check.severity.value) == (False, "ERROR")
    assert len(world.observations()) == 1


def test_a_contract_that_was_not_applied_stops_its_dataset_alone(world: World) -> None:
    for name, header, row in (("sales", FIRST, "a,1,x"), ("labels", "label", "7")):
        world.deliver(D1, row, header=header, name=name)
        world.deliver(D2, row, header=header, name=name)
    assert world.run([dataset("sales", Sale), dataset("labels", Label)], [D1]).success
    result = world.run([dataset("sales", Sale), dataset("labels", OtherLabel)], [D1, D2])
    assert not result.success
    failed = {e.step_key: e for e in result.all_events if e.is_step_failure}
    # The rows as they came are loaded; what is judged by the contract is not.
    assert "cleaned_labels" in failed
    assert not {"raw_labels", "raw_sales", "cleaned_sales"} & set(failed)
    told = failed["cleaned_labels"].step_failure_data.user_failure_data
    assert told is not None
    assert "stopped by contract" in str(told.description)
    assert "platform-assets contracts diff labels" in str(told.description)
    assert "platform-assets contracts apply labels" in str(told.description)
    materialized = {
        (e.asset_key.to_user_string(), e.partition)
        for e in result.all_events
        if e.is_step_materialization and e.asset_key is not None
    }
    layers = ("raw", "cleaned", "quarantine")
    assert {(f"{layer}/sales", day) for layer in layers for day in (D1, D2)} <= materialized
    assert ("raw/labels", D2) in materialized
    assert ("cleaned/labels", D2) not in materialized
