"""The arithmetic of what is expected: against numpy, against known quantiles, against chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from platform_assets.quality.series import chance, expect, quantile, tolerance

VALUES = st.floats(-1e6, 1e6) | st.just(float("nan"))


@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=VALUES))
def test_quantiles_are_those_of_numpy(values: np.ndarray) -> None:
    for share in (0.0, 0.5, 0.9, 1.0):
        found = quantile(values, share)
        for column in range(values.shape[1]):
            held = values[:, column][~np.isnan(values[:, column])]
            if len(held):
                assert found[column] == pytest.approx(np.quantile(held, share), abs=1e-6)
            else:
                assert np.isnan(found[column])


# Two-sided 99 % quantiles of Student's t, from any table; a median absolute deviation of n values
# has 0.37 n - 1 degrees of freedom.
@pytest.mark.parametrize(("freedom", "wanted"), [(5, 4.032), (10, 3.169), (20, 2.845), (60, 2.660)])
def test_the_tolerance_is_students_t(freedom: int, wanted: float) -> None:
    history = np.asarray([round((freedom + 1) / 0.37)])
    assert float(tolerance(0.01, history)[0]) == pytest.approx(wanted, rel=0.02)
    assert chance(wanted, int(history[0])) == pytest.approx(0.01, rel=0.1)


def test_one_series_in_many_is_judged_as_if_it_were_alone() -> None:
    dice = np.random.default_rng(3)
    history = dice.normal(size=(56, 5))
    history[10:20, 2] = np.nan
    weekly = np.zeros(5, dtype=bool)
    together = expect(history, days=True, min_history=14, weekly=weekly)
    for place in range(5):
        alone = expect(history[:, [place]], days=True, min_history=14, weekly=weekly[:1])
        assert alone.centre[0] == together.centre[place]
        assert alone.spread[0] == together.spread[place]


def test_growth_is_followed_a_week_behind() -> None:
    trend = np.arange(56, dtype=float)[:, None]
    expected = expect(trend, days=True, min_history=14, weekly=np.asarray([True]))
    assert expected.centre[0] == pytest.approx(49)


def test_an_outlier_widens_nothing() -> None:
    dice = np.random.default_rng(5)
    quiet = dice.normal(100, 1, size=(56, 1))
    spoilt = quiet.copy()
    spoilt[[7, 23, 40]] = 1e6
    weekly = np.asarray([False])
    before = expect(quiet, days=False, min_history=14, weekly=weekly)
    after = expect(spoilt, days=False, min_history=14, weekly=weekly)
    assert after.spread[0] < 2 * before.spread[0]
    assert after.centre[0] == pytest.approx(before.centre[0], abs=0.5)


def test_false_alarms_are_as_rare_as_was_asked() -> None:
    """Of 4,000 series of noise, told to be wrong once in a hundred times."""
    dice = np.random.default_rng(11)
    series = dice.normal(size=(56, 4000))
    expected = expect(series, days=False, min_history=14, weekly=np.zeros(4000, dtype=bool))
    off = np.abs(dice.normal(size=4000) - expected.centre) / expected.spread
    alarms = float(np.mean(off > tolerance(0.01, expected.history)))
    assert 0.002 < alarms < 0.02
