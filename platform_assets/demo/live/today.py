"""One simulated day while it is made: what all departments of the shop share.

Belongs here: the day's number and times, its random numbers, what is injected on it, the notes
about what that did. Does not belong here: any department's rows.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from platform_assets.demo.customers import DAY_SECONDS
from platform_assets.demo.live.parameters import LiveParameters
from platform_assets.demo.streams import Draws, Stream
from platform_assets.demo.volume import Volume

LAST_SECOND = 86_100
"""Nothing happens in the last minutes of a day: it has to close."""

FOUNDING_DAY = -1
"""The number of the day before the first one: what the shop had when it was founded."""


@dataclass(frozen=True)
class Today:
    """A day of the living shop, open in a transaction.

    Args:
        connection: The transaction.
        parameters: The shop.
        number: Days since the start of the shop.
        acting: What is injected on the day, with its options.
    """

    connection: sqlite3.Connection
    parameters: LiveParameters
    number: int
    acting: Mapping[str, Mapping[str, str]]

    @property
    def date(self) -> date:
        """The date of the day."""
        return self.parameters.start + timedelta(days=self.number)

    @property
    def volume(self) -> Volume:
        """How many orders and customers there are by when."""
        return self.parameters.volume()

    @property
    def midnight(self) -> int:
        """The start of the day, in seconds since 1970."""
        return self.parameters.shop().midnight + self.number * DAY_SECONDS

    def draws(self, stream: Stream) -> Draws:
        """The random numbers of a department on this day, from their beginning."""
        # The streams of days begin with 0; the founding has the one before.
        return Draws(self.parameters.seed, stream, self.number + 1)

    def note(self, name: str, place: str, rows: int, **detail: object) -> None:
        """Write down what a misbehaviour did.

        Args:
            name: The misbehaviour.
            place: The table or the kind of file.
            rows: The rows, lines or files that it touched.
            detail: What a test needs to find them again.
        """
        self.connection.execute(
            "INSERT INTO _effects VALUES (?, ?, ?, ?, ?)",
            [self.number, name, place, rows, json.dumps(detail, sort_keys=True)],
        )

    def post(self, path: str, content: bytes, *, days_later: int = 0) -> None:
        """Hand a file to the outbox.

        Args:
            path: Its path in the folder of the shop.
            content: Its bytes.
            days_later: The days after which it is written.
        """
        self.connection.execute(
            "INSERT INTO _outbox (day, path, content) VALUES (?, ?, ?)",
            [self.number + days_later, path, content],
        )

    def bury(self, place: str, ids: Iterable[str]) -> None:
        """Write down what was deleted.

        Args:
            place: The table.
            ids: The keys of its rows that are no more.
        """
        self.connection.executemany(
            "INSERT INTO _deleted VALUES (?, ?, ?)", [(place, each, self.number) for each in ids]
        )

    def buried(self, place: str) -> list[str]:
        """The keys of a table's rows that were deleted up to now, sorted."""
        rows = self.connection.execute(
            "SELECT id FROM _deleted WHERE place = ? ORDER BY id", [place]
        )
        return [each for (each,) in rows]


def iso(epoch_seconds: int) -> str:
    """A time in UTC as JSON documents have it: `2025-01-01T10:00:00Z`."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(epoch_seconds: int) -> str:
    """A time in UTC as the tables have it: `2025-01-01 10:00:00`."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def fields_of(lines: Iterable[memoryview]) -> list[Sequence[str | None]]:
    """The fields of CSV lines without a header; an empty field is None."""
    text = b"".join(lines).decode("utf-8")
    return [[field or None for field in row] for row in csv.reader(io.StringIO(text, newline=""))]
