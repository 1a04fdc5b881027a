"""Columns up and down over tables, contracts and models; assets in one graph."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.observability import model_lineage
from platform_assets.observability.column_lineage import (
    ColumnLineage,
    ColumnOf,
    How,
    Input,
    Node,
    TableLineage,
    through,
)
from platform_assets.observability.contract_lineage import lineage_of_dataset, lineage_of_layer
from platform_assets.observability.lineage_graph import LineageGraph
from platform_assets.observability.model_lineage import Model, lineage_kept, lineage_of_models
from platform_assets.partitions import Daily
from platform_assets.sources.files import CsvFiles
from platform_assets.sources.tables import WatermarkTable
from platform_assets_tests.support import START, things


class Sale(Contract):
    """A sale: renamed, cast, personal, looked up."""

    sale_id: str = Key()
    buyer: str = Field(source="Customer Id", references="people.person_id")
    email: str = Field(nullable=True, pii="hash")
    phone: str = Field(nullable=True, pii="drop")
    amount: int = Field(ge=0, severity="warn")
    at: datetime = EventTime()
    changed_at: datetime = Field(cursor=True)


SALES = Dataset(
    name="sales",
    contract=Sale,
    source=CsvFiles("sales/{partition}.csv"),
    partitions=Daily(START),
)
VERSIONS = Dataset(
    name="sales",
    contract=Sale,
    source=WatermarkTable("sales", watermark="changed_at"),
    partitions=Daily(START),
    history=True,
    deletes="mark",
)


def inputs(table: TableLineage, column: str) -> set[tuple[str, str, bool]]:
    found = table.rows if column == "*" else table.columns[column]
    assert found is not None
    return {(str(each.source), each.how.value, each.masking) for each in found}


def test_a_contract_says_what_its_columns_are_made_from() -> None:
    raw, cleaned, quarantine = lineage_of_dataset(SALES)
    assert [t.asset for t in (raw, cleaned, quarantine)] == [
        "raw/sales", "cleaned/sales", "quarantine/sales",
    ]  # fmt: skip
    assert set(raw.columns) == {
        "sale_id", "Customer Id", "email", "phone", "amount", "at", "changed_at",
        "_partition", "_source_file",
    }  # fmt: skip
    assert not any(raw.columns.values())
    assert inputs(cleaned, "sale_id") == {("raw/sales.sale_id", "identity", False)}
    assert inputs(cleaned, "buyer") == {("raw/sales.Customer Id", "identity", False)}
    assert inputs(cleaned, "email") == {("raw/sales.email", "transformation", True)}
    assert inputs(cleaned, "amount") == {("raw/sales.amount", "transformation", False)}
    assert "phone" not in cleaned.columns
    assert inputs(cleaned, "_partition") == {("raw/sales._partition", "identity", False)}
    rows = inputs(cleaned, "*")
    assert {
        ("raw/sales.sale_id", "group_by", False),
        ("raw/sales.changed_at", "sort", False),
        ("cleaned/people.person_id", "filter", False),
        ("raw/sales.Customer Id", "filter", False),
    } <= rows
    # A warning leaves no row out.
    assert ("raw/sales.amount__ge", "filter", False) not in rows
    assert {s for s, how, _ in inputs(quarantine, "rules")} >= {
        "raw/sales.amount", "cleaned/people.person_id",
    }  # fmt: skip
    assert {s for s, _, _ in inputs(quarantine, "original_row")} == {
        f"raw/sales.{name}" for name in raw.columns if not name.startswith("_")
    }


def test_versions_are_ordered_and_kept() -> None:
    *_, history = lineage_of_dataset(VERSIONS)
    assert history.asset == "history/sales"
    assert ("raw/sales._changed_at", "transformation", False) in inputs(history, "valid_to")
    cleaned = lineage_of_layer(VERSIONS, "cleaned")
    assert ("raw/sales._position", "sort", False) in inputs(cleaned, "*")
    assert ("raw/sales._op", "conditional", False) in inputs(cleaned, "_deleted_at")


MODELS = [
    Model(
        "aggregated/totals",
        "select buyer, sum(amount) as total from lake.staging.stg_sales group by buyer",
        ("staging/stg_sales",),
    ),
    Model(
        "staging/stg_sales",
        'select * exclude (_source_file) from "lake"."cleaned"."sales" where amount > 0',
        ("cleaned/sales",),
    ),
    Model("aggregated/odd", "pivot lake.staging.stg_sales on buyer", (), ("one", "two")),
    Model("aggregated/uncompiled", "", (), ("x",)),
]


@pytest.fixture
def lineage() -> ColumnLineage:
    tables = lineage_of_dataset(SALES)
    return ColumnLineage.of([*tables, *lineage_of_models(MODELS, tables)])


def flat(node: Node) -> set[str]:
    return {str(node.column), *(name for child in node.children for name in flat(child))}


def test_models_build_on_each_other_whatever_their_order(lineage: ColumnLineage) -> None:
    assert set(lineage.tables["staging/stg_sales"].columns) == {
        "sale_id", "buyer", "email", "amount", "at", "changed_at", "_partition",
    }  # fmt: skip
    assert inputs(lineage.tables["aggregated/totals"], "total") == {
        ("staging/stg_sales.amount", "aggregation", False)
    }
    for asset, columns in (("aggregated/odd", ("one", "two")), ("aggregated/uncompiled", ("x",))):
        assert lineage.tables[asset].unknown == columns
        assert not lineage.tables[asset].is_known


def test_upstream_goes_to_the_source_and_names_what_decides_over_rows(
    lineage: ColumnLineage,
) -> None:
    found = lineage.upstream(ColumnOf("aggregated/totals", "total"))
    assert {"staging/stg_sales.amount", "cleaned/sales.amount", "raw/sales.amount"} <= flat(found)
    # Whoever is left out by a filter is missing in a sum.
    assert {"staging/stg_sales.buyer", "raw/sales.sale_id", "cleaned/people.person_id"} <= flat(
        found
    )
    near = lineage.upstream(ColumnOf("aggregated/totals", "total"), depth=1)
    (amount,) = [n for n in near.children if n.column.column == "amount"]
    assert (amount.how, amount.children, amount.is_cut) == ((How.AGGREGATION,), (), True)
    unknown = lineage.upstream(ColumnOf("aggregated/odd", "one"))
    assert unknown.is_unknown
    assert not unknown.children


def test_downstream_names_columns_and_whole_tables(lineage: ColumnLineage) -> None:
    found = lineage.downstream(ColumnOf("raw/sales", "Customer Id"))
    assert {
        "cleaned/sales.buyer",
        "quarantine/sales.original_row",
        "aggregated/totals.buyer",
    } <= flat(found)
    # It is judged: which rows there are follows from it, and so does every column of them.
    assert {"cleaned/sales.*", "aggregated/totals.total"} <= flat(found)
    warned = lineage.downstream(ColumnOf("cleaned/sales", "changed_at"))
    assert flat(warned) == {"cleaned/sales.changed_at", "staging/stg_sales.changed_at"}


def test_what_is_listed_once_is_not_listed_again(lineage: ColumnLineage) -> None:
    def repeated(node: Node) -> list[Node]:
        own = [node] if node.is_repeated else []
        return [*own, *(each for child in node.children for each in repeated(child))]

    again = repeated(lineage.downstream(ColumnOf("raw/sales", "Customer Id")))
    assert again
    assert not any(node.children for node in again)


def test_touched_names_all_that_follows_from_an_asset(lineage: ColumnLineage) -> None:
    found = lineage.touched(["cleaned/sales"])
    assert set(found) == {"staging/stg_sales", "aggregated/totals"}
    assert found["aggregated/totals"] == ("*", "buyer", "total")


def test_influence_goes_through_in_its_strongest_form() -> None:
    assert through(How.IDENTITY, How.TRANSFORMATION) is How.TRANSFORMATION
    assert through(How.AGGREGATION, How.IDENTITY) is How.AGGREGATION
    assert through(How.IDENTITY, How.FILTER) is How.FILTER
    assert through(How.CONDITIONAL, How.AGGREGATION) is How.CONDITIONAL


def test_two_tables_of_one_asset_are_one() -> None:
    one = TableLineage("a/b", {"x": None})
    two = TableLineage("a/b", {"x": frozenset({Input(ColumnOf("c/d", "y"), How.IDENTITY)})})
    assert ColumnLineage.of([one, two]).inputs(ColumnOf("a/b", "x")) == two.columns["x"]
    assert ColumnLineage.of([one]).inputs(ColumnOf("a/b", "x")) is None
    assert ColumnLineage.of([]).inputs(ColumnOf("a/b", "x")) is None


def test_the_graph_of_assets_goes_both_ways() -> None:
    graph = LineageGraph({"c": ["b"], "b": ["a"], "d": ["b", "a"], "e": ["c", "d"]})
    assert graph.assets == ("a", "b", "c", "d", "e")
    assert graph.below(["b"]) == ("c", "d", "e")
    assert graph.below(["c", "d"]) == ("e",)
    assert graph.below(["nowhere"]) == ()
    assert graph.children("a") == ("b", "d")
    up = graph.upstream("e")
    assert [child.asset for child in up.children] == ["c", "d"]
    (again,) = [child for child in up.children[1].children if child.is_repeated]
    assert again.asset == "b"
    cut = graph.downstream("a", depth=1)
    assert [(child.asset, child.is_cut) for child in cut.children] == [("b", True), ("d", True)]


def test_a_rule_that_names_no_column_leaves_rows_unknown() -> None:
    assert lineage_of_layer(things(), "cleaned").is_known


def test_lineage_of_models_is_kept_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = lineage_of_dataset(SALES)
    file = tmp_path / "lineage.json"
    made = lineage_kept(file, MODELS, tables)
    assert made == lineage_of_models(MODELS, tables)

    def refuse(*_: object) -> None:
        raise AssertionError("it was read again")

    with monkeypatch.context() as patch:
        patch.setattr(model_lineage, "lineage_of_models", refuse)
        assert lineage_kept(file, MODELS, tables) == made
        with pytest.raises(AssertionError):
            lineage_kept(file, MODELS[:1], tables)
        with pytest.raises(AssertionError):
            lineage_kept(file, MODELS, lineage_of_dataset(VERSIONS))
    file.write_text("cut off {")
    assert lineage_kept(file, MODELS, tables) == made
    # A folder that cannot be written to is no reason to fail.
    assert lineage_kept(tmp_path / "nowhere" / "lineage.json", MODELS, tables) == made
