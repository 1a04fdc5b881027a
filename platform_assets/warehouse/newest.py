"""The newest event of published rows: what tells how old data are, whenever they were loaded.

Belongs here: asking a table for it. Does not belong here: what follows (``quality.freshness``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import in_partitions


def newest_events(
    connection: Connection,
    table: str,
    event: str,
    partitions: Sequence[str],
    *,
    column: str = PARTITION_COLUMN,
) -> dict[str, datetime]:
    """The newest event time (UTC) of each partition that has one.

    What is in the future is a mistake, such as a year that was typed wrong: it would make the data
    look fresh until then, and is left out.

    Args:
        connection: An open lake; in a transaction, as that has written the rows.
        table: The table, quoted.
        event: SQL of the event time (UTC); of one that is a day, events may be of any time of it.
        partitions: The partitions' keys.
        column: SQL of a row's partition.
    """
    if not partitions:
        return {}
    now = literal(datetime.now(UTC).replace(tzinfo=None), "TIMESTAMP")
    rows = connection.execute(
        f"""
        SELECT key, CASE WHEN newest IS NULL THEN NULL WHEN typeof(newest) = 'DATE'
            THEN least(newest + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND, {now})
            ELSE CAST(newest AS TIMESTAMP) END
        FROM (
            SELECT {column} AS key,
                max({event}) FILTER (isfinite({event}) AND {event} <= {now}) AS newest
            FROM {table} WHERE {in_partitions(partitions, column)} GROUP BY 1
        )
        """
    ).fetchall()
    return {str(key): found.replace(tzinfo=UTC) for key, found in rows if found is not None}
