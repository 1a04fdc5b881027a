"""Postgres's change log, read from a logical replication slot by plain queries.

Belongs here: one visit to a slot, the first snapshot, and the cursor. Does not belong here: whether
the slot can be read (``postgres_slot``), and what a line of the log says (``decoding``).

A load peeks at the slot, keeps what it finds with the cursor in one commit, and only then lets the
slot move on. Killed in between, the next load sees the same changes again and leaves them out.

The first load reads the table itself, in a transaction whose snapshot is noted. Of the changes in
the slot, those that this snapshot had seen already are left out, by the transactions' own numbers:
a position alone cannot tell, as a transaction writes its commit before others see it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

import duckdb

from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sources.base import Access
from platform_assets.sources.change_source import ChangeRequest, Control, Ended
from platform_assets.sources.connections import Database
from platform_assets.sources.decoding import CHANGES, Decoding
from platform_assets.sources.dialects import Dialect
from platform_assets.sources.postgres_slot import (
    LoggedTable,
    Slot,
    lsn,
)
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal

# A slot of a database in which nothing happens moves on by this much of the server's log.
_IDLE_BYTES = 16_777_216
_PEEKED, _SNAPSHOT = "_log_peeked", "_log_snapshot"
TEMPORARY = (_PEEKED, _SNAPSHOT)
_OPTIONS = "'include-xids', '1', 'include-timestamp', '1'"


@dataclass(frozen=True)
class LogCursor:
    """How far the log was read.

    Attributes:
        lsn: The end of the last transaction that was read.
        snapshot: What the first reading of the table had seen; empty once it does not matter.
        until: Up to where it matters.
    """

    lsn: int
    snapshot: str = ""
    until: int = 0

    @classmethod
    def parse(cls, text: str) -> LogCursor:
        """Read it as ``text`` has written it."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """How it is kept."""
        told = {name: value for name, value in vars(self).items() if value}
        return json.dumps({"lsn": self.lsn, **told}, separators=(",", ":"))

    def at(self, lsn: int) -> LogCursor:
        """It, moved on."""
        moved = replace(self, lsn=max(self.lsn, lsn))
        return moved if moved.lsn < self.until else LogCursor(moved.lsn)


class LogSource(Protocol):
    """What is read."""

    @property
    def table(self) -> str:
        """The table's name."""
        ...

    @property
    def slot(self) -> str:
        """The slot's name."""
        ...

    @property
    def max_changes(self) -> int:
        """Changes to read in one load."""
        ...


@dataclass
class LogReading:
    """One visit to the slot."""

    source: LogSource
    access: Access
    request: ChangeRequest
    dialect: Dialect
    database: Database
    nullable: dict[str, bool | None]
    table: LoggedTable
    slot: Slot
    counted: int = 0
    left_out: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def engine(self) -> duckdb.DuckDBPyConnection:
        """The engine that reads."""
        return self.access.engine

    @property
    def columns(self) -> dict[str, str]:
        """The table's columns, each as it is and as the log writes it."""
        return self.table.columns

    @property
    def file(self) -> str:
        """What the rows tell as the place that they came from."""
        return f"postgres:{self.source.table}"

    def placed(self, rows: str, columns: list[str]) -> str:
        """Rows of the log or the table with their partition and where they came from."""
        partition = self.request.partition_sql({}, "_changed_at")
        listed = ", ".join(q(name) for name in columns)
        return (
            f"SELECT {listed}, {partition} AS {PARTITION_COLUMN}, {quote_literal(self.file)} "
            f"AS {FILE_COLUMN}, _op, _position, _changed_at, _place FROM ({rows})"
        )

    def snapshot(self) -> str:
        """The table's rows as they are now, noted with what this snapshot sees."""
        told = self._one(
            "SELECT pg_current_snapshot()::text AS snapshot, "
            "(now() AT TIME ZONE 'UTC')::text AS moment"
        )
        self.engine.execute(
            f"CREATE OR REPLACE TEMP TABLE {_SNAPSHOT} AS SELECT * FROM (VALUES "
            f"({quote_literal(told[0])})) AS t(snapshot)"
        )
        texts = ", ".join(f"{self.dialect.quote(n)}::text AS {q(n)}" for n in self.columns)
        rows = self.dialect.query(f"SELECT {texts} FROM {self.dialect.table(self.source.table)}")
        # Every change that is still to come in the slot was written after its oldest position.
        return self.placed(
            f"SELECT *, 'r' AS _op, CAST({self.slot.restart} AS BIGINT) AS _position, "
            f"TIMESTAMP {quote_literal(told[1])} AS _changed_at, 0 AS _place FROM {rows}",
            list(self.columns),
        )

    def snapshot_ended(self, stage: str) -> Ended:
        """What is known when the table's rows are staged."""
        counted = self._one(
            f"SELECT count(*)::text AS c FROM {self.dialect.table(self.source.table)}"
        )[0]
        seen = self.engine.execute(f"FROM {_SNAPSHOT}").fetchone()
        arrived = self.engine.execute(f"SELECT count(*) FROM {stage}").fetchone()
        assert seen is not None  # it was noted before the rows were read
        assert arrived is not None  # a count has one row
        # Asked after the snapshot was taken: what it sees was written before.
        until = int(self._one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint::text AS l")[0])
        cursor = LogCursor(self.slot.confirmed, str(seen[0]), until)
        return Ended(cursor.text(), (Control("rows", counted, str(arrived[0])),))

    @property
    def _own(self) -> str:
        return _own(self.table.written)

    def has_changes(self) -> bool:
        """Whether the slot's next changes have some of the table."""
        slot = quote_literal(self.source.slot)
        return self._one(
            f"SELECT count(*)::text AS c FROM pg_logical_slot_peek_changes({slot}, NULL, "
            f"{self.source.max_changes}, {_OPTIONS}) "
            f"WHERE {self._own}"
        ) != ("0",)

    def peek(self, cursor: LogCursor) -> LogCursor:
        """Fetch the next changes of the table; gives where they end."""
        seen = "false"
        if cursor.snapshot:
            snapshot = f"{quote_literal(cursor.snapshot)}::pg_snapshot"
            newest = f"pg_snapshot_xmax({snapshot})::text::bigint"
            # The log tells a transaction's number without its epoch.
            number = f"(({newest} >> 32) << 32) + xid::text::bigint"
            number = (
                f"{number} - CASE WHEN {number} > {newest} + 2147483648 THEN 4294967296 ELSE 0 END"
            )
            seen = f"pg_visible_in_snapshot(({number})::text::xid8, {snapshot})"
        own, options, slot = self._own, _OPTIONS, quote_literal(self.source.slot)
        self.engine.execute(
            f"CREATE OR REPLACE TEMP TABLE {_PEEKED} AS FROM "
            + self.dialect.query(
                f"SELECT (lsn - '0/0')::bigint AS lsn, xid::text::bigint AS xid, {seen} AS seen, "
                f"data FROM pg_logical_slot_peek_changes({slot}, NULL, {self.source.max_changes}, "
                f"{options}) WHERE {own} OR starts_with(data, 'COMMIT ')"
            )
        )
        ended = self.engine.execute(
            f"SELECT max(lsn), count(*) FROM {_PEEKED} WHERE starts_with(data, 'COMMIT ')"
        ).fetchone()
        assert ended is not None  # an aggregate has one row
        if ended[0] is not None:
            written = lsn(int(ended[0]))
            self.counted = int(
                self._one(
                    f"SELECT count(*)::text AS c FROM pg_logical_slot_peek_changes({slot}, "
                    f"'{written}', NULL, {options}) WHERE {own}"
                )[0]
            )
        self._sift(cursor)
        if ended[0] is not None and int(ended[0]) > cursor.lsn:
            return cursor.at(int(ended[0]))
        idle = self.slot.written - cursor.lsn > _IDLE_BYTES
        return cursor.at(self.slot.written) if idle else cursor

    def _sift(self, cursor: LogCursor) -> None:
        """The table's own changes, of transactions that were not read before."""
        name = self.table.written
        truncated = f"^table ([^']*, )?{re.escape(name)}(, [^']*)?: TRUNCATE: "
        at = r"\(at ([0-9-]+ [0-9:.]+)[+]00\)$"
        self.engine.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE {CHANGES} AS
            SELECT row_number() OVER (ORDER BY c.rowid) AS place, c.lsn, c.data, t.moment
            FROM {_PEEKED} AS c JOIN (
                SELECT xid, lsn, CAST(regexp_extract(data, '{at}', 1) AS TIMESTAMP) AS moment
                FROM {_PEEKED} WHERE starts_with(data, 'COMMIT ')) AS t ON t.xid = c.xid
            WHERE NOT starts_with(c.data, 'COMMIT ') AND t.lsn > {cursor.lsn}
              AND NOT (c.seen AND t.lsn <= {cursor.until})
              AND (starts_with(c.data, {quote_literal(f"table {name}: ")})
                   OR regexp_matches(c.data, {quote_literal(truncated)}))
            """
        )
        found = self.engine.execute(
            f"SELECT (SELECT count(*) FROM {_PEEKED} WHERE NOT starts_with(data, 'COMMIT ')) "
            f"- (SELECT count(*) FROM {CHANGES})"
        ).fetchone()
        assert found is not None  # it has one row
        self.left_out = int(found[0])

    def changes_ended(self, stage: str, decoding: Decoding, after: LogCursor) -> Ended:
        """What is known when the changes are staged."""
        row = self.engine.execute(f"SELECT count(*) FROM {stage}").fetchone()
        assert row is not None  # a count has one row
        arrived = int(row[0]) - decoding.extra_rows + self.left_out
        control = Control("changes", str(self.counted), str(arrived))
        return Ended(after.text(), (control,), tuple(self.notes))

    def _one(self, query: str) -> tuple[str, ...]:
        row = self.engine.execute(f"FROM {self.dialect.query(query)}").fetchone()
        assert row is not None  # each of these queries gives a row
        return row


def _own(written: str) -> str:
    """Postgres's SQL that picks the lines that may be of a table."""
    own = f"starts_with(data, {quote_literal(f'table {written}: ')})"
    return f"({own} OR data LIKE 'table %: TRUNCATE: %')"


def oldest_change(
    engine: duckdb.DuckDBPyConnection, dialect: Dialect, source: LogSource, written: str, after: int
) -> datetime | None:
    """When the oldest change of a table that its slot holds was committed (UTC); None: none.

    Args:
        engine: The engine.
        dialect: Of the database.
        source: What is read.
        written: The table's name as the log writes it.
        after: The end of the last transaction that was read.
    """
    row = engine.execute(
        "FROM "
        + dialect.query(
            "WITH peeked AS MATERIALIZED (SELECT xid::text AS xid, lsn, data FROM "
            f"pg_logical_slot_peek_changes({quote_literal(source.slot)}, NULL, "
            f"{source.max_changes}, {_OPTIONS}) "
            f"WHERE {_own(written)} OR starts_with(data, 'COMMIT ')) "
            "SELECT min(substring(data from '[(]at ([0-9-]+ [0-9:.]+)[+]00[)]$')) AS moment "
            "FROM peeked WHERE starts_with(data, 'COMMIT ') "
            f"AND (lsn - '0/0')::bigint > {after} "
            "AND xid IN (SELECT xid FROM peeked WHERE NOT starts_with(data, 'COMMIT '))"
        )
    ).fetchone()
    assert row is not None  # an aggregate has one row
    return None if row[0] is None else datetime.fromisoformat(row[0]).replace(tzinfo=UTC)
