"""Versions of orders in a lake, dbt on it, and the tables that they should lead to, in Python.

Belongs here: what the tests of the dbt models share. Does not belong here: a case, or an assertion
about one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.cli.main import dbtRunner

from platform_assets.assets.dbt import HELD_VARIABLE, PARTITIONS_VARIABLE
from platform_assets.assets.dbt_project import PROJECT_DIR, prepare_dbt_project
from platform_assets.datasets.orders import orders
from platform_assets.dbt.one_transaction import dbt_on
from platform_assets.partitions import spans
from platform_assets.provenance import PROVENANCE
from platform_assets.warehouse.lake import LakeConfig, connect, in_transaction
from platform_assets.warehouse.tables import cleaned_table, ensure_platform_tables

START = datetime(2025, 1, 1, tzinfo=UTC).replace(tzinfo=None)
ALL = ("2025-01-01", "2025-01-02", "2025-01-03", "2025-01-05")
D1, D2, D3, D5 = ALL
TABLES = ("fct_orders", "daily_sales")


@dataclass(frozen=True)
class Version:
    """One version of an order; the rest of its columns does not matter here."""

    updated: int
    day: int = 1
    pence: int = 1000
    status: str = "paid"
    currency: str = "GBP"


Rows = Mapping[str, Version]


@dataclass(frozen=True)
class Publish:
    """A partition of the cleaned orders is replaced."""

    partition: str
    rows: Rows


@dataclass(frozen=True)
class Run:
    """dbt builds partitions; ``killed`` ends it before its commit; ``full`` starts anew."""

    partitions: Sequence[str]
    killed: bool = False
    full: bool = False


Step = Publish | Run
Dbt = Callable[..., None]


@dataclass
class Shop:
    """A lake with cleaned orders, and what it should lead to."""

    config: LakeConfig
    lake: duckdb.DuckDBPyConnection
    dbt: Dbt
    tables: Sequence[str] = TABLES
    published: dict[str, Rows] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    has_tables: bool = False
    built: dict[str, Rows] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, dbt: Dbt, tables: Sequence[str] = TABLES) -> Iterator[Shop]:
        config = LakeConfig(folder / "catalog.sqlite", folder / "files", folder / "scratch")
        with connect(config) as lake:
            ensure_platform_tables(lake)
            lake.execute(orders.compiled.ddl(cleaned_table("orders"), "cleaned", PROVENANCE))
            yield cls(config, lake, dbt, tables)

    def do(self, step: Step) -> None:
        if isinstance(step, Publish):
            self.publish(step)
            return
        # What is to be rebuilt must have been published.
        wanted = [key for key in step.partitions if key in self.published]
        full = step.full or not self.has_tables
        views = [] if self.has_tables else ["stg_orders"]
        held = [] if full else sorted(self.waiting - set(wanted))
        self.lake.execute("BEGIN TRANSACTION")
        self.dbt(self.lake, wanted, [*views, *self.tables], held=held, full=full)
        if step.killed:
            self.lake.execute("ROLLBACK")
            return
        self.lake.execute("COMMIT")
        self.has_tables = True
        done = set(self.published if full else wanted)
        self.waiting -= done
        self.built |= {key: self.published[key] for key in done}
        self.check_state()

    def publish(self, step: Publish) -> None:
        table = cleaned_table("orders")
        rows = [_row(step.partition, key, version) for key, version in step.rows.items()]

        def replace(lake: duckdb.DuckDBPyConnection) -> None:
            lake.execute(f"DELETE FROM {table} WHERE _partition = ?", [step.partition])
            for row in rows:
                marks = ", ".join("?" * len(row))
                lake.execute(
                    f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())
                )

        in_transaction(self.lake, replace)
        self.published[step.partition] = step.rows
        self.waiting.add(step.partition)

    def settle(self) -> None:
        """Run what has been published and not been built since."""
        self.do(Run(sorted(self.waiting)))

    def newest(self) -> dict[str, tuple[str, Version]]:
        found: dict[str, tuple[str, Version]] = {}
        for partition, rows in sorted(self.published.items()):
            for key, version in rows.items():
                if key not in found or found[key][1].updated <= version.updated:
                    found[key] = (partition, version)
        return found

    def expected_sales(self) -> dict[tuple[str, str], tuple[int, Decimal, int]]:
        found: dict[tuple[str, str], tuple[int, Decimal, int]] = {}
        for _, each in self.newest().values():
            at = (str((START + timedelta(days=each.day)).date()), each.currency)
            count, total, cancelled = found.get(at, (0, Decimal("0.00"), 0))
            if each.status == "cancelled":
                found[at] = (count, total, cancelled + 1)
            else:
                found[at] = (count + 1, total + Decimal(each.pence) / 100, cancelled)
        return found

    def check_state(self) -> None:
        """Whatever waits: the two tables are of one state, and nothing that waits has come in."""
        assert (
            self.lake.execute(
                "SELECT order_date, currency, count(*) FILTER (status <> 'cancelled'), "
                "coalesce(sum(total_amount) FILTER (status <> 'cancelled'), 0) "
                "FROM lake.aggregated.fct_orders GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            == self.lake.execute(
                "SELECT order_date, currency, orders, sales "
                "FROM lake.aggregated.daily_sales ORDER BY ALL"
            ).fetchall()
        )
        for partition, key, amount, status in self.lake.execute(
            "SELECT _partition, order_id, total_amount, status FROM lake.aggregated.fct_orders"
        ).fetchall():
            version = self.built[partition][key]
            assert (amount, status) == (Decimal(version.pence) / 100, version.status)

    def check(self) -> None:
        facts = self.lake.execute(
            "SELECT order_id, _partition, order_date, total_amount, status, currency "
            "FROM lake.aggregated.fct_orders ORDER BY order_id"
        ).fetchall()
        sales = self.lake.execute(
            "SELECT order_date, currency, orders, sales, cancelled_orders "
            "FROM lake.aggregated.daily_sales"
        ).fetchall()
        assert facts == [
            (
                key,
                partition,
                (START + timedelta(days=each.day)).date(),
                Decimal(each.pence) / 100,
                each.status,
                each.currency,
            )
            for key, (partition, each) in sorted(self.newest().items())
        ]
        assert {(str(d), c): (n, s, x) for d, c, n, s, x in sales} == self.expected_sales()
        assert len(sales) == len(self.expected_sales())


def _row(partition: str, key: str, version: Version) -> dict[str, Any]:
    amount = Decimal(version.pence) / 100
    return {
        "order_id": key,
        "customer_id": "C1",
        "product_id": "P1",
        "quantity": 1,
        "unit_price": amount,
        "total_amount": amount,
        "currency": version.currency,
        "status": version.status,
        "channel": "web",
        "country": "GB",
        "ordered_at": START + timedelta(days=version.day, hours=1),
        "updated_at": START + timedelta(hours=version.updated),
        "_partition": partition,
        "_source_file": f"orders/{partition}.csv",
    }


@contextmanager
def dbt_runner(logs: Path, project: Path = PROJECT_DIR) -> Iterator[Dbt]:
    """dbt in this process, on the project and profile that Dagster uses."""
    prepare_dbt_project()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "DBT_PROJECT_DIR": str(project),
            "DBT_PROFILES_DIR": str(project),
            "DBT_LOG_PATH": str(logs),
            "DBT_WRITE_JSON": "false",
            "DBT_LOG_LEVEL": "none",
            "DBT_LOG_LEVEL_FILE": "none",
        }.items():
            patch.setenv(name, value)
        manifest = dbtRunner().invoke(["parse"]).result

        def run(
            lake: duckdb.DuckDBPyConnection,
            partitions: Sequence[str],
            select: Sequence[str],
            *,
            held: Sequence[str] = (),
            full: bool = False,
        ) -> None:
            patch.setenv(PARTITIONS_VARIABLE, json.dumps(spans(partitions)))
            patch.setenv(HELD_VARIABLE, json.dumps(spans(held)))
            arguments = ["run", "--select", *select, *(["--full-refresh"] if full else [])]
            with dbt_on(lake):
                done = dbtRunner(manifest=manifest).invoke(arguments)
            assert done.success, [
                (result.node.name, result.message) for result in getattr(done.result, "results", [])
            ] or done.exception

        yield run
