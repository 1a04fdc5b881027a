"""A cleaned table follows its contract, or says why it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.errors import PublishError
from platform_assets.warehouse import migrate
from platform_assets.warehouse.lake import Connection, LakeConfig, connect

TABLE = "lake.main.things"


@pytest.fixture
def lake_with_table(tmp_path: Path) -> Iterator[Connection]:
    config = LakeConfig(tmp_path / "catalog.sqlite", tmp_path / "files", tmp_path / "scratch")
    with connect(config) as connection:
        connection.execute(f"CREATE TABLE {TABLE} (id BIGINT, price DECIMAL(18,2))")
        connection.execute(f"INSERT INTO {TABLE} VALUES (1, 2.50)")
        yield connection


def test_an_added_column_is_added_and_rows_stay(lake_with_table: Connection) -> None:
    wanted = [("id", "BIGINT"), ("price", "DECIMAL(18,2)"), ("note", "VARCHAR")]
    migrate.align(lake_with_table, "things", TABLE, wanted)
    assert migrate.table_columns(lake_with_table, TABLE) == dict(wanted)
    rows = lake_with_table.execute(f"SELECT id, note FROM {TABLE}").fetchall()
    assert rows == [(1, None)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(
            [("id", "BIGINT"), ("price", "BIGINT")],
            "price is DECIMAL(18,2) in the table and BIGINT in the contract",
            id="type changed: inserting would round",
        ),
        pytest.param([("id", "BIGINT")], "price is no longer in the contract", id="column gone"),
    ],
)
def test_what_would_change_rows_is_refused(
    lake_with_table: Connection, wanted: list[tuple[str, str]], found: str
) -> None:
    before = migrate.table_columns(lake_with_table, TABLE)
    with pytest.raises(PublishError) as raised:
        migrate.align(lake_with_table, "things", TABLE, wanted)
    assert found in raised.value.found
    assert "platform-assets contracts rebuild things" in raised.value.fix
    assert migrate.table_columns(lake_with_table, TABLE) == before


def test_a_rebuilt_table_is_empty_and_has_the_new_columns(lake_with_table: Connection) -> None:
    migrate.rebuild(lake_with_table, TABLE, f"CREATE TABLE {TABLE} (id VARCHAR)")
    assert migrate.table_columns(lake_with_table, TABLE) == {"id": "VARCHAR"}
    assert lake_with_table.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (0,)
