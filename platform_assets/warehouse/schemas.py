"""What contracts and sources' schemas were, and how they drifted: three tables of the platform.

Belongs here: keeping versions and events, and asking for them. Does not belong here: comparing
them (``contracts``), or what follows from a difference (``pipeline``). A schema and a contract's
description are JSON texts to this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from platform_assets.sql import after_scan, quote_name
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.tables import PLATFORM

CONTRACTS = quote_name(LAKE, PLATFORM, "contracts")
SOURCE_SCHEMAS = quote_name(LAKE, PLATFORM, "source_schemas")
DRIFTS = quote_name(LAKE, PLATFORM, "drifts")


@dataclass(frozen=True)
class ContractVersion:
    """A contract that a dataset's cleaned table has followed.

    Attributes:
        version: As the compiled contract names it.
        description: Columns and rules, as JSON.
        recorded_at: When the table began to follow it; only known once read back.
    """

    version: str
    description: str
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class DriftEvent:
    """One change of a source's schema, as one partition met it.

    Attributes:
        dataset: The dataset's name.
        run_id: The run that met it.
        partition: The partition's key.
        kind: What happened to the column.
        column_name: The column, as the source calls it.
        before: Its name, type or nullability before; empty: it was not there.
        after: The same now; empty: it is gone.
        decision: What was done about it.
        text: One sentence for a person; never a row's value.
        rows: Rows of the partition that carry it; 0 where it was not loaded.
    """

    dataset: str
    run_id: str
    partition: str
    kind: str
    column_name: str
    before: str
    after: str
    decision: str
    text: str
    rows: int = 0


_EVENT_COLUMNS = tuple(DriftEvent.__dataclass_fields__)


def record_contract(connection: Connection, dataset: str, contract: ContractVersion) -> None:
    """Append a version, in the caller's transaction."""
    connection.execute(
        f"INSERT INTO {CONTRACTS} VALUES (?, ?, ?, now())",
        [dataset, contract.version, contract.description],
    )


def contract_versions(connection: Connection, dataset: str) -> list[ContractVersion]:
    """Every version that a dataset's table has followed, oldest first."""
    rows = connection.execute(
        f"SELECT version, description, recorded_at FROM {CONTRACTS} "
        f"WHERE {after_scan('dataset')} = ? "
        "ORDER BY snapshot_id, rowid",
        [dataset],
    ).fetchall()
    return [ContractVersion(str(v), str(d), at) for v, d, at in rows]


def record_source_schema(
    connection: Connection, dataset: str, columns: str, run_id: str, *, again: bool
) -> None:
    """Append a schema, in the caller's transaction; one that is the newest already is left out.

    Args:
        connection: An open lake, inside a transaction.
        dataset: The dataset's name.
        columns: The schema as JSON, written so that equal schemas are equal texts.
        run_id: The run that met it.
        again: Whether to append also one that was the newest before.
    """
    known = source_schemas(connection, dataset)
    if columns not in (known[-1:] if again else known):
        connection.execute(
            f"INSERT INTO {SOURCE_SCHEMAS} VALUES (?, ?, ?, now())", [dataset, columns, run_id]
        )


def source_schemas(connection: Connection, dataset: str) -> list[str]:
    """Every schema that a dataset's source was accepted with, oldest first, as JSON."""
    rows = connection.execute(
        f"SELECT columns FROM {SOURCE_SCHEMAS} WHERE {after_scan('dataset')} = ? "
        "ORDER BY snapshot_id, rowid",
        [dataset],
    ).fetchall()
    return [str(columns) for (columns,) in rows]


def record_drifts(connection: Connection, events: Sequence[DriftEvent]) -> None:
    """Append events, in the caller's transaction.

    Args:
        connection: An open lake, inside a transaction that also holds the rows told of.
        events: What to append.
    """
    if not events:
        return
    connection.register("_drift_rows", pa.Table.from_pylist([asdict(each) for each in events]))
    try:
        connection.execute(
            f"INSERT INTO {DRIFTS} BY NAME SELECT *, now() AS recorded_at FROM _drift_rows"
        )
    finally:
        connection.unregister("_drift_rows")


def drifts_in(connection: Connection, dataset: str, run_id: str) -> list[DriftEvent]:
    """What a run has met of a dataset, by column and partition."""
    rows = connection.execute(
        f"SELECT DISTINCT {', '.join(_EVENT_COLUMNS)} FROM {DRIFTS} "
        f"WHERE {after_scan('dataset')} = ? AND run_id = ? ORDER BY ALL",
        [dataset, run_id],
    ).fetchall()
    return [DriftEvent(*row) for row in rows]
