"""When a route is quiet: hours of the day, and days on which nobody works.

Belongs here: whether a moment is a quiet one. Does not belong here: what becomes of a message then
(``pacing``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from zoneinfo import ZoneInfo

from platform_assets.alerts.signals import Severity
from platform_assets.quality.policy import Calendar

SATURDAY = 5


@dataclass(frozen=True)
class QuietHours:
    """Hours of each day in which messages are held back.

    Attributes:
        begin: When they begin, by the clock of the place.
        end: When they end; earlier than they begin: on the next day.
        zone: The place.
        below: Messages below this severity are held back; the others are sent all the same.
    """

    begin: time
    end: time
    zone: ZoneInfo
    below: Severity = Severity.ERROR

    def holds(self, severity: Severity, now: datetime) -> bool:
        """Whether a message of that severity is held back now."""
        if severity.rank >= self.below.rank:
            return False
        clock = now.astimezone(self.zone).time()
        if self.begin <= self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


@dataclass(frozen=True)
class BusinessDays:
    """Days on which somebody works; on others messages are held back.

    Attributes:
        zone: The place whose day it is.
        calendar: Days that are none, besides Saturdays and Sundays.
        below: Messages below this severity are held back; the others are sent all the same.
    """

    zone: ZoneInfo
    calendar: Calendar = field(default_factory=Calendar)
    below: Severity = Severity.ERROR

    def holds(self, severity: Severity, now: datetime) -> bool:
        """Whether a message of that severity is held back now."""
        if severity.rank >= self.below.rank:
            return False
        today = now.astimezone(self.zone).date()
        return today.weekday() >= SATURDAY or self.calendar.name_of(today) is not None
