"""A table of Postgres that is read side by side: one state of it, and only where that is exact."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from platform_assets.sources.connections import Database
from platform_assets.sources.dialects import DIALECTS, attached
from platform_assets.sql import quote_literal
from platform_assets_tests.servers import postgres_server

ROWS = 60_000


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    """A Postgres with a table of many pages, a view of it, and a table of another kind."""
    with postgres_server() as database:
        for statement in (
            f"CREATE TABLE wide AS SELECT g AS id, repeat('x', 400) AS text "
            f"FROM generate_series(1, {ROWS}) AS g",
            "ANALYZE wide",
            "CREATE VIEW seen AS SELECT * FROM wide",
            "CREATE TABLE parts (id integer) PARTITION BY RANGE (id)",
        ):
            write(database, statement)
        yield database


def write(database: Database, statement: str) -> None:
    """Run a statement in the database, committed."""
    with duckdb.connect() as engine, attached(engine, database, "database"):
        engine.execute("DETACH _source")
        engine.execute("ATTACH '' AS _source (TYPE postgres, SECRET _source)")
        engine.execute(f"CALL postgres_execute('_source', {quote_literal(statement)})")


def test_what_is_written_meanwhile_is_not_seen(server: Database) -> None:
    with (
        duckdb.connect(config={"threads": 4}) as engine,
        attached(engine, server, "database") as dialect,
    ):
        count = dialect.query("SELECT count(*) AS n FROM wide")
        engine.execute("BEGIN TRANSACTION")
        assert engine.execute(f"FROM {count}").fetchall() == [(ROWS,)]
        write(server, "INSERT INTO wide SELECT g, 'new' FROM generate_series(1, 500) AS g")
        write(server, "DELETE FROM wide WHERE id % 7 = 0")
        whole = dialect.whole(engine, "wide")
        assert whole == '"_source"."public"."wide"'
        sums = engine.execute(f"SELECT count(*), count(DISTINCT id), sum(id) FROM {whole}")
        assert sums.fetchall() == [(ROWS, ROWS, ROWS * (ROWS + 1) // 2)]
        assert engine.execute(f"FROM {count}").fetchall() == [(ROWS,)]
        engine.execute("COMMIT")
        assert engine.execute(f"SELECT count(*) FROM {whole}").fetchall() != [(ROWS,)]


@pytest.mark.parametrize("name", ["seen", "parts", "nothing"])
def test_only_a_plain_table_is_read_so(server: Database, name: str) -> None:
    with duckdb.connect() as engine, attached(engine, server, "database") as dialect:
        assert dialect.whole(engine, name) is None


def test_other_databases_are_read_by_one_query() -> None:
    with duckdb.connect() as engine:
        assert DIALECTS["sqlite"].whole(engine, "t") is None
        assert DIALECTS["mysql"].whole(engine, "t") is None
