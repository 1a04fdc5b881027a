"""What the next value of a series should be: robust, weekly, and honest about little history.

Belongs here: arithmetic on arrays, for many series at once. Does not belong here: what the series
are, and what is said of a value that is off (``detectors``).

The centre is the median of the same weekday (or of all days, where that predicts better), moved by
the median error of the last week, so that growth is followed. The spread is the larger of
1.4826 times the median absolute error (Hampel 1974) and the error's 90 % quantile over 1.645, so
that neither a few outliers nor many equal values make it too small. How far off a value may be
follows from Student's t, whose degrees of freedom are those of the median absolute deviation,
which uses 37 % of the observations (Rousseeuw and Croux 1993).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAYS = 7
_EFFICIENCY = 0.37
_MAD = 1.4826
_TAIL = 0.9
_TAIL_DEVIATIONS = 1.6449
# The weekday has to predict by a fifth better before it is believed.
_WEEKDAY_GAIN = 0.8
# Of one weekday; fewer say nothing of it.
_SAME_WEEKDAY = 3
_RECENT = 4
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Expected:
    """What the next value of each of several series should be.

    Attributes:
        centre: The most likely value; NaN where there is too little history.
        spread: Standard deviation of a single value around it, noise of counting apart.
        history: Values that it was learnt from.
        weekly: Whether it was learnt from the same weekday.
    """

    centre: Floats
    spread: Floats
    history: npt.NDArray[np.int64]
    weekly: npt.NDArray[np.bool_]


def expect(
    history: Floats, *, days: bool, min_history: int, weekly: npt.NDArray[np.bool_]
) -> Expected:
    """What follows on a history.

    Args:
        history: Values, a row for each day or publish, the oldest first and without gaps; a column
            for each series; NaN: not known, or not to be learnt from. The next value belongs to
            the row after the last.
        days: Whether rows are days, and have a weekday.
        min_history: Values that a series needs.
        weekly: The series that are known to go by weekdays.
    """
    count = np.sum(~np.isnan(history), axis=0)
    centre, spread = _level(history[:, None, :], 0)
    by_weekday = np.zeros(history.shape[1], dtype=bool)
    if days:
        missing = -len(history) % DAYS
        padded = np.vstack([np.full((missing, history.shape[1]), np.nan), history])
        # The next day's weekday is that of the first row of each week.
        weeks = padded.reshape(-1, DAYS, history.shape[1])
        seen = np.sum(~np.isnan(weeks), axis=0)
        known = seen[0] >= _SAME_WEEKDAY
        weekday_centre, weekday_spread = _level(weeks, 0)
        # A middle of few values lies nearer to them than to the next one.
        few = np.maximum(seen[0], 2)
        weekday_spread = weekday_spread * np.sqrt(few / (few - 1))
        by_weekday = known & (weekly | (weekday_spread < _WEEKDAY_GAIN * spread))
        centre = np.where(by_weekday, weekday_centre, centre)
        spread = np.where(by_weekday, weekday_spread, spread)
    enough = count >= min_history
    return Expected(np.where(enough, centre, np.nan), spread, count, by_weekday)


def _level(weeks: Floats, day: int) -> tuple[Floats, Floats]:
    """Centre of the next value and spread of the errors, by the middle of each weekday.

    Args:
        weeks: Values by week, weekday and series.
        day: The weekday of the next value.
    """
    middle = quantile(weeks, 0.5)
    errors = (weeks - middle).reshape(-1, weeks.shape[2])
    recent = errors[-DAYS:]
    drift = np.where(np.sum(~np.isnan(recent), axis=0) >= _RECENT, quantile(recent, 0.5), 0.0)
    sizes = np.abs(errors)
    spread = np.maximum(_MAD * quantile(sizes, 0.5), quantile(sizes, _TAIL) / _TAIL_DEVIATIONS)
    return middle[day] + drift, spread


def quantile(values: Floats, share: float) -> Floats:
    """A quantile along the first axis, without what is NaN; NaN where nothing is left.

    numpy's own ``nanquantile`` takes a hundred times as long for many short series.
    """
    ordered = np.sort(values, axis=0)  # NaN comes last
    count = np.sum(~np.isnan(ordered), axis=0)
    place = share * np.maximum(count - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    first = np.take_along_axis(ordered, below[None], axis=0)[0]
    second = np.take_along_axis(ordered, above[None], axis=0)[0]
    return np.asarray(first + (second - first) * (place - below))


def tolerance(false_alarm: float | Floats, history: npt.NDArray[np.int64]) -> Floats:
    """How many spreads a value may be off, by chance with a given probability.

    The quantile of Student's t, by Wallace's (1959) transformation of the normal one.

    Args:
        false_alarm: Probability that a value that is right is told as wrong, both sides together;
            one for all series, or one for each.
        history: Values that each series was learnt from.
    """
    # There are few different ones.
    chances, place = np.unique(np.asarray(false_alarm, dtype=np.float64), return_inverse=True)
    normal = np.asarray([-_NORMAL.inv_cdf(float(each) / 2) for each in chances])[place]
    freedom = _freedom(history)
    scaled = normal * (8 * freedom + 3) / (8 * freedom + 1)
    # Of very few values the tail is so long that nothing could be said.
    return np.asarray(np.sqrt(freedom * np.expm1(np.minimum(scaled**2 / freedom, 50.0))))


def chance(off: float, history: int) -> float:
    """Probability that a value is at least so many spreads off by chance, both sides together.

    Args:
        off: How many.
        history: Values that the series was learnt from.
    """
    freedom = float(_freedom(np.asarray([history]))[0])
    normal = (
        math.sqrt(freedom * math.log1p(off**2 / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    )
    return 2 * (1 - _NORMAL.cdf(normal))


def _freedom(history: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(np.maximum(3.0, _EFFICIENCY * history - 1))
