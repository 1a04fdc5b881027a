"""Data diff: what a table holds at one snapshot against what it held at another.

Belongs here: counting rows that were added, removed and changed, by partition and by column. Does
not belong here: which snapshots are meant (``snapshots``), finding the rows that differ
(``leftovers``), and showing it (``cli``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from platform_assets.errors import SettingsError
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.leftovers import (
    PLACE,
    Compared,
    Leftovers,
    SchemaChange,
    leftovers,
)
from platform_assets.warehouse.tally import RowChanges

MASK = "***"
_CHANGED = "_diff_changed"


@dataclass(frozen=True)
class ColumnChanges:
    """How a column differs among changed rows.

    Attributes:
        column: The column.
        rows: Rows in which it differs.
        share: Of the changed rows, 0 to 1.
        samples: Key, value before and value after of a few rows; personal values masked.
    """

    column: str
    rows: int
    share: float
    samples: Sequence[tuple[str, str | None, str | None]] = ()


@dataclass(frozen=True)
class Diff:
    """What differs between two snapshots of a table.

    Attributes:
        compared: The table.
        start: The earlier snapshot.
        end: The later one.
        key: The columns that rows were paired by; empty: none, whole rows were compared.
        total: Rows that differ.
        partitions: The same by partition, where any do; a changed row counts where it is now.
        columns: By column, most changed first.
        schema: Columns added, removed, retyped.
        whole: Whether both states were read, and not only what was written in between.
    """

    compared: Compared
    start: int
    end: int
    key: Sequence[str]
    total: RowChanges = field(default_factory=RowChanges)
    partitions: Mapping[str, RowChanges] = field(default_factory=dict)
    columns: Sequence[ColumnChanges] = ()
    schema: Sequence[SchemaChange] = ()
    whole: bool = False

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return self.total.any or bool(self.schema)


def compare(
    connection: Connection,
    compared: Compared,
    start: int,
    end: int,
    *,
    partitions: Sequence[str] | None = None,
    column: str | None = None,
    samples: int = 3,
) -> Diff:
    """Compare two states of a table.

    Args:
        connection: An open lake, outside of a transaction: one that has written to the table would
            see its own rows in an earlier snapshot.
        compared: The table.
        start: The earlier snapshot.
        end: The later one.
        partitions: Only rows of these; None: all.
        column: Only rows that were added, removed, or changed in this column.
        samples: Changed rows to show for each column.

    Raises:
        PartitionError: The end comes before the start, or the table was never there.
        SettingsError: There is no such column.
    """
    with leftovers(connection, compared, start, end, partitions=partitions) as left:
        if column is not None and column not in left.columns:
            raise SettingsError(
                "There is no such column at both snapshots",
                where=f"option --column {column}",
                expected="one of " + ", ".join(left.columns),
                found=column,
                fix="correct the name; a column that was added or removed is told as such",
            )
        _note_changed(connection, left)
        by_partition = _by_partition(connection, left, column)
        total = RowChanges(
            sum(each.added for each in by_partition.values()),
            sum(each.removed for each in by_partition.values()),
            sum(each.changed for each in by_partition.values()),
        )
        hidden = frozenset(name for name in left.columns if compared.hides(name))
        found = _by_column(connection, left, hidden, samples)
        connection.execute(f"DROP TABLE {_CHANGED}")
        return Diff(
            compared=compared,
            start=start,
            end=end,
            key=left.key,
            total=total,
            partitions=by_partition,
            columns=[each for each in found if column in (None, each.column)],
            schema=left.schema,
            whole=left.whole,
        )


def _note_changed(connection: Connection, left: Leftovers) -> None:
    """Lay out the changed rows, before and after side by side."""
    sides = ", ".join(
        f"{side}.{quote_identifier(name)} AS _{side}_{number}"
        for number, name in enumerate(left.columns)
        for side in ("o", "n")
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_CHANGED} AS SELECT {sides}, n.{PLACE} "
        f"FROM {left.paired} AS p JOIN {left.old} AS o ON {left.same_key('p', 'o')} "
        f"JOIN {left.new} AS n ON {left.same_key('p', 'n')}"
    )


def _by_partition(
    connection: Connection, left: Leftovers, column: str | None
) -> dict[str, RowChanges]:
    differs = "true" if column is None else _differs(left.columns.index(column))
    alone = f"ANTI JOIN {left.paired} AS p ON {left.same_key('p', 'r')}" if left.key else ""
    rows = connection.execute(
        f"""
        SELECT {PLACE}, sum(a), sum(r), sum(c) FROM (
            SELECT {PLACE}, 1 AS a, 0 AS r, 0 AS c FROM {left.new} AS r {alone}
            UNION ALL SELECT {PLACE}, 0, 1, 0 FROM {left.old} AS r {alone}
            UNION ALL SELECT {PLACE}, 0, 0, 1 FROM {_CHANGED} WHERE {differs})
        GROUP BY 1 ORDER BY 1
        """
    ).fetchall()
    return {str(key): RowChanges(int(a), int(r), int(c)) for key, a, r, c in rows}


def _differs(number: int) -> str:
    return f"_o_{number} IS DISTINCT FROM _n_{number}"


def _by_column(
    connection: Connection, left: Leftovers, hidden: frozenset[str], samples: int
) -> list[ColumnChanges]:
    others = [(n, name) for n, name in enumerate(left.columns) if name not in left.key]
    if not left.key or not others:
        return []
    counts = connection.execute(
        f"SELECT count(*), {', '.join(f'count(*) FILTER ({_differs(n)})' for n, _ in others)} "
        f"FROM {_CHANGED}"
    ).fetchone()
    assert counts is not None  # an aggregate has a row
    found = [
        ColumnChanges(
            name, rows, rows / counts[0], _samples(connection, left, number, hidden, samples)
        )
        for (number, name), rows in zip(others, counts[1:], strict=True)
        if rows
    ]
    return sorted(found, key=lambda each: (-each.rows, each.column))


def _samples(
    connection: Connection, left: Leftovers, number: int, hidden: frozenset[str], limit: int
) -> list[tuple[str, str | None, str | None]]:
    """A few changed values; what is personal does not leave the engine."""
    own = left.columns[number] in hidden

    def shown(value: str, *, masked: bool) -> str:
        text = f"CAST({value} AS VARCHAR)"
        return f"CASE WHEN {value} IS NOT NULL THEN {quote_literal(MASK)} END" if masked else text

    numbers = [left.columns.index(name) for name in left.key]
    key = ", ".join(
        f"coalesce({shown(f'_n_{n}', masked=left.columns[n] in hidden)}, '')" for n in numbers
    )
    order = ", ".join(f"_n_{n}" for n in numbers)
    rows = connection.execute(
        f"SELECT concat_ws(' ', {key}), {shown(f'_o_{number}', masked=own)}, "
        f"{shown(f'_n_{number}', masked=own)} "
        f"FROM {_CHANGED} WHERE {_differs(number)} ORDER BY {order} LIMIT {limit}"
    ).fetchall()
    return [(str(name), old, new) for name, old, new in rows]
