"""Which parameters ask an API for one partition.

Belongs here: a day as an API writes it. Does not belong here: any request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta


@dataclass(frozen=True)
class Window:
    """The parameters that ask for one partition.

    Attributes:
        param_from: The parameter of the window's beginning; empty: not sent.
        param_to: The parameter of its end; empty: not sent.
        format: As ``strftime`` writes it (UTC), or ``unix`` for seconds since 1970.
        inclusive: Whether the end belongs to the window: then it is the day itself, otherwise
            the day after.
    """

    param_from: str = "from"
    param_to: str = "to"
    format: str = "%Y-%m-%dT%H:%M:%SZ"
    inclusive: bool = False

    def params(self, partition: str) -> dict[str, str]:
        """The parameters of a day.

        Args:
            partition: Its key, ``YYYY-MM-DD``.
        """
        day = date.fromisoformat(partition)
        ends = {self.param_from: day, self.param_to: day + timedelta(days=not self.inclusive)}
        return {name: self._text(at) for name, at in ends.items() if name}

    def _text(self, day: date) -> str:
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return (
            str(int(moment.timestamp())) if self.format == "unix" else moment.strftime(self.format)
        )
