"""Shops whose dataset keeps a history.

Belongs here: making them, and reading the history. Does not belong here: an assertion.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from platform_assets.sources.change_source import ChangeSource
from platform_assets.sources.connections import Database
from platform_assets.warehouse.history import history_table
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.source_tables import SourceTable, sales
from platform_assets_tests.table_shop import Shop

HISTORY = history_table("sales")


@contextmanager
def shops(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes shops; each with an empty table and a lake of its own."""
    with ExitStack() as stack:
        made = 0

        def make(source: ChangeSource, **options: Any) -> Shop:
            nonlocal made
            made += 1
            path = tmp_path / f"shop-{made}.sqlite"
            sqlite3.connect(path).close()
            lake = stack.enter_context(connect(lake_in(tmp_path / str(made))))
            table = stack.enter_context(SourceTable(Database("sqlite", path=path)).opened())
            values = {"max_bad_share": 1.0, "history": True, **options}
            return Shop(table, lake, sales(source, **values))

        yield make


def periods(shop: Shop) -> list[tuple[Any, ...]]:
    """The history, whole."""
    return shop.lake.execute(
        f"SELECT * EXCLUDE (_partition) FROM {HISTORY} ORDER BY sale_id, valid_from, valid_to"
    ).fetchall()


def with_partitions(shop: Shop) -> list[tuple[Any, ...]]:
    """The same, with the partition."""
    return shop.lake.execute(f"SELECT * FROM {HISTORY} ORDER BY ALL").fetchall()
