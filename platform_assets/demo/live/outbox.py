"""How the shop's files get to the disk: all of a day that was committed, or none.

Belongs here: writing what is due, cleaning up after a process that was killed. Does not belong
here: what stands in the files.

A day's files are committed with its rows, and written after that. Who is killed in between finds
them in the outbox, and writes the same bytes under the same names.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from platform_assets.demo import text
from platform_assets.demo.live.database import transaction


def deliver(connection: sqlite3.Connection, folder: Path, last_day: int) -> int:
    """Write the files that are due, in the order in which they were handed in.

    Args:
        connection: A connection of the shop, in no transaction.
        folder: The folder of the shop.
        last_day: The last day that was lived.

    Returns:
        The number of files.
    """
    # Inside the transaction: two processes never write the same file at once.
    with transaction(connection):
        due = connection.execute(
            "SELECT sequence, path FROM _outbox WHERE day <= ? ORDER BY sequence", [last_day]
        ).fetchall()
        for sequence, path in due:
            (content,) = connection.execute(
                "SELECT content FROM _outbox WHERE sequence = ?", [sequence]
            ).fetchone()
            _remove_unfinished(folder / path)
            text.write_whole(folder / path, [content])
        connection.executemany(
            "DELETE FROM _outbox WHERE sequence = ?", [(sequence,) for sequence, _ in due]
        )
    return len(due)


def _remove_unfinished(path: Path) -> None:
    """Remove what a killed process left of a file that it did not finish."""
    for unfinished in path.parent.glob(f".{path.name}.*.tmp"):
        unfinished.unlink()
