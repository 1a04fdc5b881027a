"""How each kind of database is spoken to: what its columns are, and how a query is asked of it.

Belongs here: the differences between SQLite, Postgres and MySQL. Does not belong here: what is
asked (``tables``).

A query runs in the source's own engine, through DuckDB's scanners: what it filters and sums is
never sent, and rows arrive as columns without passing through Python. Inside one transaction of the
engine all queries to a database see one state of it.

Values arrive exactly. A type that the engine would round (a ``numeric`` without precision), or
knows nothing of (``json``, arrays, enumerations), is asked for as text, and so is all of SQLite,
whose columns may hold anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from platform_assets.errors import SourceError
from platform_assets.extensions import load_extension
from platform_assets.sources.base import SourceColumn
from platform_assets.sources.connections import Database
from platform_assets.sources.failure import TransientSourceError
from platform_assets.sql import quote_identifier, quote_literal, quote_name

ALIAS = "_source"
# What the engine's decimals hold.
_MAX_DIGITS = 38


@dataclass(frozen=True)
class TableColumn:
    """A column of a table in a database.

    Attributes:
        name: Its name.
        select: SQL of the database that gives its exact value under its name.
        declared: Its type as the database calls it.
        nullable: Whether null is allowed.
        key: Whether it is part of the primary key.
    """

    name: str
    select: str
    declared: str
    nullable: bool
    key: bool


class Dialect(ABC):
    """One kind of database."""

    extension: str
    query_function: str
    kind: str

    def query(self, sql: str) -> str:
        """A relation of the engine that gives what a query of the database yields."""
        return f"{self.query_function}({quote_literal(ALIAS)}, {quote_literal(sql)})"

    def quote(self, name: str) -> str:
        """A name as the database quotes it."""
        return quote_identifier(name)

    def table(self, name: str) -> str:
        """A table's name, with its schema where it has one."""
        return ".".join(self.quote(part) for part in name.split("."))

    def whole(self, engine: duckdb.DuckDBPyConnection, table: str) -> str | None:
        """A relation of a whole table that is read side by side; None: only ``query`` can.

        Its columns are those that ``select`` leaves as they are. It is one state of the table, the
        same that ``query`` sees in the transaction.
        """
        del engine, table
        return None

    @abstractmethod
    def attach(self, database: Database, settings: str = "") -> list[str]:
        """Statements for the engine that make the database known to it as ``_source``.

        Args:
            database: Where it is and how to sign in.
            settings: Options of a Postgres session, such as ``-c TimeZone=UTC``.
        """

    @abstractmethod
    def columns_sql(self, table: str) -> str:
        """A query of name, declared type, precision, scale, nullable and key of each column."""

    @abstractmethod
    def select(self, name: str, declared: str, precision: int | None, scale: int | None) -> str:
        """SQL of a column's exact value."""

    @abstractmethod
    def total(self, column: str) -> str:
        """SQL of the exact sum of a column of numbers, as text."""

    @abstractmethod
    def text_total(self, column: str, scale: int) -> str:
        """SQL of the exact sum of those values of a column that are numbers, as text."""


class Postgres(Dialect):
    """Postgres, through the binary COPY protocol."""

    extension, query_function, kind = "postgres_scanner", "postgres_query", "postgres"
    _PLAIN = (
        "int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar",
        "date", "timestamp", "timestamptz",
    )  # fmt: skip

    def attach(self, database: Database, settings: str = "") -> list[str]:
        """A temporary secret, so that the password is in no statement that an error repeats."""
        options = quote_literal(f"options={quote_literal(settings)}" if settings else "")
        return [
            _secret("postgres", database),
            f"ATTACH {options} AS {ALIAS} (TYPE postgres, SECRET {ALIAS}, READ_ONLY)",
        ]

    def whole(self, engine: duckdb.DuckDBPyConnection, table: str) -> str | None:
        """By ranges of the table's pages, under one exported snapshot; not of a view."""
        told = engine.execute(
            "FROM "
            + self.query(
                "SELECT n.nspname::text AS space, c.relname::text AS name FROM pg_class AS c "
                "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                f"WHERE c.oid = to_regclass({quote_literal(self.table(table))}) "
                "AND c.relkind = 'r'"
            )
        ).fetchone()
        return None if told is None else quote_name(ALIAS, *map(str, told))

    def columns_sql(self, table: str) -> str:
        """From the system catalog; precision and scale are in the type's modifier."""
        return f"""
            SELECT a.attname AS name, t.typname AS declared,
                   CASE WHEN t.typname = 'numeric' AND a.atttypmod > 0
                        THEN ((a.atttypmod - 4) >> 16) & 65535 END AS precision_,
                   CASE WHEN t.typname = 'numeric' AND a.atttypmod > 0
                        THEN (a.atttypmod - 4) & 2047 END AS scale_,
                   NOT a.attnotnull AS nullable_,
                   coalesce(a.attnum = ANY (i.indkey), false) AS key_
            FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
            LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
            WHERE a.attrelid = to_regclass({quote_literal(self.table(table))})
              AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum"""

    def select(self, name: str, declared: str, precision: int | None, scale: int | None) -> str:
        """As it is where the engine has the very type, else as text."""
        column = self.quote(name)
        exact = precision is not None and scale is not None and scale <= precision <= _MAX_DIGITS
        if declared in self._PLAIN or (declared == "numeric" and exact):
            return column
        return f"{column}::text AS {column}"

    def total(self, column: str) -> str:
        """``numeric`` adds up exactly."""
        return f"sum({column})::text"

    def text_total(self, column: str, scale: int) -> str:
        """Of a ``numeric`` without precision, infinities and NaN are left out."""
        number = f"CASE WHEN {column}::text ~ '^[+-]?[0-9]+([.][0-9]+)?$' THEN {column}::text END"
        return f"trunc(sum(({number})::numeric), {scale})::text"


class MySql(Dialect):
    """MySQL and MariaDB."""

    extension, query_function, kind = "mysql_scanner", "mysql_query", "mysql"
    _PLAIN = (
        "smallint", "mediumint", "int", "bigint", "double", "varchar", "char", "text",
        "tinytext", "mediumtext", "longtext",
    )  # fmt: skip

    def quote(self, name: str) -> str:
        """With backticks."""
        return "`" + name.replace("`", "``") + "`"

    def attach(self, database: Database, settings: str = "") -> list[str]:
        """A temporary secret, so that the password is in no statement that an error repeats."""
        return [
            _secret("mysql", database),
            f"ATTACH '' AS {ALIAS} (TYPE mysql, SECRET {ALIAS}, READ_ONLY)",
        ]

    def columns_sql(self, table: str) -> str:
        """From the information schema."""
        schema, _, name = table.rpartition(".")
        where = f"table_schema = {quote_literal(schema)}" if schema else "table_schema = database()"
        return (
            "SELECT column_name AS name, lower(data_type) AS declared, "
            "numeric_precision AS precision_, numeric_scale AS scale_, "
            "is_nullable = 'YES' AS nullable_, column_key = 'PRI' AS key_ "
            f"FROM information_schema.columns WHERE {where} "
            f"AND table_name = {quote_literal(name)} ORDER BY ordinal_position"
        )

    def select(self, name: str, declared: str, precision: int | None, scale: int | None) -> str:
        """As it is where the engine has the very type, else as text; times in UTC.

        Dates come as text: MySQL has days that no calendar has, such as 0000-00-00.
        """
        column = self.quote(name)
        if declared in self._PLAIN or (declared == "decimal" and (precision or 0) <= _MAX_DIGITS):
            return column
        if declared == "timestamp":
            value = f"convert_tz({column}, @@session.time_zone, '+00:00')"
        elif declared in ("blob", "tinyblob", "mediumblob", "longblob", "binary", "varbinary"):
            value = f"hex({column})"
        elif declared == "bit":
            value = f"{column} + 0"
        else:
            value = column
        return f"CAST({value} AS CHAR) AS {column}"

    def total(self, column: str) -> str:
        """``DECIMAL`` adds up exactly."""
        return f"CAST(sum({column}) AS CHAR)"

    def text_total(self, column: str, scale: int) -> str:
        """``DECIMAL`` adds up exactly."""
        number = f"CASE WHEN {column} REGEXP '^[+-]?[0-9]+([.][0-9]+)?$' THEN {column} END"
        return f"CAST(sum(CAST({number} AS DECIMAL(38,{scale}))) AS CHAR)"


class Sqlite(Dialect):
    """SQLite: a file; any column may hold anything, so all of it is read as text."""

    extension, query_function, kind = "sqlite_scanner", "sqlite_query", "sqlite"

    def attach(self, database: Database, settings: str = "") -> list[str]:
        """The file, which the caller has seen."""
        path = quote_literal(str(database.path))
        return [f"ATTACH {path} AS {ALIAS} (TYPE sqlite, READ_ONLY)"]

    def columns_sql(self, table: str) -> str:
        """From the table's own declaration."""
        return (
            "SELECT name, lower(type) AS declared, NULL AS precision_, NULL AS scale_, "
            '"notnull" = 0 AND pk = 0 AS nullable_, pk > 0 AS key_ '
            f"FROM pragma_table_info({quote_literal(table)}) ORDER BY cid"
        )

    def select(self, name: str, declared: str, precision: int | None, scale: int | None) -> str:
        """The shortest text that reads back as the very value."""
        column = self.quote(name)
        short, long = (f"printf('%!.{digits}g', {column})" for digits in (15, 17))
        return (
            f"CASE typeof({column}) WHEN 'blob' THEN hex({column}) "
            f"WHEN 'real' THEN CASE WHEN CAST({short} AS REAL) = {column} THEN {short} "
            f"ELSE {long} END ELSE CAST({column} AS TEXT) END AS {column}"
        )

    def total(self, column: str) -> str:
        """All of SQLite is text to the engine."""
        return self.text_total(column, 0)

    def text_total(self, column: str, scale: int) -> str:
        """In whole units of the last decimal, which SQLite adds up as integers."""
        text = f"CAST({column} AS TEXT)"
        is_number = f"{text} GLOB '*[0-9]*' AND {text} NOT GLOB '*[^0-9.+-]*'"
        units = f"CAST(round(CAST({column} AS REAL) * {10**scale}) AS INTEGER)"
        return f"CAST(sum(CASE WHEN {is_number} THEN {units} END) AS TEXT) || 'e-{scale}'"


DIALECTS: dict[str, Dialect] = {each.kind: each for each in (Postgres(), MySql(), Sqlite())}


def _secret(kind: str, database: Database) -> str:
    options = {
        "HOST": database.host,
        "PORT": str(database.port) if database.port else "",
        "DATABASE": database.database,
        "USER": database.user,
        "PASSWORD": database.password.get_secret_value() if database.password else "",
    }
    given = ", ".join(f"{name} {quote_literal(value)}" for name, value in options.items() if value)
    return f"CREATE OR REPLACE TEMPORARY SECRET {ALIAS} (TYPE {kind}, {given})"


@contextmanager
def attached(
    engine: duckdb.DuckDBPyConnection, database: Database, connection: str, settings: str = ""
) -> Iterator[Dialect]:
    """A database that the engine can ask, as long as the block lasts.

    Args:
        engine: The engine.
        database: Where it is and how to sign in.
        connection: Name of the connection that leads there, for messages.
        settings: Options of a Postgres session, such as ``-c TimeZone=UTC``.

    Raises:
        SourceError: A file is not there.
        duckdb.Error: The database does not answer, or refuses. The text may hold a password; it is
            for ``Access.guard`` to read, and for nobody else.
    """
    dialect = DIALECTS[database.kind]
    load_extension(engine, dialect.extension)
    if database.kind == "sqlite" and (database.path is None or not database.path.is_file()):
        # SQLite would make a new file.
        raise TransientSourceError(
            "The database of a source is not there",
            reason="no such file",
            where=f"connection {connection!r}, {database.place}",
            expected="a SQLite file",
            found="nothing",
            fix="put it back, or correct the connection's path",
        )
    try:
        for statement in dialect.attach(database, settings):
            engine.execute(statement)
        yield dialect
    finally:
        engine.execute(f"DETACH DATABASE IF EXISTS {ALIAS}")
        engine.execute(f"DROP SECRET IF EXISTS {ALIAS}")


def describe(
    engine: duckdb.DuckDBPyConnection, dialect: Dialect, database: Database, table: str, reader: str
) -> tuple[TableColumn, ...]:
    """The columns of a table, as the database declares them.

    Raises:
        SourceError: There is no such table, or this user may not see it.
    """
    rows = engine.execute(f"FROM {dialect.query(dialect.columns_sql(table))}").fetchall()
    if not rows:
        raise SourceError(
            "A source's table does not exist",
            where=f"{reader}, {database.place}",
            expected=f"a table {table} that this user may read",
            found="none",
            fix="correct the table's name (schema.table), or grant the user SELECT",
        )
    return tuple(
        TableColumn(
            name=str(name),
            select=dialect.select(str(name), str(declared), precision, scale),
            declared=str(declared),
            nullable=str(nullable).lower() in ("1", "true", "t"),
            key=str(key).lower() in ("1", "true", "t"),
        )
        for name, declared, precision, scale, nullable, key in rows
    )


def source_columns(
    engine: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[TableColumn]
) -> tuple[SourceColumn, ...]:
    """The columns with the engine's types of a query that selects them."""
    nullable = {column.name: column.nullable for column in columns}
    described = engine.execute(f"DESCRIBE FROM {relation}").fetchall()
    return tuple(
        SourceColumn(str(name), str(sql_type), nullable.get(str(name)))
        for name, sql_type, *_ in described
    )
