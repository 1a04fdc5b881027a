"""Gathering what the page tells; what cannot be read is said to be so, and the rest is told.

Belongs here: whom to ask, and what a section says where nobody answers. Does not belong here: the
questions themselves (``books``, ``pipeline.freshness``, ``alerts.book``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import duckdb
from sqlalchemy.exc import SQLAlchemyError

from platform_assets import __version__
from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError
from platform_assets.partitions import Daily
from platform_assets.quality.freshness import FreshnessState
from platform_assets.report import books
from platform_assets.report.model import (
    Asset,
    ColumnOf,
    Facts,
    Lake,
    T,
    Unit,
    Unreadable,
    Watch,
)
from platform_assets.report.units import complete, units_of
from platform_assets.warehouse.lake import Connection

_TOLD = (PlatformError, duckdb.Error, sqlite3.Error, SQLAlchemyError, OSError)
"""What may be wrong with a file or a database; anything else is a mistake of the platform."""


@dataclass(frozen=True)
class Sources:
    """Where the facts are.

    Attributes:
        datasets: All datasets, those that others refer to first.
        assets: The asset graph.
        ui_url: Where Dagster's UI is.
        lake: Opens the lake, with the platform's tables.
        freshness: Evaluates every promise, on an open lake at a moment.
        watch: Reads the book of alerts.
        lineage: Reads what columns are made from.
    """

    datasets: Sequence[Dataset]
    assets: Sequence[Asset]
    ui_url: str
    lake: Callable[[], AbstractContextManager[Connection]]
    freshness: Callable[[Connection, datetime], Mapping[str, FreshnessState]]
    watch: Callable[[datetime], Watch]
    lineage: Callable[[], Mapping[ColumnOf, Sequence[ColumnOf]]]


def gather(sources: Sources, now: datetime) -> Facts:
    """What is known at a moment.

    Args:
        sources: Where the facts are.
        now: The moment (with a time zone).
    """
    assets = complete(sources.assets, sources.datasets)
    units = units_of(assets, sources.datasets)
    lake, freshness = _of_lake(sources, units, now)
    return Facts(
        made_at=now,
        version=__version__,
        ui_url=sources.ui_url.rstrip("/"),
        some_day=_some_day(sources.datasets, now),
        assets=assets,
        units=units,
        lake=lake,
        freshness=freshness,
        watch=_told(lambda: sources.watch(now)),
        lineage=_told(sources.lineage),
    )


def _of_lake(
    sources: Sources, units: Sequence[Unit], now: datetime
) -> tuple[Lake | Unreadable, Mapping[str, FreshnessState] | Unreadable]:
    """What the lake's books say, and what freshness makes of them, by one connection."""

    def ask() -> tuple[Lake | Unreadable, Mapping[str, FreshnessState] | Unreadable]:
        with sources.lake() as lake:
            return (
                _told(lambda: books.read(lake, units, now)),
                _told(lambda: sources.freshness(lake, now)),
            )

    answered = _told(ask)
    return (answered, answered) if isinstance(answered, Unreadable) else answered


def _told(ask: Callable[[], T]) -> T | Unreadable:
    try:
        return ask()
    except PlatformError as error:
        where = f" ({error.where})" if error.where else ""
        fix = f" What to do: {error.fix}." if error.fix else ""
        return Unreadable(f"{error.what}{where}.{fix}")
    except _TOLD as error:
        # The text of an engine's error may quote a value of a row.
        return Unreadable(
            f"{type(error).__name__}. What to do: platform-assets summary shows all of the error."
        )


def _some_day(datasets: Sequence[Dataset], now: datetime) -> str:
    starts = [each.partitions.start for each in datasets if isinstance(each.partitions, Daily)]
    return str(max(starts, default=now.date()))
