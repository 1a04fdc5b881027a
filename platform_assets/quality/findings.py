"""Findings: what was odd about a partition, by how much, how sure that is, and what became of it.

Belongs here: the type and its book. Does not belong here: finding (``detectors``).

A finding is about one number of one partition. Judging the partition again finds it again, or says
that it is over; a person's word that it was fine (``accepted``) stays, and teaches: the partition
counts as history like any other, and values that are no farther off are expected from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from platform_assets.errors import PartitionError
from platform_assets.quality.policy import FindingSeverity
from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.snapshots import table_id
from platform_assets.warehouse.tables import FINDINGS, PLATFORM, was_filled


class Standing(StrEnum):
    """What became of a finding."""

    OPEN = "open"
    """As the last judgement of its partition found it."""
    ACCEPTED = "accepted"
    """A person said that it was fine."""
    OVER = "over"
    """A later judgement of its partition no longer found it."""


@dataclass(frozen=True)
class Finding:
    """One number that is not what its history makes expected.

    Attributes:
        dataset: The dataset.
        asset: The asset's key, such as ``cleaned/orders``.
        partition: The partition.
        run_id: The run that found it last.
        check_name: The check, one of ``policy.CHECKS``.
        column_name: What the number is of: a column, a rule, ``rows``.
        severity: How severe the dataset says that is.
        observed: The number.
        expected_low: The least that was expected.
        expected_high: The most.
        history: Partitions, or publishes, that it was learnt from.
        confidence: How sure: 1 less the probability that any number of the check is that far off by
            chance.
        message: All of it in a sentence.
        status: What became of it.
        reason: Why it was fine.
        author: Who said so.
        decided_at: When.
    """

    dataset: str
    asset: str
    partition: str
    run_id: str
    check_name: str
    column_name: str
    severity: FindingSeverity
    observed: float
    expected_low: float
    expected_high: float
    history: int
    confidence: float
    message: str
    status: Standing = Standing.OPEN
    reason: str = ""
    author: str = ""
    decided_at: datetime | None = None

    @property
    def finding_id(self) -> str:
        """Its identity: which number of which partition."""
        parts = (self.asset, self.partition, self.check_name, self.column_name)
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


_STORED = tuple(field.name for field in fields(Finding))


def standing(
    connection: Connection,
    asset: str,
    *,
    partitions: Sequence[str] | None = None,
    between: tuple[str, str] | None = None,
    statuses: Sequence[Standing] = (Standing.OPEN, Standing.ACCEPTED),
) -> list[Finding]:
    """Findings about an asset.

    Args:
        connection: An open lake.
        asset: The asset's key.
        partitions: Only about these; None: all.
        between: Only about partitions from the first to the second.
        statuses: Only those that stand there.
    """
    condition = f"asset = {quote_literal(asset)} AND status IN {literal_list(statuses)}"
    if partitions is not None:
        condition += f" AND {in_partitions(partitions, 'partition')}"
    if between is not None:
        first, last = map(quote_literal, between)
        condition += f" AND partition BETWEEN {first} AND {last}"
    return _fetch(connection, condition)


def find(
    connection: Connection,
    *,
    dataset: str | None = None,
    partition: str | None = None,
    check: str | None = None,
    run: str | None = None,
    statuses: Sequence[Standing] = (Standing.OPEN,),
) -> list[Finding]:
    """Findings, the newest partition first.

    Args:
        connection: An open lake.
        dataset: Only of this dataset.
        partition: Only of this partition.
        check: Only of this check.
        run: Only those that this run found.
        statuses: Only those that stand there.
    """
    told = {"dataset": dataset, "partition": partition, "check_name": check, "run_id": run}
    parts = [f"{name} = {quote_literal(value)}" for name, value in told.items() if value]
    return _fetch(connection, " AND ".join([f"status IN {literal_list(statuses)}", *parts]))


def _fetch(connection: Connection, condition: str) -> list[Finding]:
    if not was_filled(connection, "findings"):
        return []
    rows = connection.execute(
        f"SELECT {', '.join(_STORED)} FROM {FINDINGS} WHERE {condition} "
        "ORDER BY partition DESC, dataset, check_name, column_name"
    ).fetchall()
    return [_read(row) for row in rows]


def _read(row: tuple[Any, ...]) -> Finding:
    values = dict(zip(_STORED, row, strict=True))
    return Finding(**{**values, "status": Standing(values["status"])})


def record(
    connection: Connection,
    asset: str,
    partitions: Sequence[str],
    found: Sequence[Finding],
    known: Sequence[Finding],
) -> None:
    """Bring the findings about some partitions up to date, in the caller's transaction.

    Args:
        connection: An open lake, inside the transaction that the judgement is committed in.
        asset: The asset's key.
        partitions: The partitions that were judged.
        found: What was found.
        known: What was known about them before, from ``standing``.
    """
    judged = set(partitions)
    open_ids = {
        each.finding_id
        for each in known
        if each.partition in judged and each.status is Standing.OPEN
    }
    new_ids = {each.finding_id for each in found}
    over = open_ids - new_ids
    if over:
        connection.execute(
            f"UPDATE {FINDINGS} SET status = {quote_literal(Standing.OVER)} "
            f"WHERE asset = {quote_literal(asset)} AND finding_id IN {literal_list(sorted(over))}"
        )
    if not found:
        return
    # One that was over, or accepted while it was less far off, takes its place again.
    connection.execute(
        f"DELETE FROM {FINDINGS} WHERE asset = {quote_literal(asset)} "
        f"AND finding_id IN {literal_list(sorted(new_ids))}"
    )
    columns: dict[str, list[Any]] = {
        name: [getattr(each, name) for each in found] for name in _STORED
    }
    table = pa.table(
        {"finding_id": [each.finding_id for each in found], **columns},
        schema=pa.schema(
            [
                ("finding_id", pa.string()),
                *((name, _ARROW.get(name, pa.string())) for name in _STORED),
            ]
        ),
    )
    connection.register("_finding_rows", table)
    try:
        connection.execute(
            f"INSERT INTO {FINDINGS} BY NAME SELECT *, now() AS recorded_at FROM _finding_rows"
        )
    finally:
        connection.unregister("_finding_rows")


def restore(connection: Connection, asset: str, partition: str, snapshot: int) -> None:
    """Bring the findings about a partition to those of a snapshot, in the caller's transaction.

    Findings about the rows that were rolled away from are over; those about the rows that stand
    again are open again. What a person has accepted stays accepted.

    Args:
        connection: An open lake, inside a transaction that has not written to the findings.
        asset: The asset's key.
        partition: The partition's key.
        snapshot: That of the restored publish.
    """
    own = f"asset = {quote_literal(asset)} AND partition = {quote_literal(partition)}"
    then = []
    # A lake may be older than statistics.
    if table_id(connection, PLATFORM, "findings", snapshot) is not None:
        then = connection.execute(
            f"SELECT finding_id FROM {FINDINGS} AT (VERSION => {snapshot}) "
            f"WHERE {own} AND status = {quote_literal(Standing.OPEN)}"
        ).fetchall()
    ids = literal_list(str(each) for (each,) in then)
    for before, after, condition in (
        (Standing.OPEN, Standing.OVER, f"coalesce(finding_id NOT IN {ids}, true)"),
        (Standing.OVER, Standing.OPEN, f"finding_id IN {ids}"),
    ):
        connection.execute(
            f"UPDATE {FINDINGS} SET status = {quote_literal(after)} "
            f"WHERE {own} AND status = {quote_literal(before)} AND {condition}"
        )


_ARROW = {
    "observed": pa.float64(),
    "expected_low": pa.float64(),
    "expected_high": pa.float64(),
    "confidence": pa.float64(),
    "history": pa.int64(),
    "decided_at": pa.timestamp("us", tz="UTC"),
}


def accept(
    connection: Connection, finding_ids: Sequence[str], *, reason: str, author: str
) -> list[Finding]:
    """Say that what was found was fine: the partition is history like any other from now on.

    Args:
        connection: An open lake, outside of a transaction.
        finding_ids: The findings; the beginning of an id is enough.
        reason: Why it was fine.
        author: Who says so.

    Returns:
        The findings as they stand then; one that was accepted before keeps its reason.

    Raises:
        PartitionError: There is no such finding, several begin so, or reason or author is empty.
    """
    if not reason.strip() or not author.strip():
        raise PartitionError(
            "A finding is accepted with a reason and an author",
            where="checks accept",
            expected="a reason and an author",
            found="no reason" if not reason.strip() else "no author",
            fix="say what is missing",
        )

    def work(con: Connection) -> list[Finding]:
        chosen = [_chosen(con, each) for each in finding_ids]
        ids = literal_list(each.finding_id for each in chosen)
        con.execute(
            f"UPDATE {FINDINGS} SET status = ?, reason = ?, author = ?, decided_at = now() "
            f"WHERE finding_id IN {ids} AND status <> {quote_literal(Standing.ACCEPTED)}",
            [Standing.ACCEPTED, reason.strip(), author.strip()],
        )
        return _fetch(con, f"finding_id IN {ids}")

    return in_transaction(connection, work)


def _chosen(connection: Connection, beginning: str) -> Finding:
    found = _fetch(connection, f"starts_with(finding_id, {quote_literal(beginning)})")
    if len(found) != 1 or not beginning:
        raise PartitionError(
            "Several findings begin so" if found else "There is no such finding",
            where=f"finding {beginning!r}",
            expected="the id of one finding, or enough of its beginning",
            found=f"{len(found)} of them" if found else "none",
            fix="platform-assets checks list --json shows whole ids",
        )
    return found[0]
