"""Olist, a real marketplace: seven tables of a Postgres, with their references and totals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.datasets import in_reference_order
from platform_assets.extensions import load_extension
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.sources.connections import Database
from platform_assets.sources.dialects import DIALECTS
from platform_assets.sources.tables import FullTable, SnapshotTable
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.ledger import LedgerEntry
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.servers import postgres_server

OLIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "olist"
FILES = {
    "customers": "orders_10k_2017/customers.csv",
    "orders": "orders_10k_2017/orders.csv",
    "items": "orders_10k_2017/order_items.csv",
    "products": "orders_10k_2017/products.csv",
    "sellers": "official_repo/olist_sellers_dataset.csv",
    "payments": "payments_full/olist_order_payments_dataset.parquet",
}
pytestmark = pytest.mark.skipif(not OLIST.is_dir(), reason=f"the Olist data is not at {OLIST}")


class Customer(Contract):
    """A customer, who has a number of its own for every order."""

    customer_id: str = Key()
    customer_unique_id: str = Field(pii="hash")
    customer_zip_code_prefix: str = Field()
    customer_city: str = Field()
    customer_state: str = Field(str_length={"min_value": 2, "max_value": 2})


class Order(Contract):
    """An order and when it was where."""

    order_id: str = Key()
    customer_id: str = Field(references="customers.customer_id")
    order_status: str = Field(
        isin=[
            "approved", "canceled", "created", "delivered", "invoiced", "processing", "shipped",
            "unavailable",
        ]
    )  # fmt: skip
    order_purchase_timestamp: datetime = EventTime()
    order_approved_at: datetime = Field(nullable=True)
    order_delivered_carrier_date: datetime = Field(nullable=True)
    order_delivered_customer_date: datetime = Field(nullable=True)
    order_estimated_delivery_date: datetime = Field()


class Product(Contract):
    """A product."""

    product_id: str = Key()
    product_category_name: str = Field(nullable=True)
    product_weight_g: float = Field(ge=0, nullable=True)


class Seller(Contract):
    """A seller."""

    seller_id: str = Key()
    seller_zip_code_prefix: str = Field()
    seller_city: str = Field()
    seller_state: str = Field()


class Item(Contract):
    """A line of an order."""

    order_id: str = Key(references="orders.order_id")
    order_item_id: int = Key(ge=1)
    product_id: str = Field(references="products.product_id")
    seller_id: str = Field(references="sellers.seller_id")
    shipping_limit_date: datetime = Field()
    price: Decimal = Field(ge=0, decimal=(12, 2))
    freight_value: Decimal = Field(ge=0, decimal=(12, 2))


class Payment(Contract):
    """A payment of an order; the file holds those of ten times as many orders."""

    order_id: str = Field(references="orders.order_id", severity="warn")
    payment_sequential: int = Field(ge=1)
    payment_type: str = Field()
    payment_installments: int = Field(ge=0)
    payment_value: Decimal = Field(ge=0, decimal=(12, 2))


CONTRACTS: dict[str, type[Contract]] = {
    "payments": Payment,
    "items": Item,
    "orders": Order,
    "customers": Customer,
    "products": Product,
    "sellers": Seller,
}
SOURCES: dict[str, Any] = {"payments": FullTable("payments")}
DATASETS = in_reference_order(
    [
        Dataset(
            name=name,
            contract=contract,
            source=SOURCES.get(name, SnapshotTable(f"olist.{name}")),
        )
        for name, contract in CONTRACTS.items()
    ]
)


@pytest.fixture(scope="module")
def filled() -> Iterator[Database]:
    """A Postgres that holds Olist's tables, money as ``numeric`` and times as ``timestamp``."""
    with postgres_server() as database, duckdb.connect() as engine:
        load_extension(engine, "postgres_scanner")
        for statement in DIALECTS["postgres"].attach(database):
            engine.execute(statement.replace(", READ_ONLY", ""))
        engine.execute("CALL postgres_execute('_source', 'CREATE SCHEMA olist')")
        engine.execute("CALL postgres_execute('_source', 'SET search_path TO public, olist')")
        for name, file in FILES.items():
            path = OLIST / file
            scan = (
                f"read_parquet('{path}')"
                if path.suffix == ".parquet"
                else (f"read_csv('{path}', all_varchar=true)")
            )
            contract = CONTRACTS[name].to_schema().columns
            described = engine.execute(f"DESCRIBE FROM {scan}").fetchall()
            columns = ", ".join(_typed(column, contract) for column, *_ in described)
            schema = "public" if name == "payments" else "olist"
            engine.execute(f"CREATE TABLE _source.{schema}.{name} AS SELECT {columns} FROM {scan}")
        yield database


def _typed(column: str, contract: Any) -> str:
    """A column of a file as a shop's database would hold it."""
    if column in ("price", "freight_value", "payment_value"):
        return f'CAST("{column}" AS DECIMAL(12,2)) AS "{column}"'
    if column in contract and str(contract[column].dtype).startswith("datetime"):
        return f'CAST("{column}" AS TIMESTAMP) AS "{column}"'
    if column in contract and str(contract[column].dtype) == "Int64":
        return f'CAST("{column}" AS INTEGER) AS "{column}"'
    return f'"{column}"'


@pytest.fixture(scope="module")
def loaded(
    filled: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Connection, dict[str, LedgerEntry]]]:
    """A lake with all of it, and what the ledger says of each table."""
    with connect(lake_in(tmp_path_factory.mktemp("olist"))) as lake:
        entries = {}
        for dataset in DATASETS:
            step = Step(dataset, lake, "olist", {"database": filled})
            report = load_raw(step, [UNPARTITIONED_KEY])
            assert not report.failed, report.failed
            assert all(control.holds for control in report.controls)
            entries[dataset.name] = clean(step, [UNPARTITIONED_KEY]).entries[UNPARTITIONED_KEY]
        yield lake, entries


def test_every_row_is_accounted_for(loaded: tuple[Connection, dict[str, LedgerEntry]]) -> None:
    counts = {
        name: (e.extracted, e.cleaned, e.quarantined, e.deduplicated)
        for name, e in loaded[1].items()
    }
    assert counts == {
        "customers": (10_000, 10_000, 0, 0),
        "products": (6_123, 6_123, 0, 0),
        "sellers": (3_095, 3_095, 0, 0),
        "orders": (10_000, 10_000, 0, 0),
        "items": (11_252, 11_252, 0, 0),
        "payments": (103_886, 103_886, 0, 0),
    }


def test_references_hold_where_the_tables_are_whole(
    loaded: tuple[Connection, dict[str, LedgerEntry]],
) -> None:
    lake, entries = loaded
    broken = {name: dict(entry.broken) for name, entry in entries.items() if entry.broken}
    orphans = broken.pop("payments")
    assert not broken
    # Payments of orders that are not among the 10,000: noted, not rejected.
    known = lake.execute(
        "SELECT count(*) FROM lake.cleaned.payments WHERE order_id IN "
        "(SELECT order_id FROM lake.cleaned.orders)"
    ).fetchone()
    assert known is not None
    assert orphans == {"order_id__references_orders": 103_886 - known[0]}


def test_the_published_totals_come_out(
    loaded: tuple[Connection, dict[str, LedgerEntry]],
) -> None:
    lake, _ = loaded

    def ask(query: str) -> tuple[Any, ...] | None:
        return lake.execute(query).fetchone()

    assert ask("SELECT count(DISTINCT customer_unique_id) FROM lake.cleaned.customers") == (9_920,)
    assert ask(
        "SELECT count(*) FILTER (order_delivered_carrier_date < order_approved_at), "
        "count(*) FILTER (order_delivered_customer_date < order_delivered_carrier_date) "
        "FROM lake.cleaned.orders"
    ) == (16, 5)
    # In binary floats 34 orders differ by more than a cent; six of those differ by exactly one.
    assert ask(
        """
        SELECT count(*), count(*) FILTER (abs(due - paid) > 0.01) FROM
            (SELECT order_id, sum(price + freight_value) AS due FROM lake.cleaned.items GROUP BY 1)
            JOIN (SELECT order_id, sum(payment_value) AS paid FROM lake.cleaned.payments
                  GROUP BY 1) USING (order_id)
        """
    ) == (9_889, 28)


def test_a_second_reading_finds_nothing_new(
    loaded: tuple[Connection, dict[str, LedgerEntry]], filled: Database
) -> None:
    lake, _ = loaded
    for dataset in DATASETS:
        if isinstance(dataset.source, SnapshotTable):
            report = load_raw(
                Step(dataset, lake, "again", {"database": filled}), [UNPARTITIONED_KEY]
            )
            assert str(report.entries[UNPARTITIONED_KEY].status) == "unchanged"
