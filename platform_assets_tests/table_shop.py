"""A lake, a table of a real database, and syncs between them.

Belongs here: what tests of tables share. Does not belong here: an assertion about a sync.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from platform_assets.dataset import Dataset
from platform_assets.pipeline import BatchReport, Step, clean, load_raw
from platform_assets.sources.connections import Database
from platform_assets.sources.tables import FullTable, SnapshotTable, WatermarkTable
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection, connect
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.servers import mariadb_server, postgres_server
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, Row, SourceTable, sales

READERS: dict[str, Callable[[], Any]] = {
    "watermark": lambda: WatermarkTable("sales"),
    "snapshot": lambda: SnapshotTable("sales"),
    "full": lambda: FullTable("sales"),
}
ShopMaker = Callable[..., "Shop"]

# What happens at a source between two syncs: (what, row, day, status).
ACTIONS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "put", "delete"]),
            st.integers(1, 6),
            st.integers(1, 3),
            st.sampled_from([GOOD, GOOD, GOOD, BAD]),
        ),
        max_size=6,
    ),
    min_size=2,
    max_size=4,
)


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[Database]:
    """A database of a kind; SQLite's is a file in a folder."""
    if kind == "sqlite":
        path = folder / "shop.sqlite"
        sqlite3.connect(path).close()
        yield Database("sqlite", path=path)
        return
    with {"postgres": postgres_server, "mysql": mariadb_server}[kind]() as found:
        yield found


@dataclass
class Shop:
    """A source table, a lake, and syncs between them."""

    table: SourceTable
    lake: Connection
    dataset: Dataset
    runs: int = 0
    last_good: dict[int, Row] = field(default_factory=dict)

    def step(self, **options: Any) -> Step:
        """A step of a run of its own."""
        self.runs += 1
        connections = {"database": self.table.database}
        values = {"run_id": f"run-{self.runs}", "connections": connections}
        return Step(dataset=self.dataset, lake=self.lake, **{**values, **options})

    def sync(self, days: tuple[str, ...] = DAYS, **options: Any) -> tuple[BatchReport, BatchReport]:
        """Load what has changed, and clean all partitions that it touched."""
        step = self.step(**options)
        loaded = load_raw(step, days)
        return loaded, clean(step, [*loaded.good, *loaded.also])

    def cleaned(self) -> dict[int, tuple[Any, ...]]:
        """The cleaned rows by key."""
        found = self.lake.execute(
            f"SELECT * EXCLUDE (_partition, _source_file) FROM {tables.cleaned_table('sales')}"
        ).fetchall()
        assert len({key for key, *_ in found}) == len(found)
        return {values[0]: values for values in found}

    def quarantine(self) -> list[tuple[Any, ...]]:
        """The open rows of the quarantine."""
        return self.lake.execute(
            f"SELECT row_key, partition, rules FROM {tables.QUARANTINE} WHERE status = 'open' "
            "ORDER BY ALL"
        ).fetchall()

    def note(self) -> None:
        """Note what the source holds that is good: a bad version leaves the last good one.

        Called between two syncs, as that is all that a sync can see: a row that was deleted and
        put again badly in the meantime was never gone, and its last good version stays.
        """
        for gone in set(self.last_good) - set(self.table.rows):
            del self.last_good[gone]
        for key, each in self.table.rows.items():
            if each.status != BAD:
                self.last_good[key] = each


@contextmanager
def shops(database: Database, folder: Path) -> Iterator[ShopMaker]:
    """Makes shops; each with an empty table and a lake of its own."""
    with ExitStack() as stack:
        made = 0

        def make(reader: str, **options: Any) -> Shop:
            nonlocal made
            made += 1
            lake = stack.enter_context(connect(lake_in(folder / str(made))))
            table = stack.enter_context(SourceTable(database).opened())
            dataset = sales(READERS[reader](), **{"max_bad_share": 1.0, **options})
            return Shop(table, lake, dataset)

        yield make
