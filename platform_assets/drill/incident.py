"""What an incident is: one declaration from which it is injected, awaited and judged.

Belongs here: the declaring types. Does not belong here: any particular incident (``incidents``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from platform_assets.drill.editing import rows_of
from platform_assets.drill.shop import stored
from platform_assets.drill.source import Source

ENOUGH_ORDERS = 300
ENOUGH_DAYS = 56


class Expect(StrEnum):
    """What the platform is expected to do about an incident."""

    AT_ONCE = "at once"
    """It can be told from the first partition that it touches."""
    LATER = "later"
    """It can be told only from what follows, such as a drift of 2 % a day."""
    PERHAPS = "perhaps"
    """It may be too small to be told from chance; what becomes of it is shown and gates nothing."""
    SILENCE = "silence"
    """It is none: an alarm would be false, and the rows must be those of the clean run."""


@dataclass(frozen=True)
class Scene:
    """One day on which an incident acts.

    Attributes:
        source: The source systems; the day has been delivered.
        dataset: The dataset that the incident is about.
        day: The day.
        number: 0 on the first day of the incident.
        name: The incident's, which its random numbers depend on.
    """

    source: Source
    dataset: str
    day: str
    number: int
    name: str

    def before(self, days: int) -> str:
        """The day so many days before."""
        return str(date.fromisoformat(self.day) - timedelta(days=days))

    def chance(self, share: float, key: str) -> str:
        """SQL of a condition that a share of rows meets, by their key."""
        return f"roll({key}, '{self.name}') < {share}"

    def rewrite(self, select: str) -> None:
        """Replace the rows of the day's file by a query of the table ``file``."""
        self.source.rewrite(self.dataset, self.day, select)

    def replace(self, content: bytes) -> None:
        """Replace the bytes of the day's file."""
        self.source.replace(self.dataset, self.day, content)

    def clean_rows(self, days: int) -> str:
        """SQL of the rows that a day so many days before has when nothing goes wrong."""
        return rows_of(stored(self.source.store, self.dataset, self.before(days)))

    @property
    def content(self) -> bytes:
        """The bytes of the day's file as it was delivered."""
        return self.source.path(self.dataset, self.day).read_bytes()


Injector = Callable[[Scene], None]


@dataclass(frozen=True)
class Incident:
    """Something that goes wrong at a source.

    Attributes:
        name: A few words; the row of the table.
        story: One sentence of what happens.
        dataset: The dataset that it is about.
        inject: Does it to the sources, on each of its days.
        by: Which layer of checks should notice, in the drill's words.
        expect: What the platform is expected to do.
        first: The first day that it touches; 0 is the Monday after the history.
        days: The days that it touches.
        watch: Runs, from the first day on, until it counts as missed.
        orders: Orders a day below which it is not expected to be noticed.
        history: Days of history below which it is not expected to be noticed.
        timed: Whether it is to be noticed by the time that a run takes.
        known_as: What its first day is called in the dataset's calendar; empty: it is not there.
        changes: Whether its rows are rightly others than those of the clean run.
    """

    name: str
    story: str
    dataset: str
    inject: Injector
    by: str = ""
    expect: Expect = Expect.AT_ONCE
    first: int = 0
    days: int = 1
    watch: int = 3
    orders: int = 0
    history: int = 0
    timed: bool = False
    known_as: str = ""
    changes: bool = False

    @property
    def last(self) -> int:
        """The last day that is run."""
        return self.first + max(self.watch, self.days) - 1


def learnt(
    name: str, story: str, dataset: str, inject: Injector, by: str, **options: object
) -> Incident:
    """An incident that only statistics can notice: they need rows enough, and a history."""
    given = {"orders": ENOUGH_ORDERS, "history": ENOUGH_DAYS, **options}
    return Incident(name, story, dataset, inject, by, **given)  # type: ignore[arg-type] # as the dataclass takes them
