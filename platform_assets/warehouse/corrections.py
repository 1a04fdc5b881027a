"""The corrections: what a person has written in place of a quarantined row's values.

Belongs here: the book of corrections, and where each stands. Does not belong here: reading the file
that they come from (``edited_rows``), and putting them over the raw rows (``pipeline.overlay``).

The raw table stays as it came. A correction names a raw row by its place and content, and holds the
columns that are other ones; whoever judges the row reads it with these. A row that is delivered
anew with other content is another row: the correction no longer holds, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.tables import CORRECTIONS, was_filled


class CorrectionStatus(StrEnum):
    """Where a correction stands."""

    STANDING = "standing"
    """Its row is read with it."""
    SUPERSEDED = "superseded"
    """The source no longer has the row as it was; it stands again if the row comes again."""
    REPLACED = "replaced"
    """A later correction of the row took its place."""
    WITHDRAWN = "withdrawn"
    """A person took it back."""


IN_FORCE = (CorrectionStatus.STANDING, CorrectionStatus.SUPERSEDED)
"""Corrections that are looked for among the raw rows."""


@dataclass(frozen=True)
class Correction:
    """A correction of a row: it may hold personal data.

    Attributes:
        status: Where it stands.
        corrected_row: The changed columns by the source's names; None: it was erased.
        reason: Why, in the author's words.
        author: Who wrote it.
        recorded_at: When.
    """

    status: CorrectionStatus
    corrected_row: Mapping[str, str | None] | None
    reason: str
    author: str
    recorded_at: datetime


def of_row(connection: Connection, quarantine_id: str) -> list[Correction]:
    """The corrections of a row, oldest first.

    Args:
        connection: An open lake.
        quarantine_id: The row's whole id.
    """
    if not any_recorded(connection):
        return []
    rows = connection.execute(
        "SELECT status, corrected_row, reason, author, recorded_at "
        f"FROM {CORRECTIONS} WHERE quarantine_id = ? ORDER BY recorded_at",
        [quarantine_id],
    ).fetchall()
    return [
        Correction(CorrectionStatus(status), row and json.loads(row), reason, author, at)
        for status, row, reason, author, at in rows
    ]


def any_recorded(connection: Connection) -> bool:
    """Whether a correction was ever committed; most lakes have none, which is seen at once."""
    return was_filled(connection, "corrections")


def in_force(dataset: str, partitions: Sequence[str] | None = None) -> str:
    """SQL that picks the corrections that are looked for among a dataset's raw rows.

    Args:
        dataset: The dataset.
        partitions: Only of rows in these; None: in all.
    """
    within = "" if partitions is None else f" AND {in_partitions(partitions, 'partition')}"
    return (
        f"dataset = {quote_literal(dataset)} AND status IN {literal_list(IN_FORCE)} "
        f"AND corrected_row IS NOT NULL{within}"
    )


def digests(connection: Connection, dataset: str, partitions: Sequence[str]) -> dict[str, str]:
    """What changes with the corrections that a partition's cleaned rows depend on.

    Args:
        connection: An open lake.
        dataset: The dataset.
        partitions: The partitions' keys.

    Returns:
        A text by partition; one without corrections is absent.
    """
    if not any_recorded(connection):
        return {}
    rows = connection.execute(
        "SELECT own, count(*), bit_xor(md5_number(correction_id)) FROM ("
        f"SELECT unnest(partitions) AS own, correction_id FROM {CORRECTIONS} "
        f"WHERE dataset = {quote_literal(dataset)} AND status IN {literal_list(IN_FORCE)}) "
        f"WHERE {in_partitions(partitions, 'own')} GROUP BY 1"
    ).fetchall()
    return {str(own): f"{count}-{digest:x}" for own, count, digest in rows}


def corrected_columns(
    connection: Connection,
    dataset: str,
    partitions: Sequence[str] | None = None,
    *,
    written: bool = False,
) -> list[str]:
    """The columns that corrections in force change, by the source's names; empty: there are none.

    Args:
        connection: An open lake.
        dataset: The dataset.
        partitions: Only of rows in these; None: in all.
        written: Whether the open transaction has written some, which may be the first ones.
    """
    if not written and not any_recorded(connection):
        return []
    rows = connection.execute(
        f"SELECT DISTINCT unnest(json_keys(corrected_row)) AS name FROM {CORRECTIONS} "
        f"WHERE {in_force(dataset, partitions)} ORDER BY name"
    ).fetchall()
    return [str(name) for (name,) in rows]


def corrected_partitions(
    connection: Connection, dataset: str, partitions: Sequence[str] | None = None
) -> list[str]:
    """The partitions in which rows with a correction in force are.

    Args:
        connection: An open lake.
        dataset: The dataset.
        partitions: Only these; None: all.
    """
    rows = connection.execute(
        f"SELECT DISTINCT partition FROM {CORRECTIONS} WHERE {in_force(dataset, partitions)}"
    ).fetchall()
    return sorted(str(key) for (key,) in rows)


def settle(
    connection: Connection, dataset: str, partitions: Sequence[str] | None, found: str
) -> None:
    """Note which corrections hold, in the caller's transaction.

    Args:
        connection: An open lake, inside a transaction.
        dataset: The dataset.
        partitions: The partitions whose rows were looked through; None: all.
        found: A temporary table with the ``quarantine_id`` of those whose row is there.
    """
    now = (
        f"CASE WHEN quarantine_id IN (SELECT quarantine_id FROM {found}) "
        f"THEN {quote_literal(CorrectionStatus.STANDING)} "
        f"ELSE {quote_literal(CorrectionStatus.SUPERSEDED)} END"
    )
    moved = f"{in_force(dataset, partitions)} AND status <> {now}"
    # Nearly always nothing has moved, and then nothing is written.
    if connection.execute(f"SELECT 1 FROM {CORRECTIONS} WHERE {moved} LIMIT 1").fetchone():
        connection.execute(f"UPDATE {CORRECTIONS} SET status = {now} WHERE {moved}")


def leave(connection: Connection, picked: str, status: CorrectionStatus) -> None:
    """Take corrections out of force, in the caller's transaction.

    Args:
        connection: An open lake, inside a transaction.
        picked: SQL that picks them among those in force.
        status: Where they stand from now on.
    """
    connection.execute(
        f"UPDATE {CORRECTIONS} SET status = {quote_literal(status)} "
        f"WHERE status IN {literal_list(IN_FORCE)} AND ({picked})"
    )
