"""A table of Postgres by its change log.

Belongs here: the source that a dataset declares. Does not belong here: how the log is read
(``postgres_log``), and what is wrong with a slot (``postgres_slot``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import duckdb

from platform_assets.errors import ContractError, SourceError
from platform_assets.sources.base import TEXT, Access, SourceColumn
from platform_assets.sources.change_source import ChangeRequest, Changes, Lag
from platform_assets.sources.connections import Database
from platform_assets.sources.decoding import Decoding
from platform_assets.sources.dialects import Dialect, attached, describe
from platform_assets.sources.postgres_log import TEMPORARY, LogCursor, LogReading, oldest_change
from platform_assets.sources.postgres_slot import look_at_slot, look_at_table, lsn
from platform_assets.sql import quote_literal

DEFAULT_MAX_CHANGES = 500_000
# How the log writes values must depend on no setting of the server or the role.
_SETTINGS = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex "
_SETTINGS += "-c extra_float_digits=1"
# What Postgres says of a slot that is in use.
_TAKEN = "is active for PID"


@dataclass(frozen=True)
class PostgresChanges:
    """The changes of a table of Postgres, deletes included, from a logical replication slot.

    Columns are text, as the database prints them. A slot is of one dataset.

    Attributes:
        table: The table's name, ``schema.table`` where it is not in the usual schema.
        slot: The slot's name; its plugin is ``test_decoding``.
        connection: Name of the connection, which leads to a database.
        max_changes: Changes to read in one load, of all tables; the transaction that goes beyond
            is read to its end.

    Raises:
        ContractError: No change could ever be read.
    """

    table: str
    slot: str
    connection: str = "database"
    max_changes: int = DEFAULT_MAX_CHANGES

    def __post_init__(self) -> None:
        """Refuse what would never read anything."""
        if self.max_changes < 1:
            raise ContractError(
                "A load would read no change",
                where=self._reader,
                expected="max_changes of 1 or more",
                found=str(self.max_changes),
                fix=f"leave it out: {DEFAULT_MAX_CHANGES:,} is the default",
            )

    @property
    def kind(self) -> str:
        """What it reads."""
        return "postgres"

    @property
    def needs_key(self) -> bool:
        """A change is of a row."""
        return True

    @property
    def _reader(self) -> str:
        return f"PostgresChanges(table={self.table!r}, slot={self.slot!r})"

    def schema(self, access: Access) -> tuple[SourceColumn, ...]:
        """The columns as the database declares them.

        Args:
            access: What to read through.

        Raises:
            SourceError: The database does not answer, or there is no such table.
        """
        with self._attached(access) as dialect:
            columns = describe(
                access.engine, dialect, self._database(access), self.table, self._reader
            )
        return tuple(SourceColumn(c.name, TEXT, c.nullable) for c in columns)

    @contextmanager
    def reading(self, access: Access, request: ChangeRequest) -> Iterator[Changes]:
        """The table as it is, the first time; then what the slot holds.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The database does not answer, the slot is not there or another's, or the
                log does not tell enough.
        """
        with self._attached(access) as dialect:
            try:
                reading = self._visit(access, request, dialect)
                if request.cursor is None:
                    yield self._snapshot(reading)
                else:
                    cursor = LogCursor.parse(request.cursor)
                    self._examine_gap(reading, cursor)
                    yield self._changes(reading, cursor)
            finally:
                for name in TEMPORARY:
                    access.engine.execute(f"DROP TABLE IF EXISTS {name}")
                Decoding(access.engine, "", "", {}, (), None).drop()

    def touched(self, access: Access, request: ChangeRequest) -> frozenset[str]:
        """The newest partition where the slot holds changes: any one's load reads them all.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The database does not answer, or the slot cannot be read.
        """
        if request.cursor is None:
            return frozenset()
        with self._attached(access) as dialect:
            reading = self._visit(access, request, dialect)
            try:
                new = reading.has_changes()
            except duckdb.Error as error:
                self._explain(error)
                raise
        return frozenset([max(request.loaded)] if new else [])

    def lag(self, access: Access, cursor: str) -> Lag:
        """Bytes of the server's log that the slot keeps, and of when its oldest change is.

        Args:
            access: What to read through.
            cursor: Where the last load ended.

        Raises:
            SourceError: The database does not answer, or the slot cannot be read.
        """
        engine, after = access.engine, LogCursor.parse(cursor).lsn
        with self._attached(access) as dialect:
            slot = look_at_slot(engine, dialect, self.slot, self._reader)
            table = look_at_table(engine, dialect, self.table, (), self._reader)
            try:
                oldest = oldest_change(engine, dialect, self, table.written, after)
            except duckdb.Error as error:
                self._explain(error)
                raise
        return Lag(oldest, max(0, slot.written - slot.confirmed))

    def _snapshot(self, reading: LogReading) -> Changes:
        return Changes(
            columns=tuple(
                SourceColumn(name, TEXT, reading.nullable[name]) for name in reading.columns
            ),
            read=reading.snapshot,
            ended=reading.snapshot_ended,
            order="_position",
        )

    def _changes(self, reading: LogReading, cursor: LogCursor) -> Changes:
        try:
            after = reading.peek(cursor)
        except duckdb.Error as error:
            self._explain(error)
            raise
        request = reading.request
        names = {name.lower(): name for name in reading.columns}
        decoding = Decoding(
            engine=reading.engine,
            reader=self._reader,
            table=reading.table.written,
            columns=reading.columns,
            key=tuple(names[name.lower()] for name in request.key),
            held=request.held,
        )
        decoding.decode()
        columns = list(decoding.columns)
        return Changes(
            columns=tuple(SourceColumn(name, TEXT, reading.nullable.get(name)) for name in columns),
            read=lambda: reading.placed(decoding.select(columns), columns),
            ended=lambda stage: reading.changes_ended(stage, decoding, after),
            acknowledge=lambda: self._advance(reading.access, after),
            order="_position, _place",
        )

    def _advance(self, access: Access, cursor: LogCursor) -> None:
        """Let the slot forget what is kept; a slot that is there already stays."""
        slot, kept = quote_literal(self.slot), lsn(cursor.lsn)
        with self._attached(access) as dialect:
            try:
                access.engine.execute(
                    "FROM "
                    + dialect.query(
                        f"SELECT pg_replication_slot_advance(slot_name, '{kept}')::text AS moved "
                        f"FROM pg_replication_slots WHERE slot_name = {slot} "
                        f"AND confirmed_flush_lsn < '{kept}'"
                    )
                ).fetchall()
            except duckdb.Error as error:
                self._explain(error)
                raise

    def _visit(self, access: Access, request: ChangeRequest, dialect: Dialect) -> LogReading:
        engine, database = access.engine, self._database(access)
        slot = look_at_slot(engine, dialect, self.slot, self._reader)
        described = describe(engine, dialect, database, self.table, self._reader)
        nullable = {each.name: each.nullable for each in described}
        there = {name.lower() for name in nullable}
        missing = [n for n in request.found_by if n.lower() not in there]
        if missing:
            raise SourceError(
                "A table lacks columns: " + ", ".join(dict.fromkeys(missing)),
                where=f"dataset {request.dataset}, {self._reader}",
                expected="the key, and the column that tells a row's day",
                found=", ".join(nullable),
                fix="correct the contract (source=… where only the name differs)",
            )
        table = look_at_table(engine, dialect, self.table, request.key, self._reader)
        return LogReading(self, access, request, dialect, database, dict(nullable), table, slot)

    def _examine_gap(self, reading: LogReading, cursor: LogCursor) -> None:
        """Refuse to go on where changes are missing in between."""
        if reading.slot.confirmed > cursor.lsn:
            raise SourceError(
                "The slot has moved beyond what was loaded: the changes in between are gone",
                where=self._reader,
                expected=f"a slot that stands at {lsn(cursor.lsn)} or before",
                found=lsn(reading.slot.confirmed),
                fix="see who else reads the slot or has made it anew; then load the dataset from "
                "anew, under another name or after dropping its raw and cleaned tables and its "
                "cursor",
            )

    def _attached(self, access: Access) -> AbstractContextManager[Dialect]:
        return attached(access.engine, self._database(access), self.connection, _SETTINGS)

    def _database(self, access: Access) -> Database:
        found = access.connection(
            self.connection,
            Database,
            reader=self._reader,
            fix=f"pass resources={{'{self.connection}': DatabaseResource(kind='postgres', …)}} "
            "to build_code_location",
        )
        if found.kind != "postgres":
            raise SourceError(
                "Only Postgres has a change log that can be queried",
                where=f"connection {self.connection!r} of {self._reader}",
                expected="a database of the kind postgres",
                found=found.kind,
                fix="read the table with SnapshotTable, or have Debezium write its log to files",
            )
        return found

    def _explain(self, error: duckdb.Error) -> None:
        """Raise what a person understands where the slot is taken; all else is for the guard."""
        if _TAKEN not in str(error):
            return
        # Asked for again and again, it would close the way to the database's other tables.
        raise SourceError(
            "Somebody else reads the replication slot",
            where=self._reader,
            expected="a slot of this dataset's own",
            found="another reader, since this load began",
            fix="see that no other reader uses the slot, then run it again; it loses nothing",
        ) from None
