"""Geometry: sparklines say what they show, the graph's boxes and lines keep clear of each other."""

from __future__ import annotations

import re
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from platform_assets.report.graph import GAP_ACROSS, HEIGHT, MARGIN, WIDTH, draw
from platform_assets.report.sparkline import HEIGHT as SPARK_HEIGHT
from platform_assets.report.sparkline import WIDTH as SPARK_WIDTH
from platform_assets.report.sparkline import quality, volume
from platform_assets_tests.report_facts import DAYS, points

NAMES = st.sampled_from("abcdefghijklm")
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=13)
NUMBERS = re.compile(r"-?[\d.]+")


def test_a_volume_says_newest_median_least_and_most() -> None:
    drawn = volume(points(100, 300, None, 200))
    assert drawn is not None
    assert drawn.text == (
        f"Rows of the last 4: newest 200 ({DAYS[-1]}), median 200, least 100 ({DAYS[-4]}), "
        f"most 300 ({DAYS[-3]}); 1 failed."
    )
    assert drawn.bars.count("M") == 3
    assert drawn.failed.count("M") == 1


def test_nothing_is_drawn_of_nothing() -> None:
    assert volume([]) is None
    assert quality([]) is None
    assert quality(points(None, None)) is None
    failed = volume(points(None))
    assert failed is not None
    assert failed.text == "Rows of the last 1: none is published; 1 failed."


def test_one_row_beside_a_million_is_seen_and_none_is_not() -> None:
    drawn = volume(points(1, 0, 1_000_000))
    assert drawn is not None
    assert drawn.bars.count("M") == 2
    assert f"V{SPARK_HEIGHT - 1}" in drawn.bars


def test_a_quality_has_a_gap_where_a_partition_failed() -> None:
    drawn = quality(points(1, 1, None, 1))
    assert drawn is not None
    assert [each for each in drawn.bars if each.isalpha()] == ["M", "L", "M"]
    assert drawn.text.startswith(f"Quality score of the last 3: newest 97.5 ({DAYS[-1]}), least")


@given(st.lists(st.none() | st.integers(0, 10**12), min_size=1, max_size=60))
def test_a_sparkline_stays_inside_its_box(rows: list[int | None]) -> None:
    drawn = volume(points(*rows))
    assert drawn is not None
    for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", drawn.bars + drawn.failed):
        assert 0 <= float(x) <= SPARK_WIDTH
        assert 0 <= float(y) <= SPARK_HEIGHT


@given(GRAPHS)
def test_every_asset_is_drawn_once_right_of_what_it_is_made_from(
    made_from: dict[str, list[str]],
) -> None:
    drawing = draw(made_from)
    boxes = {box.key: box for box in drawing.boxes}
    assert sorted(boxes) == sorted(made_from)
    for line in drawing.lines:
        assert boxes[line.source].x + WIDTH + GAP_ACROSS <= boxes[line.target].x
        numbers = [float(n) for n in NUMBERS.findall(line.path)]
        assert numbers[:2] == [boxes[line.source].x + WIDTH, boxes[line.source].y + HEIGHT // 2]
        assert numbers[-2:] == [boxes[line.target].x, boxes[line.target].y + HEIGHT // 2]
    for one, other in combinations(drawing.boxes, 2):
        assert one.x != other.x or abs(one.y - other.y) >= HEIGHT
    for box in drawing.boxes:
        assert box.x + WIDTH + MARGIN <= drawing.width
        assert box.y + HEIGHT + MARGIN <= drawing.height


@given(GRAPHS)
def test_every_edge_is_a_line_unless_it_closes_a_circle(made_from: dict[str, list[str]]) -> None:
    # Upstream only of letters before: there is no circle.
    straight = {key: [p for p in given if p < key] for key, given in made_from.items()}
    lines = {(line.source, line.target) for line in draw(straight).lines}
    assert lines == {(p, key) for key, given in straight.items() for p in given if p in straight}


def test_lines_that_can_do_not_cross() -> None:
    drawing = draw({"a": [], "b": [], "x": ["b"], "y": ["a"]})
    tops = {box.key: box.y for box in drawing.boxes}
    assert (tops["a"] < tops["b"]) == (tops["y"] < tops["x"])
