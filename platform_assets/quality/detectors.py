"""From profiles to findings: each number against what its history makes expected.

Belongs here: which history counts, and what is said of a number that is off. Does not belong here:
the numbers (``measures``), the arithmetic (``series``), distributions (``distributions``), and
reading or keeping anything.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from platform_assets.quality import distributions
from platform_assets.quality.findings import Finding, Standing
from platform_assets.quality.measures import NOTHING, Measure, measures
from platform_assets.quality.off import Off
from platform_assets.quality.policy import FindingSeverity, Statistics
from platform_assets.quality.profiles import Observed
from platform_assets.quality.series import Floats, chance, expect, quantile, tolerance

DAYS_A_YEAR = 365
SUREST = 0.999999
THOUSAND = 1000
# Sums of the same values in another order differ by as much.
ROUNDING = 1e-9
# A special day is not like others in these.
_LEVELS = frozenset({"volume", "mean", "distribution", "distinct", "categories", "duration"})


@dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        dataset: The dataset.
        asset: The asset's key.
        run_id: The run that judges.
        statistics: What the dataset says of its statistics.
        columns: Its published columns.
        rules: The names of its rules.
        daily: Whether partitions are days.
    """

    dataset: str
    asset: str
    run_id: str
    statistics: Statistics
    columns: Sequence[str]
    rules: Sequence[str]
    daily: bool


def judge(
    subject: Subject,
    observed: Sequence[Observed],
    history: Sequence[Observed],
    known: Sequence[Finding],
) -> list[Finding]:
    """Find what is odd about partitions.

    Args:
        subject: What is judged.
        observed: The partitions, each as it is to be published, in order of their keys.
        history: What was published before, oldest first; days to be judged are left out.
        known: Findings about any of these partitions; what is open is not learnt from, and what was
            accepted is expected.

    Returns:
        The findings, partition by partition.
    """
    judged = {each.partition for each in observed}
    past = [each for each in history if each.partition not in judged or not subject.daily]
    timeline = _Timeline.of(subject, [*past, *observed])
    timeline.forget(known)
    found: list[Finding] = []
    for each in observed:
        for off in timeline.odd(each):
            finding = _told(subject, each.partition, off)
            found.append(finding)
            timeline.forget([finding])
    return found


class _Timeline:
    """All numbers of all partitions: a row for each day or publish, a column for each number."""

    def __init__(
        self, subject: Subject, seen: Sequence[Observed], rows: Sequence[int], length: int
    ) -> None:
        self.subject = subject
        checks = set(subject.statistics.checks)
        self.measures = [m for m in measures(subject.columns, subject.rules) if m.check in checks]
        self.place = {(m.check, m.column): n for n, m in enumerate(self.measures)}
        self.row_of = {id(each): row for each, row in zip(seen, rows, strict=True)}
        self.rows_of: dict[str, list[int]] = {}
        shape = (length, len(self.measures))
        self.raw, self.values, self.sizes, self.units = (np.full(shape, np.nan) for _ in range(4))
        self.special: dict[int, str] = {}
        for each, row in zip(seen, rows, strict=True):
            self.rows_of.setdefault(each.partition, []).append(row)
            for column, measure in enumerate(self.measures):
                value = measure.take(each)
                if value is not NOTHING:
                    self.raw[row, column] = value.value
                    self.values[row, column] = measure.to_scale(value.value)
                    self.sizes[row, column], self.units[row, column] = value.rows, value.unit
            name = self._special_name(each.partition)
            if name is not None:
                self.special[row] = name
        self.floors = np.asarray([m.floor for m in self.measures])
        self.learnt = self.values.copy()
        level = [m.check in _LEVELS for m in self.measures]
        self.level = np.asarray(level, dtype=bool)
        for row in self.special:
            self.learnt[row, self.level] = np.nan
        self.shapes = distributions.Shapes(
            subject.columns,
            seen,
            rows,
            length,
            ks="distribution" in checks,
            categories="categories" in checks,
        )
        for row in self.special:
            self.shapes.forget(row)
        self.accepted: dict[tuple[str, str], list[float]] = {}

    @classmethod
    def of(cls, subject: Subject, seen: Sequence[Observed]) -> _Timeline:
        """Days lie at their distance from the first, publishes one after the other."""
        if not subject.daily or not seen:
            return cls(subject, seen, range(len(seen)), len(seen))
        days = [date.fromisoformat(each.partition) for each in seen]
        first = min(days)
        rows = [(day - first).days for day in days]
        return cls(subject, seen, rows, max(rows) + 1)

    def _special_name(self, partition: str) -> str | None:
        if not self.subject.daily:
            return None
        return self.subject.statistics.calendar.name_of(date.fromisoformat(partition))

    def forget(self, findings: Sequence[Finding]) -> None:
        """Learn nothing from what is odd, and expect what a person said was fine."""
        for each in findings:
            if each.status is Standing.ACCEPTED:
                key = (each.check_name, each.column_name)
                self.accepted.setdefault(key, []).append(each.observed)
                continue
            if each.status is not Standing.OPEN:
                continue
            for row in self.rows_of.get(each.partition, ())[-1:]:
                place = self.place.get((each.check_name, each.column_name))
                if place is not None:
                    self.learnt[row, place] = np.nan
                self.shapes.forget(row, each.check_name, each.column_name)

    def odd(self, seen: Observed) -> Iterator[Off]:
        """What is odd about one partition, by those before it."""
        row = self.row_of[id(seen)]
        statistics = self.subject.statistics
        first = max(0, row - statistics.window)
        special = row in self.special
        yield from self._numbers(row, first, special)
        chances = self._chances()
        yield from self.shapes.odd(
            row,
            first,
            statistics,
            chances,
            self.accepted,
            special=special,
            daily=self.subject.daily,
        )

    def _chances(self) -> float:
        """Probability of a false alarm that one partition may have, of one check."""
        return self.subject.statistics.false_alarms / DAYS_A_YEAR

    def _numbers(self, row: int, first: int, special: bool) -> Iterator[Off]:
        past = self.learnt[first:row]
        if not len(past):
            return
        weekly = np.asarray([m.weekly for m in self.measures], dtype=bool)
        expected = expect(
            past,
            days=self.subject.daily,
            min_history=self.subject.statistics.min_history,
            weekly=weekly,
        )
        now, unit = self.values[row], quantile(self.units[first:row], 0.5)
        judged = ~np.isnan(now) & ~np.isnan(expected.centre)
        if special:
            judged &= ~self.level
        series = self._series(judged)
        with np.errstate(divide="ignore", invalid="ignore"):
            noise = np.nan_to_num(unit / np.sqrt(self._sizes(row, first)), posinf=0.0)
        spread = np.maximum.reduce(
            [expected.spread, noise, self.floors, ROUNDING * np.abs(expected.centre)]
        )
        allowed = tolerance(self._chances() / series, expected.history) * spread
        for place in np.flatnonzero(judged & (np.abs(now - expected.centre) > allowed)):
            measure, centre = self.measures[place], float(expected.centre[place])
            observed, history = float(self.raw[row, place]), int(expected.history[place])
            low, high = _range(measure, centre, float(allowed[place]), float(unit[place]))
            low, high = self._taught(measure, low, high, float(allowed[place]))
            if low <= observed <= high or observed < measure.quiet_below:
                continue
            off = abs(float(now[place]) - centre)
            by_chance = series[place] * chance(off / spread[place], history) if spread[place] else 0
            yield Off(
                measure.check,
                measure.column,
                observed,
                low,
                high,
                history,
                min(1.0, float(by_chance)),
                weekly=bool(expected.weekly[place]),
                share=measure.scale == "share",
            )

    def _series(self, judged: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """How many numbers of its check are judged, for each number."""
        counted = Counter(self.measures[place].check for place in np.flatnonzero(judged))
        return np.asarray([counted[m.check] or 1 for m in self.measures])

    def _sizes(self, row: int, first: int) -> Floats:
        """Rows that each number is from; of the number of rows itself, those that are usual."""
        usual = quantile(self.sizes[first:row], 0.5)
        volume = np.asarray([m.check == "volume" for m in self.measures], dtype=bool)
        return np.asarray(np.where(volume, usual, self.sizes[row]))

    def _taught(
        self, measure: Measure, low: float, high: float, allowed: float
    ) -> tuple[float, float]:
        """The range, as wide as what a person said was fine: and half as uncertain beyond."""
        for value in self.accepted.get((measure.check, measure.column), ()):
            scaled = measure.to_scale(value)
            # A count of nothing is not quite where the logarithm puts it.
            if value < low:
                low = min(value, measure.from_scale(scaled - allowed / 2))
            if value > high:
                high = max(value, measure.from_scale(scaled + allowed / 2))
        return low, high


def _range(measure: Measure, centre: float, allowed: float, unit: float) -> tuple[float, float]:
    """What is expected of a number."""
    nearest, farthest = measure.widest(centre, unit)
    low = min(measure.from_scale(centre - allowed), nearest)
    high = max(measure.from_scale(centre + allowed), farthest)
    if measure.scale == "share":
        low, high = max(low, 0.0), min(high, 1.0)
    return (-math.inf if measure.sides == "above" else low), high


def _told(subject: Subject, partition: str, off: Off) -> Finding:
    confidence = min(max(1 - off.probability, 0.0), SUREST)
    severity = subject.statistics.severity(off.check)
    assert severity != "off"  # what is off is not judged
    named: FindingSeverity = severity
    return Finding(
        dataset=subject.dataset,
        asset=subject.asset,
        partition=partition,
        run_id=subject.run_id,
        check_name=off.check,
        column_name=off.column,
        severity=named,
        observed=off.observed,
        expected_low=off.low if math.isfinite(off.low) else 0.0,
        expected_high=off.high,
        history=off.history,
        confidence=confidence,
        message=_sentence(subject, off, confidence),
    )


def _sentence(subject: Subject, off: Off, confidence: float) -> str:
    def shown(value: float) -> str:
        if off.share:
            return f"{value:.2%}"
        return f"{value:,.0f}" if abs(value) >= THOUSAND else f"{value:,.4g}"

    unit = "days" if subject.daily else "publishes"
    learnt = f"{off.history} {unit}" + (", by weekday" if off.weekly else "")
    wanted = (
        f"at most {shown(off.high)}"
        if not math.isfinite(off.low)
        else f"{shown(off.low)} to {shown(off.high)}"
    )
    what = off.said or f"{off.check.replace('_', ' ')} of {off.column}: {shown(off.observed)}"
    return f"{what}; expected {wanted} (learnt from {learnt}); sure to {confidence:.4%}"
