"""A tiny dataset, its deliveries, and how tests run the steps over them.

Belongs here: what several test modules need and what is no fixture. Does not belong here: an
assertion.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.pipeline import BatchReport, Step, clean, load_raw
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import Connection

PII_KEY = "a key for tests only"
START = date(2025, 1, 1)
DAYS = tuple(f"2025-01-{day:02}" for day in range(1, 11))
D1, D2, D3 = DAYS[:3]


class Thing(Contract):
    """A thing: every kind of column that matters to the pipeline, and no more."""

    thing_id: str = Key()
    quantity: int = Field(ge=0)
    price: Decimal = Field(ge=0, decimal=(10, 2))
    note: str = Field(nullable=True, str_length={"max_value": 20}, severity="warn")
    changed_at: datetime = Field(cursor=True)


HEADER = "thing_id,quantity,price,note,changed_at"


def row(
    thing_id: str = "t1",
    quantity: object = 1,
    price: object = "1.00",
    note: str = "",
    changed_at: str = "2025-01-01 08:00:00",
) -> str:
    """One line of a file of things."""
    return f"{thing_id},{quantity},{price},{note},{changed_at}"


def text(*rows: str, header: str = HEADER) -> str:
    """A file's content."""
    return "".join(f"{line}\n" for line in (header, *rows))


def rows_named(*names: str) -> tuple[str, ...]:
    """One good row for each name."""
    return tuple(row(name) for name in names)


def things(name: str = "things", **options: Any) -> Dataset:
    """A daily dataset of things, delivered as ``<name>/<day>.csv``."""
    values = {
        "contract": Thing,
        "source": CsvFiles(f"{name}/{{partition}}.csv"),
        "partitions": Daily(START, date(2025, 4, 30)),
        "owners": ("team:tests",),
    }
    return Dataset(name=name, **{**values, **options})


@dataclass
class Site:
    """A lake, a folder that files are delivered to, and the steps over them."""

    lake: Connection
    folder: Path
    runs: int = 0
    batch_bytes: int = 256_000_000
    connections: Mapping[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.connections = {"files": self.folder}

    def path(self, dataset: str, day: str) -> Path:
        """Where a day's file is."""
        return self.folder / dataset / f"{day}.csv"

    def deliver(self, day: str, content: str | bytes, dataset: str = "things") -> Path:
        """Put a day's file there; a later delivery is seen to be another one."""
        path = self.path(dataset, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        # The clock of a file system may not move between two writes of a test.
        after = max(path.stat().st_mtime_ns, before + 1_000_000)
        os.utime(path, ns=(after, after))
        return path

    def step(self, dataset: Dataset, **options: Any) -> Step:
        """A step of a run of its own."""
        self.runs += 1
        values = {
            "run_id": f"run-{self.runs}",
            "connections": self.connections,
            "batch_bytes": self.batch_bytes,
        }
        return Step(dataset=dataset, lake=self.lake, **{**values, **options})

    def run(
        self, dataset: Dataset, days: Sequence[str], **options: Any
    ) -> tuple[BatchReport, BatchReport]:
        """Load and clean partitions in one run."""
        step = self.step(dataset, **options)
        loaded = load_raw(step, days)
        return loaded, clean(step, [day for day in days if day in loaded.good])

    def cleaned(self, dataset: str = "things", columns: str = "*") -> list[tuple[Any, ...]]:
        """The cleaned rows."""
        return self.select(f"SELECT {columns} FROM {tables.cleaned_table(dataset)} ORDER BY ALL")

    def raw(self, dataset: str = "things", columns: str = "*") -> list[tuple[Any, ...]]:
        """The raw rows."""
        return self.select(f"SELECT {columns} FROM {tables.raw_table(dataset)} ORDER BY ALL")

    def quarantine(self, dataset: str = "things", columns: str = "*") -> list[tuple[Any, ...]]:
        """The quarantined rows."""
        return self.select(
            f"SELECT {columns} FROM {tables.QUARANTINE} WHERE dataset = '{dataset}' ORDER BY ALL"
        )

    def ids(self, day: str, dataset: str = "things") -> list[str]:
        """Keys of a day's cleaned rows."""
        return [key for key, at in self.cleaned(dataset, "thing_id, _partition") if at == day]

    def published(self, layer: str, dataset: str = "things") -> dict[str, ledger.LedgerEntry]:
        """The ledger's publishes of an asset."""
        return ledger.published(self.lake, f"{layer}/{dataset}")

    def select(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.lake.execute(query).fetchall()

    def contents(self, dataset: str = "things") -> dict[str, list[tuple[Any, ...]]]:
        """All tables of a dataset: what running again must not change."""
        return {
            "raw": self.raw(dataset),
            "cleaned": self.cleaned(dataset),
            "quarantine": self.quarantine(dataset),
        }
