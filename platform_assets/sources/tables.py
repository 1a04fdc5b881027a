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

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import duckdb

from platform_assets.errors import ContractError, SourceError
from platform_assets.partitions import spans
from platform_assets.provenance import DELETED, FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sources.base import (
    TEXT,
    Access,
    ChangeRequest,
    Changes,
    Control,
    Ended,
    SourceColumn,
)
from platform_assets.sources.connections import Database
from platform_assets.sources.dialects import Dialect, attached, describe, source_columns
from platform_assets.sql import literal_list, quote_literal
from platform_assets.sql import quote_identifier as q

DEFAULT_OVERLAP = timedelta(minutes=5)
_NATIVE_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UBIGINT", "HUGEINT")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_READ, _AGAIN, _CHANGED = "_read_whole", "_read_again", "_read_changed"


@dataclass
class _Part:
    """One query of the source: rows that are asked for under one condition.

    Attributes:
        where: Condition in the source's own SQL; empty: all rows.
        rows: The relation of what arrived.
    """

    where: str
    rows: str


@dataclass
class _Reading:
    """One visit to a table, as long as its database is attached."""

    access: Access
    request: ChangeRequest
    dialect: Dialect
    table: str
    columns: tuple[SourceColumn, ...]
    selects: Mapping[str, str]
    parts: list[_Part] = field(default_factory=list)

    @property
    def types(self) -> dict[str, str]:
        """The source's types by lower-case name."""
        return {column.name.lower(): column.sql_type for column in self.columns}

    @property
    def file(self) -> str:
        """What the rows tell as the place that they came from."""
        return f"{self.dialect.kind}:{self.table}"

    def source(self, where: str) -> str:
        """A relation of the table's rows under a condition in the source's own SQL."""
        listed = ", ".join(self.selects.values())
        sql = f"SELECT {listed} FROM {self.dialect.table(self.table)}"
        return self.dialect.query(sql + (f" WHERE {where}" if where else ""))

    def keep(self, name: str, where: str) -> str:
        """Read rows into a temporary table, so that they can be counted before they are sifted."""
        self.access.engine.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS FROM {self.source(where)}"
        )
        self.parts.append(_Part(where, name))
        return name

    def select(self, rows: str, op: str, changed: str, keep: str = "") -> str:
        """Rows with their provenance and what happened to them."""
        partition = self.request.partition_sql(self.types, changed)
        listed = ", ".join(q(column.name) for column in self.columns)
        told = (
            f"SELECT {listed}, {partition} AS {PARTITION_COLUMN}, "
            f"{quote_literal(self.file)} AS {FILE_COLUMN}, {quote_literal(op)} AS _op, "
            f"CAST(NULL AS BIGINT) AS _position, {changed} AS _changed_at FROM {rows}"
        )
        return f"SELECT * FROM ({told}) WHERE {keep}" if keep else told

    def event_is_native(self) -> bool:
        """Whether the source itself can pick the rows of a day exactly, none left over."""
        name = self.request.event_time
        if name is None:
            return True
        found = next(c for c in self.columns if c.name.lower() == name.lower())
        return found.sql_type in _NATIVE_TIMES and found.nullable is False

    def days(self, partitions: Sequence[str]) -> str:
        """The condition, in the source's SQL, of rows that may belong to days."""
        name = self.request.event_time
        if name is None:
            return ""
        kind = self.types[name.lower()]
        if kind not in _NATIVE_TIMES:
            return ""
        column, zone = self.dialect.quote(name), "+00" if kind == _ZONED else ""
        clock = "" if kind == "DATE" else f" 00:00:00{zone}"
        conditions = [
            f"({column} >= '{first}{clock}' AND {column} < '{_next_day(last)}{clock}')"
            for first, last in spans(partitions)
        ]
        return " OR ".join(
            conditions if self.event_is_native() else [*conditions, f"{column} IS NULL"]
        )

    def in_partitions(self, partitions: Sequence[str]) -> str:
        """The condition, in the engine, of rows that do belong to partitions."""
        if self.request.event_time is None or not partitions:
            return "true" if partitions else "false"
        return f"{PARTITION_COLUMN} IN {literal_list(partitions)}"

    def whole(self, partitions: Sequence[str], changed: str) -> str:
        """All rows of partitions."""
        where = self.days(partitions)
        if self.event_is_native():
            # Nothing is left over, so rows go straight from the source into the stage.
            self.parts.append(_Part(where, "(FROM {stage} WHERE _op = 'r')"))
            return self.select(self.source(where), "r", changed)
        return self.kept(_READ, partitions, changed)

    def kept(self, name: str, partitions: Sequence[str], changed: str) -> str:
        """All rows of partitions, by way of a temporary table."""
        rows = self.keep(name, self.days(partitions))
        return self.select(rows, "r", changed, self.in_partitions(partitions))

    def difference(self, rows: str, partitions: Sequence[str], now: str, held_where: str) -> str:
        """What differs between rows of the source and what is held of their partitions.

        Args:
            rows: All rows that the source has of the partitions.
            partitions: The partitions that are compared.
            now: SQL of the time at which a row that is gone counts as deleted.
            held_where: A further condition on what is held; empty: none.
        """
        held = self.request.held
        assert held is not None  # the caller has looked
        types = {name.lower(): sql_type for name, sql_type in held.types.items()}
        values = ", ".join(
            f"CASE WHEN __there THEN s.{q(c.name)} ELSE "
            + (f"CAST(h.{q(c.name)} AS {c.sql_type})" if c.name.lower() in types else "NULL")
            + f" END AS {q(c.name)}"
            for c in self.columns
        )
        where = " AND ".join(part for part in (self.in_partitions(partitions), held_where) if part)
        current = f"SELECT *, true AS __held FROM ({held.current}) WHERE {where}"
        return (
            f"SELECT {values}, CASE WHEN __there THEN s.{PARTITION_COLUMN} "
            f"ELSE h.{PARTITION_COLUMN} END AS {PARTITION_COLUMN}, "
            f"{quote_literal(self.file)} AS {FILE_COLUMN}, "
            f"CASE WHEN __there IS NULL THEN '{DELETED}' WHEN __held THEN 'u' ELSE 'c' END AS _op, "
            "CAST(NULL AS BIGINT) AS _position, "
            f"CASE WHEN __there THEN s._changed_at ELSE {now} END AS _changed_at "
            f"FROM (SELECT *, true AS __there FROM ({rows})) AS s FULL JOIN ({current}) AS h "
            f"ON {self._match('s', types)} = {self._match('h', types)} "
            f"WHERE NOT coalesce(__there AND __held AND {self.same(types)}, false)"
        )

    def same(self, types: Mapping[str, str]) -> str:
        """The condition that a row of the source (``s``) is held (``h``) as it is.

        Args:
            types: The types of what is held, by lower-case name.
        """
        return " AND ".join(
            f"CAST(s.{q(c.name)} AS {types[c.name.lower()]}) IS NOT DISTINCT FROM h.{q(c.name)}"
            if c.name.lower() in types
            # What came with a column that is new since is another row.
            else f"s.{q(c.name)} IS NULL"
            for c in self.columns
        )

    def _match(self, side: str, types: Mapping[str, str]) -> str:
        """What rows are matched by: the key, or for a row without a key all that it holds."""
        key = [f"CAST({side}.{q(k)} AS {types[k.lower()]})" for k in self.request.key]
        told = ", ".join(f"CAST({each} AS {TEXT})" for each in key)
        whole = ", ".join(f"CAST({side}.{q(c)} AS {TEXT})" for c in self.request.columns)
        missing = " OR ".join(f"{each} IS NULL" for each in key)
        return (
            f"CASE WHEN {missing} THEN {{'k': NULL, 'r': md5(CAST([{whole}] AS {TEXT}))}} "
            f"ELSE {{'k': [{told}], 'r': NULL}} END"
        )

    def controls(self, stage: str) -> tuple[Control, ...]:
        """Count and sums of all that was asked for: by the source itself, and of what arrived."""
        names = {c.name.lower(): c.name for c in self.columns}
        summed = {
            names[name.lower()]: decimals
            for name, decimals in self.request.decimals.items()
            if name.lower() in names
        }
        at_source = [0] * (len(summed) + 1)
        arrived = list(at_source)
        for part in self.parts:
            asked = ["count(*)"] + [
                self.dialect.total(self.dialect.quote(n), d) for n, d in summed.items()
            ]
            sql = f"SELECT {', '.join(f'{a} AS c{n}' for n, a in enumerate(asked))} "
            sql += f"FROM {self.dialect.table(self.table)}"
            sql += f" WHERE {part.where}" if part.where else ""
            told = self._row(f"FROM {self.dialect.query(sql)}")
            sums = ["count(*)"] + [_units(n, d) for n, d in summed.items()]
            found = self._row(f"SELECT {', '.join(sums)} FROM {part.rows.format(stage=stage)}")
            at_source = [total + int(each) for total, each in zip(at_source, told, strict=True)]
            arrived = [total + int(each) for total, each in zip(arrived, found, strict=True)]
        labels = ["rows", *(f"sum({n}) in units of 10^-{d}" for n, d in summed.items())]
        return tuple(
            Control(label, str(there), str(here))
            for label, there, here in zip(labels, at_source, arrived, strict=True)
        )

    def _row(self, query: str) -> tuple[str, ...]:
        row = self.access.engine.execute(query).fetchone()
        assert row is not None  # an aggregate has one row
        return row


def _units(column: str, decimals: int) -> str:
    """The exact sum of a column in units of its last decimal, as the dialects give it."""
    text = f"CAST({q(column)} AS VARCHAR)"
    number = f"CASE WHEN regexp_full_match({text}, '[0-9.+-]*[0-9][0-9.+-]*') THEN {text} END"
    return (
        f"CAST(coalesce(sum(TRY_CAST({number} AS DECIMAL(38,{decimals})) * {10**decimals}), 0) "
        "AS HUGEINT)"
    )


def _next_day(day: str) -> str:
    return str(date.fromisoformat(day) + timedelta(days=1))


def _now() -> str:
    return f"TIMESTAMP {quote_literal(datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S.%f'))}"


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
        with attached(access.engine, self._database(access), self._reader) as dialect:
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
            "to build_definitions",
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
    def _open(self, access: Access, request: ChangeRequest) -> Iterator[_Reading]:
        engine = access.engine
        with attached(engine, self._database(access), self._reader) as dialect:
            columns, selects = self._columns(access, dialect)
            self._require(request, columns, (*request.columns, *request.key))
            try:
                yield _Reading(access, request, dialect, self.table, columns, selects)
            finally:
                for name in (_READ, _AGAIN, _CHANGED):
                    engine.execute(f"DROP TABLE IF EXISTS {name}")

    def _require(
        self, request: ChangeRequest, found: Sequence[SourceColumn], names: Sequence[str]
    ) -> None:
        there = {column.name.lower() for column in found}
        missing = [name for name in dict.fromkeys(names) if name.lower() not in there]
        if missing:
            raise SourceError(
                f"A table lacks {'a column' if len(missing) == 1 else 'columns'}: "
                + ", ".join(missing),
                where=f"dataset {request.dataset}, {self._reader}",
                expected="the columns " + ", ".join(dict.fromkeys(names)),
                found=", ".join(column.name for column in found),
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
                read=lambda: reading.whole(request.requested, _now()),
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
            changed = f"coalesce({request.time_sql(self.watermark, reading.types)}, {_now()})"

            def read() -> str:
                relations = []
                if request.windows:
                    relations.append(reading.whole(request.windows, changed))
                if request.again:
                    rows = reading.kept(_AGAIN, request.again, changed)
                    relations.append(reading.difference(rows, request.again, _now(), ""))
                if request.cursor is not None and set(request.loaded) - set(request.again):
                    relations.append(self._changed(reading, changed))
                nothing = reading.select(reading.source("1 = 0"), "r", changed)
                return " UNION ALL ".join(relations) or nothing

            yield Changes(
                columns=reading.columns,
                read=read,
                ended=lambda stage: Ended(self._cursor(reading, stage), reading.controls(stage)),
            )

    def _type(self, reading: _Reading) -> str:
        return reading.types[self.watermark.lower()]

    def _changed(self, reading: _Reading, changed: str) -> str:
        """Rows that changed since the cursor, without those that are held as they are."""
        request, bound = reading.request, self._bound(reading)
        column = reading.dialect.quote(self.watermark)
        where = f"{column} >= {quote_literal(bound)} OR {column} IS NULL" if bound else ""
        rows = reading.keep(_CHANGED, where)
        held = request.held
        if held is not None:
            types = {name.lower(): sql_type for name, sql_type in held.types.items()}
            mark = f"h.{q(self.watermark)}"
            near = (
                f" WHERE {mark} >= CAST({quote_literal(bound)} AS {types[self.watermark.lower()]})"
                f" OR {mark} IS NULL"
                if bound
                else ""
            )
            rows = (
                f"(SELECT s.* FROM {rows} AS s ANTI JOIN (FROM {held.table} AS h{near}) AS h "
                f"ON {reading.same(types)})"
            )
        others = [key for key in request.loaded if key not in request.again]
        return reading.select(rows, "u", changed, reading.in_partitions(others))

    def _bound(self, reading: _Reading) -> str:
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
        return f"{text}+00" if kind == _ZONED else text

    def _cursor(self, reading: _Reading, stage: str) -> str:
        """The newest watermark that was read, but none of the future: it would hide what is new."""
        kind, column = self._type(reading), q(self.watermark)
        before = reading.request.cursor or ""
        value = f"make_timestamp(epoch_us({column}))" if kind == _ZONED else column
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
            where, held_where, now = reading.days(partitions), "", _now()
            if self.key_range:
                low, high = (quote_literal(each) for each in self.key_range)
                key = reading.dialect.quote(request.key[0])
                where = f"({where or '1 = 1'}) AND {key} >= {low} AND {key} <= {high}"
                held_key, kind = q(request.key[0]), reading.types[request.key[0].lower()]
                held_where = f"CAST({held_key} AS {kind}) BETWEEN {low} AND {high}"

            def read() -> str:
                rows = reading.keep(_READ, where)
                rows = reading.select(rows, "c", now, reading.in_partitions(partitions))
                if request.held is None:
                    return rows
                return reading.difference(rows, request.loaded, now, held_where)

            yield Changes(
                columns=reading.columns,
                read=read,
                ended=lambda stage: self._ended(reading, stage),
            )

    def _ended(self, reading: _Reading, stage: str) -> Ended:
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
