"""The size of a batch: in its bounds always, near the target before long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.batch_size import BatchSize
from platform_assets.errors import ContractError

BOUNDS = st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)).map(sorted)


@given(BOUNDS, st.lists(st.floats(0, 100)), st.integers(-5, 10**7))
def test_it_stays_in_its_bounds(bounds: list[int], times: list[float], current: int) -> None:
    size = BatchSize(bounds[0], bounds[1], 1.0, current)
    assert bounds[0] <= size.current <= bounds[1]
    for seconds in times:
        after = size.after(seconds)
        assert bounds[0] <= after.current <= bounds[1]
        assert after.current <= size.current if seconds > 1.0 else after.current >= size.current
        size = after


@given(BOUNDS, st.floats(1e-7, 10), st.integers(0, 10**6))
def test_it_settles_at_what_the_sink_can_take(
    bounds: list[int], seconds_each: float, current: int
) -> None:
    """However fast the sink: after a while a write is never more than a step above the target."""
    size = BatchSize(bounds[0], bounds[1], 1.0, current)
    for _ in range(60):
        size = size.after(size.current * seconds_each)
    sustainable = min(max(1.0 / seconds_each, size.lower), size.upper)
    for _ in range(60):
        assert size.current <= sustainable + size.step
        assert size.current >= sustainable // 2 - 1 or size.current == size.lower
        size = size.after(size.current * seconds_each)


def test_a_sink_that_slows_down_is_relieved_at_once_and_loaded_again_step_by_step() -> None:
    size = BatchSize(100, 2_100, 1.0, 2_000)
    sizes = []
    for seconds in (3.0, 3.0, 0.2, 0.2):
        size = size.after(seconds)
        sizes.append(size.current)
    assert sizes == [1_000, 500, 600, 700]


@pytest.mark.parametrize(("lower", "upper", "seconds"), [(0, 5, 1.0), (6, 5, 1.0), (1, 5, 0.0)])
def test_bounds_that_hold_nothing_are_refused(lower: int, upper: int, seconds: float) -> None:
    with pytest.raises(ContractError, match=f"lower={lower}, upper={upper}"):
        BatchSize(lower, upper, seconds)
