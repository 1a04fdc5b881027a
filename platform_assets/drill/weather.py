"""The weather of a business: why no two days have as many rows.

Belongs here: the share of the largest possible volume that a day has. Does not belong here: rows.

The demo shop's generator keeps its weekly cycle to the row, which no business does; statistics that
are silent there prove nothing. So the drill's shop is made larger, and each day keeps a share of
it: a trend over the year, a season, luck that all departments share, and luck of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from platform_assets.demo.streams import Draws, Stream

TYPICAL = 0.75
"""The mean share: what is made is larger than what is kept by this."""

_YEAR = 365.0
_TREND = 0.16
_SEASON = 0.05
_SHARED_LUCK = 0.035
_OWN_LUCK = 0.03
_UNIFORMS = 12
_SCALE = 1 << 20
_DEPARTMENTS = ("orders", "customers", "user_events", "tickets", "marketing_spend", "accounts")


@dataclass(frozen=True)
class Weather:
    """The weather over a drill's days.

    Attributes:
        seed: Where the luck starts.
        days: The number of days.
    """

    seed: int
    days: int

    def shares(self, department: str) -> list[float]:
        """The share that each day keeps, from 0 to 1.

        Args:
            department: Whose rows.
        """
        return [self._share(department, day) for day in range(self.days)]

    def _share(self, department: str, day: int) -> float:
        luck = _normal(Draws(self.seed, Stream.WEATHER, day), 1 + len(_DEPARTMENTS))
        years = day / _YEAR
        trend = 1 + _TREND * (years - 0.5)
        season = 1 + _SEASON * math.sin(2 * math.pi * years)
        own = luck[1 + _DEPARTMENTS.index(department)]
        noise = math.exp(_SHARED_LUCK * luck[0] + _OWN_LUCK * own)
        return min(1.0, TYPICAL * trend * season * noise)


def _normal(draws: Draws, size: int) -> list[float]:
    """Numbers that are nearly normal: sums of uniforms, the same in every version of NumPy."""
    uniforms = draws.below(size * _UNIFORMS, _SCALE).reshape(size, _UNIFORMS) / _SCALE
    return [float(each) for each in uniforms.sum(axis=1) - _UNIFORMS / 2]
