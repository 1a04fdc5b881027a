"""What a run of dbt came to, and which partitions the rows are in that made a test fail.

Belongs here: the types, and asking the lake where such rows are. Does not belong here: running dbt
(``dbt``), reading its results (``dbt_results``), and what follows from a failure
(``aggregate_build``).

The rows of a test stay in the engine: what is told is how many, where, and the query to see them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg
import duckdb

from platform_assets.assets.aggregate_names import FCT_ORDERS, TABLES, table_of
from platform_assets.errors import PublishError
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_identifier, quote_name
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.publish import in_partitions

DAY = "order_date"
SOURCES = {table_of(FCT_ORDERS): quote_name(LAKE, "staging", "stg_orders")}
"""What a test judged is gone when it failed; these hold the same columns before they are built."""


@dataclass(frozen=True)
class FailedTest:
    """A test of severity error that found rows.

    Attributes:
        name: The test.
        asset: The asset that it is a test of.
        column: The column that it is a test of; empty where it is of the whole table.
        rows: How many rows it found.
        sql: The query that finds them.
    """

    name: str
    asset: str
    column: str
    rows: int
    sql: str

    def told(self, where: str) -> str:
        """What to say of it.

        Args:
            where: What was kept out: asset and partitions.
        """
        return str(
            PublishError(
                f"A test of dbt failed: {self.name}",
                where=where,
                expected="no row that the test finds",
                found=f"{self.rows:,}",
                fix="the rows that were there before stay; see what the test found with the query "
                "in the metadata of its check, then correct the model, or have the rows corrected "
                "at the source",
            )
        )


@dataclass(frozen=True)
class DbtOutcome:
    """What a run of dbt came to.

    Attributes:
        checks: A result for each test that ran.
        stopped_by: The first model or test that stopped the run; empty where none did.
        message: What dbt said of it.
        failing: The tests that found rows, where nothing else went wrong.
    """

    checks: Mapping[dg.AssetCheckKey, dg.AssetCheckResult]
    stopped_by: str = ""
    message: str = ""
    failing: tuple[FailedTest, ...] = ()


def culprits(
    connection: Connection, tests: Sequence[FailedTest], partitions: Sequence[str]
) -> dict[str, FailedTest]:
    """The partitions that the failing rows are in, and the first test that found any there.

    A test finds rows of its own making. Where they have a partition or a day, that is taken; a test
    of one column gives the column's value first, as those of dbt do, by which the rows are found.

    Args:
        connection: The connection that the models were built on, in its transaction.
        tests: The tests that failed.
        partitions: What was built.

    Returns:
        By partition the first test that found rows there, with how many; none where it cannot be
        told of every test where its rows are.
    """
    found: dict[str, FailedTest] = {}
    for test in tests:
        try:
            concerned = _partitions(connection, test, partitions)
        except duckdb.Error:
            return {}  # a query that dbt could run and this cannot wrap says nothing of its rows
        if not concerned:
            return {}
        for key, rows in concerned.items():
            found.setdefault(key, replace(test, rows=rows))
    return found


def _partitions(
    connection: Connection, test: FailedTest, partitions: Sequence[str]
) -> dict[str, int]:
    """Rows that a test found, or that its findings concern, by partition."""
    columns = [
        str(name)
        for (name,) in connection.execute(
            f"SELECT column_name FROM (DESCRIBE {test.sql})"
        ).fetchall()
    ]
    found = f"({test.sql})"
    days = f"SELECT {DAY} FROM {found}"
    if PARTITION_COLUMN in columns:
        rows = f"SELECT {PARTITION_COLUMN} FROM {found}"
    elif DAY in columns:
        rows = _of_days(days)
    elif test.column and test.asset in TABLES:
        broken = (
            f"FROM {table_of(test.asset)} AS tested SEMI JOIN {found} AS found "
            f"ON tested.{quote_identifier(test.column)} "
            f"IS NOT DISTINCT FROM found.{quote_identifier(columns[0])}"
        )
        rows = (
            f"SELECT {PARTITION_COLUMN} {broken}"
            if test.asset == FCT_ORDERS
            else _of_days(f"SELECT {DAY} {broken}")
        )
    else:
        return {}
    counted = connection.execute(
        f"SELECT {PARTITION_COLUMN}, count(*) FROM ({rows}) "
        f"WHERE {in_partitions(partitions)} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {str(key): int(count) for key, count in counted}


def _of_days(days: str) -> str:
    """The partitions that orders of some days came in."""
    return f"SELECT {PARTITION_COLUMN} FROM {table_of(FCT_ORDERS)} WHERE {DAY} IN ({days})"
