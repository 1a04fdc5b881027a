"""What dbt's tests came to: as checks, and which partitions the failing rows are in.

Belongs here: reading the results of tests, and asking the lake where their rows are. Does not
belong here: running dbt (``dbt``), and what follows from a failure (``aggregate_build``).

The rows of a test stay in the engine: what is told is how many, where, and the query to see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import duckdb
from dbt.artifacts.schemas.results import TestStatus
from dbt.artifacts.schemas.run import RunResult

from platform_assets.assets.aggregate_names import FCT_ORDERS, TABLES, table_of
from platform_assets.errors import PublishError
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_identifier, quote_name
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.publish import in_partitions

DAY = "order_date"
# What a test judged is gone when it failed; these hold the same columns before they are built.
_SOURCES = {table_of(FCT_ORDERS): quote_name(LAKE, "staging", "stg_orders")}


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


def failed_test(key: dg.AssetCheckKey | None, result: RunResult) -> FailedTest | None:
    """The failed test that a result tells of, if it does."""
    if key is None or result.status != TestStatus.Fail:
        return None
    return FailedTest(
        name=result.node.name,
        asset=key.asset_key.to_user_string(),
        column=getattr(result.node, "column_name", None) or "",
        rows=result.failures or 0,
        sql=_query(result),
    )


def check_result(key: dg.AssetCheckKey, result: RunResult) -> dg.AssetCheckResult:
    """What a test came to; where dbt only warns, so does Dagster."""
    metadata: dict[str, dg.MetadataValue[Any] | str | int | float] = {
        "status": str(result.status),
        "rows_broken": result.failures or 0,
        "seconds": result.execution_time,
    }
    told = result.message
    if result.status == TestStatus.Fail:
        query = _query(result)
        for table, source in _SOURCES.items():
            query = query.replace(table, source)
        metadata["query"] = dg.MetadataValue.md(f"```sql\n{query}\n```")
        told = f"{told}: not published, the rows that were there before stay"
    elif result.status == TestStatus.Warn:
        metadata["query"] = dg.MetadataValue.md(f"```sql\n{_query(result)}\n```")
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=result.status == TestStatus.Pass,
        severity=dg.AssetCheckSeverity.WARN
        if result.status == TestStatus.Warn
        else dg.AssetCheckSeverity.ERROR,
        description=told,
        metadata=metadata,
    )


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


def _query(result: RunResult) -> str:
    return str(getattr(result.node, "compiled_code", "")).strip()
