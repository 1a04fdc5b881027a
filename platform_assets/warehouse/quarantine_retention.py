"""How long the content of closed rows is kept: what is older is erased, and what is known stays.

Belongs here: counting and erasing what is over a dataset's age. Does not belong here: which age
that is (``dataset``), and when it is asked for (``cli``, ``assets``).

Of a row that is released or resolved, the original row and its key are erased, and the corrections
of it that are no longer in force. Its identity, place, rules, counts, status and the book of its
actions stay: partitions add up as before, and a resolved row that is judged again is the same row,
and stays out. A row that is open or blocked is never erased, however old it is: nobody has decided
about it. Nor is a correction that is in force: without it, its row would be rejected again.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse.corrections import IN_FORCE, any_recorded
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.quarantine import ACTIVE, RowStatus
from platform_assets.warehouse.quarantine_work import record
from platform_assets.warehouse.tables import CORRECTIONS, QUARANTINE

CLOSED = (RowStatus.RELEASED, RowStatus.RESOLVED)
AUTHOR = "retention"


@dataclass(frozen=True)
class Expired:
    """What of a dataset is over its age.

    Attributes:
        rows: Closed rows whose content is erased, or would be.
        corrections: Corrections, no longer in force, whose content is.
        waiting: Rows as old that are open or blocked, and so are kept whole.
    """

    rows: int
    corrections: int
    waiting: int


def expire(
    connection: Connection, ages: Mapping[str, timedelta], *, dry_run: bool = False
) -> dict[str, Expired]:
    """Erase the content of closed rows that were first seen too long ago.

    Args:
        connection: An open lake, outside of a transaction.
        ages: The age of each dataset that has one.
        dry_run: Whether to count only.

    Returns:
        What was found, by dataset.
    """

    def work(con: Connection) -> dict[str, Expired]:
        return {name: _expire(con, name, age, dry_run=dry_run) for name, age in ages.items()}

    return in_transaction(connection, work)


def _expire(connection: Connection, dataset: str, age: timedelta, *, dry_run: bool) -> Expired:
    # Of a table that never had a row, the catalog takes long to find that out.
    if connection.execute(f"SELECT 1 FROM {QUARANTINE} LIMIT 1").fetchone() is None:
        return Expired(0, 0, 0)
    old = (
        f"dataset = {quote_literal(dataset)} "
        f"AND first_seen < now() - to_seconds({age.total_seconds()})"
    )
    closed = f"{old} AND {_status_in(CLOSED)}"
    over = f"{closed} AND (original_row IS NOT NULL OR row_key IS NOT NULL)"
    left = (
        f"dataset = {quote_literal(dataset)} AND corrected_row IS NOT NULL "
        f"AND status NOT IN {literal_list(IN_FORCE)} "
        f"AND quarantine_id IN (SELECT quarantine_id FROM {QUARANTINE} WHERE {closed})"
    )
    corrected = any_recorded(connection)
    found = Expired(
        rows=_count(connection, f"{QUARANTINE} WHERE {over}"),
        corrections=_count(connection, f"{CORRECTIONS} WHERE {left}") if corrected else 0,
        waiting=_count(connection, f"{QUARANTINE} WHERE {old} AND {_status_in(ACTIVE)}"),
    )
    if not dry_run and found.corrections:
        connection.execute(f"UPDATE {CORRECTIONS} SET corrected_row = NULL WHERE {left}")
    if not dry_run and found.rows:
        reason = f"closed, and first seen more than {_told(age)} ago"
        record(connection, over, "expire", uuid.uuid4().hex, reason, AUTHOR)
        connection.execute(
            f"UPDATE {QUARANTINE} SET original_row = NULL, row_key = NULL WHERE {over}"
        )
    return found


def _status_in(statuses: Sequence[RowStatus]) -> str:
    return f"status IN {literal_list(statuses)}"


def _told(age: timedelta) -> str:
    return f"{age.days} days" if age >= timedelta(days=1) else str(age)


def _count(connection: Connection, relation: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(row[0]) if row else 0
