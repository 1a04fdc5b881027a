"""The circuit breaker: a connection that keeps failing is left alone for a while, by everybody.

Belongs here: the state of each connection's breaker, in a file that all processes share. Does not
belong here: what counts as a failure (``failure``), and trying again (``retrying``).

The state machine is purgatory's. Its own stores read and write in two steps, and keep a half-open
state to the process that made it; here each step is one transaction of a small SQLite file, so a
process that is killed leaves a state that the next one can go on from.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from purgatory.domain.model import CLOSED, HALF_OPENED, OPENED, Context, OpenedState
from purgatory.typing import StateName

from platform_assets.errors import SettingsError
from platform_assets.sources.failure import TransientSourceError

FAILURES = 5
OPEN_SECONDS = 60.0
_WAIT_SECONDS = 30.0
_CREATE = """
CREATE TABLE IF NOT EXISTS breaker (
    connection TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    failures INTEGER NOT NULL,
    failing_since REAL,
    opened_at REAL,
    trial_at REAL,
    last_failure TEXT NOT NULL,
    generation INTEGER NOT NULL
) WITHOUT ROWID
"""
_COLUMNS = (
    "connection, state, failures, failing_since, opened_at, trial_at, last_failure, generation"
)


class BreakerOpenError(TransientSourceError):
    """A connection that is not tried now, because it kept failing."""


@dataclass(frozen=True)
class BreakerState:
    """What is known of a connection.

    Attributes:
        connection: Its name.
        state: ``closed`` (it is used), ``opened`` (it is left alone), ``half-opened`` (one trial is
            on its way).
        failures: Failures since the last success.
        failing_since: When the first of them was, in seconds since 1970.
        opened_at: When it was left alone.
        trial_at: When the trial that is on its way was let through.
        last_failure: Why it failed last, in a few words.
        generation: Changes with the state, so that a result which comes late is told apart.
    """

    connection: str
    state: StateName = CLOSED
    failures: int = 0
    failing_since: float | None = None
    opened_at: float | None = None
    trial_at: float | None = None
    last_failure: str = ""
    generation: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the connection is left alone, but for the trial that may be on its way."""
        return self.state != CLOSED


@dataclass(frozen=True)
class Permit:
    """Leave to use a connection once; its outcome is reported with it.

    Attributes:
        connection: The connection's name.
        generation: Of the state in which it was given.
        trial: Whether it is the one that decides over a breaker that is half-open.
    """

    connection: str
    generation: int
    trial: bool = False


class BreakerStore:
    """The breakers of all connections.

    Args:
        path: The file that processes share; None: kept in this object, for one process.
        failures: Failures in a row that open a breaker.
        seconds: How long it stays open before one trial is let through; a trial that has not
            reported by then is taken for dead, and another one is let through.
        clock: The time in seconds since 1970.

    Raises:
        SettingsError: The file cannot be used.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        failures: int = FAILURES,
        seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.failures = failures
        self.seconds = seconds
        self.clock = clock
        self._lock = threading.RLock()
        self._prepared = False
        self._held: sqlite3.Connection | None = None
        if path is None:
            self._held = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._held.execute(_CREATE)
            weakref.finalize(self, self._held.close)

    def admit(self, connection: str) -> Permit:
        """Ask for leave to use a connection.

        Args:
            connection: Its name.

        Raises:
            BreakerOpenError: It is left alone now.
            SettingsError: The file cannot be used.
        """
        state = self.state(connection)
        if state.state == CLOSED:
            return Permit(connection, state.generation)
        with self._transaction() as database:
            state = _read(database, connection)
            now = self.clock()
            context = self._machine(state, now)
            try:
                context.handle_new_request()
            except OpenedState:
                raise self._open_error(state) from None
            if context.state == CLOSED:
                return Permit(connection, state.generation)
            if state.state == HALF_OPENED and now < (state.trial_at or 0) + self.seconds:
                raise self._open_error(state)
            _write(
                database,
                BreakerState(
                    connection=connection,
                    state=HALF_OPENED,
                    failures=state.failures,
                    failing_since=state.failing_since,
                    opened_at=state.opened_at,
                    trial_at=now,
                    last_failure=state.last_failure,
                    generation=state.generation + 1,
                ),
            )
            return Permit(connection, state.generation + 1, trial=True)

    def succeeded(self, permit: Permit) -> None:
        """Report that a connection answered."""
        if not permit.trial and not self.state(permit.connection).failures:
            return
        with self._transaction() as database:
            state = _read(database, permit.connection)
            if state.generation != permit.generation:
                return
            self._machine(state, self.clock()).handle_end_request()
            generation = state.generation + (state.state != CLOSED)
            _write(database, BreakerState(permit.connection, generation=generation))

    def failed(self, permit: Permit, reason: str) -> BreakerState:
        """Report that a connection did not answer.

        Args:
            permit: The leave that it was used with.
            reason: Why, in a few words that hold no secret.

        Returns:
            The state that follows.
        """
        with self._transaction() as database:
            state = _read(database, permit.connection)
            if state.generation != permit.generation:
                return state
            now = self.clock()
            context = self._machine(state, now)
            context.handle_exception(ConnectionError())
            opened = context.state == OPENED
            after = BreakerState(
                connection=permit.connection,
                state=context.state,
                failures=state.failures + 1,
                failing_since=state.failing_since or now,
                opened_at=now if opened else None,
                last_failure=reason,
                generation=state.generation + opened,
            )
            _write(database, after)
            return after

    def abandon(self, permit: Permit) -> None:
        """Report that nothing was learnt about a connection; a trial may be had by another."""
        if not permit.trial:
            return
        with self._transaction() as database:
            database.execute(
                "UPDATE breaker SET trial_at = NULL WHERE connection = ? AND generation = ?",
                (permit.connection, permit.generation),
            )

    def state(self, connection: str) -> BreakerState:
        """What is known of a connection; one that never failed is closed."""
        with self._database() as database:
            return _read(database, connection)

    def states(self) -> list[BreakerState]:
        """All connections that are known here, by name."""
        with self._database() as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM breaker ORDER BY connection")
            return [BreakerState(*row) for row in rows]

    def next_try(self, state: BreakerState) -> float | None:
        """When a connection is tried next, in seconds since 1970; None: at any time."""
        if state.state == CLOSED:
            return None
        # A trial that was given up leaves the time of opening, which is over.
        return (state.trial_at or state.opened_at or 0.0) + self.seconds

    def reset(self, connection: str) -> bool:
        """Close a breaker at once, because somebody knows that the source is back.

        Returns:
            Whether there was anything to forget.
        """
        with self._transaction() as database:
            state = _read(database, connection)
            if state.state == CLOSED and not state.failures:
                return False
            _write(database, BreakerState(connection, generation=state.generation + 1))
            return True

    def _machine(self, state: BreakerState, now: float) -> Context:
        """Purgatory's state machine at a state; it reads the system's clock, so its is shifted."""
        shifted = None if state.opened_at is None else state.opened_at + time.time() - now
        return Context(
            state.connection, self.failures, self.seconds, state.state, state.failures, shifted
        )

    def _open_error(self, state: BreakerState) -> BreakerOpenError:
        due = self.next_try(state)
        trial = state.state == HALF_OPENED
        return BreakerOpenError(
            "A connection is left alone because it kept failing",
            reason="breaker open",
            where=f"connection {state.connection!r}",
            expected=f"an answer; it is tried again {_moment(due)}"
            + (", unless the trial that is on its way ends before" if trial else ""),
            found=f"{state.failures} failures in a row since {_moment(state.failing_since)}, "
            f"the last one: {state.last_failure}",
            fix="bring the source back; then wait, or platform-assets connections reset "
            f"{state.connection}",
        )

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._held is not None:
                yield self._held
                return
            assert self.path is not None  # without one, a database is held
            try:
                if not (self._prepared and self.path.exists()):
                    _prepare(self.path)
                    self._prepared = True
                with contextlib.closing(_connect(self.path)) as database:
                    yield database
            except (sqlite3.Error, OSError) as error:
                raise SettingsError(
                    "The file of the circuit breakers cannot be used",
                    where=str(self.path),
                    expected="a SQLite file in a folder that this process may write",
                    found=str(error),
                    fix="correct the folder's rights; the file may be deleted, its state is not "
                    "precious",
                ) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")


def _prepare(path: Path) -> None:
    """Make the file, or see that it is made.

    One process after the other: SQLite does not wait for others when it changes a file's mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with contextlib.closing(_connect(path)) as database:
            if database.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                database.execute("PRAGMA journal_mode=wal")
            database.execute(_CREATE)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)


def _read(database: sqlite3.Connection, connection: str) -> BreakerState:
    row = database.execute(
        f"SELECT {_COLUMNS} FROM breaker WHERE connection = ?", (connection,)
    ).fetchone()
    return BreakerState(*row) if row else BreakerState(connection)


def _write(database: sqlite3.Connection, state: BreakerState) -> None:
    database.execute(
        f"INSERT OR REPLACE INTO breaker ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            state.connection,
            state.state,
            state.failures,
            state.failing_since,
            state.opened_at,
            state.trial_at,
            state.last_failure,
            state.generation,
        ),
    )


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "now"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
