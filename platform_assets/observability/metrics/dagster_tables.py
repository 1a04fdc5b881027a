"""Questions to Dagster's tables that its interface would answer event by event.

Belongs here: these queries, the one place in which metrics know Dagster's tables. Does not belong
here: what is made of the answers (``runs``).

They ask the storages' own engine, so it is the same in SQLite and Postgres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.legacy_storage import LegacyEventLogStorage, LegacyRunStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG

from platform_assets.errors import SettingsError

_ASKED_AT_ONCE = 500


@dataclass(frozen=True)
class Ended:
    """Runs that ended since a place in the event log.

    Attributes:
        cursor: The newest place.
        counts: By how they ended.
        failed: Ids of those that failed.
        last_success: When the newest of them succeeded; None: none did.
    """

    cursor: int
    counts: Mapping[str, int]
    failed: Sequence[str]
    last_success: datetime | None


def ended_runs(
    instance: dg.DagsterInstance, after: int, kinds: Mapping[dg.DagsterEventType, str]
) -> Ended:
    """Runs that ended since a place in the event log.

    Args:
        instance: Dagster's instance.
        after: The place.
        kinds: The events that say so, and what is counted of each.

    Raises:
        SettingsError: The event log is not kept in a database.
    """
    table = SqlEventLogStorageTable.c
    names = {kind.value: status for kind, status in kinds.items()}
    newer = (table.id > after, table.dagster_event_type.in_(names))
    success, failure = dg.DagsterEventType.RUN_SUCCESS.value, dg.DagsterEventType.RUN_FAILURE.value
    with _event_log(instance).index_connection() as connection:
        rows: Sequence[Any] = connection.execute(
            db.select(table.dagster_event_type, db.func.count(), db.func.max(table.id))
            .where(*newer)
            .group_by(table.dagster_event_type)
        ).fetchall()
        counted = [(str(kind), int(count), int(place)) for kind, count, place in rows]
        newest = {kind: place for kind, _, place in counted}
        failed = connection.execute(
            db.select(table.run_id).where(*newer, table.dagster_event_type == failure)
        ).fetchall()
        last: Sequence[Any] = connection.execute(
            db.select(table.timestamp).where(table.id == newest.get(success, -1))
        ).fetchall()
    return Ended(
        cursor=max([after, *newest.values()]),
        counts={names[kind]: count for kind, count, _ in counted},
        failed=[str(run) for (run,) in failed],
        last_success=max((at.replace(tzinfo=UTC) for (at,) in last), default=None),
    )


@dataclass(frozen=True)
class Unfinished:
    """Runs that are not over, of one status.

    Attributes:
        count: How many.
        made: When the oldest of them was made.
        started: Since when, in seconds since 1970, the one is at work that was started first; None:
            none of them is.
    """

    count: int
    made: datetime
    started: float | None


def unfinished_runs(
    instance: dg.DagsterInstance, statuses: Sequence[dg.DagsterRunStatus]
) -> dict[dg.DagsterRunStatus, Unfinished]:
    """Runs that are not over, by status; no entry: there are none.

    Args:
        instance: Dagster's instance.
        statuses: Those that are not over.

    Raises:
        SettingsError: Runs are not kept in a database.
    """
    table = RunsTable.c
    with _run_storage(instance).connect() as connection:
        rows: Sequence[Any] = connection.execute(
            db.select(
                table.status,
                db.func.count(),
                db.func.min(table.create_timestamp),
                db.func.min(table.start_time),
            )
            .where(table.status.in_([status.value for status in statuses]))
            .group_by(table.status)
        ).fetchall()
    return {
        dg.DagsterRunStatus(status): Unfinished(int(count), made.replace(tzinfo=UTC), started)
        for status, count, made, started in rows
    }


def failure_reasons(instance: dg.DagsterInstance, runs: Sequence[str]) -> dict[str, str]:
    """Dagster's reason for each run that failed; one that was failed from outside has none.

    Args:
        instance: Dagster's instance.
        runs: Ids of the runs.

    Raises:
        SettingsError: Runs are not kept in a database.
    """
    if not runs:
        return {}
    table = RunTagsTable.c
    found: dict[str, str] = {}
    with _run_storage(instance).connect() as connection:
        for begin in range(0, len(runs), _ASKED_AT_ONCE):
            rows = connection.execute(
                db.select(table.run_id, table.value).where(
                    table.key == RUN_FAILURE_REASON_TAG,
                    table.run_id.in_(runs[begin : begin + _ASKED_AT_ONCE]),
                )
            ).fetchall()
            found |= {str(run): str(reason) for run, reason in rows}
    return found


def _event_log(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    # Storages that `dagster.yaml` configures as one come wrapped.
    if isinstance(storage, LegacyEventLogStorage):
        storage = storage._storage.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise _no_database(storage)
    return storage


def _run_storage(instance: dg.DagsterInstance) -> SqlRunStorage:
    storage = instance.run_storage
    if isinstance(storage, LegacyRunStorage):
        storage = storage._storage.run_storage
    if not isinstance(storage, SqlRunStorage):
        raise _no_database(storage)
    return storage


def _no_database(storage: object) -> SettingsError:
    return SettingsError(
        "Runs cannot be counted",
        where="dagster.yaml",
        expected="storages in SQLite or Postgres",
        found=type(storage).__name__,
        fix="keep runs and events in a database, as the project's dagster.yaml does",
    )
