"""Sparklines: a row of numbers as a few strokes, and what they say in words.

Belongs here: geometry as SVG path data, and its text. Does not belong here: where on the page it
is (the templates), and what is good or bad (``states``).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from platform_assets.report.model import POINTS, Point

HEIGHT, STEP = 40, 4
WIDTH = POINTS * STEP
"""Of every drawing: where there are fewer numbers, they stand at the right."""
FLOOR_OF_QUALITY = 90.0


@dataclass(frozen=True)
class Sparkline:
    """One drawing.

    Attributes:
        bars: Path of what is published: strokes, or a line.
        failed: Path of the partitions that failed, which are drawn dashed; empty: none did.
        text: What it shows, in a sentence.
    """

    bars: str
    failed: str
    text: str


def volume(points: Sequence[Point]) -> Sparkline | None:
    """Rows by partition: a stroke each, over the whole height where the newest attempt failed.

    Args:
        points: In order, ``POINTS`` at most; none of them: no drawing.
    """
    if not points:
        return None
    most = max((p.rows for p in points if not p.failed), default=0)
    bars, failed = [], []
    for index, point in enumerate(points, POINTS - len(points)):
        x = _x(index)
        if point.failed:
            failed.append(f"M{x} {HEIGHT}V0")
            continue
        # One row of many is seen too.
        height = max(1.0, point.rows / most * (HEIGHT - 2)) if point.rows and most else 0
        if height:
            bars.append(f"M{x} {HEIGHT}V{_number(HEIGHT - height)}")
    published = [p for p in points if not p.failed]
    return Sparkline("".join(bars), "".join(failed), _volume_text(points, published))


def quality(points: Sequence[Point]) -> Sparkline | None:
    """The quality score by partition, as a line from the least, or 90, to 100.

    Args:
        points: In order, ``POINTS`` at most; None where none has a score.
    """
    placed = enumerate(points, POINTS - len(points))
    scored = [(i, p.score, p.partition) for i, p in placed if p.score is not None]
    if not scored:
        return None
    low = min(FLOOR_OF_QUALITY, *(value for _, value, _ in scored))
    span = 100.0 - low or 1.0
    path, before = [], -2
    for index, value, _ in scored:
        y = _number(2 + (HEIGHT - 4) * (100.0 - value) / span)
        # A partition without a score is a gap.
        path.append(f"{'L' if index == before + 1 else 'M'}{_x(index)} {y}")
        before = index
    if len(path) == 1:
        path.append("h0")
    least = min(scored, key=lambda each: (each[1], each[2]))
    newest = scored[-1]
    text = (
        f"Quality score of the last {len(scored)}: newest {newest[1]:.4g} ({newest[2]}), "
        f"least {least[1]:.4g} ({least[2]}), scale {low:.3g} to 100."
    )
    return Sparkline("".join(path), "", text)


def _volume_text(points: Sequence[Point], published: Sequence[Point]) -> str:
    told = f"Rows of the last {len(points)}: "
    if published:
        least = min(published, key=lambda p: p.rows)
        most = max(published, key=lambda p: p.rows)
        middle = statistics.median(p.rows for p in published)
        told += (
            f"newest {published[-1].rows:,} ({published[-1].partition}), median {middle:,.0f}, "
            f"least {least.rows:,} ({least.partition}), most {most.rows:,} ({most.partition})"
        )
    else:
        told += "none is published"
    failed = len(points) - len(published)
    return told + (f"; {failed} failed." if failed else ".")


def _x(index: int) -> int:
    return index * STEP + STEP // 2


def _number(value: float) -> str:
    """A coordinate, as short as it can be."""
    return f"{value:.1f}".removesuffix(".0")
