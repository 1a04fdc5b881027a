"""A table of a real Postgres with a slot, and syncs of a dataset that reads it by its log.

Belongs here: what happens at the source. Does not belong here: a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from platform_assets.sources.connections import Database
from platform_assets.sources.postgres_changes import PostgresChanges
from platform_assets.sql import quote_literal
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.logs import Sync, accounted, values
from platform_assets_tests.source_tables import SourceTable, sales

SLOT = "sales_slot"


@dataclass
class Shop:
    """A source table with a slot, and syncs of it."""

    table: SourceTable
    sync: Sync
    last_good: dict[int, Any] = field(default_factory=dict)

    def execute(self, statement: str) -> None:
        """Run a statement in the database."""
        self.table.execute(statement)

    def update(self, key: int, **changes: Any) -> None:
        """Change columns of a row, the others left to the database."""
        told = ", ".join(f"{name} = {quote_literal(str(v))}" for name, v in changes.items())
        self.execute(f"UPDATE sales SET {told} WHERE sale_id = {key}")
        changed = replace(self.table.rows.pop(key), **changes)
        self.table.rows[changed.sale_id] = changed

    def asked(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query of the database."""
        function = f"postgres_query('_source', {quote_literal(query)})"
        return self.table._engine.execute(f"FROM {function}").fetchall()

    def slot(self, name: str = SLOT, plugin: str = "test_decoding") -> None:
        """Make a slot anew."""
        self.asked(
            "SELECT pg_drop_replication_slot(slot_name)::text AS d FROM pg_replication_slots "
            f"WHERE slot_name = '{name}'"
        )
        self.asked(f"SELECT pg_create_logical_replication_slot('{name}', '{plugin}')::text AS s")

    def check(self) -> None:
        """Sync, and hold the cleaned table to the source."""
        loaded, cleaned = self.sync()
        assert not loaded.failed, next(iter(loaded.failed.values())).message
        assert all(control.holds for control in loaded.controls)
        assert accounted(cleaned)
        assert self.sync.cleaned() == values(self.table.rows)

    def refusal(self) -> str:
        """What a load says that cannot be done."""
        loaded, _ = self.sync()
        return next(iter(loaded.failed.values())).message


@contextmanager
def shops(database: Database, folder: Path) -> Iterator[Callable[..., Shop]]:
    """Makes shops; each with an empty table, a new slot and a lake of its own."""
    with ExitStack() as stack:
        made = 0

        def make(**options: Any) -> Shop:
            nonlocal made
            made += 1
            lake = stack.enter_context(connect(lake_in(folder / str(made))))
            table = stack.enter_context(SourceTable(database).opened())
            dataset = sales(PostgresChanges("sales", SLOT, **options), max_bad_share=1.0)
            shop = Shop(table, Sync(dataset, lake, {"database": database}))
            shop.slot()
            return shop

        yield make
