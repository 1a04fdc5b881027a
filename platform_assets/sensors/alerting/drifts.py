"""Changes of a source's columns: told once; those that stop partitions, until they no longer do.

Belongs here: what ``platform.drifts`` says. Does not belong here: finding a drift (``contracts``).

A change that was taken in has no end: it happened. One that is blocked is a problem of the dataset
and not of each of its partitions: they name it as their cause.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from platform_assets.alerts.signals import Kind, Severity, Signal, Standing, fingerprint
from platform_assets.pipeline import drift
from platform_assets.sensors.alerting.wording import first_lines, plural
from platform_assets.sensors.alerting.world import Collected, World, over
from platform_assets.sql import quote_literal
from platform_assets.warehouse.lake import Connection, current_snapshot
from platform_assets.warehouse.schemas import DRIFTS
from platform_assets.warehouse.tables import LEDGER, was_filled

BLOCKED = "blocked"


@dataclass(frozen=True)
class _Change:
    """One change as the partitions of a run met it."""

    dataset: str
    run_id: str
    kind: str
    column: str
    decision: str
    text: str
    partitions: int
    first: str
    seconds: float

    @property
    def at(self) -> datetime:
        """When it was met first."""
        return datetime.fromtimestamp(self.seconds, UTC)


def collect(world: World, cursor: str | None) -> Collected:
    """What was noticed since the last look; the first time, what is blocked now.

    Args:
        world: What there is to look at.
        cursor: The snapshot that was looked at last.
    """
    lake = world.lake
    end = current_snapshot(lake)
    if cursor is not None and end <= int(cursor):
        return Collected()
    signals = []
    if was_filled(lake, "drifts"):
        standing = _blocked(lake)
        changes = _changes(lake, -1 if cursor is None else int(cursor), end)
        told = [(each, each.decision == BLOCKED and each.dataset in standing) for each in changes]
        signals = [_told(world, each, stops) for each, stops in told if stops or cursor is not None]
        known = world.of(Kind.SCHEMA_DRIFT)
        signals += [
            over(each, world.now)
            for each in known.values()
            if each.part == BLOCKED and each.subject.removeprefix("raw/") not in standing
        ]
    return Collected(signals, json.dumps(end))


def blocked_since(lake: Connection, dataset: str, run_id: str) -> str:
    """The fingerprint of the change that a run's partitions were blocked by; empty: there is none.

    Args:
        lake: An open lake.
        dataset: The dataset's name.
        run_id: The run.
    """
    if not was_filled(lake, "drifts"):
        return ""
    found = lake.execute(
        f"SELECT 1 FROM {DRIFTS} WHERE dataset = ? AND run_id = ? AND decision = ? LIMIT 1",
        [dataset, run_id, BLOCKED],
    ).fetchone()
    return "" if found is None else _blocked_fingerprint(dataset)


def _blocked_fingerprint(dataset: str) -> str:
    return fingerprint(Kind.SCHEMA_DRIFT, f"raw/{dataset}", BLOCKED)


def _changes(lake: Connection, after: int, until: int) -> list[_Change]:
    rows = lake.execute(
        f"""
        SELECT dataset, run_id, kind, column_name, decision, text,
            count(DISTINCT partition), min(partition), epoch(min(recorded_at))
        FROM {DRIFTS} WHERE snapshot_id > {after} AND snapshot_id <= {until}
        GROUP BY dataset, run_id, kind, column_name, decision, text
        ORDER BY min(snapshot_id), kind, column_name
        """
    ).fetchall()
    return [_Change(*row) for row in rows]


def _blocked(lake: Connection) -> set[str]:
    """Datasets of which a partition stands stopped by a change of the columns."""
    rows = lake.execute(
        f"""
        SELECT DISTINCT substr(asset, 5) FROM (
            SELECT asset, status, stopped_by, row_number() OVER (
                PARTITION BY asset, partition ORDER BY snapshot_id DESC, rowid DESC) AS nth
            FROM {LEDGER} WHERE starts_with(asset, 'raw/')
        ) WHERE nth = 1 AND status = 'failed' AND stopped_by = {quote_literal(drift.STOPPED_BY)}
        """
    ).fetchall()
    return {str(name) for (name,) in rows}


def _told(world: World, change: _Change, stops: bool) -> Signal:
    where = f"first met in {change.first}, in {plural(change.partitions, 'partition')}"
    return world.assets.described(
        Signal(
            kind=Kind.SCHEMA_DRIFT,
            subject=f"raw/{change.dataset}",
            at=change.at,
            standing=Standing.OPEN if stops else Standing.ONCE,
            part=BLOCKED if stops else f"{change.kind}/{change.column}",
            severity=Severity.ERROR if stops else Severity.WARN,
            title=f"column {change.column}: {change.kind.replace('_', ' ')}, {change.decision}",
            detail=first_lines(f"{change.text}\n{where}"),
            run_id=change.run_id,
            command=f"platform-assets contracts diff {change.dataset}",
        )
    )
