"""The engine reads what the living shop gives out, and comes to the shop's own figures."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from platform_assets.demo.live import LiveShop


@pytest.fixture
def shop(tmp_path: Path) -> LiveShop:
    """A shop that lived six days."""
    shop = LiveShop.open(tmp_path / "shop")
    shop.advance(6)
    return shop


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with its reader of SQLite."""
    package = importlib.import_module("duckdb_extension_sqlite_scanner")
    (extension,) = Path(package.__path__[0]).rglob("*.duckdb_extension")
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        yield connection


def attach(engine: duckdb.DuckDBPyConnection, shop: LiveShop) -> None:
    engine.execute(f"ATTACH '{shop.database}' AS shop (TYPE sqlite, READ_ONLY)")


def test_the_tables(shop: LiveShop, engine: duckdb.DuckDBPyConnection) -> None:
    attach(engine, shop)
    truth = shop.truth()
    found = engine.execute(
        "SELECT count(*), sum(total_amount::DECIMAL(18, 2)), count(ordered_at::TIMESTAMP)"
        " FROM shop.orders"
    ).fetchone()
    assert found == (truth.orders, Decimal(truth.orders_total), truth.orders)
    found = engine.execute(
        "SELECT count(*), count(consent::BOOLEAN) FROM shop.customers"
    ).fetchone()
    assert found == (truth.customers, truth.customers)


def test_a_reader_sees_the_next_day(shop: LiveShop, engine: duckdb.DuckDBPyConnection) -> None:
    attach(engine, shop)
    before = engine.execute("SELECT count(*) FROM shop.orders").fetchone()
    shop.advance()
    assert engine.execute("SELECT count(*) FROM shop.orders").fetchone() != before
    shop.inject("down", days=1)
    engine.execute("DETACH shop")
    attach(engine, shop)
    with pytest.raises(duckdb.Error, match="unable to open database file"):
        engine.execute("SELECT count(*) FROM shop.orders")
    shop.advance()
    shop.inject("drift", days=1)
    shop.advance()
    engine.execute("DETACH shop")
    attach(engine, shop)
    described = engine.execute("DESCRIBE shop.orders").fetchall()
    assert [row[0] for row in described][-1] == "gift_note"


def test_the_files(shop: LiveShop, engine: duckdb.DuckDBPyConnection) -> None:
    truth = shop.truth()
    events = engine.execute(
        "SELECT strftime(occurred_at, '%Y-%m-%d'), count(DISTINCT event_id)"
        f" FROM read_csv('{shop.folder}/marketing/*/events-*.csv.gz') GROUP BY 1"
    ).fetchall()
    assert dict(events) == truth.marketing_events
    tickets = engine.execute(
        "SELECT count(*) FROM ("
        "  SELECT arg_max(value.op, value.source.lsn) AS op"
        f" FROM read_ndjson('{shop.folder}/tickets/changes/*.ndjson', sample_size = -1)"
        "  WHERE value IS NOT NULL GROUP BY key.ticket_id"
        ") WHERE op <> 'd'"
    ).fetchone()
    assert tickets == (truth.tickets,)
