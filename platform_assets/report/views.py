"""From facts to what the templates show: rows in order, links, texts, nothing left to decide.

Belongs here: what a section shows of the facts, and how much of it. Does not belong here: markup
(``templates``), geometry (``graph``, ``sparkline``), what is good or bad (``states``), lineage and
the dictionary (``catalogue``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from platform_assets.quality.findings import Finding
from platform_assets.report import commands
from platform_assets.report.lists import Shown
from platform_assets.report.model import (
    Alert,
    Cost,
    Facts,
    Failure,
    Lake,
    Point,
    Rejected,
    Unit,
    Unreadable,
)
from platform_assets.report.sparkline import Sparkline, quality, volume
from platform_assets.report.states import Standing, State, told_partitions

MOST_ROWS = 100
"""Rows of a list that may grow without bound, such as findings; the rest is counted."""
MOST_COSTS = 10
MOST_NUMBERS, FEWEST_NUMBERS = 12_000, 7
"""Partitions told in tables: of all units together, and of each where there are many."""
SILENT_AFTER = timedelta(minutes=10)
"""The alert loop goes round twice a minute."""
_LINES = 6


class Anchors:
    """Ids inside the page: one for each key, readable, and the same in every page."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, ...], str] = {}
        self._taken: set[str] = set()

    def of(self, *key: str) -> str:
        """The id of a key, whatever characters that has."""
        if key not in self._by_key:
            plain = "-".join(re.sub(r"[^a-z0-9_]+", "-", part.lower()) for part in key)
            chosen, number = plain, 1
            while chosen in self._taken:
                number += 1
                chosen = f"{plain}--{number}"
            self._taken.add(chosen)
            self._by_key[key] = chosen
        return self._by_key[key]


@dataclass(frozen=True)
class Row:
    """A unit in the table of health, and its numbers.

    Attributes:
        standing: How it stands.
        url: Its page in the UI.
        volume: Rows by partition; None: nothing is known.
        quality: The score by partition; None: it has none.
        points: The partitions that are told as text, the newest first.
        newest: The newest partition that passed; None: there is none.
    """

    standing: Standing
    url: str
    volume: Sparkline | None = None
    quality: Sparkline | None = None
    points: Sequence[Point] = ()
    newest: Point | None = None

    @property
    def unit(self) -> Unit:
        """The unit."""
        return self.standing.unit


@dataclass(frozen=True)
class FailureShown:
    """Partitions that failed, and what to type.

    Attributes:
        failure: What is known.
        partitions: They, in words.
        lines: The first lines of the error.
        url: The asset's page in the UI.
        commands: What to type, in order.
    """

    failure: Failure
    partitions: str
    lines: Sequence[str]
    url: str
    commands: Sequence[str]


@dataclass(frozen=True)
class LakeShown:
    """What is shown of the lake's books.

    Attributes:
        failures: What failed by itself.
        waiting: What was not built as what it is made from is stopped.
        findings: What is odd.
        rejected: What is in quarantine.
        slowest: What took the most seconds.
        dearest: What read the most bytes.
    """

    failures: Shown[FailureShown]
    waiting: Shown[FailureShown]
    findings: Shown[Finding]
    rejected: Shown[Rejected]
    slowest: Sequence[Cost]
    dearest: Sequence[Cost]


def asset_url(ui_url: str, key: str) -> str:
    """The page of an asset in Dagster's UI.

    Args:
        ui_url: Where the UI is.
        key: The asset's key.
    """
    return f"{ui_url}/assets/{'/'.join(quote(part, safe='') for part in key.split('/'))}"


def headline(standings: Sequence[Standing]) -> str:
    """How many need somebody, in a few words.

    Args:
        standings: How each unit stands.
    """
    needing = sum(each.needs_somebody for each in standings)
    if not standings:
        return "Nothing is declared yet"
    if not needing:
        return "All is well"
    return f"{needing} of {len(standings)} need{'s' if needing == 1 else ''} you"


def waiting(standings: Sequence[Standing]) -> str:
    """How many wait for others, in a sentence; empty: none.

    Args:
        standings: How each unit stands.
    """
    number = sum(bool(each.waits_for) for each in standings)
    if not number:
        return ""
    return f"{number} more {'waits' if number == 1 else 'wait'} for what comes before."


def counts(standings: Sequence[Standing]) -> list[tuple[State, int]]:
    """How many stand how, the worst first, states that nothing is in left out."""
    found = Counter(each.state for each in standings)
    return [(state, found[state]) for state in State if found[state]]


def rows(facts: Facts, standings: Sequence[Standing]) -> list[Row]:
    """The units with their numbers, in the order given.

    Args:
        facts: What is known.
        standings: How each unit stands.
    """
    told = min(max(MOST_NUMBERS // max(len(standings), 1), FEWEST_NUMBERS), MOST_NUMBERS)
    known = {} if isinstance(facts.lake, Unreadable) else facts.lake.points
    found = []
    for standing in standings:
        points = known.get(standing.unit.main, ())
        found.append(
            Row(
                standing,
                asset_url(facts.ui_url, standing.unit.main),
                volume(points),
                quality(points),
                list(reversed(points))[:told],
                next((p for p in reversed(points) if not p.failed), None),
            )
        )
    return found


def of_lake(facts: Facts) -> LakeShown | Unreadable:
    """What is shown of the lake's books.

    Args:
        facts: What is known.
    """
    lake = facts.lake
    if isinstance(lake, Unreadable):
        return lake
    failures = _failures(facts, lake)
    by_bytes = sorted((c for c in lake.costs if c.bytes), key=lambda c: (-c.bytes, c.asset))
    return LakeShown(
        failures=Shown.of([f for f in failures if f.commands], MOST_ROWS),
        waiting=Shown.of([f for f in failures if not f.commands], MOST_ROWS),
        findings=Shown.of(lake.findings, MOST_ROWS),
        rejected=Shown.of(lake.rejected, MOST_ROWS),
        slowest=lake.costs[:MOST_COSTS],
        dearest=by_bytes[:MOST_COSTS],
    )


def of_alerts(facts: Facts) -> Shown[Alert] | Unreadable:
    """The alerts that are shown: of each incident the problem that the others follow from.

    Args:
        facts: What is known.
    """
    if isinstance(facts.watch, Unreadable):
        return facts.watch
    return Shown.of([each for each in facts.watch.alerts if each.is_root], MOST_ROWS)


def silent_since(facts: Facts) -> datetime | None:
    """When the alert loop went round last, where that is so long ago that it has stopped.

    Args:
        facts: What is known.
    """
    if isinstance(facts.watch, Unreadable) or facts.watch.looked_at is None:
        return None
    is_silent = facts.made_at - facts.watch.looked_at > SILENT_AFTER
    return facts.watch.looked_at if is_silent else None


def _failures(facts: Facts, lake: Lake) -> list[FailureShown]:
    rules = {unit.main: frozenset(unit.severities) for unit in facts.units}
    return [
        FailureShown(
            failure,
            told_partitions(failure.partitions),
            failure.message.splitlines()[:_LINES],
            asset_url(facts.ui_url, failure.asset),
            commands.for_failure(
                failure, facts.some_day, rules.get(failure.asset, frozenset()), facts.assets
            ),
        )
        for failure in lake.failures
    ]
