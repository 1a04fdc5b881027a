"""Visits of the shop's page: a dataset with event times, for the tests of freshness."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.quality.promise import Freshness
from platform_assets.sources.files import CsvFiles

EIGHT = Freshness(by="08:00", warn_before=timedelta(minutes=30))
CHECK = dg.AssetCheckKey(dg.AssetKey(["cleaned", "visits"]), "freshness")
HEADER = "visit_id,pages,seen_at\n"


class Visit(Contract):
    """A visit of the shop's page."""

    visit_id: str = Key()
    pages: int = Field(ge=0)
    seen_at: datetime = EventTime()


class Count(Contract):
    """Visits of a day, or of all days."""

    day: str = Key()
    visits: int = Field(ge=0)


def visits(**options: Any) -> Dataset:
    values = {
        "contract": Visit,
        "source": CsvFiles("visits/{partition}.csv"),
        "partitions": Daily(date(2025, 1, 1)),
        "owners": ("team:web",),
        "freshness": EIGHT,
    }
    return Dataset(name="visits", **{**values, **options})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
