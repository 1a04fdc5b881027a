"""Helpers of these tests: load text, judge it, read the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from platform_assets.contracts import CompiledContract


def load(engine: duckdb.DuckDBPyConnection, columns: Mapping[str, Sequence[str | None]]) -> str:
    """Put text columns into the engine, as a source would give them."""
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    engine.register("texts_arrow", table)
    engine.execute("CREATE OR REPLACE TEMP TABLE texts AS SELECT * FROM texts_arrow")
    engine.unregister("texts_arrow")
    return "texts"


def judge(
    engine: duckdb.DuckDBPyConnection,
    compiled: CompiledContract,
    columns: Mapping[str, Sequence[str | None]],
    **options: Any,
) -> pa.Table:
    """Judge text and give the verdict in the order of the rows (column `_row` of the text)."""
    rows = len(next(iter(columns.values())))
    relation = load(engine, {**columns, "_row": [str(n) for n in range(rows)]})
    passthrough = ["_row", *options.pop("passthrough", [])]
    sql = compiled.judge_sql(relation, passthrough=passthrough, **options)
    return engine.sql(f"SELECT * FROM ({sql}) ORDER BY CAST(_row AS INT)").to_arrow_table()


def broken(verdict: pa.Table) -> list[list[str]]:
    """List the broken rules of each row."""
    return [names or [] for names in verdict.column("_broken").to_pylist()]
