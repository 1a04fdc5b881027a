"""What a load asks of a source that gives changes: where it continues, and what is held already.

Belongs here: the request, and the SQL by which a source places rows. Does not belong here: reading
and publishing (``changes``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from platform_assets.contracts.casts import TEXT, cast
from platform_assets.contracts.types import column_type
from platform_assets.partitions import UNPARTITIONED_KEY, Daily
from platform_assets.pipeline.steps import Step
from platform_assets.provenance import (
    DELETED,
    LOAD_COLUMN,
    OP_COLUMN,
    PARTITION_COLUMN,
    PLATFORM_COLUMNS,
    POSITION_COLUMN,
)
from platform_assets.sources.change_source import ChangeRequest, Held
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal
from platform_assets.warehouse import migrate, tables
from platform_assets.warehouse.cursors import Cursor
from platform_assets.warehouse.ledger import LedgerEntry


@dataclass(frozen=True)
class Load:
    """One load: what it continues, and what it was asked for.

    Attributes:
        asset: The raw asset's key.
        number: Of the load.
        cursor: Where reading stands before it.
        standing: The publish that each loaded partition stands at.
        partitions: The partitions that are asked for.
        windows: Those of them that were never loaded, and are read whole.
        started: When it began, by the clock of ``time.perf_counter``.
        snapshot: The lake's when the cursor was read; None: nothing is to be committed.
    """

    asset: str
    number: int
    cursor: Cursor
    standing: Mapping[str, LedgerEntry]
    partitions: Sequence[str]
    windows: tuple[str, ...]
    started: float
    snapshot: int | None = None


def request_of(step: Step, load: Load) -> ChangeRequest:
    """The request of a load.

    Args:
        step: What to work on and with.
        load: What it continues, and what it was asked for.
    """
    compiled = step.dataset.compiled
    event_time = compiled.event_time if isinstance(step.dataset.partitions, Daily) else None
    decimals = {
        column.source: column.type.scale if column.type.python is Decimal else 0
        for column in compiled.columns
        if column.type.python in (Decimal, int) and not column.key
    }
    return ChangeRequest(
        dataset=step.dataset.name,
        key=tuple(compiled.column(name).source for name in compiled.key),
        columns=tuple(column.source for column in compiled.columns),
        decimals=decimals,
        event_time=event_time.source if event_time else None,
        cursor=load.cursor.position,
        requested=tuple(load.partitions),
        windows=load.windows,
        again=tuple(key for key in load.partitions if step.force and key in load.standing),
        loaded=tuple(load.standing),
        held=_held(step) if load.standing else None,
        time_sql=lambda column, types: _time_sql(step, column, types),
        partition_sql=lambda types, changed: _partition_sql(step, types, changed),
    )


def _time_sql(step: Step, column: str, types: Mapping[str, str]) -> str:
    """A column's value as a time in UTC: by the contract where it says how to read it."""
    for each in step.dataset.compiled.columns:
        if each.source.lower() == column.lower() and each.type.python in (date, datetime):
            typed = step.dataset.compiled.cast_sql(each, source_types=types)
            return f"CAST({typed} AS TIMESTAMP)"
    instant = column_type(datetime, None)
    assert instant is not None  # a contract knows times
    return cast(q(column), instant, None, types.get(column.lower(), TEXT)).sql


def _partition_sql(step: Step, types: Mapping[str, str], changed: str) -> str:
    event_time = step.dataset.compiled.event_time
    if not isinstance(step.dataset.partitions, Daily) or event_time is None:
        return quote_literal(UNPARTITIONED_KEY)
    happened = step.dataset.compiled.cast_sql(event_time, source_types=types)
    return (
        f"coalesce(CAST(CAST({happened} AS DATE) AS VARCHAR), "
        f"CAST(CAST({changed} AS DATE) AS VARCHAR))"
    )


def _held(step: Step) -> Held:
    """What the raw table holds, with the newest version of every key.

    Nearly all keys have one version: those with several are found by a hash first, and only their
    rows are ranked.
    """
    table = tables.raw_table(step.dataset.name)
    types = migrate.table_columns(step.lake, table)
    own = {name: kind for name, kind in types.items() if name not in PLATFORM_COLUMNS}
    spelled = {name.lower(): name for name in own}
    compiled = step.dataset.compiled
    keys = [q(spelled[compiled.column(name).source.lower()]) for name in compiled.key]
    key = ", ".join(keys)
    older = (
        f"SELECT rowid FROM {table} WHERE hash({key}) IN "
        f"(SELECT hash({key}) FROM {table} GROUP BY 1 HAVING count(*) > 1) "
        + "".join(f"AND {each} IS NOT NULL " for each in keys)
        + f"QUALIFY row_number() OVER (PARTITION BY {key} "
        f"ORDER BY {POSITION_COLUMN} DESC, {LOAD_COLUMN} DESC, rowid DESC) > 1"
        if keys
        else "SELECT NULL WHERE false"
    )
    listed = ", ".join(q(name) for name in (*own, PARTITION_COLUMN))
    current = (
        f"SELECT {listed} FROM {table} WHERE {OP_COLUMN} <> '{DELETED}' AND rowid NOT IN ({older})"
    )
    return Held(table, current, own)
