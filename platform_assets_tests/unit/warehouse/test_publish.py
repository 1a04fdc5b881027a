"""Publish: partitions replaced by column name, all or nothing, behind a gate."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from platform_assets.errors import PublishError
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.publish import Publish, count_rows, in_partitions, publish
from platform_assets.warehouse.tables import aggregated_table, ensure_platform_tables
from platform_assets_tests.support import D1, D2, D3, Site

TABLE = aggregated_table("pairs")


@pytest.fixture
def lake(site: Site) -> Connection:
    ensure_platform_tables(site.lake)
    site.lake.execute(f"CREATE TABLE {TABLE} (a VARCHAR, b VARCHAR, _partition VARCHAR)")
    site.lake.execute(
        f"INSERT INTO {TABLE} VALUES ('a1', 'b1', '{D1}'), ('a2', 'b2', '{D2}'), "
        f"('a3', 'b3', '{D3}')"
    )
    return site.lake


def rows(lake: Connection) -> list[tuple[str, ...]]:
    return lake.execute(f"SELECT a, b, _partition FROM {TABLE} ORDER BY ALL").fetchall()


def nothing(*_: object) -> None:
    return


def test_columns_land_by_name_and_only_the_partitions_named_are_replaced(lake: Connection) -> None:
    select = f"SELECT '{D1}' AS _partition, 'new b' AS b, 'new a' AS a"
    counted = publish(
        lake,
        Publish(TABLE, [D1, D2], select, ["_partition", "b", "a"]),
        audit=nothing,
        commit_with=nothing,
    )
    assert counted == {D1: 1, D2: 0}
    assert rows(lake) == [("a3", "b3", D3), ("new a", "new b", D1)]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["a", "_partition"], "missing b; unknown none"),
        (["a", "b", "c", "_partition"], "missing none; unknown c"),
        (["b", "c", "_partition"], "missing a; unknown c"),
    ],
)
def test_other_columns_are_refused(lake: Connection, columns: list[str], found: str) -> None:
    before = rows(lake)
    select = "SELECT " + ", ".join(f"'{D1}' AS {name}" for name in columns)
    with pytest.raises(PublishError, match="do not have the table's columns") as caught:
        publish(lake, Publish(TABLE, [D1], select, columns), audit=nothing, commit_with=nothing)
    assert TABLE in caught.value.where
    assert caught.value.expected == '"_partition", "a", "b"'
    assert caught.value.found == found
    assert rows(lake) == before


@pytest.mark.parametrize("gate", ["audit", "commit_with"])
def test_what_the_gate_stops_is_never_seen(
    lake: Connection, site: Site, lake_config: object, gate: str
) -> None:
    before = rows(lake)
    staged: list[int] = []

    class StopError(Exception):
        pass

    def stop(connection: Connection, *_: Mapping[str, int]) -> None:
        staged.append(count_rows(connection, TABLE, [D1])[D1])
        with connect(lake_config) as reader:  # type: ignore[arg-type]
            assert rows(reader) == before
        raise StopError

    gates = {"audit": nothing, "commit_with": nothing, gate: stop}
    select = f"SELECT 'x' AS a, 'y' AS b, '{D1}' AS _partition FROM range(5)"
    with pytest.raises(StopError):
        publish(lake, Publish(TABLE, [D1], select, ["a", "b", "_partition"]), **gates)
    assert staged == [5]
    assert rows(lake) == before


def test_a_condition_on_partitions(lake: Connection) -> None:
    def picked(*partitions: str) -> list[str]:
        found = lake.execute(f"SELECT a FROM {TABLE} WHERE {in_partitions(partitions)} ORDER BY 1")
        return [a for (a,) in found.fetchall()]

    assert picked() == []
    assert picked(D3, D1) == ["a1", "a3"]
    assert picked(D3, D2, D1) == ["a1", "a2", "a3"]
    assert picked("it's") == []
    assert picked("all", "it's", "2024-01-01", "2024-06-01", D2, "2026-01-01") == ["a2"]
