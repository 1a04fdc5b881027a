"""Spans of partitions: as few comparisons as possible, and never a key too many."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from platform_assets.partitions import spans

days = st.dates(date(2024, 2, 1), date(2024, 4, 1)).map(str)
odd = st.sampled_from(["all", "20240301", "2024-03-1", "9999-12-31", "", "~"])


@given(st.sets(days | odd, max_size=40))
def test_spans_hold_exactly_the_days_asked_for(keys: set[str]) -> None:
    found = spans(keys)
    every_day = {str(date(2024, 1, 1) + timedelta(days=n)) for n in range(120)} | keys
    held = {key for key in every_day if any(first <= key <= last for first, last in found)}
    assert held == keys
    assert found == sorted(found)


def test_a_year_is_one_span() -> None:
    year = [str(date(2024, 1, 1) + timedelta(days=n)) for n in range(366)]
    assert spans(reversed(year)) == [("2024-01-01", "2024-12-31")]
    assert spans([*year[:9], *year[10:]]) == [
        ("2024-01-01", "2024-01-09"),
        ("2024-01-11", "2024-12-31"),
    ]
    assert spans([]) == []
