"""Asset checks that did not pass, the platform's own and everybody else's.

Belongs here: evaluations in Dagster's event log, and which of them are told. Does not belong here:
what is told of the same thing elsewhere already.

One thing is told once. That a partition was not published is told from the ledger, a change of
columns and odd statistics from their own books; the checks that show them in Dagster are left out.
A rule of a contract that rows of a published partition break is told where its policy says
``alert_above``: that a row or two are in quarantine is no news, that many are is told by their
share, and that they are more than usual is a finding. A check that stopped a partition follows from
that. Every other check is told as severe as it says.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import duckdb
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

from platform_assets.alerts.signals import Kind, Severity, Signal, Standing
from platform_assets.contracts.policies import BY_SEVERITY, RulePolicy
from platform_assets.errors import PlatformError
from platform_assets.partitions import Daily
from platform_assets.quality.policy import CHECKS
from platform_assets.sensors.alerting.partitions import causes_in
from platform_assets.sensors.alerting.wording import first_lines, retry
from platform_assets.sensors.alerting.world import Collected, World

PAGE = 2_000
SECONDS = 8.0
"""How long a round reads on: a year's backfill evaluates a hundred thousand times."""
# The names of the platform's checks that show what is told from elsewhere; test_alerting_checks.py
# holds them against those of ``assets``, which this may not import.
PUBLISHED = "partitions_published"
SCHEMA = "schema"
FRESHNESS = "freshness"


def collect(world: World, cursor: str | None) -> Collected:
    """Evaluations since the last look; the first time, none.

    Args:
        world: What there is to look at.
        cursor: The event that was looked at last.
    """
    evaluated = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    log = world.instance.event_log_storage
    if cursor is None:
        newest = log.get_event_records(dg.EventRecordsFilter(evaluated), limit=1)
        return Collected([], str(newest[0].storage_id if newest else 0))
    reading = _Reading(world)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        records = log.get_event_records(
            dg.EventRecordsFilter(evaluated, after_cursor=int(cursor)), limit=PAGE, ascending=True
        )
        reading.take(records)
        cursor = str(records[-1].storage_id) if records else cursor
        if len(records) < PAGE:
            break
    return Collected(reading.signals, cursor)


class _Reading:
    """What is told of evaluations, one after the other."""

    def __init__(self, world: World) -> None:
        self.signals: list[Signal] = []
        self._world = world
        self._standing = set(world.of(Kind.CHECK_FAILED))
        self._causes: dict[str, dict[str, str]] = {}

    def take(self, records: Sequence[dg.EventLogRecord]) -> None:
        """Tell of evaluations."""
        for record in records:
            entry = record.event_log_entry
            told = entry.get_dagster_event().asset_check_evaluation_data
            at = datetime.fromtimestamp(entry.timestamp, UTC)
            if not told.passed and _is_news(self._world, told):
                failed = _failed(self._world, told, at, entry.run_id, self._causes_of(entry.run_id))
                self._standing.add(failed.fingerprint)
                self.signals.append(failed)
                continue
            # A rule that stopped a partition and now has a row or two in quarantine is over, too.
            over = _signal(told, at, entry.run_id, Standing.OVER)
            if over.fingerprint in self._standing:
                self._standing.discard(over.fingerprint)
                self.signals.append(over)

    def _causes_of(self, run_id: str) -> dict[str, str]:
        if run_id not in self._causes:
            self._causes[run_id] = _causes(self._world, run_id)
        return self._causes[run_id]


def _is_news(world: World, told: AssetCheckEvaluation) -> bool:
    """Whether it is told, and not of a thing that is told elsewhere."""
    layer, _, name = told.asset_key.to_user_string().partition("/")
    if told.check_name in (PUBLISHED, FRESHNESS):
        return False
    dataset = world.datasets.get(name)
    if dataset is None or layer not in ("raw", "cleaned", "history"):
        return True
    if isinstance(dataset.partitions, Daily) and told.partition is None:
        # The run's result: each of its partitions has its own.
        return False
    if layer == "raw":
        return told.check_name != SCHEMA
    if told.check_name in CHECKS:
        return False
    rules = {rule.name for rule in dataset.compiled.rules}
    stops = told.severity is dg.AssetCheckSeverity.ERROR
    policy = dataset.rules.get(told.check_name, RulePolicy())
    return told.check_name not in rules or stops or policy.alert_above is not BY_SEVERITY


def _signal(told: AssetCheckEvaluation, at: datetime, run_id: str, standing: Standing) -> Signal:
    return Signal(
        kind=Kind.CHECK_FAILED,
        subject=told.asset_key.to_user_string(),
        at=at,
        standing=standing,
        part=told.check_name,
        partition=told.partition or "",
        run_id=run_id,
    )


def _failed(
    world: World, told: AssetCheckEvaluation, at: datetime, run_id: str, causes: dict[str, str]
) -> Signal:
    own = _signal(told, at, run_id, Standing.OPEN)
    error = told.severity is dg.AssetCheckSeverity.ERROR
    cause = ""
    if error:
        cause = causes.get(f"{own.subject}:{own.partition}", "")
        if not cause and told.partition is None:
            cause = causes.get(own.subject, "")
    return world.assets.described(
        replace(
            own,
            severity=Severity.ERROR if error else Severity.WARN,
            title=f"check {told.check_name} did not pass",
            detail=first_lines(told.description or ""),
            cause=cause,
            command=retry(own.subject, own.partition),
        )
    )


def _causes(world: World, run_id: str) -> dict[str, str]:
    try:
        return dict(causes_in(world, run_id))
    except (PlatformError, duckdb.Error):
        # That the lake cannot be asked is told by those who only read it; the failure is told now.
        return {}
