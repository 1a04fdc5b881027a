"""A source whose schema changes: what is loaded, what is stopped, and what the lake remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from platform_assets.contracts import Contract, DriftPolicy, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.pipeline import clean, load_raw
from platform_assets.pipeline.judging import Judgement
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse import migrate, schemas, tables
from platform_assets.warehouse.schemas import DriftEvent
from platform_assets_tests.support import D1, D2, D3, Site, text, things
from platform_assets_tests.typed import TypedFiles


class Sale(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(decimal=(10, 2))
    note: str = Field(nullable=True)


class RenamedSale(Contract):
    """A sale, after its source renamed a column."""

    sale_id: str = Key()
    amount: Decimal = Field(decimal=(10, 2), source=("amount_gbp", "amount"))
    note: str = Field(nullable=True)


def sales(contract: type[Contract] = Sale, **options: Any) -> Dataset:
    return things("sales", contract=contract, **options)


HEADER = "sale_id,amount,note"
RENAMED = "sale_id,amount_gbp,note"


def deliver(site: Site, day: str, *rows: str, header: str = HEADER) -> None:
    site.deliver(day, text(*rows, header=header), "sales")


def events(site: Site, run: str) -> list[DriftEvent]:
    return schemas.drifts_in(site.lake, "sales", run)


def told(site: Site, run: str) -> list[tuple[str, str, str, str, int]]:
    return [(e.partition, e.kind, e.column_name, e.decision, e.rows) for e in events(site, run)]


def cleaned(site: Site) -> list[tuple[Any, ...]]:
    return site.cleaned("sales", "sale_id, amount, note")


def test_a_silent_load_leaves_no_event(site: Site) -> None:
    for day in (D1, D2):
        deliver(site, day, "a,1.00,x")
        site.run(sales(), [day])
    assert told(site, "run-1") == told(site, "run-2") == []
    assert len(schemas.source_schemas(site.lake, "sales")) == 1


def test_an_added_column_is_kept_and_told_once(site: Site) -> None:
    deliver(site, D1, "a,1.00,x")
    site.run(sales(), [D1])
    deliver(site, D2, "b,1.00,x,SPRING", "c,1.00,x,", header=f"{HEADER},coupon")
    deliver(site, D3, "d,1.00,x,LATE", header=f"{HEADER},coupon")
    site.run(sales(), [D2, D3])
    change = ("added", "coupon", "kept")
    assert told(site, "run-2") == [(D2, *change, 2), (D3, *change, 1)]
    assert site.raw("sales", "sale_id, coupon") == [
        ("a", None), ("b", "SPRING"), ("c", None), ("d", "LATE")
    ]  # fmt: skip
    # Neither the new schema nor, loaded again, the old one is a change any more.
    site.run(sales(), [D1, D2], force=True)
    assert told(site, "run-3") == []
    # Nor does the old one count as the newest again.
    newest = schemas.source_schemas(site.lake, "sales")
    assert ["coupon" in each for each in newest] == [False, True]


def test_a_removed_column_stops_its_partition_alone(site: Site) -> None:
    deliver(site, D1, "a,1.00,x")
    deliver(site, D2, "b,1.00,x")
    site.run(sales(), [D1, D2])
    deliver(site, D2, "b,2.00", "c,2.00", header="sale_id,amount")
    deliver(site, D3, "d,1.00,x")
    loaded, _ = site.run(sales(), [D1, D2, D3])
    assert set(loaded.failed) == {D2}
    failed = loaded.failed[D2]
    assert failed.stopped_by == "schema"
    assert "The source lacks a column: note" in failed.message
    assert f"partition {D2}, {site.path('sales', D2)}" in failed.message
    assert "DriftPolicy(removed='fill')" in failed.message
    assert told(site, "run-2") == [(D2, "removed", "note", "blocked", 0)]
    # The last good rows stay, and what stopped them is said again.
    assert [row[:2] for row in cleaned(site)] == [
        ("a", Decimal("1.00")), ("b", Decimal("1.00")), ("d", Decimal("1.00"))
    ]  # fmt: skip
    site.run(sales(), [D2])
    assert told(site, "run-3") == told(site, "run-2")


def test_a_removed_column_is_filled_where_the_policy_says_so(site: Site) -> None:
    filling = sales(drift=DriftPolicy(removed="fill"))
    deliver(site, D1, "a,1.00,x")
    site.run(filling, [D1])
    deliver(site, D2, "b,2.00", header="sale_id,amount")
    loaded, _ = site.run(filling, [D2])
    assert not loaded.failed
    assert told(site, "run-2") == [(D2, "removed", "note", "filled", 1)]
    assert cleaned(site) == [("a", Decimal("1.00"), "x"), ("b", Decimal("2.00"), None)]
    # Without an amount, which must not be null, it is stopped all the same.
    deliver(site, D3, "c,x", header="sale_id,note")
    loaded, _ = site.run(filling, [D3])
    assert loaded.failed[D3].stopped_by == "schema"


def test_a_default_fills_what_must_not_be_null_and_says_so_every_time(site: Site) -> None:
    given = sales(drift=DriftPolicy(not_null={"amount": "9.99"}), max_bad_share=1.0)
    deliver(site, D1, "a,1.00,x", "b,,x")
    deliver(site, D2, "c,x", header="sale_id,note")
    site.run(given, [D1, D2])
    assert told(site, "run-1") == [(D2, "removed", "amount", "filled", 1)]
    # Only where the column is not there: an empty value is still one that breaks a rule.
    assert cleaned(site) == [("a", Decimal("1.00"), "x"), ("c", Decimal("9.99"), "x")]
    assert site.quarantine("sales", "row_key, rules") == [("b", ["amount__not_null"])]


def test_files_of_a_partition_that_do_not_agree_on_a_default_stop_it(site: Site) -> None:
    several = sales(
        source=CsvFiles("sales/{partition}/*.csv"),
        drift=DriftPolicy(not_null={"amount": "9.99"}),
    )
    folder = site.folder / "sales" / D1
    folder.mkdir(parents=True)
    (folder / "1.csv").write_text(text("a,1.00,x", header=HEADER))
    (folder / "2.csv").write_text(text("b,x", header="sale_id,note"))
    loaded, _ = site.run(several, [D1])
    assert loaded.failed[D1].stopped_by == "schema"
    assert "do not agree" in loaded.failed[D1].message


def test_a_renamed_column_is_suggested_then_mapped(site: Site) -> None:
    deliver(site, D1, "a,1.00,x")
    site.run(sales(), [D1])
    deliver(site, D2, "b,2.00,y", header=RENAMED)
    loaded, _ = site.run(sales(), [D2])
    assert 'Field(source=("amount_gbp", "amount"))' in loaded.failed[D2].message
    assert ("renamed" in {e.kind for e in events(site, "run-2")}) is False
    # With the mapping both deliveries load, in one batch and under the present name.
    loaded, _ = site.run(sales(RenamedSale), [D1, D2])
    assert not loaded.failed
    assert told(site, "run-3") == [(D2, "renamed", "amount_gbp", "mapped", 1)]
    assert site.raw("sales", "sale_id, amount_gbp") == [("a", "1.00"), ("b", "2.00")]
    assert "amount" not in migrate.table_columns(site.lake, tables.raw_table("sales"))
    assert [row[1] for row in cleaned(site)] == [Decimal("1.00"), Decimal("2.00")]


def test_a_mapping_unites_what_the_raw_table_already_keeps_apart(site: Site) -> None:
    keeping = sales(drift=DriftPolicy(not_null={"amount": "0.00"}))
    deliver(site, D1, "a,1.00,x")
    site.run(keeping, [D1])
    deliver(site, D2, "b,2.00,y", header=RENAMED)
    site.run(keeping, [D2])
    assert site.raw("sales", "amount, amount_gbp") == [("0.00", "2.00"), ("1.00", None)]
    # Judged again without being loaded again, as where the old deliveries are gone.
    step = site.step(sales(RenamedSale))
    clean(step, [D1, D2])
    assert [row[1] for row in cleaned(site)] == [Decimal("1.00"), Decimal("2.00")]
    loaded, _ = site.run(sales(RenamedSale), [D1, D2])
    assert not loaded.failed
    assert [row[1] for row in cleaned(site)] == [Decimal("1.00"), Decimal("2.00")]


def test_both_names_in_one_file_stop_it(site: Site) -> None:
    deliver(site, D1, "a,1.00,2.00,x", header="sale_id,amount,amount_gbp,note")
    loaded, _ = site.run(sales(RenamedSale), [D1])
    assert loaded.failed[D1].stopped_by == "schema"
    assert "takes them for one column" in loaded.failed[D1].message


def test_a_name_that_cannot_be_printed_is_spelled_out(site: Site) -> None:
    deliver(site, D1, "a,1.00,x")
    site.run(sales(), [D1])
    deliver(site, D2, "b,1.00,x,y", header=f'{HEADER},"two\nlines"')
    site.run(sales(), [D2])
    [event] = events(site, "run-2")
    assert event.column_name == "two\\nlines"
    assert "\n" not in event.text


class Reading(Contract):
    """A reading of a source that has types."""

    reading_id: int = Key()
    value: Decimal = Field(decimal=(10, 2), nullable=True)


def readings(contract: type[Contract] = Reading, **options: Any) -> Dataset:
    values: dict[str, Any] = {"partitions": Daily(date(2025, 1, 1), date(2025, 1, 31)), **options}
    return Dataset(
        name="readings", contract=contract, source=TypedFiles("readings"), owners=(), **values
    )


def put(site: Site, partition: str, select: str) -> None:
    path = site.folder / "readings" / f"{partition}.parquet"
    path.parent.mkdir(exist_ok=True)
    site.lake.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")


def raw_types(site: Site) -> dict[str, str]:
    return migrate.table_columns(site.lake, tables.raw_table("readings"))


def load(site: Site, dataset: Dataset, days: Sequence[str], **options: Any) -> list[str]:
    """Load and clean; kinds and decisions that were told."""
    site.run(dataset, days, **options)
    found = schemas.drifts_in(site.lake, "readings", f"run-{site.runs}")
    return [f"{e.kind} {e.before} {e.after} {e.decision}" for e in found]


def test_a_wider_type_widens_the_raw_column_and_loses_nothing(site: Site) -> None:
    put(site, D1, "SELECT 1::INTEGER AS reading_id, 1.25::DECIMAL(6,2) AS value")
    assert load(site, readings(), [D1]) == []
    put(site, D2, "SELECT 5000000000::BIGINT AS reading_id, 2.5::DECIMAL(4,1) AS value")
    assert load(site, readings(drift=DriftPolicy(type_changed="block")), [D2]) == [
        "type_changed INTEGER BIGINT widened",
        "type_changed DECIMAL(6,2) DECIMAL(4,1) widened",
    ]
    assert (raw_types(site)["reading_id"], raw_types(site)["value"]) == ("BIGINT", "DECIMAL(6,2)")
    assert site.cleaned("readings", "reading_id, value") == [
        (1, Decimal("1.25")), (5000000000, Decimal("2.50"))
    ]  # fmt: skip


def test_another_type_goes_in_as_text_and_the_contract_judges_it(site: Site) -> None:
    put(
        site, D1, "SELECT range::INTEGER AS reading_id, (range / 4)::DECIMAL(6,2) AS value "
        "FROM range(1000)",
    )  # fmt: skip
    assert load(site, readings(), [D1]) == []
    before = site.cleaned("readings")
    put(
        site, D2, "SELECT * FROM (VALUES (2000, '7.25'), (2001, 'broken'), (2002, NULL)) "
        "AS t(reading_id, value)",
    )  # fmt: skip
    assert load(site, readings(), [D2]) == ["type_changed DECIMAL(6,2) VARCHAR cast"]
    assert raw_types(site)["value"] == "VARCHAR"
    assert site.quarantine("readings", "row_key, rules") == [("2001", ["value__castable"])]
    assert [row for row in site.cleaned("readings") if row[-2] == D1] == before
    # Judged again from the text, the old rows are what they were.
    assert load(site, readings(), [D1, D2], force=True) == []
    assert [row for row in site.cleaned("readings") if row[-2] == D1] == before


def test_another_type_is_stopped_where_the_policy_says_so(site: Site) -> None:
    blocking = readings(drift=DriftPolicy(type_changed="block"))
    put(site, D1, "SELECT 1::INTEGER AS reading_id, 1.25::DECIMAL(6,2) AS value")
    load(site, blocking, [D1])
    put(site, D2, "SELECT 2::INTEGER AS reading_id, 'x' AS value")
    assert load(site, blocking, [D2]) == ["type_changed DECIMAL(6,2) VARCHAR blocked"]
    assert raw_types(site)["value"] == "DECIMAL(6,2)"
    assert set(site.published("raw", "readings")) == {D1}
    # A lake that no schema was kept in yet is held to its raw table.
    site.lake.execute(f"DELETE FROM {schemas.SOURCE_SCHEMAS}")
    loaded = load_raw(site.step(blocking), [D2])
    assert loaded.failed[D2].stopped_by == "schema"
    assert "another type" in loaded.failed[D2].message


def test_a_number_that_a_table_would_round_is_kept_by_its_text(site: Site) -> None:
    class Large(Contract):
        """A number beyond 64 bits."""

        reading_id: int = Key()
        value: Decimal = Field(decimal=(38, 0))

    put(site, D1, "SELECT 1 AS reading_id, 2::HUGEINT ** 70 + 1 AS value WHERE false")
    table = "SELECT 1 AS reading_id, 12345678901234567891::UBIGINT AS value"
    put(site, D1, table)
    load(site, readings(Large), [D1])
    put(site, D2, "SELECT 2 AS reading_id, -1::BIGINT AS value")
    assert load(site, readings(Large), [D2]) == ["type_changed UBIGINT BIGINT cast"]
    assert [v for (v,) in site.cleaned("readings", "value")] == [
        Decimal(-1), Decimal(12345678901234567891)
    ]  # fmt: skip


def test_a_source_that_comes_whole_and_changes_back_is_told_of_again(site: Site) -> None:
    whole = readings(partitions=Unpartitioned())
    one, two = "SELECT 1 AS reading_id, 1.5::DECIMAL(6,2) AS value", "SELECT 1 AS reading_id"
    put(site, "all", f"{one}, 'x' AS extra")
    assert load(site, whole, ["all"]) == []
    put(site, "all", one)
    assert load(site, whole, ["all"]) == ["removed VARCHAR  filled"]
    put(site, "all", f"{one}, 'x' AS extra")
    assert load(site, whole, ["all"]) == ["added  VARCHAR kept"]
    put(site, "all", two)
    assert load(site, replace(whole, drift=DriftPolicy(removed="fill")), ["all"]) == [
        "removed VARCHAR  filled",
        "removed DECIMAL(6,2)  filled",
    ]


def test_a_judgement_is_made_again_where_the_raw_rows_were_written_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row ids are what a judgement is kept by, and a rewriting changes them."""
    put(
        site, D1, "SELECT CASE WHEN range % 10 = 3 THEN NULL ELSE range END AS reading_id, "
        "1.5::DECIMAL(6,2) AS value FROM range(100)",
    )  # fmt: skip
    step = site.step(readings(max_bad_share=1.0))
    load_raw(step, [D1])
    raw = tables.raw_table("readings")
    # As after a deletion: row ids with gaps, which a rewriting closes.
    site.lake.execute(f"DELETE FROM {raw} WHERE reading_id < 3")
    rewritten: list[str] = []
    good_rows = Judgement.good_rows

    def rewrite_first(self: Judgement, condition: str) -> str:
        if not rewritten:
            rewritten.append(raw)
            migrate.rewrite_in_order(site.lake, raw, {"value": "CAST(value AS VARCHAR)"})
        return good_rows(self, condition)

    monkeypatch.setattr(Judgement, "good_rows", rewrite_first)
    report = clean(step, [D1])
    assert rewritten
    assert report.entries[D1].cleaned == 87
    assert report.entries[D1].quarantined == 10
    keys = [key for (key,) in site.cleaned("readings", "reading_id")]
    assert sorted(keys) == [n for n in range(3, 100) if n % 10 != 3]
