"""A sync of changes is killed at any moment: no row is lost or doubled, no cursor lies."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.sources.connections import Database
from platform_assets.sources.tables import SnapshotTable, WatermarkTable
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.faults.processes import worker
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, SourceTable, row, sales

ROUNDS, KILLS_A_ROUND, ROWS = 3, 5, 40
READERS = {"watermark": WatermarkTable("sales"), "snapshot": SnapshotTable("sales")}


@dataclass(frozen=True)
class Sync:
    """Load what has changed and clean what it touched, in this process.

    Attributes:
        root: Where the lake is.
        source: The database.
        reader: How the table is read.
    """

    root: Path
    source: Path
    reader: str

    def do(self) -> None:
        """Do it."""
        dataset = sales(READERS[self.reader], max_bad_share=1.0)
        with connect(lake_in(self.root)) as lake:
            step = Step(dataset, lake, "a run", {"database": Database("sqlite", self.source)})
            loaded = load_raw(step, DAYS)
            assert not loaded.failed, loaded.failed
            cleaned = clean(step, [*loaded.good, *loaded.also])
            assert not cleaned.failed, cleaned.failed


def hold_the_books(root: Path) -> int:
    """Hold what is published against the ledger; the number of partitions that are."""
    with connect(lake_in(root)) as lake:
        tables.ensure_platform_tables(lake)
        if "cleaned" not in tables.existing_layers(lake, "sales"):
            return 0
        cleaned = tables.cleaned_table("sales")
        rows = dict(
            lake.execute(f"SELECT _partition, count(*) FROM {cleaned} GROUP BY 1").fetchall()
        )
        entries = ledger.published(lake, "cleaned/sales")
        for key, entry in entries.items():
            assert rows.pop(key, 0) == entry.cleaned
            assert entry.extracted == entry.cleaned + entry.quarantined + entry.deduplicated
        assert not rows
        return len(entries)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[SourceTable]:
    """An empty table of sales."""
    path = tmp_path / "shop.sqlite"
    sqlite3.connect(path).close()
    with SourceTable(Database("sqlite", path=path)).opened() as made:
        yield made


@pytest.mark.parametrize("reader", READERS)
def test_killed_again_and_again_a_sync_ends_as_if_nothing_had_happened(
    table: SourceTable, tmp_path: Path, reader: str
) -> None:
    assert table.database.path is not None
    chance, root = random.Random(7), tmp_path / "lake"
    root.mkdir()
    sync = Sync(root, table.database.path, reader)
    with worker(int, tmp_path / "warm") as nothing:
        nothing.finish()  # what the server of processes imports is not part of a sync's length
    good: dict[int, tuple[object, ...]] = {}
    killed = published = 0
    length = 1.0
    for _ in range(ROUNDS):
        for _ in range(ROWS // 4):
            key = chance.randrange(ROWS)
            if reader == "snapshot" and key in table.rows and chance.random() < 0.2:
                table.delete(key)
                good.pop(key, None)
                continue
            status = BAD if chance.random() < 0.2 else GOOD
            table.put(
                row(
                    key, chance.randrange(1, 5), status=status, amount=Decimal(chance.randrange(99))
                )
            )
        # Between two syncs only the last state can be seen.
        good |= {key: each.values for key, each in table.rows.items() if each.status != BAD}
        for _ in range(KILLS_A_ROUND):
            with worker(sync.do, tmp_path / "errors.txt") as run:
                killed += run.kill_after(chance.random() * length)
            published += hold_the_books(root)
        started = time.perf_counter()
        with worker(sync.do, tmp_path / "errors.txt") as run:
            run.finish()
        length = max(0.2, time.perf_counter() - started)
        hold_the_books(root)
        with connect(lake_in(root)) as lake:
            found = lake.execute(
                f"SELECT * EXCLUDE (_partition, _source_file) FROM {tables.cleaned_table('sales')}"
            ).fetchall()
            bad = lake.execute(
                f"SELECT row_key FROM {tables.QUARANTINE} WHERE status = 'open'"
            ).fetchall()
        assert {values[0]: values for values in found} == good
        assert len(found) == len(good)
        still_bad = [str(key) for key, each in table.rows.items() if each.status == BAD]
        assert sorted(key for (key,) in bad) == sorted(still_bad)
    # That the kills hit work, and that something was published between them.
    assert killed > ROUNDS * KILLS_A_ROUND / 2
    assert published > 0
