"""Sending OpenLineage events: whether at all, and without holding up a run.

Belongs here: the client, the thread that it works in, and what is said when a receiver is down.
Does not belong here: what is in an event (``openlineage_events``).

Where to is openlineage-python's own configuration. The client is loaded only where there is one. It
retries for seconds; so it works in a thread of its own, one event after the other, and a step waits
for it at its end, shortly. A receiver that is down costs that once: what comes within the next
minute is let go of and counted.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

PATIENCE_SECONDS = 2.0
PAUSE_SECONDS = 60.0
QUEUED = 1_000
_PREFIX = "OPENLINEAGE"
_TELLING = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")


class Client(Protocol):
    """What events are given to: ``OpenLineageClient``."""

    def emit(self, event: RunEvent) -> None:
        """Send an event, or raise."""


def is_on(environment: Mapping[str, str] | None = None) -> bool:
    """Whether somebody has said where events go, in a way that openlineage-python reads.

    Args:
        environment: None: that of this process.
    """
    told = os.environ if environment is None else environment
    if told.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    if any(told.get(name) for name in _TELLING):
        return True
    if any(name.startswith("OPENLINEAGE__TRANSPORT") for name in told):
        return True
    places = (Path("openlineage.yml"), Path("~/.openlineage/openlineage.yml").expanduser())
    return any(place.is_file() for place in places)


class Sender:
    """Sends events in a thread of its own.

    Args:
        client: What sends one.
        patience: Seconds that a step waits for what it has sent.
        pause: Seconds for which nothing is tried after a failure.
    """

    def __init__(
        self, client: Client, *, patience: float = PATIENCE_SECONDS, pause: float = PAUSE_SECONDS
    ) -> None:
        self._client = client
        self._patience, self._pause = patience, pause
        self._waiting: queue.Queue[RunEvent] = queue.Queue(QUEUED)
        self._idle = threading.Condition()
        self._unsent = 0
        self._lost = 0
        self._down_until = 0.0
        self._failure = ""
        self._is_told = False
        threading.Thread(target=self._work, name="openlineage", daemon=True).start()

    def send(self, events: Sequence[RunEvent]) -> None:
        """Take events to be sent, in order; returns at once.

        Args:
            events: The events.
        """
        for event in events:
            with self._idle:
                try:
                    self._waiting.put_nowait(event)
                except queue.Full:
                    self._lost += 1
                else:
                    self._unsent += 1

    def settle(self) -> str:
        """Wait until all is sent, for no longer than the patience, and not for one that is down.

        Returns:
            What went wrong, once for each time that the receiver went down; else nothing.
        """
        with self._idle:
            if not self._is_told:
                self._idle.wait_for(lambda: self._unsent == 0, timeout=self._patience)
            failure = self._failure or ("it does not answer in time" if self._unsent else "")
            if not failure:
                self._is_told = False
                return ""
            if self._is_told:
                return ""
            self._is_told = True
            return (
                f"OpenLineage events are not received ({failure}). The run goes on without them; "
                f"the next is tried after {self._pause:.0f} s. See OPENLINEAGE_URL, "
                "OPENLINEAGE__TRANSPORT__… or openlineage.yml."
            )

    @property
    def lost(self) -> int:
        """Events that were let go of."""
        with self._idle:
            return self._lost

    def _work(self) -> None:
        while True:
            event = self._waiting.get()
            is_down = time.monotonic() < self._down_until
            failure = self._failure if is_down else self._sent(event)
            with self._idle:
                if self._failure and not failure:
                    # It is up again: that it goes down once more is news.
                    self._is_told = False
                self._failure = failure
                self._lost += bool(failure)
                self._unsent -= 1
                if failure and not is_down:
                    self._down_until = time.monotonic() + self._pause
                self._idle.notify_all()

    def _sent(self, event: RunEvent) -> str:
        """Why an event was not sent; nothing where it was."""
        try:
            self._client.emit(event)
        except Exception as error:  # any kind of transport may raise anything
            # Its text may hold the receiver's address with a key in it.
            return type(error).__name__
        return ""


def sender() -> Sender:
    """The sender of this process, by its configuration as it is now."""
    told = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_PREFIX)))
    return _sender(str(Path.cwd()), told)


@lru_cache(maxsize=4)
def _sender(folder: str, told: tuple[tuple[str, str], ...]) -> Sender:
    del folder, told
    import logging
    import sys

    from openlineage.client import OpenLineageClient

    before = set(os.environ)
    client = OpenLineageClient()
    # It sets variables of its own from others, which would make this another configuration.
    for name in set(os.environ) - before:
        del os.environ[name]
    log = logging.getLogger("openlineage.client.transport.console")
    if client.transport.kind == "console" and not log.handlers:
        # It logs at a level that nobody shows.
        log.addHandler(logging.StreamHandler(sys.stdout))
        log.setLevel(logging.INFO)
        log.propagate = False
    return Sender(client)
