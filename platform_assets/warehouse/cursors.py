"""Cursors: how far each source has been read, committed with the rows that were read.

Belongs here: keeping and finding them. Does not belong here: what a cursor means, which only its
source knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from platform_assets.sql import after_scan, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.tables import CURSORS


@dataclass(frozen=True)
class Cursor:
    """Where the reading of a dataset's source stands.

    Attributes:
        load: Number of the load that ended there; 0: nothing was loaded.
        position: Where it ended, as the source wrote it; None: nothing was loaded.
    """

    load: int = 0
    position: str | None = None


def current(connection: Connection, dataset: str) -> Cursor:
    """Where the reading of a dataset's source stands.

    Args:
        connection: An open lake.
        dataset: The dataset's name.
    """
    row = connection.execute(f"SELECT max(load), max_by(position, load) {_own(dataset)}").fetchone()
    return Cursor() if row is None or row[0] is None else Cursor(int(row[0]), str(row[1]))


def last_load(connection: Connection, dataset: str) -> int:
    """Number of the last load of a dataset; 0: nothing was loaded.

    Positions, which may be long, are not read.

    Args:
        connection: An open lake.
        dataset: The dataset's name.
    """
    row = connection.execute(f"SELECT max(load) {_own(dataset)}").fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


def _own(dataset: str) -> str:
    return f"FROM {CURSORS} WHERE {after_scan('dataset')} = {quote_literal(dataset)}"


def record(connection: Connection, dataset: str, cursor: Cursor, run_id: str) -> None:
    """Move a cursor, in the caller's transaction.

    Args:
        connection: An open lake, inside a transaction that also holds the rows.
        dataset: The dataset's name.
        cursor: Where its reading stands now.
        run_id: The run that read.
    """
    connection.execute(
        f"INSERT INTO {CURSORS} SELECT ?, ?, ?, ?, now()",
        [dataset, cursor.load, cursor.position, run_id],
    )
