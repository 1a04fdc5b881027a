"""Compaction: what many small publishes leave is merged, so that a day costs the same for ever.

Belongs here: when small files, deletions and rows kept in the catalog are too many, and merging
them. Does not belong here: what is in the tables.

Each publish adds a file, and each query of a table looks at every file's entry in the catalog: ten
years of daily work made a day five times as dear. Merging is what the format does itself
(``ducklake_merge_adjacent_files`` and its like); rows keep their ids and the snapshot that they
came with, and earlier snapshots can still be read. Files that were merged are deleted a day later,
when nobody reads them any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from platform_assets.observability.traces import span
from platform_assets.sql import literal_list, quote_identifier, quote_literal
from platform_assets.warehouse.lake import LAKE, Connection, in_transaction, one_state
from platform_assets.warehouse.tables import INLINED, PLATFORM

# The catalog's own tables, as DuckLake attaches them.
CATALOG = quote_identifier(f"__ducklake_metadata_{LAKE}")
# A file of this size is worth opening, and is not copied again to save another entry.
SMALL_BYTES = 32_000_000
SMALL_FILES = 32
INLINED_ROWS = 1_000
KEPT_HOURS = 24
BOOKS = tuple(f"{PLATFORM}/{name}" for name in (*INLINED, "quarantine"))


@dataclass(frozen=True)
class _Litter:
    """What small publishes have left of one table."""

    name: str
    whole: int
    with_deletions: int

    @property
    def arguments(self) -> str:
        schema, table = self.name.split("/")
        return ", ".join(
            (quote_literal(LAKE), quote_literal(table), f"schema => {quote_literal(schema)}")
        )


def compact(connection: Connection, *names: str) -> list[str]:
    """Merge what is too small of some tables, and of the platform's own.

    Most often there is nothing to do, which takes 5 ms to see.

    Args:
        connection: An open lake, outside of a transaction.
        *names: The tables that were written to, such as ``cleaned/orders``.

    Returns:
        The tables of which something was merged.
    """
    with span("compact"):
        return _compact(connection, names)


def _compact(connection: Connection, names: Sequence[str]) -> list[str]:
    merged = []
    with one_state(connection):
        inlined = _inlined_rows(connection)
        litters = _litter(connection, [*names, *BOOKS])
    for table, rows in inlined.items():
        if rows >= INLINED_ROWS:
            _flush(connection, table)
            merged.append(f"{PLATFORM}/{table}")
    # A file that was just written of rows in the catalog counts the next time.
    for litter in litters:
        if litter.with_deletions >= SMALL_FILES:
            _rewrite(connection, litter)
        if litter.whole + litter.with_deletions >= SMALL_FILES:
            _merge(connection, litter)
            merged.append(litter.name)
    if merged:
        in_transaction(connection, _delete_merged_files)
    return merged


def _litter(connection: Connection, names: Sequence[str]) -> list[_Litter]:
    """Small files by table; those with deletions cannot be merged as they are."""
    rows = connection.execute(
        f"""
        SELECT schema_name || '/' || table_name AS name,
            count(*) FILTER (deletions.data_file_id IS NULL),
            count(*) FILTER (deletions.data_file_id IS NOT NULL)
        FROM {CATALOG}.ducklake_data_file AS files
        JOIN {CATALOG}.ducklake_table AS named USING (table_id)
        JOIN {CATALOG}.ducklake_schema AS schemas USING (schema_id)
        LEFT JOIN (
            SELECT DISTINCT data_file_id FROM {CATALOG}.ducklake_delete_file
            WHERE end_snapshot IS NULL
        ) AS deletions ON deletions.data_file_id = files.data_file_id
        WHERE files.end_snapshot IS NULL AND named.end_snapshot IS NULL
          AND schemas.end_snapshot IS NULL AND file_size_bytes < {SMALL_BYTES}
          AND name IN {literal_list(names)}
        GROUP BY ALL
        """
    ).fetchall()
    return [_Litter(str(name), int(whole), int(deleted)) for name, whole, deleted in rows]


def _inlined_rows(connection: Connection) -> dict[str, int]:
    """Rows of the platform's tables that are still in the catalog, of every version of a schema."""
    places = connection.execute(
        f"""
        SELECT named.table_name, inlined.table_name
        FROM {CATALOG}.ducklake_inlined_data_tables AS inlined
        JOIN {CATALOG}.ducklake_table AS named USING (table_id)
        JOIN {CATALOG}.ducklake_schema AS schemas USING (schema_id)
        WHERE schemas.schema_name = {quote_literal(PLATFORM)} AND named.end_snapshot IS NULL
          AND named.table_name IN {literal_list(INLINED)}
        """
    ).fetchall()
    if not places:
        return {}
    counts = " UNION ALL ".join(
        f"SELECT {quote_literal(table)} AS name, count(*) AS rows "
        f"FROM {CATALOG}.{quote_identifier(place)}"
        for table, place in places
    )
    totals = connection.execute(f"SELECT name, sum(rows) FROM ({counts}) GROUP BY name").fetchall()
    return {str(name): int(rows) for name, rows in totals}


def _flush(connection: Connection, table: str) -> None:
    """Write the rows of a table that are in the catalog to a file."""
    in_transaction(
        connection,
        lambda con: con.execute(
            f"CALL ducklake_flush_inlined_data({quote_literal(LAKE)}, "
            f"schema_name => {quote_literal(PLATFORM)}, table_name => {quote_literal(table)})"
        ),
    )


def _rewrite(connection: Connection, litter: _Litter) -> None:
    """Write files anew without the rows that were deleted from them."""
    in_transaction(
        connection,
        lambda con: con.execute(
            f"CALL ducklake_rewrite_data_files({litter.arguments}, delete_threshold => 0)"
        ),
    )


def _merge(connection: Connection, litter: _Litter) -> None:
    options = f"{litter.arguments}, max_file_size => {SMALL_BYTES}"
    in_transaction(
        connection, lambda con: con.execute(f"CALL ducklake_merge_adjacent_files({options})")
    )


def _delete_merged_files(connection: Connection) -> None:
    connection.execute(
        f"CALL ducklake_cleanup_old_files({quote_literal(LAKE)}, "
        f"older_than => now() - INTERVAL {KEPT_HOURS} HOUR)"
    )
