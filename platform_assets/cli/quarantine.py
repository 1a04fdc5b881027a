"""Quarantined rows as a person may see them.

Belongs here: the view, with personal data masked. Does not belong here: changing a row's state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from platform_assets.dataset import Dataset
from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.quarantine import ACTIVE

MASK = "***"
_COLUMNS = (
    "dataset", "partition", "status", "rules", "source_file", "row_number", "first_seen",
    "attempts", "original_row",
)  # fmt: skip


def rows(
    connection: Connection,
    datasets: Sequence[Dataset],
    dataset: str | None,
    partition: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Active rows, newest partition first, each value of a personal column masked.

    Args:
        connection: An open lake.
        datasets: All datasets; a row of one that is not among them is shown without values.
        dataset: Only this one.
        partition: Only this one.
        limit: Rows at the most.
    """
    tables.ensure_platform_tables(connection)
    where = [f"status IN {literal_list(ACTIVE)}"]
    if dataset:
        where.append(f"dataset = {quote_literal(dataset)}")
    if partition:
        where.append(f"partition = {quote_literal(partition)}")
    found = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM {tables.QUARANTINE} WHERE {' AND '.join(where)} "
        f"ORDER BY partition DESC, dataset, source_file, row_number LIMIT {limit}"
    ).fetchall()
    shown = [dict(zip(_COLUMNS, row, strict=True)) for row in found]
    safe = {each.name: _shown_columns(each) for each in datasets}
    for row in shown:
        original = json.loads(row["original_row"])
        visible = safe.get(row["dataset"], set())
        row["original_row"] = {
            name: value if name in visible or value is None else MASK
            for name, value in original.items()
        }
    return shown


def _shown_columns(dataset: Dataset) -> set[str]:
    """Columns whose values are not personal. One that the contract does not know may be."""
    return {column.source for column in dataset.compiled.columns if column.pii is None}


def as_table(shown: Sequence[dict[str, Any]]) -> Table:
    """Rows as a table for the terminal."""
    table = Table(title=f"{len(shown)} quarantined rows")
    for name in ("partition", "dataset", "status", "broken rules", "file", "row", "original row"):
        table.add_column(name, overflow="fold")
    for row in shown:
        table.add_row(
            row["partition"],
            row["dataset"],
            row["status"],
            "\n".join(row["rules"]),
            row["source_file"],
            str(row["row_number"]),
            json.dumps(row["original_row"], ensure_ascii=False),
        )
    return table
