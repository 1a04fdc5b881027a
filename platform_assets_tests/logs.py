"""Change logs of the table ``sales``: Debezium's events, and the model of what they come to.

Belongs here: writing events, and syncs of a dataset that reads them. Does not belong here: an
assertion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from platform_assets.dataset import Dataset
from platform_assets.pipeline import BatchReport, Step, clean, load_raw
from platform_assets.pipeline.touched import touched_partitions
from platform_assets.sources.base import Access
from platform_assets.sources.change_source import Lag, TellsLag
from platform_assets.warehouse import cursors, tables
from platform_assets.warehouse.lake import Connection
from platform_assets_tests.source_tables import BAD, DAYS, Row, row

SECOND = 1_735_689_600_000
"""The first moment of 2025, in milliseconds."""


@dataclass(frozen=True)
class Event:
    """A change of a row.

    Attributes:
        op: What happened.
        row: The row after it; before it, where it was deleted.
        position: Its position, which is also the second of 2025 in which it happened.
    """

    op: str
    row: Row
    position: int

    @property
    def envelope(self) -> dict[str, Any]:
        """As Debezium writes it."""
        told = {name: None if v is None else str(v) for name, v in vars(self.row).items()}
        gone = self.op == "d"
        return {
            "op": self.op,
            "before": told if gone else None,
            "after": None if gone else told,
            "source": {"lsn": self.position, "ts_ms": SECOND + self.position * 1000},
            "ts_ms": SECOND,
        }


def event(op: str, sale_id: int, position: int, day: int = 1, **options: Any) -> Event:
    """A change of a good row."""
    values = {"amount": Decimal(position) / 100, **options}
    return Event(op, row(sale_id, day, **values), position)


def lines(events: Iterable[Event | dict[str, Any] | str | None]) -> str:
    """A file of events; what is no event is written as it is."""
    told = (
        each if isinstance(each, str) else json.dumps(getattr(each, "envelope", each))
        for each in events
    )
    return "".join(f"{line}\n" for line in told)


def current(events: Iterable[Event]) -> dict[int, Row]:
    """What the table holds after its events: the newest that is good, or deletes, decides."""
    rows: dict[int, Row] = {}
    for each in sorted(events, key=lambda e: e.position):
        if each.op == "d":
            rows.pop(each.row.sale_id, None)
        elif each.row.status != BAD:
            rows[each.row.sale_id] = each.row
    return rows


@dataclass
class Sync:
    """A dataset, a lake, and loads between a source and it.

    Attributes:
        dataset: The dataset ``sales``.
        lake: An open lake.
        connections: What the source reads through.
    """

    dataset: Dataset
    lake: Connection
    connections: dict[str, object]
    runs: int = field(default=0)

    def __call__(
        self, days: Sequence[str] = DAYS, **options: Any
    ) -> tuple[BatchReport, BatchReport]:
        """Load what is new, and clean all partitions that it touched."""
        self.runs += 1
        step = Step(
            dataset=self.dataset,
            lake=self.lake,
            run_id=f"run-{self.runs}",
            connections=self.connections,
            **options,
        )
        loaded = load_raw(step, days)
        return loaded, clean(step, [*loaded.good, *loaded.also])

    def touched(self) -> list[str]:
        """What a sensor sees."""
        return touched_partitions(Step(self.dataset, self.lake, "look", self.connections), DAYS)

    def lag(self) -> Lag:
        """How far reading is behind."""
        source, position = self.dataset.source, cursors.current(self.lake, "sales").position
        assert isinstance(source, TellsLag)
        assert position is not None
        return source.lag(Access(self.lake, self.connections), position)

    def cleaned(self) -> dict[int, tuple[Any, ...]]:
        """The cleaned rows by key."""
        found = self.lake.execute(
            f"SELECT COLUMNS('^[^_]') FROM {tables.cleaned_table('sales')}"
        ).fetchall()
        assert len({key for key, *_ in found}) == len(found)
        return {values[0]: values for values in found}

    def raw(self, columns: str = "*") -> list[tuple[Any, ...]]:
        """The versions that are held."""
        return self.lake.execute(
            f"SELECT {columns} FROM {tables.raw_table('sales')} ORDER BY ALL"
        ).fetchall()

    def select(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.lake.execute(query).fetchall()


def values(rows: dict[int, Row]) -> dict[int, tuple[Any, ...]]:
    """Rows as a cleaned table holds them."""
    return {key: each.values for key, each in rows.items()}


def accounted(report: BatchReport) -> bool:
    """Whether every row of every partition is somewhere."""
    return all(
        entry.extracted == entry.cleaned + entry.quarantined + entry.deduplicated
        for entry in report.entries.values()
    )
