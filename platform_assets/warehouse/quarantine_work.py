"""What a person does with quarantined rows: picks some, looks at them, resolves or replays them.

Belongs here: picking rows, what is done with them, and the book of it. Does not belong here: how
rows get into the quarantine and out of it (``quarantine``), and masking what is shown (``cli``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from platform_assets.errors import PartitionError
from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.quarantine import ACTIVE, RowStatus
from platform_assets.warehouse.tables import QUARANTINE, QUARANTINE_ACTIONS

_COLUMNS = (
    "quarantine_id", "dataset", "partition", "status", "rules", "source_file", "row_number",
    "row_key", "run_id", "contract_version", "first_seen", "attempts", "original_row",
)  # fmt: skip


@dataclass(frozen=True)
class Picked:
    """Which rows of the quarantine; what is left out picks all.

    Attributes:
        ids: These; the beginning of an id is enough.
        dataset: Of this dataset.
        partition: Of this partition.
        rule: That break this rule.
        run: That this run judged last.
        older_than: That were first seen longer ago.
        statuses: That stand there.
    """

    ids: Sequence[str] = ()
    dataset: str | None = None
    partition: str | None = None
    rule: str | None = None
    run: str | None = None
    older_than: timedelta | None = None
    statuses: Sequence[RowStatus] = ACTIVE

    @property
    def is_everything(self) -> bool:
        """Whether nothing was said that would leave a row out."""
        return self == Picked(statuses=self.statuses)

    @property
    def condition(self) -> str:
        """SQL over the quarantine."""
        parts = [f"status IN {literal_list(self.statuses)}"]
        if self.ids:
            begins = (f"starts_with(quarantine_id, {quote_literal(each)})" for each in self.ids)
            parts.append(f"({' OR '.join(begins)})")
        for column, value in (
            ("dataset", self.dataset),
            ("partition", self.partition),
            ("run_id", self.run),
        ):
            if value is not None:
                parts.append(f"{column} = {quote_literal(value)}")
        if self.rule is not None:
            parts.append(f"list_contains(rules, {quote_literal(self.rule)})")
        if self.older_than is not None:
            seconds = self.older_than.total_seconds()
            parts.append(f"first_seen < now() - to_seconds({seconds})")
        return " AND ".join(parts)


@dataclass(frozen=True)
class QuarantinedRow:
    """A row of the quarantine, whole: it may hold personal data.

    Attributes:
        quarantine_id: Its identity: dataset, place and content.
        dataset: Of which dataset.
        partition: Of which partition.
        status: Where it stands.
        rules: What it broke.
        source_file: Where it came from.
        row_number: Its number there, from 1.
        row_key: Its key as text.
        run_id: The run that judged it last.
        contract_version: The contract that it broke.
        first_seen: When it was rejected first.
        attempts: How often it was judged.
        original_row: As it came, by the source's names; None: it was erased.
    """

    quarantine_id: str
    dataset: str
    partition: str
    status: RowStatus
    rules: tuple[str, ...]
    source_file: str
    row_number: int
    row_key: str | None
    run_id: str
    contract_version: str
    first_seen: datetime
    attempts: int
    original_row: Mapping[str, Any] | None


@dataclass(frozen=True)
class Action:
    """What was done with a row.

    Attributes:
        action: ``resolve``, ``replay``, ``correct``, ``withdraw`` or ``expire``.
        before: Where the row stood.
        reason: Why, in the author's words.
        author: Who did it.
        recorded_at: When.
    """

    action: str
    before: str
    reason: str
    author: str
    recorded_at: datetime


def find(connection: Connection, picked: Picked, limit: int | None = None) -> list[QuarantinedRow]:
    """Rows of the quarantine, newest partition first.

    Args:
        connection: An open lake.
        picked: Which ones.
        limit: Rows at the most; None: all.
    """
    rows = connection.execute(_found(picked) + ("" if limit is None else f" LIMIT {limit}"))
    return [_row(each) for each in rows.fetchall()]


def count(connection: Connection, picked: Picked) -> dict[tuple[str, str], int]:
    """How many rows are picked, by dataset and partition.

    Args:
        connection: An open lake.
        picked: Which ones.
    """
    counted = connection.execute(
        f"SELECT dataset, partition, count(*) FROM {QUARANTINE} WHERE {picked.condition} "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return {(str(dataset), str(key)): int(rows) for dataset, key, rows in counted}


def columns_of(connection: Connection, picked: Picked) -> list[str]:
    """The source's columns that picked rows have, by name."""
    rows = connection.execute(
        "SELECT DISTINCT unnest(json_keys(original_row)) AS name "
        f"FROM {QUARANTINE} WHERE {picked.condition} ORDER BY name"
    ).fetchall()
    return [str(name) for (name,) in rows]


def _found(picked: Picked) -> str:
    return (
        f"SELECT {', '.join(_COLUMNS)} FROM {QUARANTINE} WHERE {picked.condition} "
        "ORDER BY partition DESC, dataset, source_file, row_number"
    )


def _row(row: tuple[Any, ...]) -> QuarantinedRow:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["status"] = RowStatus(values["status"])
    values["rules"] = tuple(values["rules"])
    values["original_row"] = values["original_row"] and json.loads(values["original_row"])
    return QuarantinedRow(**values)


def actions(connection: Connection, quarantine_id: str) -> list[Action]:
    """What was done with a row, oldest first."""
    rows = connection.execute(
        "SELECT action, before, reason, author, recorded_at "
        f"FROM {QUARANTINE_ACTIONS} WHERE quarantine_id = ? ORDER BY snapshot_id, rowid",
        [quarantine_id],
    ).fetchall()
    return [Action(*row) for row in rows]


def resolve(
    connection: Connection, picked: Picked, *, reason: str, author: str
) -> dict[tuple[str, str], int]:
    """Close rows: they stay out of their partitions, and are no longer to be looked at.

    They no longer count towards the share of bad rows that stops a partition, so that one that
    was stopped is published by its next run.

    Args:
        connection: An open lake, outside of a transaction.
        picked: Which rows; those that are closed already are left alone.
        reason: Why.
        author: Who says so.

    Returns:
        How many, by dataset and partition.

    Raises:
        PartitionError: The reason or the author is empty, or nothing was said of which rows.
    """
    examine(picked, reason, author)

    def work(con: Connection) -> dict[tuple[str, str], int]:
        counted = count(con, picked)
        record(con, picked.condition, "resolve", uuid.uuid4().hex, reason, author)
        con.execute(
            f"UPDATE {QUARANTINE} SET status = {quote_literal(RowStatus.RESOLVED)} "
            f"WHERE {picked.condition}"
        )
        return counted

    return in_transaction(connection, work)


@dataclass(frozen=True)
class Replay:
    """Rows that are about to be judged again.

    Attributes:
        action_id: Its name in the book.
        rows: How many, by dataset and partition.
        also: Further partitions whose rows may become other ones, by dataset.
        forced: Whether to judge them also where nothing says that anything has changed.
    """

    action_id: str
    rows: Mapping[tuple[str, str], int]
    also: Mapping[str, Sequence[str]] = field(default_factory=dict)
    forced: bool = True

    @property
    def partitions(self) -> dict[str, list[str]]:
        """The partitions that have to be judged, by dataset."""
        found: dict[str, list[str]] = {}
        for dataset, partition in self.rows:
            found.setdefault(dataset, []).append(partition)
        return {name: sorted({*found[name], *self.also.get(name, ())}) for name in sorted(found)}


def begin_replay(connection: Connection, picked: Picked, *, reason: str, author: str) -> Replay:
    """Count an attempt for each row, and write down who asked for it, before it is made.

    Args:
        connection: An open lake, outside of a transaction.
        picked: Which rows.
        reason: Why they may pass now.
        author: Who says so.

    Returns:
        What has to be judged: whole partitions, since another row may stand for one of these.

    Raises:
        PartitionError: The reason or the author is empty, or nothing was said of which rows.
    """
    examine(picked, reason, author)
    action_id = uuid.uuid4().hex

    def work(con: Connection) -> Replay:
        counted = count(con, picked)
        record(con, picked.condition, "replay", action_id, reason, author)
        con.execute(f"UPDATE {QUARANTINE} SET attempts = attempts + 1 WHERE {picked.condition}")
        return Replay(action_id, counted)

    return in_transaction(connection, work)


def outcome(connection: Connection, replay: Replay) -> dict[RowStatus, int]:
    """Where the rows of a replay stand now.

    Args:
        connection: An open lake.
        replay: From ``begin_replay``.
    """
    rows = connection.execute(
        f"SELECT status, count(*) FROM {QUARANTINE} WHERE quarantine_id IN "
        f"(SELECT quarantine_id FROM {QUARANTINE_ACTIONS} "
        f"WHERE action_id = {quote_literal(replay.action_id)}) GROUP BY 1"
    ).fetchall()
    return {RowStatus(status): int(count) for status, count in rows}


def examine(picked: Picked, reason: str, author: str) -> None:
    """Refuse work on the quarantine without a reason, an author, or a word on which rows.

    Raises:
        PartitionError: One of them is missing.
    """
    if not reason.strip() or not author.strip() or picked.is_everything:
        missing = "rows" if picked.is_everything else "reason" if not reason.strip() else "author"
        raise PartitionError(
            "The quarantine is worked on with a reason and an author, and never all of it at once",
            where="quarantine",
            expected="which rows (ids, dataset, partition, rule, run or age), a reason, an author",
            found=f"no {missing}",
            fix="say what is missing",
        )


def record(
    connection: Connection, picked: str, action: str, action_id: str, reason: str, author: str
) -> None:
    """Write down what is done with rows, in the caller's transaction and before it is done.

    Args:
        connection: An open lake, inside a transaction.
        picked: SQL that picks the rows of the quarantine.
        action: What is done.
        action_id: Its name in the book.
        reason: Why.
        author: Who says so.
    """
    connection.execute(
        f"INSERT INTO {QUARANTINE_ACTIONS} SELECT ?, quarantine_id, dataset, partition, ?, status, "
        f"?, ?, now() FROM {QUARANTINE} WHERE {picked}",
        [action_id, action, reason.strip(), author.strip()],
    )
