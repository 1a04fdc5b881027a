"""From what was observed of a partition to the numbers that are compared with its history.

Belongs here: which numbers there are, the scale on which each is even, and how far off is worth a
word. Does not belong here: what is expected of them (``series``) and what is said (``detectors``).

A share is compared by the arc sine of its root, on which counting has the same noise everywhere
(Anscombe 1948), a count by its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from platform_assets.quality.profiles import Observed

Scale = Literal["log", "share", "plain"]
Sides = Literal["both", "above"]
_NAN = math.nan

# Off by less is not worth a word, however sure it is.
VOLUME_FACTOR = 1.2
DISTINCT_FACTOR = 1.25
OUTLIER_FACTOR = 5.0
SECONDS_FACTOR = 3.0
BYTES_FACTOR = 2.0
SHARE_POINTS = 0.01
FREQUENT_POINTS = 0.03
MEAN_DEVIATIONS = 0.15
# One value has no deviation.
FEWEST_VALUES = 2
# Shorter work, and smaller sources, are not worth a word either.
QUIET_SECONDS = 5.0
QUIET_BYTES = 1_000_000


class Value(NamedTuple):
    """One number of one partition.

    Attributes:
        value: The number itself; NaN: there is none.
        rows: Rows that it is from.
        unit: What a single row adds in noise, on the number's scale.
    """

    value: float
    rows: float
    unit: float = 1.0


NOTHING = Value(_NAN, _NAN, _NAN)


@dataclass(frozen=True)
class Measure:
    """A number that each partition has.

    Attributes:
        check: The check that it belongs to.
        column: What it is of.
        scale: The scale on which it is compared.
        take: Reads it off an observation.
        effect: How far off is worth a word: a factor on the scale ``log``, points of a share, or
            parts of a row's noise on the scale ``plain``.
        sides: Whether too little is worth a word, too.
        floor: The least spread, on its scale.
        weekly: Whether it is known to go by weekdays.
        quiet_below: Values below are never worth a word.
    """

    check: str
    column: str
    scale: Scale
    take: Callable[[Observed], Value]
    effect: float
    sides: Sides = "both"
    floor: float = 0.0
    weekly: bool = False
    quiet_below: float = -math.inf

    def to_scale(self, value: float) -> float:
        """A number on its scale."""
        if self.scale == "log":
            return math.log(value) if value > 0 else _NAN if value != 0 else math.log(0.5)
        if self.scale == "share":
            return math.asin(math.sqrt(min(max(value, 0.0), 1.0)))
        return value

    def from_scale(self, scaled: float) -> float:
        """What ``to_scale`` made, as a number again."""
        if self.scale == "log":
            return math.exp(min(scaled, 700.0))
        if self.scale == "share":
            return math.sin(min(max(scaled, 0.0), math.pi / 2)) ** 2
        return scaled

    def widest(self, centre: float, unit: float) -> tuple[float, float]:
        """From where to where a number is not worth a word, as a number.

        Args:
            centre: What is expected, on the scale.
            unit: The noise of a single row.
        """
        expected = self.from_scale(centre)
        if self.scale == "log":
            return expected / self.effect, expected * self.effect
        if self.scale == "share":
            return expected - self.effect, expected + self.effect
        return expected - self.effect * unit, expected + self.effect * unit


def measures(columns: Sequence[str], rules: Sequence[str]) -> Iterator[Measure]:
    """All numbers that a dataset's partitions are compared by.

    Args:
        columns: Its published columns.
        rules: The names of its rules.
    """
    yield Measure("volume", "rows", "log", _rows, VOLUME_FACTOR, floor=0.05, weekly=True)
    for column, take in (("seconds to load", _load_seconds), ("seconds to clean", _seconds)):
        yield Measure("duration", column, "log", take, SECONDS_FACTOR, "above", 0.2,
                      quiet_below=QUIET_SECONDS)  # fmt: skip
    yield Measure("duration", "bytes per row", "log", _bytes, BYTES_FACTOR, "above", 0.05)
    for column, take in (("before the day", _before), ("after the day", _after)):
        yield Measure("event_time", column, "share", take, SHARE_POINTS, "above")
    for column, take in (("quarantined", _quarantined), ("deduplicated", _deduplicated)):
        yield Measure("rejected", column, "share", take, SHARE_POINTS, "above")
    for rule in rules:
        yield Measure("rejected", rule, "share", _broken(rule), SHARE_POINTS, "above")
    for name in columns:
        yield Measure("null_share", name, "share", _nulls(name), SHARE_POINTS)
        yield Measure("null_share", f"{name}, zero", "share", _zeros(name), SHARE_POINTS)
        yield Measure("mean", name, "plain", _mean(name), MEAN_DEVIATIONS)
        yield Measure("distinct", name, "log", _distinct(name), DISTINCT_FACTOR, floor=0.05)
        yield Measure("distinct", f"{name}, most frequent", "share", _frequent(name),
                      FREQUENT_POINTS, "above")  # fmt: skip
        for end in ("highest", "lowest"):
            yield Measure("outliers", f"{name}, {end}", "log", _reach(name, end), OUTLIER_FACTOR,
                          "above", 0.1)  # fmt: skip


def _share(part: float | None, whole: float) -> Value:
    if part is None or not whole:
        return NOTHING
    # A half of a row: a share of nothing at all is known only as well as the rows allow.
    return Value(part / whole, whole, 0.5)


def _rows(seen: Observed) -> Value:
    return Value(float(seen.extracted), float(seen.extracted))


def _seconds(seen: Observed) -> Value:
    return Value(seen.seconds, _NAN, 0.0) if seen.seconds > 0 else NOTHING


def _load_seconds(seen: Observed) -> Value:
    return Value(seen.load_seconds, _NAN, 0.0) if seen.load_seconds > 0 else NOTHING


def _bytes(seen: Observed) -> Value:
    if seen.bytes < QUIET_BYTES or not seen.extracted:
        return NOTHING
    return Value(seen.bytes / seen.extracted, seen.extracted, 0.2)


def _before(seen: Observed) -> Value:
    return _share(seen.profile.before, seen.profile.rows)


def _after(seen: Observed) -> Value:
    return _share(seen.profile.after, seen.profile.rows)


def _quarantined(seen: Observed) -> Value:
    return _share(seen.quarantined, seen.extracted)


def _deduplicated(seen: Observed) -> Value:
    return _share(seen.deduplicated, seen.extracted)


def _broken(rule: str) -> Callable[[Observed], Value]:
    return lambda seen: _share(seen.broken.get(rule, 0), seen.extracted)


def _nulls(name: str) -> Callable[[Observed], Value]:
    def take(seen: Observed) -> Value:
        column = seen.profile.columns.get(name)
        return NOTHING if column is None else _share(column.nulls, seen.profile.rows)

    return take


def _zeros(name: str) -> Callable[[Observed], Value]:
    def take(seen: Observed) -> Value:
        column = seen.profile.columns.get(name)
        if column is None or column.kind != "number":
            return NOTHING
        return _share(column.zeros, seen.profile.rows)

    return take


def _frequent(name: str) -> Callable[[Observed], Value]:
    def take(seen: Observed) -> Value:
        column = seen.profile.columns.get(name)
        if column is None or not column.frequent:
            return NOTHING
        return _share(max(column.frequent.values()), seen.profile.shown)

    return take


def _mean(name: str) -> Callable[[Observed], Value]:
    def take(seen: Observed) -> Value:
        column = seen.profile.columns.get(name)
        held = 0 if column is None else seen.profile.rows - column.nulls
        if column is None or column.mean is None or held < FEWEST_VALUES:
            return NOTHING
        # The length of a category says nothing that the category does not say.
        if column.kind == "text" and column.top:
            return NOTHING
        return Value(column.mean, held, column.deviation or 0.0)

    return take


def _distinct(name: str) -> Callable[[Observed], Value]:
    """Of each hundred values so many are different ones."""

    def take(seen: Observed) -> Value:
        column = seen.profile.columns.get(name)
        held = 0 if column is None else seen.profile.rows - column.nulls
        # What has categories is judged by these; of times nothing repeats that ought to.
        if column is None or column.top or column.kind == "time" or not held:
            return NOTHING
        return Value(column.distinct / held, held)

    return take


def _reach(name: str, end: str) -> Callable[[Observed], Value]:
    """How far the farthest value is from the middle, in distances of the outer twentieth."""

    def take(seen: Observed) -> Value:
        column = seen.profile.columns.get(name)
        if column is None or not column.quantiles or column.low is None or column.high is None:
            return NOTHING
        _, first, *_, middle, _, _, _, _, last, _ = column.quantiles
        near, far = (last, column.high) if end == "highest" else (first, column.low)
        distance = abs(near - middle)
        if not distance:
            return NOTHING
        return Value(abs(far - middle) / distance, seen.profile.rows, 0.0)

    return take
