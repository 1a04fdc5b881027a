"""``statistics`` of an entry: how its partitions are compared with their history, in YAML.

Belongs here: what the mapping may say. Does not belong here: what it means (``quality.policy``).
"""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import Field, field_validator

from platform_assets.documents.checking import Strict
from platform_assets.quality.policy import Calendar, Event, Statistics

_USUAL = Statistics()


class EventOptions(Strict):
    """Days on which the numbers are known to be other ones."""

    name: str
    first: date
    last: date | None = None


class CalendarOptions(Strict):
    """Days that are not like others of their weekday."""

    holidays: str | None = None
    events: list[EventOptions] = Field(default_factory=list)


class StatisticsOptions(Strict):
    """How a dataset's partitions are compared with their history."""

    severities: dict[str, str] = Field(default_factory=dict)
    min_history: int = _USUAL.min_history
    window: int = _USUAL.window
    false_alarms: float = _USUAL.false_alarms
    calendar: CalendarOptions = Field(default_factory=CalendarOptions)

    @field_validator("severities", mode="before")
    @classmethod
    def bare_off(cls, value: object) -> object:
        """A bare ``off`` is what YAML calls false."""
        if not isinstance(value, dict):
            return value
        return {name: "off" if each is False else each for name, each in value.items()}

    def build(self) -> Statistics:
        """What they say.

        Raises:
            ContractError: It cannot be meant.
        """
        severities: dict[str, Any] = dict(self.severities)
        return Statistics(
            severities=severities,
            min_history=self.min_history,
            window=self.window,
            false_alarms=self.false_alarms,
            calendar=Calendar(
                holidays=self.calendar.holidays,
                events=[Event(each.name, each.first, each.last) for each in self.calendar.events],
            ),
        )
