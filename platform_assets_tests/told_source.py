"""A source that tells the changes it is given, and what a history of them should come to.

Belongs here: a change source whose order, positions and times a test chooses, and the model of the
history in Python. Does not belong here: an assertion.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from platform_assets.sources.base import Access, SourceColumn
from platform_assets.sources.change_source import ChangeRequest, Changes, Ended
from platform_assets.sql import quote_literal
from platform_assets_tests.source_tables import BAD, Row

COLUMNS = (
    SourceColumn("sale_id", "BIGINT"),
    SourceColumn("amount", "DECIMAL(10,2)"),
    SourceColumn("status"),
    SourceColumn("note"),
    SourceColumn("sold_at", "TIMESTAMP"),
    SourceColumn("updated_at", "TIMESTAMP"),
)


@dataclass(frozen=True)
class Told:
    """One change: a version of a row, or that it was deleted."""

    row: Row
    position: int
    at: datetime
    deleted: bool = False


@dataclass(frozen=True)
class ToldChanges:
    """Gives the changes that are waiting, once each.

    Attributes:
        waiting: What the next load reads.
    """

    waiting: list[Told] = field(default_factory=list, hash=False)
    connection: str = "database"
    kind: str = "told"
    needs_key: bool = True

    def schema(self, access: Access) -> tuple[SourceColumn, ...]:
        """The columns of a sale."""
        del access
        return COLUMNS

    @contextmanager
    def reading(self, access: Access, request: ChangeRequest) -> Iterator[Changes]:
        """What is waiting."""
        del access
        rows = [
            (*t.row.values, t.row.day, "told", "d" if t.deleted else "u", t.position, t.at)
            for t in self.waiting
        ] or [(None,) * (len(COLUMNS) + 5)]
        listed = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
        own = ", ".join(f"CAST({c.name} AS {c.sql_type}) AS {c.name}" for c in COLUMNS)
        names = ", ".join(c.name for c in COLUMNS)
        select = (
            f"SELECT {own}, _partition, _source_file, _op, CAST(_position AS BIGINT) AS _position, "
            f"CAST(_changed_at AS TIMESTAMP) AS _changed_at FROM (VALUES {listed}) AS told"
            f"({names}, _partition, _source_file, _op, _position, _changed_at) "
            "WHERE _op IS NOT NULL"
        )
        count = int(request.cursor or 0) + len(self.waiting)
        yield Changes(COLUMNS, lambda: select, lambda stage: Ended(str(count)))
        self.waiting.clear()


def _literal(value: object) -> str:
    return "NULL" if value is None else quote_literal(str(value))


Period = tuple[Any, ...]
"""The row's values, ``valid_from``, ``valid_to``, ``is_current``."""


def history_of(loads: list[list[Told]]) -> list[Period]:
    """What the history of all these loads should come to."""
    found: list[Period] = []
    told = [(t.position, n, t) for n, load in enumerate(loads) for t in load]
    for key in {t.row.sale_id for _, _, t in told}:
        last: dict[int, Told] = {}
        for position, _, each in sorted(
            (t for t in told if t[2].row.sale_id == key), key=lambda t: t[:2]
        ):
            if each.deleted or each.row.status != BAD:
                last[position] = each
        turns: list[tuple[Row | None, datetime]] = []
        for each in last.values():
            row = None if each.deleted else each.row
            if row != (turns[-1][0] if turns else None):
                turns.append((row, max(each.at, turns[-1][1] if turns else each.at)))
        ends = [*(at for _, at in turns), None][1:]
        found += [
            (*row.values, at, end, end is None)
            for (row, at), end in zip(turns, ends, strict=True)
            if row is not None
        ]
    return sorted(found, key=str)
