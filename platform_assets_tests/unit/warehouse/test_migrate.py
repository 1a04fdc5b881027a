"""A cleaned table follows its contract, or says why it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from platform_assets.errors import PublishError
from platform_assets.warehouse import migrate
from platform_assets.warehouse.lake import Connection, LakeConfig, connect

TABLE = '"lake"."main"."things"'


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
    assert "contracts diff things" in raised.value.fix
    assert "contracts apply things" in raised.value.fix
    assert migrate.table_columns(lake_with_table, TABLE) == before


def test_a_rewritten_table_has_other_types_and_its_rows_in_their_order(
    lake_with_table: Connection,
) -> None:
    lake_with_table.execute(f"INSERT INTO {TABLE} SELECT range, range / 4 FROM range(2, 300000)")
    lake_with_table.execute(f"DELETE FROM {TABLE} WHERE id % 7 = 0")
    ordered = (
        f"SELECT md5(string_agg(id::VARCHAR, ',' ORDER BY rowid)), sum(price::DOUBLE) FROM {TABLE}"
    )
    before = lake_with_table.execute(ordered).fetchall()
    threads = lake_with_table.execute("SELECT current_setting('threads')").fetchone()
    migrate.rewrite_in_order(lake_with_table, TABLE, {"price": "CAST(price AS VARCHAR)"})
    assert migrate.table_columns(lake_with_table, TABLE) == {"id": "BIGINT", "price": "VARCHAR"}
    assert lake_with_table.execute(ordered).fetchall() == before
    assert lake_with_table.execute("SELECT current_setting('threads')").fetchone() == threads


def test_a_rewriting_that_fails_leaves_the_table(lake_with_table: Connection) -> None:
    with pytest.raises(duckdb.BinderException):
        migrate.rewrite_in_order(lake_with_table, TABLE, {"price": "CAST(nothing AS VARCHAR)"})
    assert lake_with_table.execute(f"SELECT * FROM {TABLE}").fetchall() == [(1, Decimal("2.50"))]


def test_what_is_committed_with_a_change_is_committed_also_without_one(
    lake_with_table: Connection,
) -> None:
    lake_with_table.execute("CREATE TABLE lake.main.notes (note VARCHAR)")
    held = list(migrate.table_columns(lake_with_table, TABLE).items())
    for wanted in (held, [*held, ("note", "VARCHAR")]):
        migrate.align(
            lake_with_table,
            "things",
            TABLE,
            wanted,
            commit_with=lambda con: con.execute("INSERT INTO lake.main.notes VALUES ('x')"),
        )
    assert lake_with_table.execute("SELECT count(*) FROM lake.main.notes").fetchone() == (2,)
