"""A list that may be too long to be shown whole.

Belongs here: the type. Does not belong here: how long a list may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Shown(Generic[T]):
    """The first of many, and how many were left out.

    Attributes:
        items: What is shown.
        left_out: How many more there are.
    """

    items: Sequence[T]
    left_out: int = 0

    @classmethod
    def of(cls, items: Sequence[T], most: int) -> Shown[T]:
        """The first of them.

        Args:
            items: All of them.
            most: How many are shown.
        """
        return cls(items[:most], max(len(items) - most, 0))
