"""What the lake's books say of all assets, by a handful of questions however many assets there are.

Belongs here: the questions. Does not belong here: what follows from the answers (``states``).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from platform_assets.alerts.redaction import redacted
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.quality import findings
from platform_assets.quality.findings import Finding
from platform_assets.quality.score import score
from platform_assets.report.model import (
    POINTS,
    Cost,
    Failure,
    Lake,
    Point,
    Published,
    Rejected,
    Unit,
)
from platform_assets.sql import after_scan, literal_list, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import UPSTREAM, LedgerEntry, Status
from platform_assets.warehouse.quarantine import ACTIVE
from platform_assets.warehouse.tables import LEDGER, QUARANTINE, was_filled

COST_WINDOW = timedelta(days=30)
_NEWEST = "temp._report_newest"
_FAILED, _UNCHANGED = quote_literal(Status.FAILED), quote_literal(Status.UNCHANGED)


def read(lake: Connection, units: Sequence[Unit], now: datetime) -> Lake:
    """Everything that the page tells from the lake.

    Args:
        lake: An open lake with the platform's tables.
        units: The datasets and aggregates.
        now: The moment (with a time zone).
    """
    # No text has a row's value in it; this is a second look.
    odd = [replace(each, message=redacted(each.message)) for each in findings.find(lake)]
    with _newest_attempts(lake):
        return Lake(
            published=_published(lake),
            failures=_failures(lake),
            points=_points(lake, units, odd),
            costs=_costs(lake, now - COST_WINDOW),
            rejected=_rejected(lake),
            findings=odd,
        )


@contextmanager
def _newest_attempts(lake: Connection) -> Iterator[None]:
    """The newest attempt of each partition, kept while several questions are asked of it."""
    lake.execute(f"""
        CREATE OR REPLACE TEMP TABLE _report_newest AS
        SELECT * EXCLUDE (newest) FROM (
            SELECT asset, partition, status, extracted, cleaned, quarantined, deduplicated, broken,
                stopped_by, message, recorded_at, row_number() OVER (
                    PARTITION BY asset, partition ORDER BY snapshot_id DESC, rowid DESC) AS newest
            FROM (SELECT *, snapshot_id, rowid FROM {LEDGER})
        ) WHERE newest = 1
    """)
    try:
        yield
    finally:
        lake.execute(f"DROP TABLE {_NEWEST}")


def _published(lake: Connection) -> dict[str, Published]:
    rows = lake.execute(f"""
        SELECT asset, count(*) FILTER (status <> {_FAILED}), count(*) FILTER (status = {_FAILED}),
            max(partition) FILTER (status <> {_FAILED}), max(recorded_at)
        FROM {_NEWEST} GROUP BY asset
    """).fetchall()
    return {asset: Published(*told) for asset, *told in rows}


def _failures(lake: Connection) -> list[Failure]:
    rows = lake.execute(f"""
        SELECT asset, stopped_by, list(partition ORDER BY partition), max_by(message, partition),
            min(recorded_at)
        FROM {_NEWEST} WHERE status = {_FAILED} GROUP BY asset, stopped_by
        ORDER BY stopped_by = {quote_literal(UPSTREAM)}, asset, stopped_by
    """).fetchall()
    return [Failure(a, by, tuple(keys), redacted(text), at) for a, by, keys, text, at in rows]


@dataclass(frozen=True)
class _Row:
    """A partition, or of a table that is not cut a publish, as the ledger has it."""

    asset: str
    entry: LedgerEntry
    at: datetime


def _points(
    lake: Connection, units: Sequence[Unit], odd: Sequence[Finding]
) -> dict[str, list[Point]]:
    """The last partitions of each asset that people read; of a table that is not cut, publishes."""
    by_main = {unit.main: unit for unit in units}
    columns = "asset, partition, status, extracted, cleaned, quarantined, deduplicated, broken"
    mains = literal_list(by_main)
    whole = quote_literal(UNPARTITIONED_KEY)
    rows = lake.execute(f"""
        WITH told AS (
            SELECT {columns}, recorded_at FROM {_NEWEST}
            WHERE asset IN {mains} AND partition <> {whole}
            UNION ALL
            SELECT {columns}, recorded_at FROM {LEDGER}
            WHERE partition = {whole} AND {after_scan("asset")} IN {mains}
                AND {after_scan("status")} <> {_UNCHANGED}
        ), counted AS (
            SELECT *, row_number() OVER (
                PARTITION BY asset ORDER BY partition DESC, recorded_at DESC) AS back
            FROM told
        )
        SELECT * EXCLUDE (back) FROM counted WHERE back <= {POINTS}
        ORDER BY asset, partition, recorded_at
    """).fetchall()
    about: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for each in odd:
        about[each.asset, each.partition].append(each)
    found: dict[str, list[Point]] = defaultdict(list)
    for row in map(_row, rows):
        unit = by_main[row.asset]
        found[row.asset].append(_point(row, unit, about[row.asset, row.entry.partition]))
    return dict(found)


def _row(told: tuple[Any, ...]) -> _Row:
    asset, partition, status, extracted, cleaned, quarantined, deduplicated, broken, at = told
    return _Row(
        asset,
        LedgerEntry(
            asset=asset,
            partition=partition,
            run_id="",
            status=Status(status),
            extracted=extracted,
            cleaned=cleaned,
            quarantined=quarantined,
            deduplicated=deduplicated,
            # Most partitions break nothing, and there may be tens of thousands.
            broken=json.loads(broken) if broken != "{}" else {},
        ),
        at,
    )


def _point(row: _Row, unit: Unit, about: Sequence[Finding]) -> Point:
    entry = row.entry
    is_failed = entry.status is Status.FAILED
    # An aggregate has no rejected rows, and nothing is expected of its numbers.
    is_scored = unit.kind == "dataset" and not is_failed
    return Point(
        partition=f"{row.at:%Y-%m-%d}" if entry.partition == UNPARTITIONED_KEY else entry.partition,
        rows=entry.cleaned,
        extracted=entry.extracted,
        quarantined=entry.quarantined,
        deduplicated=entry.deduplicated,
        score=score(entry, unit.severities, about).total if is_scored else None,
        failed=is_failed,
    )


def _costs(lake: Connection, since: datetime) -> list[Cost]:
    rows = lake.execute(
        f"""
        SELECT asset, count(*), sum(seconds), median(seconds), max(seconds), sum(bytes)
        FROM {LEDGER} WHERE recorded_at >= ? AND {after_scan("status")} <> {_UNCHANGED}
        GROUP BY asset HAVING sum(seconds) > 0 ORDER BY 3 DESC, asset
        """,
        [since],
    ).fetchall()
    return [
        Cost(asset, attempts, seconds, median, longest, int(size or 0))
        for asset, attempts, seconds, median, longest, size in rows
    ]


def _rejected(lake: Connection) -> list[Rejected]:
    if not was_filled(lake, "quarantine"):
        return []
    is_open, is_blocked = (f"status = {quote_literal(each)}" for each in ACTIVE)
    rows = lake.execute(f"""
        SELECT dataset, rule, count(*) FILTER ({is_open}), count(*) FILTER ({is_blocked}),
            count(DISTINCT partition),
            min(partition), max(partition)
        FROM (SELECT dataset, status, partition, unnest(rules) AS rule FROM {QUARANTINE}
              WHERE {after_scan("status")} IN {literal_list(ACTIVE)})
        GROUP BY ALL ORDER BY count(*) DESC, dataset, rule
    """).fetchall()
    return [Rejected(*row) for row in rows]
