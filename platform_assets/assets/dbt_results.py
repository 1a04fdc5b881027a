"""The results of dbt's tests, read: as checks of Dagster, and as failed tests.

Belongs here: what needs dbt's own types. Does not belong here: running dbt (``dbt``), and what
follows from a failed test (``dbt_tests``, ``aggregate_build``).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dbt.artifacts.schemas.results import TestStatus
from dbt.artifacts.schemas.run import RunResult

from platform_assets.assets.dbt_tests import SOURCES, FailedTest


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
        for table, source in SOURCES.items():
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


def _query(result: RunResult) -> str:
    return str(getattr(result.node, "compiled_code", "")).strip()
