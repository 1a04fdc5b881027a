"""Dagster's event log in SQLite, on connections that stay open.

Belongs here: how Dagster's own storage connects. Does not belong here: what is stored, and
anything of the platform's tables.

Dagster's SQLite storage makes an engine and opens a file for each event, compiles each statement
anew, and on closing has SQLite write its log back into the database. A range run writes an event
per partition and asset, so that was most of what Dagster cost (ADR 0006). The database is the same
file with the same tables: either class opens what the other wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import (
    SQLITE_EVENT_LOG_FILENAME,
    ConsolidatedSqliteEventLogStorage,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from watchdog.events import FileSystemEvent, PatternMatchingEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

EventHandler = Callable[[dg.EventLogEntry, str], None]
KEPT_CONNECTIONS = 4
STOP_SECONDS = 15.0


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

    @cached_property
    def _database(self) -> str:
        return str(Path(self._base_dir) / f"{SQLITE_EVENT_LOG_FILENAME}.db")

    @cached_property
    def _observer(self) -> BaseObserver:
        """Started when the first one watches."""
        observer = Observer()
        observer.schedule(_CommitHandler(self._database, self._tell_watchers), self._base_dir)
        observer.start()
        return observer

    def _tell_watchers(self) -> None:
        self.on_modified()  # type: ignore[no-untyped-call] # the parent has no types

    def watch(self, run_id: str, cursor: str | None, callback: EventHandler) -> None:
        """Call back for each event of a run from a cursor on, whichever process writes it."""
        self._watchers[run_id][callback] = cursor
        assert self._observer.is_alive()

    def dispose(self) -> None:
        """Close the connections and end the watch."""
        self._engine.dispose()
        if "_observer" in vars(self):
            self._observer.stop()
            self._observer.join(timeout=STOP_SECONDS)


class _CommitHandler(PatternMatchingEventHandler):
    """Notices commits where they are written: beside the database, until SQLite merges them."""

    def __init__(self, database: str, tell: Callable[[], None]) -> None:
        super().__init__(patterns=[database, f"{database}-wal"])
        self._tell = tell

    def on_modified(self, event: FileSystemEvent) -> None:
        """Hand on that there may be something new."""
        del event
        self._tell()
