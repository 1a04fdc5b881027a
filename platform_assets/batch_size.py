"""How much to do at once, learnt from how long it takes.

Belongs here: the one rule by which a batch grows and shrinks. Does not belong here: what is in a
batch, and who writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from platform_assets.errors import ContractError

_STEPS = 20


@dataclass(frozen=True)
class BatchSize:
    """A size between two bounds that keeps a write near the time that it should take.

    It grows by equal steps while writes are quick, and is halved where one is too slow: so it backs
    off at once from a sink that is overloaded, and comes back carefully. (Additive increase,
    multiplicative decrease: what keeps TCP stable.)

    Attributes:
        lower: The smallest size: rows, or whatever is counted.
        upper: The largest.
        target_seconds: How long a write should take at most.
        current: The size now; it begins with the smallest.

    Raises:
        ContractError: The bounds contradict each other.
    """

    lower: int
    upper: int
    target_seconds: float
    current: int = 0

    def __post_init__(self) -> None:
        """Refuse bounds that hold nothing; bring the size between them."""
        if not (1 <= self.lower <= self.upper and self.target_seconds > 0):
            raise ContractError(
                "The bounds of a batch contradict each other",
                where="BatchSize",
                expected="1 <= lower <= upper, and a target of more than 0 seconds",
                found=f"lower={self.lower}, upper={self.upper}, "
                f"target_seconds={self.target_seconds}",
                fix="correct them in the dataset's source",
            )
        object.__setattr__(self, "current", min(max(self.current, self.lower), self.upper))

    @property
    def step(self) -> int:
        """By how much it grows after a quick write."""
        return max(1, (self.upper - self.lower) // _STEPS)

    def after(self, seconds: float) -> BatchSize:
        """The size for the next write.

        Args:
            seconds: How long the last one of this size took.
        """
        if seconds > self.target_seconds:
            return replace(self, current=self.current // 2)
        return replace(self, current=self.current + self.step)
