"""Parquet files: values in their own types, rows numbered as they stand, faults with the file."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.sources.parquet import ParquetFiles
from platform_assets_tests.support import D1, D2, D3, START, Site


class Sale(Contract):
    """A sale."""

    sale_id: int = Key()
    amount: Decimal = Field(ge=0, decimal=(18, 2))
    day: date = Field(nullable=True)


def sales(name: str, path: str = "{partition}.parquet") -> Dataset:
    source = ParquetFiles(f"{name}/{path}")
    return Dataset(
        name=name, contract=Sale, source=source, partitions=Daily(START), max_bad_share=0.9
    )


def table(*amounts: str, more: dict[str, Any] | None = None) -> pa.Table:
    values = {
        "day": [date(2025, 1, 1)] * len(amounts),
        "amount": pa.array([Decimal(each) for each in amounts], pa.decimal128(18, 2)),
        "sale_id": list(range(len(amounts))),
    }
    return pa.table(values | (more or {}))


def put(site: Site, name: str, content: pa.Table | bytes, day: str, **options: Any) -> None:
    (site.folder / name).mkdir(exist_ok=True)
    path = site.folder / name / f"{day}.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path, **options)


def test_values_keep_their_types(shared_site: Site) -> None:
    site, more = shared_site, {"tags": [["a", "b"], None]}
    put(site, "typed", table("1.10", "12345678901234.56", more=more), D1)
    put(site, "typed", table("3.00"), D2)
    loaded, cleaned = site.run(sales("typed"), [D1, D2, D3])
    assert not loaded.failed
    assert not cleaned.failed
    assert site.raw("typed", "sale_id, amount, day, tags, _source_file") == [
        (0, Decimal("1.10"), date(2025, 1, 1), ["a", "b"], f"typed/{D1}.parquet"),
        (0, Decimal("3.00"), date(2025, 1, 1), None, f"typed/{D2}.parquet"),
        (1, Decimal("12345678901234.56"), date(2025, 1, 1), None, f"typed/{D1}.parquet"),
    ]
    assert site.cleaned("typed", "sale_id, amount, _partition") == [
        (0, Decimal("1.10"), D1),
        (0, Decimal("3.00"), D2),
        (1, Decimal("12345678901234.56"), D1),
    ]


def test_rows_are_numbered_as_they_stand_in_a_file_of_many_row_groups(shared_site: Site) -> None:
    bad = {7, 250_000, 499_999}
    amounts = ["-1.00" if n in bad else "1.00" for n in range(500_000)]
    put(shared_site, "many", table(*amounts), D1, row_group_size=20_000)
    loaded, cleaned = shared_site.run(sales("many"), [D1])
    assert not loaded.failed
    assert cleaned.entries[D1].quarantined == len(bad)
    found = shared_site.quarantine("many", "row_number, row_key")
    assert found == [(n + 1, str(n)) for n in sorted(bad)]


def whole() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table("1.00", "2.00"), sink)
    return bytes(sink.getvalue())


BAD = {
    "no_parquet": (b"sale_id,amount,day\n1,2,\n", "whole Parquet file"),
    "cut_off": (whole()[:-30], "whole Parquet file"),
    "lacking": (table("1.00").drop_columns(["day"]), "lacks a column: day"),
    "reserved": (table("1.00", more={"_partition": ["x"]}), "'_partition'"),
    "taken": (table("1.00", more={"filename": ["x"]}), "'filename'"),
    "by_case": (table("1.00", more={"Day": ["x"]}), "'Day', 'day'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_stops_its_day_only(shared_site: Site, name: str) -> None:
    content, told = BAD[name]
    put(shared_site, name, table("1.00"), D1)
    put(shared_site, name, content, D2)
    put(shared_site, name, table("2.00"), D3)
    loaded, _ = shared_site.run(sales(name), [D1, D2, D3])
    assert set(loaded.failed) == {D2}
    assert told in loaded.failed[D2].message
    assert len(shared_site.raw(name, "sale_id")) == 2


def test_a_file_with_another_type_is_kept_as_text_and_judged(shared_site: Site) -> None:
    put(shared_site, "retyped", table("1.00"), D1)
    put(shared_site, "retyped", table("1.00").set_column(2, "sale_id", pa.array(["x"])), D2)
    put(shared_site, "retyped", table("2.00"), D3)
    loaded, cleaned = shared_site.run(sales("retyped"), [D1, D2, D3])
    assert not loaded.failed
    assert shared_site.raw("retyped", "sale_id, _partition") == [("0", D1), ("0", D3), ("x", D2)]
    # A day all of whose rows are bad is stopped; the others are as they were.
    assert set(cleaned.failed) == {D2}
    assert shared_site.cleaned("retyped", "sale_id, _partition") == [(0, D1), (0, D3)]
