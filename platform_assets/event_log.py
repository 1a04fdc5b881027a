"""Dagster's event log in SQLite, on connections that stay open.

Belongs here: how Dagster's own storage connects. Does not belong here: what is stored, and
anything of the platform's tables.

Dagster's SQLite storage makes an engine and opens a file for each event, compiles each statement
anew, and on closing has SQLite write its log back into the database. A range run writes an event
per partition and asset, so that was most of what Dagster cost (ADR 0006). The database is the same
file with the same tables: either class opens what the other wrote.

A range run has a result of each check for each partition, thousands of events; those of one step
are written in one transaction.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import (
    SQLITE_EVENT_LOG_FILENAME,
    ConsolidatedSqliteEventLogStorage,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from watchdog.events import FileSystemEvent, PatternMatchingEventHandler
from watchdog.observers import Observer

_LOG = logging.getLogger(__name__)

EventHandler = Callable[[dg.EventLogEntry, str], None]
KEPT_CONNECTIONS = 4
STOP_SECONDS = 15.0
# Longer than a commit takes from its first byte to its end.
SETTLED_SECONDS = 0.25
# What tells one execution of a check from another.
_IDENTITY = ("asset_key", "check_name", "run_id", "partition")


class PooledSqliteEventLogStorage(ConsolidatedSqliteEventLogStorage):
    """One database for all runs, as its parent, with connections that are used again.

    ``dagster.yaml`` names it as the instance's event log storage. Whoever needs more connections at
    once than are kept gets them, as before.
    """

    @cached_property
    def _engine(self) -> db.engine.Engine:
        return db.create_engine(
            self._conn_string,
            poolclass=db.pool.QueuePool,
            pool_size=KEPT_CONNECTIONS,
            max_overflow=-1,
            # A connection serves one thread at a time, though not always the same one.
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )

    @cached_property
    def _tables(self) -> set[str]:
        return set()

    # The parent's one hook: both its connections, for runs and for the index, come from here.
    @contextmanager
    def _connect(self) -> Iterator[db.engine.Connection]:
        with self._engine.begin() as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether a table exists; one that was seen is not looked for again."""
        if table_name not in self._tables:
            with self._connect() as connection:
                if not db.inspect(connection).has_table(table_name):
                    return False
            self._tables.add(table_name)
        return True

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events; what checks say of the partitions of a run, in one transaction."""
        if all(map(_is_evaluation, events)):
            self._store_evaluations(events)
        else:
            super().store_event_batch(events)

    def _store_evaluations(self, events: Sequence[dg.EventLogEntry]) -> None:
        """As ``store_event`` does for each: the event, and the execution that it completes."""
        rows = [self._event_to_row(event) for event in events]
        executions = [_execution(event, row) for event, row in zip(events, rows, strict=True)]
        table = AssetCheckExecutionsTable
        with self._connect() as connection:
            # The transaction holds the one writer's lock from its first INSERT on, so the ids of
            # its rows follow one another.
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            newest = connection.execute(db.select(db.func.max(SqlEventLogStorageTable.c.id)))
            first = newest.scalar_one() - len(rows) + 1
            planned = {
                tuple(each[1:]): each[0]
                for each in connection.execute(
                    db.select(table.c.id, *(table.c[name] for name in _IDENTITY)).where(
                        *(
                            table.c[name].in_({each[name] for each in executions})
                            for name in ("asset_key", "check_name", "run_id")
                        )
                    )
                )
            }
            known, new = [], []
            for number, each in enumerate(executions):
                each["evaluation_event_storage_id"] = first + number
                found = planned.get(tuple(each[name] for name in _IDENTITY))
                if found is None:
                    new.append(each)
                else:
                    known.append({"planned_id": found, **each})
            if known:
                update = table.update().where(table.c.id == db.bindparam("planned_id"))
                names = [name for name in known[0] if name != "planned_id"]
                connection.execute(
                    update.values({name: db.bindparam(name) for name in names}), known
                )
            if new:
                connection.execute(table.insert(), new)

    def _update_asset_check_evaluation(self, event: dg.EventLogEntry, event_id: int | None) -> None:
        """As the parent; then take back what was planned for partitions that the check has not.

        Dagster plans an execution for each partition of a run, also of a check that is not cut. Of
        one that is, some were told by now: what is left of those did not come about, and stays.
        """
        super()._update_asset_check_evaluation(event, event_id)
        told = event.get_dagster_event().asset_check_evaluation_data
        if told.partition is not None:
            return
        table = AssetCheckExecutionsTable
        of_run = (
            table.c.asset_key == told.asset_key.to_string(),
            table.c.check_name == told.check_name,
            table.c.run_id == event.run_id,
            table.c.partition.is_not(None),
        )
        planned = table.c.execution_status == "PLANNED"
        with self._connect() as connection:
            completed = db.select(table.c.id).where(*of_run, ~planned).limit(1)
            if connection.execute(completed).first() is None:
                connection.execute(table.delete().where(*of_run, planned))

    @cached_property
    def _database(self) -> str:
        return str(Path(self._base_dir) / f"{SQLITE_EVENT_LOG_FILENAME}.db")

    @cached_property
    def _watch(self) -> _Watch:
        """Started when the first one watches."""
        return _Watch(self._database, self._tell_watchers)

    def _tell_watchers(self) -> None:
        try:
            self.on_modified()  # type: ignore[no-untyped-call] # the parent has no types
        except db.exc.SQLAlchemyError:
            # Those who watch hear of it with the next commit; the watch itself goes on.
            _LOG.exception("the event log could not be read for those who watch a run")

    def watch(self, run_id: str, cursor: str | None, callback: EventHandler) -> None:
        """Call back for each event of a run from a cursor on, whichever process writes it."""
        self._watchers[run_id][callback] = cursor
        self._watch.look()

    def dispose(self) -> None:
        """Close the connections and end the watch."""
        if "_watch" in vars(self):
            self._watch.stop()
        self._engine.dispose()


def _is_evaluation(event: dg.EventLogEntry) -> bool:
    """Whether it is what a check says of one partition in a run."""
    if event.dagster_event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return False
    return bool(event.run_id and event.get_dagster_event().asset_check_evaluation_data.partition)


def _execution(event: dg.EventLogEntry, row: dict[str, Any]) -> dict[str, Any]:
    """An evaluation as the table of executions has it; its event is written out only once."""
    told = event.get_dagster_event().asset_check_evaluation_data
    target = told.target_materialization_data
    return {
        "asset_key": told.asset_key.to_string(),
        "check_name": told.check_name,
        "run_id": event.run_id,
        "partition": told.partition,
        "execution_status": ("SUCCEEDED" if told.passed else "FAILED"),
        "evaluation_event": row["event"],
        "evaluation_event_timestamp": row["timestamp"],
        "materialization_event_storage_id": target.storage_id if target else None,
    }


class _Watch(PatternMatchingEventHandler):
    """Tells of commits where they are written: beside the database, until SQLite merges them.

    A commit's bytes are noticed a moment before anybody can read it, so who is told at once is told
    once more when it has settled; otherwise the last event of a run could stay unseen.
    """

    def __init__(self, database: str, tell: Callable[[], None]) -> None:
        super().__init__(patterns=[database, f"{database}-wal"])
        self._tell = tell
        self._written, self._over = threading.Event(), threading.Event()
        self._observer = Observer()
        self._observer.schedule(self, str(Path(database).parent))
        self._observer.start()
        self._teller = threading.Thread(target=self._run, name="event-log-watch", daemon=True)
        self._teller.start()

    def look(self) -> None:
        """There may be something new."""
        self._written.set()

    def on_modified(self, event: FileSystemEvent) -> None:
        """A file was written to."""
        del event
        self.look()

    def _run(self) -> None:
        while self._written.wait() and not self._over.is_set():
            self._written.clear()
            self._tell()
            self._over.wait(SETTLED_SECONDS)
            self._tell()

    def stop(self) -> None:
        """End both threads."""
        self._over.set()
        self._written.set()
        self._observer.stop()
        self._observer.join(timeout=STOP_SECONDS)
        self._teller.join(timeout=STOP_SECONDS)
