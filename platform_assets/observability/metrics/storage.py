"""Metrics of storage: bytes, files and snapshots of the lake.

Belongs here: which metrics, and their values, from the lake's own catalog. Does not belong here:
making it smaller (``warehouse.compaction``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from platform_assets.observability.metrics.declared import Metric, Reading
from platform_assets.observability.metrics.lake_state import OncePerState
from platform_assets.warehouse.compaction import CATALOG
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.reader import LakeReader, View

_OF_TABLE = ("table", "layer", "state")

TABLE_BYTES = Metric(
    "platform_assets_table_bytes",
    "Bytes of a table's files: those that its rows are in now (current), and those that only "
    "earlier snapshots need (historic).",
    _OF_TABLE,
)
TABLE_FILES = Metric(
    "platform_assets_table_files", "A table's files: current, and historic.", _OF_TABLE
)
SNAPSHOTS = Metric("platform_assets_lake_snapshots", "Snapshots of the lake that can be read.")
NEWEST_SNAPSHOT = Metric(
    "platform_assets_lake_newest_snapshot_timestamp_seconds",
    "When the lake was written to last, by whatever.",
)
CATALOG_BYTES = Metric(
    "platform_assets_lake_catalog_bytes",
    "Bytes of the lake's catalog, with what SQLite keeps by it.",
)


class StorageCollector:
    """Metrics of storage.

    Args:
        reader: The lake.
        catalog: Its catalog file.
    """

    name = "storage"
    source = "lake"
    metrics = (TABLE_BYTES, TABLE_FILES, SNAPSHOTS, NEWEST_SNAPSHOT, CATALOG_BYTES)

    def __init__(self, reader: LakeReader, catalog: Path) -> None:
        self._catalog = catalog
        self._lake = OncePerState(reader, _readings)

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        beside = (self._catalog.with_name(self._catalog.name + end) for end in ("", "-wal", "-shm"))
        size = sum(path.stat().st_size for path in beside if path.is_file())
        return (*self._lake.readings(), CATALOG_BYTES.at(size))


def _readings(view: View) -> Iterator[Reading]:
    yield from _tables(view.connection)
    yield from _snapshots(view.connection)


def _tables(connection: Connection) -> Iterator[Reading]:
    """Files of data and of deletions, by table; a table that is gone has only historic ones."""
    rows = connection.execute(
        f"""
        SELECT any_value(s.schema_name), any_value(t.table_name), f.current,
               count(*), sum(f.file_size_bytes)
        FROM (
            SELECT table_id, end_snapshot IS NULL AS current, file_size_bytes
            FROM {CATALOG}.ducklake_data_file
            UNION ALL
            SELECT table_id, end_snapshot IS NULL, file_size_bytes
            FROM {CATALOG}.ducklake_delete_file
        ) AS f
        JOIN (
            SELECT table_id, arg_max(table_name, begin_snapshot) AS table_name,
                   arg_max(schema_id, begin_snapshot) AS schema_id
            FROM {CATALOG}.ducklake_table GROUP BY 1
        ) AS t USING (table_id)
        JOIN (
            SELECT schema_id, any_value(schema_name) AS schema_name
            FROM {CATALOG}.ducklake_schema GROUP BY 1
        ) AS s USING (schema_id)
        GROUP BY s.schema_name, t.table_name, f.current
        """
    ).fetchall()
    for schema, name, current, files, size in rows:
        own = (f"{schema}/{name}", str(schema), "current" if current else "historic")
        yield TABLE_BYTES.at(int(size), *own)
        yield TABLE_FILES.at(int(files), *own)


def _snapshots(connection: Connection) -> Iterator[Reading]:
    row = connection.execute(
        f"SELECT count(*), epoch(max(CAST(snapshot_time AS TIMESTAMPTZ))) "
        f"FROM {CATALOG}.ducklake_snapshot"
    ).fetchone()
    assert row is not None  # an aggregate of anything is one row
    yield SNAPSHOTS.at(int(row[0]))
    yield NEWEST_SNAPSHOT.at(float(row[1]))
