"""Tables of databases: read in full, by a watermark, or by comparing with what is held.

Belongs here: which rows are asked for and what they are told to be. Does not belong here: how a kind
of database is spoken to (``dialects``), and what happens to the rows (``pipeline``).

| read | sees | does not see | costs |
| --- | --- | --- | --- |
| ``FullTable`` | everything | | the table, each time |
| ``WatermarkTable`` | new and changed rows | deletes; changes that leave the watermark as it is | the changes |
| ``SnapshotTable`` | new, changed and deleted rows | what came and went between two reads | reading the table |
"""  # noqa: E501 # a table

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from platform_assets.errors import ContractError, SourceError
from platform_assets.provenance import DELETED, PARTITION_COLUMN
from platform_assets.sources.base import Access, SourceColumn
from platform_assets.sources.change_source import (
    ChangeRequest,
    Changes,
    Ended,
    MissingColumnsError,
)
from platform_assets.sources.connections import Database
from platform_assets.sources.dialects import Dialect, attached, describe, source_columns
from platform_assets.sources.looking import Look
from platform_assets.sources.table_reading import READ, ZONED, TableReading, now_sql
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal

DEFAULT_OVERLAP = timedelta(minutes=5)
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UBIGINT", "HUGEINT")
_AGAIN, _CHANGED = "_read_again", "_read_changed"


@dataclass(frozen=True)
class _Table:
    """What all tables have.

    Attributes:
        table: The table's name, ``schema.table`` where it is not in the usual schema.
        connection: Name of the connection, which leads to a database.
        columns: Read only these; None: all that the table has.
    """

    table: str
    connection: str = "database"
    columns: tuple[str, ...] | None = None

    @property
    def kind(self) -> str:
        """What it reads."""
        return "sql"

    @property
    def needs_key(self) -> bool:
        """All but what is read in full has to find the row that a change is of."""
        return True

    def schema(self, access: Access) -> tuple[SourceColumn, ...]:
        """The columns as the database declares them.

        Args:
            access: What to read through.

        Raises:
            SourceError: The database does not answer, or there is no such table.
        """
        with attached(access.engine, self._database(access), self.connection) as dialect:
            return self._columns(access, dialect)[0]

    @property
    def _reader(self) -> str:
        return f"{type(self).__name__}(table={self.table!r})"

    def _database(self, access: Access) -> Database:
        return access.connection(
            self.connection,
            Database,
            reader=self._reader,
            fix=f"pass resources={{'{self.connection}': DatabaseResource(kind=…)}} "
            "to build_code_location",
        )

    def _columns(
        self, access: Access, dialect: Dialect
    ) -> tuple[tuple[SourceColumn, ...], dict[str, str]]:
        """Name and type of each column, and the SQL that selects it."""
        database = self._database(access)
        found = describe(access.engine, dialect, database, self.table, self._reader)
        wanted = {name.lower() for name in self.columns} if self.columns else None
        chosen = [c for c in found if wanted is None or c.name.lower() in wanted]
        selects = {column.name: column.select for column in chosen}
        sql = f"SELECT {', '.join(selects.values())} FROM {dialect.table(self.table)}"
        return source_columns(access.engine, dialect.query(sql), chosen), selects

    @contextmanager
    def look(self, access: Access) -> Iterator[Look]:
        """The whole table, for a proposal of a contract; nothing is read before it is asked.

        Args:
            access: What to read through.

        Raises:
            SourceError: The database does not answer, or there is no such table.
        """
        database = self._database(access)
        with attached(access.engine, database, self.connection) as dialect:
            columns, selects = self._columns(access, dialect)
            found = describe(access.engine, dialect, database, self.table, self._reader)
            sql = f"SELECT {', '.join(selects.values())} FROM {dialect.table(self.table)}"
            key = tuple(column.name for column in found if column.key)
            yield Look(columns, dialect.query(sql), key)

    @contextmanager
    def _open(self, access: Access, request: ChangeRequest) -> Iterator[TableReading]:
        engine = access.engine
        with attached(engine, self._database(access), self.connection) as dialect:
            columns, selects = self._columns(access, dialect)
            self._require(request, columns, request.found_by)
            try:
                yield TableReading(access, request, dialect, self.table, columns, selects)
            finally:
                for name in (READ, _AGAIN, _CHANGED):
                    engine.execute(f"DROP TABLE IF EXISTS {name}")

    def _require(
        self, request: ChangeRequest, found: Sequence[SourceColumn], names: Sequence[str]
    ) -> None:
        there = {column.name.lower() for column in found}
        missing = [name for name in dict.fromkeys(names) if name.lower() not in there]
        if missing:
            raise MissingColumnsError(
                f"A table lacks {'a column' if len(missing) == 1 else 'columns'}: "
                + ", ".join(missing),
                found,
                where=f"dataset {request.dataset}, {self._reader}",
                expected="the columns " + ", ".join(dict.fromkeys(names)),
                fix="have the column put back, or take it out of the contract; "
                "a renamed column is mapped with Field(source=…)",
            )


@dataclass(frozen=True)
class FullTable(_Table):
    """A table whose rows are all read, each time: for small ones, or day by day.

    Of a dataset that is cut into days, the rows of the days that are asked for are read, and
    replace what was held of them.
    """

    @property
    def needs_key(self) -> bool:
        """What replaces all that was held needs no key."""
        return False

    @contextmanager
    def reading(self, access: Access, request: ChangeRequest) -> Iterator[Changes]:
        """All rows of the partitions that are asked for.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The database does not answer, or the table is not as the contract says.
        """
        with self._open(access, request) as reading:
            yield Changes(
                columns=reading.columns,
                read=lambda: reading.whole(request.requested, now_sql()),
                ended=lambda stage: Ended("", reading.controls(stage)),
                replaces=True,
            )


@dataclass(frozen=True)
class WatermarkTable(_Table):
    """A table that says of each row when it was changed last.

    Rows whose watermark is not before the last one seen, less an overlap for transactions that
    were committed late, are read again; those that are held already are left out. Rows without a
    watermark are looked at each time. Deletes are not seen.

    Attributes:
        watermark: The column that grows with every change: a time, or a whole number.
        overlap: How far before the last watermark reading begins again; not for numbers.
    """

    watermark: str = "updated_at"
    overlap: timedelta = DEFAULT_OVERLAP

    def __post_init__(self) -> None:
        """Refuse an overlap that would pass over rows."""
        if self.overlap < timedelta(0):
            raise ContractError(
                "A negative overlap would pass over rows",
                where=self._reader,
                expected="an overlap of zero or more",
                found=str(self.overlap),
                fix="leave it out: five minutes is the default",
            )

    @contextmanager
    def reading(self, access: Access, request: ChangeRequest) -> Iterator[Changes]:
        """Partitions that were never read, whole, and what has changed in the others.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The database does not answer, or the table is not as the contract says.
        """
        with self._open(access, request) as reading:
            self._require(request, reading.columns, [self.watermark])
            changed = f"coalesce({request.time_sql(self.watermark, reading.types)}, {now_sql()})"

            def read() -> str:
                relations = []
                if request.windows:
                    relations.append(reading.whole(request.windows, changed))
                if request.again:
                    rows = reading.kept(_AGAIN, request.again, changed)
                    relations.append(reading.difference(rows, request.again, now_sql(), ""))
                if request.cursor is not None and set(request.loaded) - set(request.again):
                    relations.append(self._changed(reading, changed))
                nothing = reading.select(reading.source("1 = 0"), "r", changed)
                return " UNION ALL ".join(relations) or nothing

            yield Changes(
                columns=reading.columns,
                read=read,
                ended=lambda stage: Ended(self._cursor(reading, stage), reading.controls(stage)),
            )

    def touched(self, access: Access, request: ChangeRequest) -> frozenset[str]:
        """The partitions of ``request.loaded`` in which something has changed since the cursor.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The database does not answer, or the table is not as the contract says.
        """
        with self._open(access, request) as reading:
            self._require(request, reading.columns, [self.watermark])
            changed = f"coalesce({request.time_sql(self.watermark, reading.types)}, {now_sql()})"
            rows = access.engine.execute(
                f"SELECT DISTINCT {PARTITION_COLUMN} FROM ({self._changed(reading, changed)})"
            ).fetchall()
        return frozenset(str(key) for (key,) in rows)

    def _type(self, reading: TableReading) -> str:
        return reading.types[self.watermark.lower()]

    def _changed(self, reading: TableReading, changed: str) -> str:
        """Rows that changed since the cursor, without those that are held as they are."""
        request, bound = reading.request, self._bound(reading)
        column = reading.dialect.quote(self.watermark)
        where = ""
        if bound:
            where = f"{column} >= {quote_literal(bound)}"
            if reading.may_be_null(self.watermark):
                # Otherwise an index gives the rows in one go, which OR would keep it from.
                where += f" OR {column} IS NULL"
        rows = reading.keep(_CHANGED, where)
        held = request.held
        if held is not None:
            types = {name.lower(): sql_type for name, sql_type in held.types.items()}
            mark = f"h.{q(self.watermark)}"
            near = ""
            if bound:
                kind = types[self.watermark.lower()]
                near = f" WHERE {mark} >= CAST({quote_literal(bound)} AS {kind})"
                near += f" OR {mark} IS NULL" if reading.may_be_null(self.watermark) else ""
            rows = (
                f"(SELECT s.* FROM {rows} AS s ANTI JOIN (FROM {held.table} AS h{near}) AS h "
                f"ON {reading.same(types)})"
            )
        others = [key for key in request.loaded if key not in request.again]
        return reading.select(rows, "u", changed, reading.in_partitions(others))

    def _bound(self, reading: TableReading) -> str:
        """The watermark from which on rows are read, as the source writes it; empty: all rows."""
        cursor, kind = reading.request.cursor, self._type(reading)
        if not cursor or kind in _NUMBERS:
            return cursor or ""
        try:
            moment = datetime.fromisoformat(cursor) - self.overlap
        except (ValueError, OverflowError):
            # Not a time that can be reckoned with: equal ones are read again, no more.
            return cursor
        separator = "T" if cursor[10:11] == "T" else " "
        # Of text, the beginning alone compares; a zone or a fraction would come after it.
        text = moment.replace(tzinfo=None).isoformat(separator, "seconds")
        return f"{text}+00" if kind == ZONED else text

    def _cursor(self, reading: TableReading, stage: str) -> str:
        """The newest watermark that was read, but none of the future: it would hide what is new."""
        kind, column = self._type(reading), q(self.watermark)
        before = reading.request.cursor or ""
        value = f"make_timestamp(epoch_us({column}))" if kind == ZONED else column
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        past = "" if kind in _NUMBERS else f"WHERE CAST({value} AS VARCHAR) <= '{now}'"
        row = reading.access.engine.execute(
            f"SELECT CAST(max({value}) AS VARCHAR) FROM {stage} {past}"
        ).fetchone()
        newest = str(row[0]) if row and row[0] is not None else ""
        if kind in _NUMBERS:
            return str(max((int(each) for each in (newest, before) if each), default=""))
        return max(newest, before)


@dataclass(frozen=True)
class SnapshotTable(_Table):
    """A table that is compared with what is held of it: sees inserts, updates and deletes.

    Attributes:
        key_range: Compare only rows whose (first) key is in this range, both ends included; as
            the source writes keys.
    """

    key_range: tuple[str, str] | None = None

    @contextmanager
    def reading(self, access: Access, request: ChangeRequest) -> Iterator[Changes]:
        """What differs between the table and what is held of it.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The database does not answer, the table is not as the contract says, or
                its key is not unique.
        """
        with self._open(access, request) as reading:
            partitions = [*request.loaded, *request.windows]
            where, held_where, now = reading.days(partitions), "", now_sql()
            if self.key_range:
                low, high = (quote_literal(each) for each in self.key_range)
                key = reading.dialect.quote(request.key[0])
                where = f"({where or '1 = 1'}) AND {key} >= {low} AND {key} <= {high}"
                held_key, kind = q(request.key[0]), reading.types[request.key[0].lower()]
                held_where = f"CAST({held_key} AS {kind}) BETWEEN {low} AND {high}"

            def read() -> str:
                rows = reading.keep(READ, where)
                rows = reading.select(rows, "c", now, reading.in_partitions(partitions))
                if request.held is None:
                    return rows
                return reading.difference(rows, request.loaded, now, held_where)

            yield Changes(
                columns=reading.columns,
                read=read,
                ended=lambda stage: self._ended(reading, stage),
            )

    def _ended(self, reading: TableReading, stage: str) -> Ended:
        engine, request = reading.access.engine, reading.request
        keys = ", ".join(q(name) for name in request.key)
        given = " AND ".join(f"{q(name)} IS NOT NULL" for name in request.key)
        try:
            repeated = engine.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {stage} WHERE _op <> '{DELETED}' AND {given} "
                f"GROUP BY {keys} HAVING count(*) > 1)"
            ).fetchone()
        except duckdb.OutOfMemoryException as error:
            raise SourceError(
                "There is too little memory to see whether the key is unique",
                where=f"dataset {request.dataset}, {self._reader}",
                fix="raise PLATFORM_ASSETS_MEMORY_LIMIT, or set key_range",
            ) from error
        if repeated and repeated[0]:
            raise SourceError(
                "The key of a table that is read by comparison is not unique",
                where=f"dataset {request.dataset}, {self._reader}, key {', '.join(request.key)}",
                expected="each key once",
                found=f"{repeated[0]:,} keys that several rows have",
                fix="name all columns of the key with Key() in the contract",
            )
        return Ended("", reading.controls(stage))
