"""Which partitions of a table hold other rows than they did.

Belongs here: comparing a table with itself at an earlier snapshot. Does not belong here: what
follows from a difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.snapshots import look_back
from platform_assets.warehouse.tables import LEDGER


def changed_partitions(
    connection: Connection,
    asset: str,
    table: str,
    partitions: Sequence[str],
    *,
    since: int,
) -> list[str]:
    """Partitions that were published after a snapshot, and hold other rows than at it.

    A publish that was made again by force may be of the same rows: those are compared, in one scan
    of either state, by a sum of hashes that holds none of them.

    Args:
        connection: An open lake, outside of a transaction.
        asset: The asset's key, by which the ledger knows the publishes.
        table: The asset's table, quoted.
        partitions: The partitions in question.
        since: The snapshot of the lake.

    Returns:
        Those that changed, in order; one that was not there before has changed.
    """
    now = ledger.published(connection, asset, partitions)
    again = [key for key, entry in now.items() if (entry.snapshot or 0) > since]
    if not again:
        return []
    before = _published_at(connection, asset, again, since)
    if not before:
        return sorted(again)
    look_back(connection, since)

    def told(relation: str) -> str:
        return (
            f"SELECT {PARTITION_COLUMN} AS own, count(*) AS rows, "
            f"sum(CAST(hash(t) AS HUGEINT)) AS total "
            f"FROM (FROM {relation} WHERE {in_partitions(sorted(before))}) AS t GROUP BY 1"
        )

    rows = connection.execute(
        f"SELECT coalesce(a.own, b.own) FROM ({told(table)}) AS a "
        f"FULL JOIN ({told(f'{table} AT (VERSION => {since})')}) AS b ON a.own = b.own "
        "WHERE (a.rows, a.total) IS DISTINCT FROM (b.rows, b.total)"
    ).fetchall()
    return sorted({*(str(key) for (key,) in rows), *(key for key in again if key not in before)})


def _published_at(
    connection: Connection, asset: str, partitions: Sequence[str], snapshot: int
) -> set[str]:
    """Partitions that had been published when a snapshot was made."""
    rows = connection.execute(
        f"SELECT DISTINCT partition FROM {LEDGER} WHERE asset = ? AND status = ? "
        f"AND snapshot_id <= ? AND {in_partitions(partitions, 'partition')}",
        [asset, Status.PUBLISHED, snapshot],
    ).fetchall()
    return {str(key) for (key,) in rows}
