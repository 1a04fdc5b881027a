"""A table in a real database, and what a dataset that reads it should come to.

Belongs here: writing to the source, and the model of its rows. Does not belong here: an assertion.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.extensions import load_extension
from platform_assets.partitions import Daily
from platform_assets.sources.change_source import AnySource
from platform_assets.sources.connections import Database
from platform_assets.sources.dialects import DIALECTS
from platform_assets.sql import quote_literal

START = date(2025, 1, 1)
DAYS = tuple(f"2025-01-0{day}" for day in range(1, 5))
NOON = datetime(2025, 1, 1, 12)
GOOD, BAD = "paid", "of no such status"


class Sale(Contract):
    """A sale."""

    sale_id: int = Key()
    amount: Decimal = Field(ge=0, decimal=(10, 2))
    status: str = Field(isin=["placed", "paid"])
    note: str = Field(nullable=True)
    sold_at: datetime = EventTime()
    updated_at: datetime = Field(cursor=True)


@dataclass(frozen=True)
class Row:
    """A row of the source."""

    sale_id: int
    amount: Decimal
    status: str
    note: str | None
    sold_at: datetime
    updated_at: datetime

    @property
    def values(self) -> tuple[Any, ...]:
        """As a cleaned table holds it."""
        return tuple(vars(self).values())

    @property
    def day(self) -> str:
        """The partition that it belongs to."""
        return str(self.sold_at.date())


def sales(source: AnySource, **options: Any) -> Dataset:
    """A daily dataset of sales."""
    values = {"contract": Sale, "partitions": Daily(START, date(2025, 1, 31)), "owners": ()}
    return Dataset(name="sales", source=source, **{**values, **options})


_DDL = {
    "postgres": "sale_id integer PRIMARY KEY, amount numeric(10,2), status text, note text, "
    "sold_at timestamp NOT NULL, updated_at timestamptz",
    "mysql": "sale_id int PRIMARY KEY, amount decimal(10,2), status varchar(40), note text, "
    "sold_at datetime NOT NULL, updated_at timestamp(6) NULL",
    "sqlite": "sale_id integer PRIMARY KEY, amount decimal(10,2), status text, note text, "
    "sold_at timestamp NOT NULL, updated_at timestamp",
}


@dataclass
class SourceTable:
    """The table ``sales`` of a database.

    Attributes:
        database: Where it is.
        rows: What it holds now, by key.
        clock: The newest time of change.
        further: Values of columns that a test has added, by name.
        without: Columns that a test has dropped.
    """

    database: Database
    rows: dict[int, Row] = field(default_factory=dict)
    clock: datetime = NOON
    further: dict[str, str] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    _engine: duckdb.DuckDBPyConnection = field(init=False)

    @contextmanager
    def opened(self) -> Iterator[SourceTable]:
        """The table, made anew."""
        dialect = DIALECTS[self.database.kind]
        with duckdb.connect(config={"allow_unsigned_extensions": True}) as self._engine:
            load_extension(self._engine, dialect.extension)
            for statement in dialect.attach(self.database):
                self._engine.execute(statement.replace(", READ_ONLY", ""))
            self.execute("DROP VIEW IF EXISTS doubled")
            self.execute("DROP TABLE IF EXISTS sales")
            self.execute(f"CREATE TABLE sales ({_DDL[self.database.kind]})")
            yield self

    def execute(self, statement: str) -> None:
        """Run a statement in the database itself."""
        kind = self.database.kind
        if kind == "sqlite":
            import sqlite3

            assert self.database.path is not None
            with sqlite3.connect(self.database.path) as connection:
                connection.execute(statement)
            connection.close()
            return
        if kind == "mysql":
            self._engine.execute("CALL mysql_execute('_source', 'SET time_zone = ''+00:00''')")
            # A backslash begins an escape there.
            statement = statement.replace("\\", "\\\\")
        else:
            statement = f"SET TIME ZONE 'UTC'; {statement}"
        self._engine.execute(f"CALL {kind}_execute('_source', {quote_literal(statement)})")

    def put(self, row: Row) -> Row:
        """Insert or update a row, changed now."""
        self.clock += timedelta(minutes=1)
        row = replace(row, updated_at=self.clock)
        told = {k: v for k, v in vars(row).items() if k not in self.without} | self.further
        values = ", ".join(
            "NULL" if value is None else quote_literal(str(value)) for value in told.values()
        )
        self.execute(f"DELETE FROM sales WHERE sale_id = {row.sale_id}")
        self.execute(f"INSERT INTO sales ({', '.join(told)}) VALUES ({values})")
        self.rows[row.sale_id] = row
        return row

    def delete(self, sale_id: int) -> None:
        """Delete a row."""
        self.execute(f"DELETE FROM sales WHERE sale_id = {sale_id}")
        del self.rows[sale_id]


def row(sale_id: int, day: int = 1, **options: Any) -> Row:
    """A good row of a day."""
    values: dict[str, Any] = {
        "amount": Decimal("10.10"),
        "status": GOOD,
        "note": None,
        "sold_at": datetime(2025, 1, day, 10),
        "updated_at": NOON,
    }
    return Row(sale_id=sale_id, **{**values, **options})
