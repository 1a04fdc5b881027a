"""fct_orders and daily_sales equal a full computation, whatever was published and killed before.

dbt runs in this process, on the project, profile and plugin that Dagster uses: a start of dbt of
its own would take 3 s a step. The expected tables are computed in Python, row by row.
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from platform_assets.assets.dbt import PARTITIONS_VARIABLE, PROJECT_DIR, prepare_dbt_project
from platform_assets.datasets.orders import orders
from platform_assets.dbt.lake_plugin import LAKE_VARIABLE, to_environment
from platform_assets.extensions import extension_file
from platform_assets.partitions import spans
from platform_assets.provenance import PROVENANCE
from platform_assets.warehouse.lake import (
    LakeConfig,
    connect,
    in_transaction,
    is_contention,
)
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
    """dbt builds partitions; ``select`` cuts it off where a kill would; ``full`` starts anew."""

    partitions: Sequence[str]
    select: Sequence[str] = TABLES
    full: bool = False


Step = Publish | Run
Dbt = Callable[..., None]


@dataclass
class Shop:
    """A lake with cleaned orders, and what it should lead to."""

    config: LakeConfig
    lake: duckdb.DuckDBPyConnection
    dbt: Dbt
    published: dict[str, Rows] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    has_views: bool = False

    @classmethod
    @contextmanager
    def open(cls, folder: Path, dbt: Dbt) -> Iterator[Shop]:
        config = LakeConfig(folder / "catalog.sqlite", folder / "files", folder / "scratch")
        with connect(config) as lake:
            ensure_platform_tables(lake)
            lake.execute(orders.compiled.ddl(cleaned_table("orders"), "cleaned", PROVENANCE))
            yield cls(config, lake, dbt)

    def do(self, step: Step) -> None:
        if isinstance(step, Publish):
            self.publish(step)
            return
        # What is to be rebuilt must have been published.
        wanted = [key for key in step.partitions if key in self.published]
        views = [] if self.has_views else ["stg_orders"]
        self.dbt(self.config, wanted, [*views, *step.select], full=step.full)
        self.has_views = True
        if tuple(step.select) == TABLES:
            self.waiting -= set(self.published if step.full else wanted)

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

    def check(self) -> None:
        facts = self.lake.execute(
            "SELECT order_id, _partition, order_date, total_amount, status, currency "
            "FROM lake.aggregated.fct_orders ORDER BY order_id"
        ).fetchall()
        sales = self.lake.execute(
            "SELECT order_date, currency, orders, sales, cancelled_orders "
            "FROM lake.aggregated.daily_sales"
        ).fetchall()
        days = self.lake.execute("SELECT order_date FROM lake.staging.touched_days").fetchall()
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
        assert days == [(None,)]


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


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    prepare_dbt_project()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "DBT_PROJECT_DIR": str(PROJECT_DIR),
            "DBT_PROFILES_DIR": str(PROJECT_DIR),
            "DBT_LOG_PATH": str(tmp_path_factory.mktemp("dbt-logs")),
            "DBT_WRITE_JSON": "false",
            "DBT_LOG_LEVEL": "none",
            "DBT_LOG_LEVEL_FILE": "none",
        }.items():
            patch.setenv(name, value)
        manifest = dbtRunner().invoke(["parse"]).result

        def run(
            config: LakeConfig,
            partitions: Sequence[str],
            select: Sequence[str],
            *,
            full: bool = False,
        ) -> None:
            patch.setenv(LAKE_VARIABLE, to_environment(config))
            patch.setenv(PARTITIONS_VARIABLE, json.dumps(spans(partitions)))
            arguments = ["run", "--select", *select, *(["--full-refresh"] if full else [])]
            done = dbtRunner(manifest=manifest).invoke(arguments)
            assert done.success, [
                (result.node.name, result.message) for result in getattr(done.result, "results", [])
            ] or done.exception

        yield run


A1 = Version(1)
CASES: dict[str, list[Step]] = {
    "a late order changes an earlier day": [
        Publish(D1, {"a": A1}),
        Run([D1]),
        Publish(D2, {"b": Version(1, day=1), "c": Version(1, day=2)}),
        Run([D2]),
    ],
    "an update moves amount, status and day": [
        Publish(D1, {"a": A1, "b": A1}),
        Run([D1]),
        Publish(D2, {"a": Version(3, day=2, pence=250), "b": Version(2, status="cancelled")}),
        Run([D2]),
    ],
    "an older version that comes later changes nothing": [
        Publish(D1, {"a": Version(5, pence=500)}),
        Run([D1]),
        Publish(D2, {"a": Version(2, pence=1)}),
        Run([D2]),
    ],
    "equal versions: the later partition wins, in whatever order they are built": [
        Publish(D2, {"a": Version(2, pence=2)}),
        Run([D2]),
        Publish(D1, {"a": Version(2, pence=1)}),
        Run([D1]),
    ],
    "the newest version vanishes, so the one before counts again": [
        Publish(D1, {"a": A1}),
        Publish(D2, {"a": Version(2, day=3, pence=7)}),
        Run([D1, D2]),
        Publish(D2, {}),
        Run([D2]),
    ],
    "an order vanishes, and its day and currency with it": [
        Publish(D1, {"a": Version(1, day=9, currency="EUR"), "b": A1}),
        Run([D1]),
        Publish(D1, {"b": A1}),
        Run([D1]),
    ],
    "partitions are built in any order, with gaps": [
        *(Publish(key, {"a": Version(n, day=n), key: Version(1)}) for n, key in enumerate(ALL, 1)),
        Run([D5]),
        Run([D1, D3]),
        Run([D2]),
    ],
    "killed after fct_orders: the next run of another partition rebuilds the days": [
        Publish(D1, {"a": A1}),
        Run([D1]),
        Publish(D1, {"a": Version(2, day=4)}),
        Run([D1], select=["fct_orders"]),
        Publish(D2, {"b": Version(1, day=6)}),
        Run([D2], select=["fct_orders"]),
        Run([], select=["daily_sales"]),
    ],
    "killed in the very first run": [
        Publish(D1, {"a": A1}),
        Run([D1], select=["fct_orders"]),
    ],
    "killed in a full refresh that takes a day away": [
        Publish(D1, {"a": Version(1, day=8), "b": A1}),
        Run([D1]),
        Publish(D1, {"b": Version(2, pence=3)}),
        Run([D1], select=["fct_orders"], full=True),
        Run([D1]),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_equals_a_full_computation(name: str, tmp_path: Path, dbt: Dbt) -> None:
    with Shop.open(tmp_path, dbt) as shop:
        for step in CASES[name]:
            shop.do(step)
        if shop.waiting:
            shop.settle()
        shop.check()


_versions = st.builds(
    Version,
    updated=st.integers(1, 4),
    day=st.integers(0, 3),
    pence=st.integers(0, 10**12),
    status=st.sampled_from(["paid", "cancelled"]),
    currency=st.sampled_from(["GBP", "EUR"]),
)
_publishes = st.builds(
    Publish, st.sampled_from(ALL), st.dictionaries(st.sampled_from("abcdef"), _versions, max_size=4)
)
_runs = st.builds(
    Run,
    st.lists(st.sampled_from(ALL), unique=True, min_size=1),
    st.sampled_from([TABLES, ("fct_orders",)]),
    st.booleans(),
)
# Publishes cost nothing, runs half a second: several of those to one of these.
_histories = st.lists(st.one_of(_publishes, _publishes, _runs), min_size=4, max_size=8)


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(history=_histories)
def test_any_history_equals_a_full_computation(
    history: list[Step], tmp_path_factory: pytest.TempPathFactory, dbt: Dbt
) -> None:
    with Shop.open(tmp_path_factory.mktemp("history"), dbt) as shop:
        shop.publish(Publish(D1, {"a": A1}))
        for step in history:
            shop.do(step)
        shop.settle()
        shop.check()


def test_of_two_runs_at_once_the_second_is_refused(tmp_path: Path, dbt: Dbt) -> None:
    with Shop.open(tmp_path, dbt) as shop:
        shop.publish(Publish(D1, {"a": A1}))
        shop.settle()
        shop.publish(Publish(D2, {"b": A1}))
        # What a run does whose parent was killed while it lives on: it inserts and touches days.
        other = shop.lake
        other.execute("BEGIN TRANSACTION")
        other.execute("DELETE FROM lake.staging.touched_days")
        other.execute("INSERT INTO lake.staging.touched_days VALUES (NULL)")
        other.execute(
            "INSERT INTO lake.aggregated.fct_orders BY NAME "
            f"SELECT * FROM lake.staging.stg_orders WHERE _partition = '{D2}'"
        )
        shop.settle()
        with pytest.raises(duckdb.Error) as refused:
            other.execute("COMMIT")
        assert is_contention(refused.value), "dbt is started again for this error"
        shop.check()


def test_touching_days_refuses_overlapping_writers_on_any_catalog(tmp_path: Path) -> None:
    """A SQLite catalog refuses every overlap by itself; others need the row without a day."""
    source = (PROJECT_DIR / "macros" / "touched_days.sql").read_text(encoding="utf-8")
    jinja = Environment(autoescape=False)  # this is SQL
    template = jinja.from_string(source, globals={"target": {"database": "lake"}})
    macros: Any = template.module
    with duckdb.connect(":memory:") as engine:
        engine.execute(f"LOAD '{extension_file('ducklake')}'")
        engine.execute(f"ATTACH 'ducklake:{tmp_path}/catalog.duckdb' AS lake")
        engine.execute(macros.ensure_touched_days())
        engine.execute("CREATE TABLE lake.staging.orders (order_id VARCHAR)")
        writers = [engine.cursor(), engine.cursor()]
        for writer in writers:
            writer.execute("BEGIN TRANSACTION")
            writer.execute(macros.touch_days("select date '2025-01-01'"))
            writer.execute("INSERT INTO lake.staging.orders VALUES ('a')")
        writers[0].execute("COMMIT")
        with pytest.raises(duckdb.Error, match="conflict") as refused:
            writers[1].execute("COMMIT")
        assert is_contention(refused.value)
        assert engine.execute("FROM lake.staging.orders").fetchall() == [("a",)]
