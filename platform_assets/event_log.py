"""Dagster's event log in SQLite, on connections that stay open.

Belongs here: how Dagster's own storage connects. Does not belong here: what is stored, and
anything of the platform's tables.

Dagster's SQLite storage makes an engine and opens a file for each event, compiles each statement
anew, and on closing has SQLite write its log back into the database. A range run writes an event
per partition and asset, so that was most of what Dagster cost (ADR 0006). The database is the same
file with the same tables: either class opens what the other wrote.
"""

from __future__ import annotations

import logging
import threading
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

_LOG = logging.getLogger(__name__)

EventHandler = Callable[[dg.EventLogEntry, str], None]
KEPT_CONNECTIONS = 4
STOP_SECONDS = 15.0
# Longer than a commit takes from its first byte to its end.
SETTLED_SECONDS = 0.25


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
