"""The book of rollbacks: who restored what, when and why.

Belongs here: writing and reading it. Does not belong here: rolling back (``pipeline.rollback``).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime

from platform_assets.sql import after_scan
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.tables import ROLLBACKS


@dataclass(frozen=True)
class Noted:
    """One rollback.

    Attributes:
        rollback_id: Its name; the ledger has it as the run's.
        asset: The asset's key.
        partition: The partition's key.
        rolled_from: The snapshot of the publish that it led away from.
        rolled_to: The snapshot of the publish that it restored.
        rows: Rows that were restored.
        reason: Why, in the author's words.
        author: Who did it.
        recorded_at: When; known only once read back.
    """

    rollback_id: str
    asset: str
    partition: str
    rolled_from: int
    rolled_to: int
    rows: int
    reason: str
    author: str
    recorded_at: datetime | None = None


def record(connection: Connection, noted: Noted) -> None:
    """Write a rollback down, in its own transaction.

    Args:
        connection: An open lake, inside a transaction that also holds the restored rows.
        noted: What was done.
    """
    connection.execute(
        f"INSERT INTO {ROLLBACKS} VALUES (?, ?, ?, ?, ?, ?, ?, ?, now())", astuple(noted)[:-1]
    )


def of(connection: Connection, asset: str, partition: str) -> list[Noted]:
    """The rollbacks of a partition, oldest first.

    Args:
        connection: An open lake.
        asset: The asset's key.
        partition: The partition's key.
    """
    rows = connection.execute(
        "SELECT rollback_id, asset, partition, rolled_from, rolled_to, rows, reason, author, "
        f"recorded_at FROM {ROLLBACKS} WHERE {after_scan('asset')} = ? "
        f"AND {after_scan('partition')} = ? ORDER BY snapshot_id, rowid",
        [asset, partition],
    ).fetchall()
    return [Noted(*row) for row in rows]
