"""Earlier states are seen in a process that has read the books first, as every command has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import pytest

from platform_assets.warehouse import ledger
from platform_assets.warehouse.changed import changed_partitions
from platform_assets.warehouse.diff import compare
from platform_assets.warehouse.lake import (
    Connection,
    LakeConfig,
    connect,
    current_snapshot,
    in_transaction,
)
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.leftovers import Compared
from platform_assets.warehouse.snapshots import columns_at, look_back
from platform_assets.warehouse.tables import LEDGER, cleaned_table, ensure_platform_tables
from platform_assets.warehouse.tally import RowChanges
from platform_assets_tests.support import D1

ASSET, TABLE = "cleaned/pairs", cleaned_table("pairs")
COMPARED = Compared(ASSET, "cleaned", "pairs", key=("k",))


@dataclass(frozen=True)
class Lake:
    """A lake on disk, with two publishes of a day and a table that was made between them.

    Attributes:
        config: Where it is.
        before: The snapshot of the first publish: the first entry of the ledger is of it.
        after: That of the second.
    """

    config: LakeConfig
    before: int
    after: int


@pytest.fixture
def lake(lake_config: LakeConfig) -> Lake:
    with connect(lake_config) as connection:
        ensure_platform_tables(connection)
        connection.execute(f"CREATE TABLE {TABLE} (k BIGINT, v VARCHAR, _partition VARCHAR)")
        before = publish(connection, "old")
        connection.execute(f"CREATE TABLE {cleaned_table('others')} (k BIGINT)")
        return Lake(lake_config, before, publish(connection, "new"))


def publish(lake: Connection, value: str) -> int:
    """Replace the day's only row, with its entry; the snapshot of it."""

    def work(connection: Connection) -> None:
        connection.execute(f"DELETE FROM {TABLE}")
        connection.execute(f"INSERT INTO {TABLE} VALUES (1, ?, ?)", [value, D1])
        ledger.record(connection, [LedgerEntry(ASSET, D1, f"run-{value}", Status.PUBLISHED)])

    in_transaction(lake, work)
    return current_snapshot(lake)


def values_at(connection: Connection, lake: Lake) -> list[object]:
    look_back(connection, lake.before, lake.after)
    return [
        connection.execute(f"SELECT v FROM {TABLE} AT (VERSION => {each})").fetchall()
        for each in (lake.before, lake.after)
    ]


def columns_then(connection: Connection, lake: Lake) -> list[str]:
    look_back(connection, lake.before)
    return list(columns_at(connection, TABLE, lake.before))


def difference(connection: Connection, lake: Lake) -> RowChanges:
    return compare(connection, COMPARED, lake.before, lake.after).total


def changed(connection: Connection, lake: Lake) -> list[str]:
    return changed_partitions(connection, ASSET, TABLE, [D1], since=lake.before)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("look", "seen"),
    [
        (values_at, [[("old",)], [("new",)]]),
        (columns_then, ["k", "v", "_partition"]),
        (difference, RowChanges(changed=1)),
        (changed, [D1]),
    ],
)
def test_the_books_are_read_before_and_after(
    lake: Lake, look: Callable[[Connection, Lake], object], seen: object, read_only: bool
) -> None:
    with connect(lake.config, read_only=read_only) as connection:
        connection.execute("CREATE TEMP TABLE staged AS SELECT 1 AS one")
        for _ in range(2):
            connection.execute(f"FROM {LEDGER}").fetchall()
            assert look(connection, lake) == seen
        assert connection.execute("FROM staged").fetchall() == [(1,)], "what is staged stays"
        if read_only:
            with pytest.raises(duckdb.InvalidInputException, match="read-only"):
                publish(connection, "never")


def test_it_is_still_needed(lake: Lake) -> None:
    """Where this fails, DuckLake has mended its issue 955, and ``look_back`` can go."""
    with connect(lake.config) as connection:
        connection.execute(f"FROM {LEDGER}").fetchall()
        with pytest.raises(duckdb.CatalogException, match="does not exist at version"):
            connection.execute(f"FROM {TABLE} AT (VERSION => {lake.before})")
