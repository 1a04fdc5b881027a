"""What Dagster shows of a dataset before it ever ran."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from platform_assets.assets import describe
from platform_assets.assets.build import build_definitions
from platform_assets.assets.datasets import key_version
from platform_assets.contracts import Contract, Field, Key
from platform_assets.errors import ContractError, SettingsError
from platform_assets.partitions import Unpartitioned
from platform_assets.resources import FolderResource
from platform_assets.sources.files import CsvFiles
from platform_assets_tests.support import things


class Part(Contract):
    """Belongs to a thing."""

    part_id: str = Key(description="Number of the part.")
    thing_id: str = Field(source="Thing No", references="things.thing_id")
    buyer: str = Field(nullable=True, pii="hash")
    maker: str = Field(pii="drop")


@pytest.fixture
def graph(tmp_path: Path) -> dg.AssetGraph:
    parts = things("parts", contract=Part, description="Parts.", tags={"tier": "1"})
    definitions = build_definitions(
        [parts, things()], resources={"files": FolderResource(path=str(tmp_path))}
    )
    found: dg.AssetGraph = definitions.resolve_asset_graph()  # type: ignore[assignment]
    return found


def test_layers_are_wired(graph: dg.AssetGraph) -> None:
    raw, cleaned = describe.raw_key("parts"), describe.cleaned_key("parts")
    rejected = describe.quarantine_key("parts")
    assert graph.get(raw).parent_keys == set()
    assert graph.get(cleaned).parent_keys == {raw, describe.cleaned_key("things")}
    # A row that refers to nothing is rejected: what is referred to is upstream here too.
    assert graph.get(rejected).parent_keys == graph.get(cleaned).parent_keys


def test_an_asset_tells_what_it_is(graph: dg.AssetGraph) -> None:
    for layer, kinds in (
        ("raw", {"duckdb", "csv"}),
        ("cleaned", {"duckdb", "pandera"}),
        ("quarantine", {"duckdb"}),
    ):
        found = graph.get(dg.AssetKey([layer, "parts"]))
        assert found.group_name == layer
        assert found.kinds == kinds
        assert found.owners == ["team:tests"]
        assert {"layer": layer, "dataset": "parts", "tier": "1"}.items() <= found.tags.items()
        assert (found.description or "").startswith("Parts. ")
        assert found.backfill_policy == dg.BackfillPolicy.single_run()
        assert found.metadata["dagster/table_name"] == f"lake.{layer}.parts"


def test_columns_are_shown_as_the_contract_has_them(graph: dg.AssetGraph) -> None:
    def columns(layer: str) -> dict[str, dg.TableColumn]:
        schema = graph.get(dg.AssetKey([layer, "parts"])).metadata["dagster/column_schema"]
        return {column.name: column for column in schema.columns}

    raw, cleaned = columns("raw"), columns("cleaned")
    assert list(raw) == ["part_id", "Thing No", "buyer", "maker", "_partition", "_source_file"]
    assert list(cleaned) == ["part_id", "thing_id", "buyer", "_partition", "_source_file"]
    assert cleaned["part_id"].description == "Number of the part. Key."
    assert cleaned["buyer"].description == "Personal data: hash."
    assert not cleaned["part_id"].constraints.nullable
    assert cleaned["buyer"].constraints.nullable
    assert len(cleaned["thing_id"].constraints.other) == 2


def test_an_unpartitioned_dataset_has_no_partitions(tmp_path: Path) -> None:
    whole = things("whole", source=CsvFiles("whole.csv"), partitions=Unpartitioned())
    built = build_definitions([whole], resources={"files": FolderResource(path=str(tmp_path))})
    found = built.resolve_asset_graph().get(describe.cleaned_key("whole"))
    assert found.partitions_def is None
    assert found.backfill_policy is None


def test_a_reference_to_nothing_is_refused() -> None:
    with pytest.raises(ContractError, match="refers to a dataset that does not exist") as caught:
        build_definitions([things("parts", contract=Part)], resources={})
    assert caught.value.found == "things"


class Round(Contract):
    """Refers to what refers to it."""

    part_id: str = Key(references="parts.part_id")


def test_references_in_a_circle_are_refused() -> None:
    datasets = [things("parts", contract=Part), things("things", contract=Round)]
    with pytest.raises(ContractError, match="in a circle") as caught:
        build_definitions(datasets, resources={})
    assert caught.value.found == "parts → things → parts"


def test_the_version_of_a_key_changes_with_the_key_and_does_not_tell_it() -> None:
    parts = things("parts", contract=Part)
    one, other = key_version(parts, b"k" * 16), key_version(parts, b"l" * 16)
    assert one != other
    assert one == key_version(parts, b"k" * 16)
    assert (b"k" * 16).hex()[:8] not in one
    assert key_version(things(), None) == ""
    with pytest.raises(SettingsError, match="no key to hash personal data with") as caught:
        key_version(parts, None)
    assert caught.value.where == "dataset parts, column buyer"
