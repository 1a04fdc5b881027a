"""Tables of databases, and Postgres's change log, as kinds of source.

Belongs here: their adapters. Does not belong here: the other kinds (``source_kinds``), or an
assertion.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from platform_assets.sources.change_source import AnySource
from platform_assets.sources.connections import Database
from platform_assets.sources.postgres_changes import PostgresChanges
from platform_assets.sources.tables import FullTable, SnapshotTable, WatermarkTable
from platform_assets.sql import quote_literal
from platform_assets_tests.servers import PASSWORD, free_port
from platform_assets_tests.source_kinds import COLOUR, Make, Servers, SourceKind
from platform_assets_tests.source_tables import Row, SourceTable

SLOT = "contract_slot"


@dataclass
class Table(SourceKind):
    """A table that is read by what has changed.

    Attributes:
        table: The table.
    """

    table: SourceTable = field(kw_only=True)
    _down: bool = False

    def __post_init__(self) -> None:
        self.rows = self.table.rows

    @property
    def database(self) -> Database:
        return self.table.database

    @property
    def connections(self) -> dict[str, object]:
        if self._down and self.database.kind != "sqlite":
            return {"database": replace(self.database, port=free_port())}
        return {"database": self.database}

    @property
    def secrets(self) -> tuple[str, ...]:
        return () if self.database.kind == "sqlite" else (PASSWORD,)

    def written(self, rows: Mapping[int, Row]) -> None:
        for each in rows.values():
            self.table.put(each)

    def removed(self, row: Row) -> None:
        self.table.delete(row.sale_id)

    def add_column(self) -> None:
        super().add_column()
        self.table.execute("ALTER TABLE sales ADD COLUMN colour varchar(20)")
        self.table.further["colour"] = COLOUR

    def drop_column(self) -> None:
        super().drop_column()
        self.table.execute("ALTER TABLE sales DROP COLUMN note")
        self.table.without.add("note")

    def go_down(self) -> None:
        self._down = True
        if self.database.path is not None:
            self.database.path.rename(self.folder / "elsewhere")

    def come_up(self) -> None:
        self._down = False
        if self.database.path is not None:
            (self.folder / "elsewhere").rename(self.database.path)

    @property
    def amount_type(self) -> str:
        # To SQLite a column's type is a hint.
        return "VARCHAR" if self.database.kind == "sqlite" else "DECIMAL(10,2)"


class Full(Table):
    rereads = lands_anew = True

    @property
    def source(self) -> AnySource:
        return FullTable("sales")


class Watermark(Table):
    sees_deletes = False

    @property
    def source(self) -> AnySource:
        return WatermarkTable("sales")


class Snapshot(Table):
    @property
    def source(self) -> AnySource:
        return SnapshotTable("sales")


class Slot(Table):
    """The table's change log, from a slot."""

    @property
    def source(self) -> AnySource:
        return PostgresChanges("sales", SLOT)

    @property
    def amount_type(self) -> str:
        # The log is text.
        return "VARCHAR"

    @contextmanager
    def opened(self) -> Iterator[Slot]:
        """With a new slot, which is gone afterwards: it would hold the server's log."""
        self._ask(
            f"SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')::text AS s"
        )
        try:
            yield self
        finally:
            self._ask(f"SELECT pg_drop_replication_slot('{SLOT}')::text AS s")

    def _ask(self, query: str) -> None:
        function = f"postgres_query('_source', {quote_literal(query)})"
        self.table._engine.execute(f"FROM {function}").fetchall()


def _database(engine: str, folder: Path, servers: Servers) -> Database:
    if engine == "postgres":
        return servers.postgres
    if engine == "mariadb":
        return servers.mariadb
    path = folder / "shop.sqlite"
    sqlite3.connect(path).close()
    return Database("sqlite", path=path)


def tables(kind: type[Table], engine: str) -> Make:
    """Makes a kind whose table is in a database."""

    @contextmanager
    def make(folder: Path, servers: Servers) -> Iterator[SourceKind]:
        with SourceTable(_database(engine, folder, servers)).opened() as table:
            made = kind(folder, table=table)
            if isinstance(made, Slot):
                with made.opened():
                    yield made
            else:
                yield made

    return make


KINDS: dict[str, Make] = {
    "sqlite_full": tables(Full, "sqlite"),
    "sqlite_snapshot": tables(Snapshot, "sqlite"),
    "postgres_watermark": tables(Watermark, "postgres"),
    "postgres_changes": tables(Slot, "postgres"),
    "mariadb_watermark": tables(Watermark, "mariadb"),
}
"""The kinds of this module."""
