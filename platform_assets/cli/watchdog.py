"""The watchdog: a process of its own that tells when the one that tells has stopped.

Belongs here: its rounds. Does not belong here: the commands' options (``watchdog_command``), the
alert loop (``sensors``), and messages (``alerts``).

It is tiny and leans on little: the database of alerts, the file of alerts, and nothing of Dagster
or the engine, so that it goes on where those do not. What Dagster says of its daemons is asked by
a process that is given up after a few seconds, and only once the loop is silent.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.delivery import Delivered
from platform_assets.alerts.heartbeats import (
    ALERT_LOOP,
    WATCHDOG,
    Beat,
    beat,
    beats,
    expect,
    silent,
)
from platform_assets.alerts.policy import default_policy, load_policy
from platform_assets.alerts.routing import Policy
from platform_assets.alerts.signals import Kind, Signal, Standing
from platform_assets.errors import PlatformError

_LOG = logging.getLogger(__name__)
ASK_SECONDS = 20.0
PING_TIMEOUT = (5.0, 10.0)
LOOP_EVERY = timedelta(seconds=30)
_DAEMONS = "platform_assets.cli.daemons"


@dataclass(frozen=True)
class Health:
    """What a round of the watchdog came to.

    Attributes:
        healthy: Whether everybody who beats does, and what was to be sent could be sent.
        text: What was found, in one line.
        delivered: What was sent.
        ping_error: Why the outside could not be told; empty: it was, or is not asked for.
    """

    healthy: bool
    text: str
    delivered: Delivered
    ping_error: str = ""


@dataclass
class Watchdog:
    """Goes round and looks whether the others do.

    Attributes:
        watch: The file of the database of alerts.
        alerts: The file of alerts.
        data_dir: The installation's folder of everything generated.
        ui_url: Where people reach Dagster's UI.
        every: How often it goes round; None: nobody is to miss it.
        ping_url: An address outside that is told of each healthy round; empty: none.
        clock: The time (with a time zone).
        ask: Gives what Dagster says of its daemons, in a few lines.
    """

    watch: Path
    alerts: Path
    data_dir: Path
    ui_url: str
    every: timedelta | None
    ping_url: str = ""
    clock: Callable[[], datetime] = field(default_factory=lambda: _utc_now)
    ask: Callable[[], str] = field(default_factory=lambda: ask_dagster)
    _policy: Policy | None = None

    def go_round(self) -> Health:
        """Look once, tell what has changed, send what is due, and tell the outside.

        Raises:
            SettingsError: The database of alerts cannot be opened.
        """
        now = self.clock()
        database = Database(self.watch)
        book, policy = Book(database, self.ui_url), self._read_policy()
        expect(database, ALERT_LOOP, LOOP_EVERY, now)
        found = beats(database)
        stopped = [each for each in found if each.name != WATCHDOG and each.is_silent(now)]
        signals = self._signals(book, found, stopped, now)
        loop_is_dead = any(each.name == ALERT_LOOP for each in stopped)
        # A loop that lives takes care of what time brings; without it that falls to this process.
        if signals or loop_is_dead:
            book.take(signals, policy, now)
        delivered = book.deliver(policy, now)
        if self.every is not None:
            beat(database, WATCHDOG, self.every, now)
        names = ", ".join(each.name for each in stopped)
        text = f"silent: {names}" if stopped else "everybody beats"
        if delivered.stuck:
            text += f"; {delivered.stuck} message(s) reach nobody"
        healthy = not stopped and not delivered.stuck
        return Health(healthy, text, delivered, self.ping(healthy=healthy, text=text))

    def _signals(
        self, book: Book, found: list[Beat], stopped: list[Beat], now: datetime
    ) -> list[Signal]:
        known = {
            each.signal.fingerprint: each.signal
            for each in book.open_problems()
            if each.signal.kind is Kind.HEARTBEAT
        }
        told = []
        for each in stopped:
            signal = silent(each)
            if signal.fingerprint in known:
                continue
            if each.name == ALERT_LOOP:
                # Asked once, when it is told: is it the daemon that has stopped, or the sensor?
                signal = replace(signal, detail=f"{signal.detail}\n{self.ask()}")
            told.append(signal)
        living = {silent(each).fingerprint for each in found if each not in stopped}
        gone = [signal for key, signal in known.items() if key in living]
        return [*told, *(replace(each, at=now, standing=Standing.OVER) for each in gone)]

    def _read_policy(self) -> Policy:
        """The policy; where the file is broken, the last one that was read, or the default."""
        try:
            self._policy = load_policy(self.alerts, self.data_dir)
        except PlatformError:
            _LOG.exception("the file of alerts cannot be read; what it said before goes on to hold")
        return self._policy or default_policy(self.data_dir)

    def ping(self, *, healthy: bool, text: str) -> str:
        """Tell the outside; whoever hears nothing from here knows that even this has stopped.

        Args:
            healthy: Whether all is well.
            text: What was found, in one line.

        Returns:
            Why it could not be told; empty: it was, or nobody is to be told.
        """
        if not self.ping_url:
            return ""
        url = self.ping_url if healthy else failure_url(self.ping_url)
        try:
            answer = requests.post(url, data=text.encode(), timeout=PING_TIMEOUT)
        except requests.RequestException as error:
            # Its text may hold the address, which is a secret.
            return type(error).__name__
        return "" if answer.ok else f"HTTP {answer.status_code}"


def _utc_now() -> datetime:
    return datetime.now(UTC)


def failure_url(url: str) -> str:
    """The address that a round which is not healthy is told to, as healthchecks.io has it."""
    address, mark, query = url.partition("?")
    return f"{address.rstrip('/')}/fail{mark}{query}"


def ask_dagster() -> str:
    """What Dagster says of its daemons; in another process, which may hang for all we care."""
    try:
        done = subprocess.run(  # noqa: S603 # our own program, without a word from outside
            [sys.executable, "-m", _DAEMONS],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Dagster's database did not answer within {ASK_SECONDS:.0f} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return f"Dagster's database cannot be asked: {lines[-1] if lines else 'no reason is given'}"
    seen: dict[str, str] = json.loads(done.stdout)
    if not seen:
        return "no daemon of Dagster has ever run: start it with dagster-daemon run"
    return "daemons were seen last: " + ", ".join(f"{k} {v}" for k, v in sorted(seen.items()))
