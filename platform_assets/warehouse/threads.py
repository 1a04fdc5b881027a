"""Threads of the engine: one for what is small, all for what is large, one where order counts.

Belongs here: how many work. Does not belong here: what they work on.

The engine divides work by row groups of 122,880 rows. Below that a second thread finds nothing to
do, and waits for work in a loop: the hundred statements that load and publish three small
partitions took 730 ms of processor time with two threads and 410 ms with one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

# Some row groups of Parquet, or 0.2 s of reading text: what one thread does about as fast as many.
SMALL_BYTES = 16_000_000
# A session variable of the engine: how many threads there may be, where that was left to it.
_ALL = "platform_assets_threads"


def begin(connection: duckdb.DuckDBPyConnection, held: int) -> None:
    """Let one thread work on a small lake until more is needed; for an engine that may use all.

    Args:
        connection: The engine, with as many threads as there are processors.
        held: Bytes in the lake.
    """
    connection.execute(f"SET VARIABLE {_ALL} = current_setting('threads')")
    if held < SMALL_BYTES:
        connection.execute("SET threads = 1")


def use_all(connection: duckdb.DuckDBPyConnection, size: int | None = None) -> None:
    """Let all threads work from now on, where that was left to the engine.

    Args:
        connection: The engine.
        size: Bytes of what is to be read; None: nobody knows. Nothing changes where it is small.
    """
    if size is not None and size < SMALL_BYTES:
        return
    row = connection.execute(f"SELECT getvariable('{_ALL}')").fetchone()
    if row and row[0] is not None:
        connection.execute(f"SET threads = {int(row[0])}")


@contextmanager
def only_one(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let one thread work: several write a file each, and their files do not follow the order.

    Args:
        connection: The engine.
    """
    row = connection.execute("SELECT current_setting('threads')").fetchone()
    assert row is not None  # a setting that the engine always has
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute(f"SET threads = {int(row[0])}")
