"""Datasets as a table or as JSON.

Belongs here: what is shown of a dataset. Does not belong here: finding them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from rich.table import Table

from platform_assets.declared.catalogue import Listed
from platform_assets.partitions import Daily, Partitions


class Record(TypedDict):
    """What is shown of a dataset."""

    name: str
    kind: str
    connection: str
    cursor: str | None
    key: list[str]
    partitions: str
    declared: str


def as_records(listed: Sequence[Listed]) -> list[Record]:
    """Datasets as JSON shows them."""
    return [
        Record(
            name=each.dataset.name,
            kind=each.kind,
            connection=each.dataset.source.connection,
            cursor=each.dataset.compiled.cursor.name if each.dataset.compiled.cursor else None,
            key=list(each.dataset.compiled.key),
            partitions=_partitions(each.dataset.partitions),
            declared=each.where,
        )
        for each in listed
    ]


def as_table(listed: Sequence[Listed]) -> Table:
    """Datasets as the terminal shows them."""
    table = Table(title="Datasets")
    for name in Record.__annotations__:
        table.add_column(name, overflow="fold")
    for each in as_records(listed):
        table.add_row(
            each["name"],
            each["kind"],
            each["connection"],
            each["cursor"] or "",
            ", ".join(each["key"]),
            each["partitions"],
            each["declared"],
        )
    return table


def _partitions(partitions: Partitions) -> str:
    if not isinstance(partitions, Daily):
        return "none"
    return f"daily from {partitions.start}" + (f" to {partitions.end}" if partitions.end else "")
