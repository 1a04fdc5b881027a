"""A lake, a table of a real database, and syncs between them.

Belongs here: what tests of tables share. Does not belong here: an assertion about a sync.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
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

Happening = list[list[tuple[str, int, int, str]]]


def _happening(seed: int) -> Happening:
    rng = random.Random(seed)
    return [
        [
            (
                rng.choice(["put", "put", "put", "delete"]),
                rng.randint(1, 6),
                rng.randint(1, 3),
                rng.choice([GOOD, GOOD, GOOD, BAD]),
            )
            for _ in range(rng.randint(4, 12))
        ]
        for _ in range(3)
    ]


# From no seed that is 0: Hypothesis begins with its simplest example, which would always be that
# one. Drawn one by one, that example had no action at all.
SEEDS = st.integers(0, 2**32).filter(bool)
# What happens at a source between two syncs: (what, row, day, status). A sync takes half a second,
# so one example is full of what can happen, and is not made smaller where it fails.
ACTIONS = SEEDS.map(_happening)
one_full_example = settings(
    max_examples=1,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
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
