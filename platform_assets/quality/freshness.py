"""Freshness: what was promised of an asset's data, held against what is there.

Belongs here: the state of one asset. Does not belong here: asking the lake (``pipeline``), telling
Dagster (``assets``, ``sensors``) or a person (``alerts``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Level(StrEnum):
    """How fresh an asset is."""

    FRESH = "fresh"
    """What should be there is there."""
    WARN = "warn"
    """It is not, and it is soon late."""
    LATE = "late"
    """It is not, past its deadline: also where the asset was never materialized."""


@dataclass(frozen=True)
class FreshnessState:
    """How fresh an asset is at one moment.

    Attributes:
        asset: The asset's key, such as ``cleaned/orders``.
        level: How fresh.
        message: All of it in a sentence: what was promised, what is there.
        expected: The newest partition that should be published by now; None: none yet, or the
            asset is not cut.
        newest: The newest partition that is published; None: none.
        newest_event: The newest event time inside the data (UTC); None: not known.
        published_at: When the newest partition was published last (UTC); None: never.
        deadline: Until when ``expected`` was promised (UTC); None: nothing is promised yet.
        since: Since when it is late, or near it (UTC); None: it is fresh.
        late_because: Keys of the assets and sources (``source/<connection>``) that it is late on
            account of, nearest the source; empty: it is late by itself, or fresh.
    """

    asset: str
    level: Level
    message: str
    expected: str | None = None
    newest: str | None = None
    newest_event: datetime | None = None
    published_at: datetime | None = None
    deadline: datetime | None = None
    since: datetime | None = None
    late_because: tuple[str, ...] = ()
