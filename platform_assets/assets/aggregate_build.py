"""One build of the aggregates: staged, tested, and published in one transaction with its ledger.

Belongs here: what is committed, what is kept out by which test, and what the ledger says of it.
Does not belong here: the plan (``aggregate_plan``), running dbt (``dbt``), and what Dagster is told
(``aggregates``).

dbt builds its models and runs its tests in a transaction of the lake that is open already: tests
see what would be published, everybody else what was. Where a test fails, nothing is committed; the
partitions that the failing rows are in are left out, and the rest is built again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import dagster as dg
import duckdb

from platform_assets.assets.aggregate_names import EVENT_OF, PARTITION_OF, table_of
from platform_assets.assets.aggregate_plan import Plan
from platform_assets.assets.aggregate_tally import BuildTally
from platform_assets.assets.dbt_tests import DbtOutcome, FailedTest, culprits
from platform_assets.observability import traces
from platform_assets.observability.traces import span
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline.steps import trace_entries, with_seconds
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection, in_transaction, is_contention
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.newest import newest_events
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.tables import ensure_platform_tables

# A build without the culprits can fail a test that was not reached, or not failed, before.
BUILDS = 4

Ask = Callable[[Connection, frozenset[str]], Plan]
"""Plans a build that leaves some partitions out, from what the ledger says now."""
RunDbt = Callable[[Connection, Plan], DbtOutcome]
"""Runs dbt by a plan, in the connection's transaction."""
Entries = dict[str, dict[str, LedgerEntry]]
"""By asset and partition."""


@dataclass(frozen=True)
class Built:
    """What became of a build.

    Attributes:
        work: The plan, as it was done in the end.
        entries: What was published, or is unchanged.
        stopped: What a test or a model stopped.
        checks: What the tests came to; one that failed in any build has failed.
    """

    work: Plan
    entries: Entries = field(default_factory=dict)
    stopped: tuple[LedgerEntry, ...] = ()
    checks: Mapping[dg.AssetCheckKey, dg.AssetCheckResult] = field(default_factory=dict)


class _StoppedError(Exception):
    """Stops the transaction: what it holds must not be published."""

    def __init__(
        self, work: Plan, outcome: DbtOutcome, keeping_out: Mapping[str, FailedTest]
    ) -> None:
        super().__init__()
        self.work = work
        self.outcome = outcome
        self.keeping_out = keeping_out


def build(connection: Connection, ask: Ask, run: RunDbt) -> Built:
    """Build what is stale, test it, and publish what passes, all of it in one transaction.

    Args:
        connection: An open lake.
        ask: Makes the plan.
        run: Runs dbt.
    """
    built = _build(connection, ask, run)
    good = [entry for each in built.entries.values() for entry in each.values()]
    trace_entries([*good, *built.stopped])
    # Both tables are made from the same rows.
    work = built.work
    traces.tell(rows_extracted=sum(work.inputs[key].cleaned for key in work.built))
    return built


def _build(connection: Connection, ask: Ask, run: RunDbt) -> Built:
    ensure_platform_tables(connection)
    started = time.perf_counter()
    kept_out: dict[str, FailedTest] = {}
    failed: dict[dg.AssetCheckKey, dg.AssetCheckResult] = {}

    def attempt(con: Connection) -> Built:
        work = ask(con, frozenset(kept_out))
        tally = BuildTally(con, work)
        outcome = DbtOutcome({})
        if work.is_dbt_needed:
            with span("build", partitions=work.built):
                outcome = run(con, work)
        if outcome.stopped_by:
            raise _stop(con, work, outcome)
        entries, told = _published(con, work, tally, started)
        stopped = _kept_out(work, kept_out)
        ledger.record(con, [*told, *stopped, *work.refusals()])
        return Built(work, entries, tuple(stopped), {**outcome.checks, **failed})

    for left in reversed(range(BUILDS)):
        try:
            with span("publish"):
                return in_transaction(connection, attempt)
        except _StoppedError as stop:
            work, outcome = stop.work, stop.outcome
            failed |= {key: each for key, each in outcome.checks.items() if _is_stopping(each)}
            keeping_out = stop.keeping_out
        kept_out |= keeping_out
        if not left or not keeping_out:
            break
    stopped = [*_all_stopped(work, outcome, kept_out), *_kept_out(work, kept_out)]
    in_transaction(connection, lambda con: ledger.record(con, [*stopped, *work.refusals()]))
    return Built(work, {}, tuple(stopped), {**outcome.checks, **failed})


def _is_stopping(check: dg.AssetCheckResult) -> bool:
    return not check.passed and check.severity is dg.AssetCheckSeverity.ERROR


def _stop(connection: Connection, work: Plan, outcome: DbtOutcome) -> Exception:
    """What ends the transaction: once more where another writer came first, else for good."""
    if is_contention(duckdb.Error(outcome.message)):
        return duckdb.TransactionException(outcome.message)
    found = culprits(connection, outcome.failing, work.built) if work.can_leave_out else {}
    return _StoppedError(work, outcome, found)


def _published(
    connection: Connection, work: Plan, tally: BuildTally, started: float
) -> tuple[Entries, list[LedgerEntry]]:
    """What became of each partition, counted where its rows are now; and all that is to be told."""
    found: Entries = {}
    for asset in work.tables:
        counted = _rows(connection, asset, work.built)
        changes = tally.changes(asset, counted) if counted else {}
        newest = _newest_events(connection, asset, work.built)
        made = [
            ledger.tallied(
                replace(
                    work.entry(asset, key, Status.PUBLISHED),
                    extracted=work.inputs[key].cleaned,
                    cleaned=rows,
                    newest_event=newest.get(key),
                    input_fingerprint=work.fingerprint(key),
                ),
                changes[key],
            )
            for key, rows in counted.items()
        ]
        idle = [ledger.unchanged(entry, work.run_id) for entry in work.unchanged[asset].values()]
        made = with_seconds(made, started) if made else []
        found[asset] = {entry.partition: entry for entry in [*idle, *made]}
    views = [
        replace(
            work.entry(view, UNPARTITIONED_KEY, Status.PUBLISHED), input_fingerprint=work.version
        )
        for view in work.stale_views
    ]
    return found, [*views, *(entry for each in found.values() for entry in each.values())]


def _newest_events(
    connection: Connection, asset: str, partitions: tuple[str, ...]
) -> dict[str, datetime]:
    """The newest event of each partition, where it is known what that is."""
    event, column = EVENT_OF.get(asset), PARTITION_OF[asset]
    if event is None:
        return {}
    return newest_events(connection, table_of(asset), event, partitions, column=column)


def _rows(connection: Connection, asset: str, partitions: tuple[str, ...]) -> dict[str, int]:
    """Rows of each partition as the table now has them."""
    column = PARTITION_OF[asset]
    if not partitions:
        return {}
    counted = connection.execute(
        f"SELECT {column}, count(*) FROM {table_of(asset)} "
        f"WHERE {in_partitions(partitions, column)} GROUP BY 1"
    ).fetchall()
    return dict.fromkeys(partitions, 0) | {str(key): int(rows) for key, rows in counted}


def _kept_out(work: Plan, tests: Mapping[str, FailedTest]) -> list[LedgerEntry]:
    """The partitions that a test keeps out, for each table."""
    return [
        replace(
            work.entry(asset, key, Status.FAILED),
            extracted=work.inputs[key].cleaned,
            broken={test.name: test.rows},
            stopped_by=test.name,
            message=test.told(f"{asset}, partition {key}"),
        )
        for asset in work.tables
        for key, test in sorted(tests.items())
    ]


def _all_stopped(
    work: Plan, outcome: DbtOutcome, tests: Mapping[str, FailedTest]
) -> list[LedgerEntry]:
    """All that was to be built, where nothing of it is published."""
    assets = work.tables if work.stale else work.stale_views
    keys = [key for key in work.stale if key not in tests] if work.stale else [UNPARTITIONED_KEY]
    return [
        replace(
            work.entry(asset, key, Status.FAILED),
            extracted=work.inputs[key].cleaned if key in work.inputs else 0,
            stopped_by=outcome.stopped_by,
            message=outcome.failing[0].told(f"{asset}, all partitions of the run")
            if outcome.failing
            else outcome.message,
        )
        for asset in assets
        for key in keys
    ]
