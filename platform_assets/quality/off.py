"""A number that is off: what a detector says before it becomes a finding.

Belongs here: the type. Does not belong here: finding any.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Off:
    """A number that is off.

    Attributes:
        check: The check.
        column: What it is of.
        observed: The number.
        low: The least that was expected.
        high: The most.
        history: Partitions that it was learnt from.
        probability: That it is as far off by chance.
        said: What is said of it; empty: the numbers say it.
        weekly: Whether it was learnt from the same weekday.
        share: Whether it is a share.
    """

    check: str
    column: str
    observed: float
    low: float
    high: float
    history: int
    probability: float
    said: str = ""
    weekly: bool = False
    share: bool = False
