"""Distributions and categories: the shape of a column against the shape that its history has.

Belongs here: the distances between two distributions, and what is new or gone. Does not belong
here: numbers of a partition as a whole (``measures``).

Numbers are compared by the largest difference between the distribution functions (Kolmogorov and
Smirnov), read off quantiles; categories by the population stability index, the sum of
(p - q) ln(p / q). How far a partition lies from the others by chance alone, and by the life of the
business, is learnt from how far the partitions of the history lie from their own middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from platform_assets.quality.off import Off
from platform_assets.quality.policy import Statistics
from platform_assets.quality.profile import QUANTILES
from platform_assets.quality.profiles import Observed
from platform_assets.quality.series import Floats, chance, expect, quantile, tolerance

# Nearer is not worth a word. A PSI of 0.1 is the usual border of a moderate change.
KS_EFFECT = 0.08
PSI_EFFECT = 0.1
LEAST_SPREAD = 1e-3
# Of a partition with fewer rows nothing is said.
MIN_ROWS = 50
NEW_ROWS = 5
NEW_SHARE = 0.002
# So many rows of a category that has gone would be expected, and on so many days it was there.
GONE_ROWS = 20
GONE_DAYS = 0.9
_PROBABILITIES = np.asarray(QUANTILES)
_NORMAL = NormalDist()


class _Distances(NamedTuple):
    """How far the partitions of a history, and the one that is judged, lie from its middle.

    Attributes:
        column: The column.
        called: What the distance is called.
        distances: By row, the judged one last; on a scale on which chance is even.
        effect: Nearer is not worth a word, on that scale.
        power: What makes of a distance on that scale the one that is told.
        size: Rows that the judged partition's is from.
        classes: Categories; 0: it is a number.
    """

    column: str
    called: str
    distances: Floats
    effect: float
    power: float
    size: float
    classes: int

    def by_chance(self, false_alarm: float) -> float:
        """How far so few rows lie from what they were drawn from, with a probability.

        Of a number by the distribution of Kolmogorov (1933), whose tail is 2 exp(-2 n d^2); of
        categories by chi-square over the rows (Yurdakul 2018), with the quantile of Wilson and
        Hilferty (1931).
        """
        if not self.classes:
            return math.sqrt(-math.log(false_alarm / 2) / (2 * self.size))
        freedom = max(self.classes - 1, 1)
        part = 2 / (9 * freedom)
        normal = -_NORMAL.inv_cdf(false_alarm)
        return math.sqrt(freedom * (1 - part + normal * math.sqrt(part)) ** 3 / self.size)


class Shapes:
    """The distributions of all columns of all partitions, by row of the timeline."""

    def __init__(
        self,
        columns: Sequence[str],
        seen: Sequence[Observed],
        rows: Sequence[int],
        length: int,
        *,
        ks: bool,
        categories: bool,
    ) -> None:
        self.with_distributions, self.with_categories = ks, categories
        self.sampled = np.zeros(length)
        for row, each in zip(rows, seen, strict=True):
            self.sampled[row] = each.profile.sampled
        self.numbers: dict[str, Floats] = {}
        self.counts: dict[str, Floats] = {}
        self.names: dict[str, list[str]] = {}
        for name in columns:
            shapes = [each.profile.columns.get(name) for each in seen]
            if any(shape is not None and shape.top for shape in shapes):
                found = sorted({n for shape in shapes if shape is not None for n in shape.top})
                table = np.full((length, len(found)), np.nan)
                at = {category: place for place, category in enumerate(found)}
                for row, shape in zip(rows, shapes, strict=True):
                    if shape is None or not shape.top:
                        continue
                    table[row] = 0.0
                    for category, count in shape.top.items():
                        table[row, at[category]] = count
                self.counts[name], self.names[name] = table, found
            elif any(shape is not None and shape.quantiles for shape in shapes):
                table = np.full((length, len(QUANTILES)), np.nan)
                for row, each, shape in zip(rows, seen, shapes, strict=True):
                    if shape is None or len(shape.quantiles) != len(QUANTILES):
                        continue
                    if each.profile.rows - shape.nulls >= MIN_ROWS:
                        table[row] = shape.quantiles
                self.numbers[name] = table
        self.learnt = {
            name: table.copy() for name, table in (*self.numbers.items(), *self.counts.items())
        }
        # Categories that a person has not said are fine are still new tomorrow.
        self.unknown: dict[str, dict[int, set[str]]] = {}

    def forget(self, row: int, check: str | None = None, column: str = "") -> None:
        """Learn nothing from a partition: from all of it, or from what was found about it."""
        if check is None:
            for table in self.learnt.values():
                table[row] = np.nan
        elif check == "distribution" and column in self.learnt:
            self.learnt[column][row] = np.nan
        elif check == "categories" and "=" in column:
            name, _, category = column.partition("=")
            self.unknown.setdefault(name, {}).setdefault(row, set()).add(category)

    def odd(
        self,
        row: int,
        first: int,
        statistics: Statistics,
        false_alarm: float,
        accepted: Mapping[tuple[str, str], Sequence[float]],
        *,
        special: bool,
        daily: bool,
    ) -> Iterator[Off]:
        """What is odd about the shapes of one partition.

        Args:
            row: Its row.
            first: The first row of its history.
            statistics: What the dataset says of its statistics.
            false_alarm: Probability of a false alarm that the partition may have.
            accepted: What a person said was fine, by check and column.
            special: Whether the day is a special one: then nothing is said.
            daily: Whether partitions are days.
        """
        if special:
            return
        if self.with_distributions:
            yield from self._distributions(row, first, statistics, false_alarm, accepted, daily)
        if self.with_categories:
            for name in self.counts:
                yield from self._categories(name, row, first, statistics, accepted)

    def _distributions(
        self,
        row: int,
        first: int,
        statistics: Statistics,
        false_alarm: float,
        accepted: Mapping[tuple[str, str], Sequence[float]],
        daily: bool,
    ) -> Iterator[Off]:
        found: list[_Distances] = []
        for name, table in self.numbers.items():
            past = self.learnt[name][first:row]
            if not np.isnan(table[row, 0]) and _known(past) >= statistics.min_history:
                distances = _ks(np.vstack([past, table[row : row + 1]]), _middle(past))
                size = float(self.sampled[row])
                found.append(_Distances(name, "KS distance", distances, KS_EFFECT, 1.0, size, 0))
        for name, table in self.counts.items():
            past = self.learnt[name][first:row]
            size = float(np.nansum(table[row]))
            if size >= MIN_ROWS and _known(past) >= statistics.min_history:
                distances = np.sqrt(_psi(np.vstack([past, table[row : row + 1]]), past))
                effect, classes = math.sqrt(PSI_EFFECT), table.shape[1]
                found.append(_Distances(name, "PSI", distances, effect, 2.0, size, classes))
        if not found:
            return
        every = np.column_stack([each.distances for each in found])
        expected = expect(
            every[:-1],
            days=daily,
            min_history=statistics.min_history,
            weekly=np.zeros(len(found), dtype=bool),
        )
        spread = np.maximum(expected.spread, LEAST_SPREAD)
        allowed = tolerance(false_alarm / len(found), expected.history) * spread
        for place, each in enumerate(found):
            # NaN, where there is too little history, is not farther off than anything.
            centre, observed = float(expected.centre[place]), float(every[-1, place])
            by_chance = each.by_chance(false_alarm / len(found))
            limit = max(each.effect, by_chance, centre + float(allowed[place]))
            for value in accepted.get(("distribution", each.column), ()):
                limit = max(limit, value ** (1 / each.power) + float(allowed[place]) / 2)
            if math.isnan(centre) or not observed > limit:
                continue
            history = int(expected.history[place])
            off = (observed - centre) / float(spread[place])
            told = observed**each.power
            yield Off(
                "distribution",
                each.column,
                told,
                -math.inf,
                limit**each.power,
                history,
                min(1.0, len(found) * chance(off, history)),
                said=f"distribution of {each.column}: {each.called} {told:.3f} from its history",
            )

    def _categories(
        self,
        name: str,
        row: int,
        first: int,
        statistics: Statistics,
        accepted: Mapping[tuple[str, str], Sequence[float]],
    ) -> Iterator[Off]:
        past, now = self.learnt[name][first:row], self.counts[name][row]
        history = _known(past)
        if np.isnan(now).any() or history < statistics.min_history:
            return
        total, before = float(now.sum()), np.nansum(past, axis=0)
        unknown = self.unknown.get(name, {})
        for place, category in enumerate(self.names[name]):
            column = f"{name}={category}"
            seen = float(now[place])
            if ("categories", column) in accepted:
                continue
            odd_rows = [r for r in range(first, row) if category in unknown.get(r, ())]
            known = before[place] - sum(
                np.nan_to_num(self.learnt[name][r, place]) for r in odd_rows
            )
            if seen >= max(NEW_ROWS, NEW_SHARE * total) and known <= 0:
                share = total / (total + float(before.sum()))
                yield Off(
                    "categories", column, seen, 0.0, 0.0, history, share**seen,
                    said=f"{name} has a new category, {category!r}: {seen:,.0f} rows",
                )  # fmt: skip
            if seen or not before.sum():
                continue
            days = float(np.mean(past[~np.isnan(past[:, 0]), place] > 0))
            wanted = total * float(before[place] / before.sum())
            if wanted >= GONE_ROWS and days >= GONE_DAYS:
                yield Off(
                    "categories", column, 0.0, 1.0, 2 * wanted, history,
                    # Rows of a category come in groups: as if only half of them were of their own.
                    math.exp(-wanted / 2),
                    said=f"{name} has lost its category {category!r}: {wanted:,.0f} rows expected",
                )  # fmt: skip


def _known(past: Floats) -> int:
    return int(np.sum(~np.isnan(past[:, 0]))) if past.size else 0


def _middle(past: Floats) -> Floats:
    """The distribution function of a history, as the middle of its quantiles."""
    return np.asarray(np.maximum.accumulate(quantile(past, 0.5)))


def _ks(tables: Floats, middle: Floats) -> Floats:
    """Distance of each row's quantiles from a distribution: NaN for a row without any."""
    at = np.interp(tables, middle, _PROBABILITIES, left=0.0, right=1.0)
    distances = np.abs(at - _PROBABILITIES)
    # Where the history has many equal values its function jumps: anywhere in the jump is right.
    low = np.searchsorted(middle, tables, side="left")
    high = np.searchsorted(middle, tables, side="right")
    jumps = high > low + 1
    if jumps.any():
        ends = np.concatenate([[0.0], _PROBABILITIES, [1.0]])
        below, above = (
            ends[np.minimum(low, len(ends) - 1)],
            ends[np.minimum(high + 1, len(ends) - 1)],
        )
        inside = (below <= _PROBABILITIES) & (above >= _PROBABILITIES)
        nearest = np.minimum(np.abs(below - _PROBABILITIES), np.abs(above - _PROBABILITIES))
        distances = np.where(jumps, np.where(inside, 0.0, nearest), distances)
    found = np.max(distances, axis=1)
    return np.asarray(np.where(np.isnan(tables[:, 0]), np.nan, found))


def _psi(counts: Floats, past: Floats) -> Floats:
    """Population stability index of each row against the sum of a history."""
    width = counts.shape[1]
    total = np.nansum(past, axis=0)
    base = (total + 0.5) / (total.sum() + 0.5 * width)
    shares = (counts + 0.5) / (np.nansum(counts, axis=1, keepdims=True) + 0.5 * width)
    return np.asarray(np.sum((shares - base) * np.log(shares / base), axis=1))
