"""One visit to a table of a database: its queries, what they told, and what differs from before.

Belongs here: the relations of a visit, and the control totals over them. Does not belong here: what
is asked of a table (``tables``), and how a kind of database is spoken to (``dialects``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from platform_assets.partitions import spans
from platform_assets.provenance import DELETED, FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sources.base import TEXT, Access, SourceColumn
from platform_assets.sources.change_source import ChangeRequest, Control
from platform_assets.sources.dialects import Dialect
from platform_assets.sql import literal_list, quote_literal
from platform_assets.sql import quote_identifier as q

ZONED = "TIMESTAMP WITH TIME ZONE"
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_NATIVE_TIMES = ("DATE", "TIMESTAMP", ZONED)
READ = "_read_whole"


def now_sql() -> str:
    """The present as a literal in UTC."""
    return f"TIMESTAMP {quote_literal(datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S.%f'))}"


@dataclass
class Part:
    """One query of the source: rows that are asked for under one condition.

    Attributes:
        where: Condition in the source's own SQL; empty: all rows.
        rows: The relation of what arrived.
    """

    where: str
    rows: str


@dataclass
class TableReading:
    """One visit to a table, as long as its database is attached."""

    access: Access
    request: ChangeRequest
    dialect: Dialect
    table: str
    columns: tuple[SourceColumn, ...]
    selects: Mapping[str, str]
    parts: list[Part] = field(default_factory=list)

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
        if not where and all(sql == self.dialect.quote(n) for n, sql in self.selects.items()):
            whole = self.dialect.whole(self.access.engine, self.table)
            if whole is not None:
                return f"(SELECT {', '.join(q(name) for name in self.selects)} FROM {whole})"
        listed = ", ".join(self.selects.values())
        sql = f"SELECT {listed} FROM {self.dialect.table(self.table)}"
        return self.dialect.query(sql + (f" WHERE {where}" if where else ""))

    def keep(self, name: str, where: str) -> str:
        """Read rows into a temporary table, so that they can be counted before they are sifted."""
        self.access.engine.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS FROM {self.source(where)}"
        )
        self.parts.append(Part(where, name))
        return name

    def select(self, rows: str, op: str, changed: str, keep: str = "") -> str:
        """Rows with their provenance and what happened to them."""
        # Written once: a time takes longer to plan, and to read, than all else of a row.
        partition = self.request.partition_sql(self.types, "_changed_at")
        listed = ", ".join(q(column.name) for column in self.columns)
        told = (
            f"SELECT {listed}, {partition} AS {PARTITION_COLUMN}, "
            f"{quote_literal(self.file)} AS {FILE_COLUMN}, {quote_literal(op)} AS _op, "
            "CAST(NULL AS BIGINT) AS _position, _changed_at "
            f"FROM (SELECT *, {changed} AS _changed_at FROM {rows})"
        )
        return f"SELECT * FROM ({told}) WHERE {keep}" if keep else told

    def event_is_native(self) -> bool:
        """Whether the source itself can pick the rows of a day exactly, none left over."""
        name = self.request.event_time
        if name is None:
            return True
        return self.types[name.lower()] in _NATIVE_TIMES and not self.may_be_null(name)

    def may_be_null(self, name: str) -> bool:
        """Whether the source does not rule out NULL in a column."""
        found = next(c for c in self.columns if c.name.lower() == name.lower())
        return found.nullable is not False

    def days(self, partitions: Sequence[str]) -> str:
        """The condition, in the source's SQL, of rows that may belong to days."""
        name = self.request.event_time
        if name is None:
            return ""
        kind = self.types[name.lower()]
        if kind not in _NATIVE_TIMES:
            return ""
        column, zone = self.dialect.quote(name), "+00" if kind == ZONED else ""
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
            self.parts.append(Part(where, "(FROM {stage} WHERE _op = 'r')"))
            return self.select(self.source(where), "r", changed)
        return self.kept(READ, partitions, changed)

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
        there = self.types.keys() & types.keys()
        named = (c for c in self.request.columns if c.lower() in there)
        whole = ", ".join(f"CAST({side}.{q(c)} AS {TEXT})" for c in named)
        missing = " OR ".join(f"{each} IS NULL" for each in key)
        return (
            f"CASE WHEN {missing} THEN {{'k': NULL, 'r': md5(CAST([{whole}] AS {TEXT}))}} "
            f"ELSE {{'k': [{told}], 'r': NULL}} END"
        )

    def controls(self, stage: str) -> tuple[Control, ...]:
        """Count and sums of all that was asked for: by the source itself, and of what arrived."""
        decimals = {name.lower(): number for name, number in self.request.decimals.items()}
        summed = [column for column in self.columns if column.name.lower() in decimals]
        at_source = [Decimal(0)] * (len(summed) + 1)
        arrived = list(at_source)
        for part in self.parts:
            there, here = ["count(*)"], ["count(*)"]
            for column in summed:
                name, scale = self.dialect.quote(column.name), decimals[column.name.lower()]
                if _is_exact_number(column.sql_type):
                    there.append(self.dialect.total(name))
                    here.append(f"sum({q(column.name)})")
                else:
                    there.append(self.dialect.text_total(name, scale))
                    here.append(_text_total(column.name, scale))
            sql = f"SELECT {', '.join(f'{each} AS c{n}' for n, each in enumerate(there))} "
            sql += f"FROM {self.dialect.table(self.table)}"
            sql += f" WHERE {part.where}" if part.where else ""
            told = self._row(f"FROM {self.dialect.query(sql)}")
            found = self._row(f"SELECT {', '.join(here)} FROM {part.rows.format(stage=stage)}")
            at_source = [total + _number(each) for total, each in zip(at_source, told, strict=True)]
            arrived = [total + _number(each) for total, each in zip(arrived, found, strict=True)]
        labels = ["rows", *(f"sum({column.name})" for column in summed)]
        return tuple(
            Control(label, _plain(there), _plain(here))
            for label, there, here in zip(labels, at_source, arrived, strict=True)
        )

    def _row(self, query: str) -> tuple[str, ...]:
        row = self.access.engine.execute(query).fetchone()
        assert row is not None  # an aggregate has one row
        return row


def _is_exact_number(sql_type: str) -> bool:
    """Whether values of a type add up without loss in the engine."""
    return sql_type in _INTEGERS or sql_type.startswith("DECIMAL(")


def _number(value: object) -> Decimal:
    return Decimal(str(value)) if value is not None else Decimal(0)


def _plain(value: Decimal) -> str:
    """A number without an exponent, and without zeros that say nothing."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text_total(column: str, decimals: int) -> str:
    """The exact sum of a column of text, with the dialects' idea of what is a number."""
    text = f"CAST({q(column)} AS VARCHAR)"
    number = f"CASE WHEN regexp_full_match({text}, '[0-9.+-]*[0-9][0-9.+-]*') THEN {text} END"
    return f"sum(TRY_CAST({number} AS DECIMAL(38,{decimals})))"


def _next_day(day: str) -> str:
    return str(date.fromisoformat(day) + timedelta(days=1))
