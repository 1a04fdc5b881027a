"""What is new in the ledger: for whoever tells of failures, each attempt once and none left out.

Belongs here: reading on from a position. Does not belong here: what an attempt says of a partition
(``ledger``), and what is told of it (``sensors``).

The ledger grows by thousands of rows a day, and almost all say that all is well. Only what has
failed is read, with what has happened since to the same partitions; a page at a time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

import pyarrow as pa

from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse.lake import Connection, current_snapshot
from platform_assets.warehouse.ledger import UPSTREAM
from platform_assets.warehouse.tables import LEDGER

PAGE = 2_000
_END = 2**62
_WATCHED = "_watched_partitions"
_COLUMNS = (
    "asset, partition, run_id, status, stopped_by, message, "
    "coalesce(extracted, 0), coalesce(quarantined, 0), "
    "epoch(recorded_at), snapshot_id, rowid"
)


@dataclass(frozen=True, order=True)
class Position:
    """How far the ledger was read.

    Attributes:
        snapshot: The lake's snapshot.
        row: The row in it.
    """

    snapshot: int
    row: int = _END

    @classmethod
    def parse(cls, text: str) -> Position:
        """A position from its text."""
        snapshot, row = json.loads(text)
        return cls(int(snapshot), int(row))

    def text(self) -> str:
        """The position as a text."""
        return json.dumps([self.snapshot, self.row])


@dataclass(frozen=True)
class Attempt:
    """One attempt at a partition, as far as it matters to who tells of it.

    Attributes:
        asset: The asset's key.
        partition: The partition's key.
        run_id: The run.
        status: ``published``, ``unchanged`` or ``failed``.
        stopped_by: What stopped it.
        message: The error's text; never a row's value.
        extracted: Rows that came in.
        quarantined: Rows that went to quarantine.
        at: When it was committed (UTC).
    """

    asset: str
    partition: str
    run_id: str
    status: str
    stopped_by: str
    message: str
    extracted: int
    quarantined: int
    at: datetime


_FIELDS = tuple(each.name for each in fields(Attempt))


@dataclass(frozen=True)
class Page:
    """What was read.

    Attributes:
        attempts: In the order of their commits.
        position: How far that is.
    """

    attempts: list[Attempt]
    position: Position


def newest(connection: Connection) -> Position:
    """The end of the ledger as it is now."""
    return Position(current_snapshot(connection))


def since(
    connection: Connection,
    position: Position,
    watched: Collection[tuple[str, str]],
    share: float,
    *,
    page: int = PAGE,
) -> Page:
    """What matters of what was written after a position.

    Args:
        connection: An open lake.
        position: Where was read to.
        watched: Assets and partitions of which every attempt matters: of others, those that failed,
            those with many rows in quarantine, and what came of the same partitions.
        share: Share of rows in quarantine from which on they are many.
        page: How many attempts at most.
    """
    # Asked first: what is committed after it is read the next time.
    end = newest(connection)
    if end.snapshot <= position.snapshot and position.row == _END:
        return Page([], position)
    attempts, last = _attempts(
        connection,
        f"""
        WITH new AS (
            SELECT *, snapshot_id, rowid,
                status = 'failed' OR quarantined > {float(share)!r} * extracted AS matters
            FROM {LEDGER}
            WHERE snapshot_id <= {end.snapshot} AND (snapshot_id > {position.snapshot}
                OR snapshot_id = {position.snapshot} AND rowid > {position.row})
        )
        SELECT {_COLUMNS} FROM new
        WHERE (asset, partition) IN (
            SELECT (asset, partition) FROM new WHERE matters
            UNION ALL SELECT (asset, partition) FROM {_WATCHED})
        ORDER BY snapshot_id, rowid LIMIT {page}
        """,
        watched,
    )
    return Page(attempts, last if last is not None and len(attempts) == page else end)


def standing_failures(connection: Connection) -> list[Attempt]:
    """The newest attempt of each partition whose newest attempt failed, the oldest first."""
    attempts, _ = _attempts(
        connection,
        f"""
        SELECT {_COLUMNS} FROM (
            SELECT *, snapshot_id, rowid, row_number() OVER (
                PARTITION BY asset, partition ORDER BY snapshot_id DESC, rowid DESC) AS nth
            FROM {LEDGER}
        ) WHERE nth = 1 AND status = 'failed' ORDER BY snapshot_id, rowid
        """,
        (),
    )
    return attempts


def failed_by(connection: Connection, run_id: str) -> list[Attempt]:
    """What a run has left unpublished, the roots first: what was stopped itself, not by others."""
    attempts, _ = _attempts(
        connection,
        f"""
        SELECT {_COLUMNS} FROM (SELECT *, snapshot_id, rowid FROM {LEDGER})
        WHERE run_id = {quote_literal(run_id)} AND status = 'failed'
        ORDER BY stopped_by = {quote_literal(UPSTREAM)}, snapshot_id, rowid LIMIT {PAGE}
        """,
        (),
    )
    return attempts


@dataclass(frozen=True)
class Outcome:
    """What became of the partitions of some runs.

    Attributes:
        good: How many partitions have no asset that failed in the end.
        failed: The others.
    """

    good: int
    failed: tuple[str, ...]


def outcome(connection: Connection, runs: Sequence[str]) -> Outcome:
    """What became of the partitions of some runs, by the last attempt at each of their assets.

    Args:
        connection: An open lake.
        runs: The runs.
    """
    row = connection.execute(
        f"""
        WITH last AS (
            SELECT asset, partition, arg_max(status, (snapshot_id, rowid)) AS status
            FROM (SELECT *, snapshot_id, rowid FROM {LEDGER})
            WHERE run_id IN {literal_list(runs)} GROUP BY ALL
        ), whole AS (
            SELECT partition, bool_or(status = 'failed') AS failed FROM last GROUP BY ALL
        )
        SELECT count(*) FILTER (NOT failed),
            coalesce(list(partition ORDER BY partition) FILTER (failed), [])
        FROM whole
        """
    ).fetchone()
    assert row is not None  # an aggregate has one row
    return Outcome(int(row[0]), tuple(str(each) for each in row[1]))


def _attempts(
    connection: Connection, query: str, watched: Collection[tuple[str, str]]
) -> tuple[list[Attempt], Position | None]:
    assets: Sequence[str] = [asset for asset, _ in watched]
    connection.register(
        _WATCHED,
        pa.table(
            {
                "asset": pa.array(assets, pa.string()),
                "partition": pa.array([partition for _, partition in watched], pa.string()),
            }
        ),
    )
    try:
        rows = connection.execute(query).fetchall()
    finally:
        connection.unregister(_WATCHED)
    attempts = [
        Attempt(
            **dict(zip(_FIELDS, row, strict=False)) | {"at": datetime.fromtimestamp(row[8], UTC)}
        )
        for row in rows
    ]
    return attempts, Position(rows[-1][9], rows[-1][10]) if rows else None
