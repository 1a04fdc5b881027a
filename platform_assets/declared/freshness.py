"""``freshness`` of an entry: how fresh its data are promised to be, in YAML.

Belongs here: what the mapping may say. Does not belong here: what it means (``quality.promise``).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from platform_assets.declared.statistics import CalendarOptions
from platform_assets.documents.checking import Strict
from platform_assets.documents.spans import SPAN
from platform_assets.quality.policy import Calendar, Event
from platform_assets.quality.promise import Freshness
from platform_assets.quality.promise_values import span_of


class FreshnessOptions(Strict):
    """How fresh a dataset is promised to be."""

    by: str | None = None
    timezone: str = "UTC"
    days: Literal["all", "business"] = "all"
    calendar: CalendarOptions = Field(default_factory=CalendarOptions)
    partitions: Literal["all", "business"] = "all"
    warn_before: str | None = Field(default=None, pattern=SPAN.pattern)
    within: str | None = Field(default=None, pattern=SPAN.pattern)
    warn: str | None = Field(default=None, pattern=SPAN.pattern)
    quiet: Literal["warn", "late", "fresh"] = "warn"

    def build(self) -> Freshness:
        """What they say.

        Raises:
            ContractError: It cannot be promised.
        """
        warn_before, within, warn = (
            None if value is None else span_of(value, name)
            for name, value in (
                ("warn_before", self.warn_before),
                ("within", self.within),
                ("warn", self.warn),
            )
        )
        return Freshness(
            by=self.by,
            timezone=self.timezone,
            days=self.days,
            calendar=Calendar(
                holidays=self.calendar.holidays,
                events=[Event(each.name, each.first, each.last) for each in self.calendar.events],
            ),
            partitions=self.partitions,
            warn_before=warn_before,
            within=within,
            warn=warn,
            quiet=self.quiet,
        )
