"""Leftovers: the rows of two states of a table that are not in both.

Belongs here: reading both states, or what was written in between, and laying out what differs. Does
not belong here: counting it by column and partition (``diff``).

The rows of two snapshots are two bags; what both have is set aside by a hash of the row, counted
in the engine. Only what is left over is looked at by key. Where the table is the same and has the
same columns at both snapshots, the lake's own list of inserted and deleted rows takes the place of
the bags: their difference is the same, and files that no snapshot in between touched are not read.

The hash lives for the length of a comparison: it may be another one in the engine's next version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from platform_assets.errors import PartitionError
from platform_assets.provenance import PARTITION_COLUMN, PLATFORM_COLUMNS
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse.compaction import CATALOG
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.snapshots import columns_at, look_back, table_id
from platform_assets.warehouse.tally import NOT_COMPARED

# Below this, either way takes no time.
MANY_ROWS = 1_000_000
PLACE = "_diff_partition"
"""Of a row that is left over: the partition that it belongs to."""

_OFF, _OLD, _NEW, _PAIRED = "_diff_off", "_diff_old", "_diff_new", "_diff_paired"


@dataclass(frozen=True)
class Compared:
    """A table whose states are compared.

    Attributes:
        asset: The asset's key, such as ``cleaned/orders``.
        schema: The schema that its rows are in.
        name: The table that its rows are in.
        key: The columns that tell its rows apart; empty: whole rows are compared.
        partition: SQL of the partition that a row belongs to.
        where: SQL that picks the asset's rows of the table.
        personal: Columns whose values are not shown.
        shown: Columns whose values are; None: all that are not personal. Of a raw table, a column
            that the contract does not know may be personal.
        ledger: The asset whose publishes are those of the table.
    """

    asset: str
    schema: str
    name: str
    key: Sequence[str] = ()
    partition: str = PARTITION_COLUMN
    where: str = "true"
    personal: frozenset[str] = frozenset()
    shown: frozenset[str] | None = None
    ledger: str = ""

    @property
    def table(self) -> str:
        """The table, quoted."""
        return ".".join(quote_identifier(part) for part in (LAKE, self.schema, self.name))

    def hides(self, column: str) -> bool:
        """Whether a column's values must not be shown."""
        if column in PLATFORM_COLUMNS:
            return False
        return column in self.personal or (self.shown is not None and column not in self.shown)

    @property
    def publishes(self) -> str:
        """The asset whose publishes are those of the table."""
        return self.ledger or self.asset


@dataclass(frozen=True)
class SchemaChange:
    """A column that is not what it was: its SQL type before and after; empty: not there."""

    column: str
    before: str
    after: str


@dataclass(frozen=True)
class Leftovers:
    """The rows that differ, as temporary tables of the session.

    Attributes:
        columns: What was compared, in the order of the tables' columns.
        key: The columns that rows are paired by.
        schema: Columns added, removed, retyped.
        whole: Whether both states were read.
        old: Rows that were there and are not any more.
        new: Rows that are there and were not.
        paired: Keys that both have once: their rows are changed ones.
    """

    columns: Sequence[str]
    key: Sequence[str]
    schema: Sequence[SchemaChange]
    whole: bool
    old: str = _OLD
    new: str = _NEW
    paired: str = _PAIRED

    def same_key(self, one: str, other: str) -> str:
        """SQL that holds for rows of one key; never, where there is no key."""
        names = [quote_identifier(name) for name in self.key]
        equal = (f"{one}.{name} IS NOT DISTINCT FROM {other}.{name}" for name in names)
        return " AND ".join(equal) or "false"


@contextmanager
def leftovers(
    connection: Connection,
    compared: Compared,
    start: int,
    end: int,
    *,
    partitions: Sequence[str] | None = None,
) -> Iterator[Leftovers]:
    """Lay out the rows that differ between two states of a table; see ``compare``."""
    if end < start:
        raise PartitionError(
            "The end of the comparison comes before its start",
            where=f"asset {compared.asset}",
            expected="a snapshot from which to a later one",
            found=f"from snapshot {start} to snapshot {end}",
            fix="exchange --from and --to",
        )
    look_back(connection, start, end)
    before, after = _states(connection, compared, start, end)
    schema = [
        SchemaChange(name, before.get(name, ""), after.get(name, ""))
        for name in {**after, **before}
        if before.get(name) != after.get(name)
    ]
    # A table that was not there had no rows; it is compared by the columns that it has now.
    known = (before or after).keys() & (after or before).keys()
    columns = [name for name in (after or before) if name in known - NOT_COMPARED]
    key = list(compared.key) if known.issuperset(compared.key) else []
    retyped = {change.column for change in schema if change.before and change.after}
    whole = before != after or not _is_listed(connection, compared, start, end)
    types = {name: (before or after)[name] for name in columns}

    def side(snapshot: int, held: Mapping[str, str], changes: str) -> str:
        if not whole:
            return _written(compared, columns, changes, start, end, partitions)
        if not held:
            return _no_rows(types)
        return _state(compared, columns, retyped, snapshot, partitions)

    try:
        old = side(start, before, "ducklake_table_deletions")
        new = side(end, after, "ducklake_table_insertions")
        if start == end:
            old = new = f"({old} LIMIT 0)"
        left = Leftovers(columns, key, schema if before else [], whole)
        _lay_out(connection, left, old, new)
        yield left
    finally:
        for name in (_OFF, _OLD, _NEW, _PAIRED):
            connection.execute(f"DROP TABLE IF EXISTS {name}")


def _states(
    connection: Connection, compared: Compared, start: int, end: int
) -> tuple[dict[str, str], dict[str, str]]:
    """The table's columns at both snapshots; empty where it was not there."""
    before, after = (
        columns_at(connection, compared.table, snapshot)
        if table_id(connection, compared.schema, compared.name, snapshot) is not None
        else {}
        for snapshot in (start, end)
    )
    if not before and not after:
        raise PartitionError(
            "There is no such table at either snapshot",
            where=f"asset {compared.asset}",
            expected="a table that was published by then",
            found=f"none at snapshot {start}, none at snapshot {end}",
            fix="give a later --to, or materialize the asset",
        )
    return before, after


def _is_listed(connection: Connection, compared: Compared, start: int, end: int) -> bool:
    """Whether the lake's list of changes leads from one state to the other, and is the shorter way.

    What was written over and over is in the list each time.
    """
    first, last = (table_id(connection, compared.schema, compared.name, n) for n in (start, end))
    if first is None or first != last:
        return False
    row = connection.execute(
        f"SELECT coalesce(sum(record_count) FILTER (begin_snapshot > {start}), 0), "
        f"coalesce(sum(record_count) FILTER (end_snapshot IS NULL OR end_snapshot > {end}), 0) "
        f"FROM {CATALOG}.ducklake_data_file WHERE table_id = {first} AND begin_snapshot <= {end}"
    ).fetchone()
    assert row is not None  # an aggregate has a row
    written, held = row
    return bool(written <= max(held, MANY_ROWS))


def _picked(compared: Compared, partitions: Sequence[str] | None) -> str:
    if partitions is None:
        return compared.where
    return f"({compared.where}) AND {in_partitions(partitions, compared.partition)}"


def _state(
    compared: Compared,
    columns: Sequence[str],
    retyped: set[str],
    snapshot: int,
    partitions: Sequence[str] | None,
) -> str:
    """A SELECT of a table's rows at a snapshot."""
    listed = ", ".join(
        # Of two types, what is written alike is equal.
        f"CAST({quote_identifier(n)} AS VARCHAR) AS {quote_identifier(n)}"
        if n in retyped
        else quote_identifier(n)
        for n in columns
    )
    return (
        f"SELECT {listed}, {compared.partition} AS {PLACE} "
        f"FROM {compared.table} AT (VERSION => {snapshot}) WHERE {_picked(compared, partitions)}"
    )


def _no_rows(columns: Mapping[str, str]) -> str:
    """A SELECT of a table's rows when it was not there."""
    nulls = [f"CAST(NULL AS {kind}) AS {quote_identifier(n)}" for n, kind in columns.items()]
    return f"SELECT {', '.join(nulls)}, CAST(NULL AS VARCHAR) AS {PLACE} LIMIT 0"


def _written(
    compared: Compared,
    columns: Sequence[str],
    function: str,
    start: int,
    end: int,
    partitions: Sequence[str] | None,
) -> str:
    """A SELECT of what was deleted, or inserted, between two snapshots."""
    listed = ", ".join(quote_identifier(name) for name in columns)
    names = ", ".join(quote_literal(n) for n in (LAKE, compared.schema, compared.name))
    return (
        f"SELECT {listed}, {compared.partition} AS {PLACE} "
        f"FROM {function}({names}, {min(start + 1, end)}, {end}) "
        f"WHERE {_picked(compared, partitions)}"
    )


def _lay_out(connection: Connection, left: Leftovers, old: str, new: str) -> None:
    hashed = f"hash({', '.join(quote_identifier(name) for name in left.columns)})"
    # Before and after are told apart by the sign, so that one pass finds what is off.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {_OFF} AS
        SELECT _hash, count(*) FILTER (_was) AS _held, count(*) FILTER (NOT _was) AS _holds
        FROM (SELECT {hashed} AS _hash, true AS _was FROM ({old})
              UNION ALL SELECT {hashed}, false FROM ({new}))
        GROUP BY _hash HAVING _held <> _holds
        """
    )
    several = connection.execute(f"SELECT max(greatest(_held, _holds)) > 1 FROM {_OFF}").fetchone()
    for name, rows, more, less in (
        (left.old, old, "_held", "_holds"),
        (left.new, new, "_holds", "_held"),
    ):
        copies = ""
        if several == (True,):
            # Of rows that are alike, only as many as there are too many.
            copies = "QUALIFY row_number() OVER (PARTITION BY _hash) <= _off"
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE {name} AS
            SELECT * EXCLUDE (_hash, _off)
            FROM (SELECT *, {hashed} AS _hash FROM ({rows}))
            JOIN (SELECT _hash, {more} - {less} AS _off FROM {_OFF} WHERE {more} > {less})
            USING (_hash) {copies}
            """
        )
    keys = ", ".join(quote_identifier(name) for name in left.key)
    if not left.key:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {left.paired} AS SELECT 1 AS _ LIMIT 0")
        return
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {left.paired} AS SELECT {keys}
        FROM (SELECT {keys}, true AS _was FROM {left.old}
              UNION ALL SELECT {keys}, false FROM {left.new})
        GROUP BY {keys}
        HAVING count(*) FILTER (_was) = 1 AND count(*) FILTER (NOT _was) = 1
        """
    )
