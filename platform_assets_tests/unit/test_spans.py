from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.documents.spans import read_span, write_span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1d", timedelta(days=1)),
        ("36h", timedelta(hours=36)),
        ("90m", timedelta(minutes=90)),
        ("20s", timedelta(seconds=20)),
        ("0m", timedelta(0)),
    ],
)
def test_a_span_is_read(text, span):
    assert read_span(text) == span


@pytest.mark.parametrize(
    "text", ["", "1", "d", "1w", "1.5h", "-1h", "1h30m", "1 h", "\u0661h", "1h\n"]
)
def test_what_is_no_span_is_none(text):
    assert read_span(text) is None


@given(st.integers(0, 10**7))
def test_what_is_written_is_read(seconds):
    span = timedelta(seconds=seconds)
    assert read_span(write_span(span)) == span


def test_the_largest_whole_unit_is_written():
    spans = [timedelta(days=2), timedelta(hours=36), timedelta(minutes=90), timedelta(seconds=90)]
    assert [write_span(each) for each in spans] == ["2d", "36h", "90m", "90s"]
