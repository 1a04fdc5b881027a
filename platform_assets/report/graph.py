"""The lineage graph: where each asset is drawn, and the lines between them.

Belongs here: geometry. Does not belong here: what an asset is called or how it stands.

Assets stand in columns, each to the right of all that it is made from. Within a column they are
ordered so that few lines cross: each is moved to the middle of its neighbours, some times over; and
then stand as near to that middle as the others leave room. A line across several columns is led
through each of them, so that it crosses no asset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH, HEIGHT = 152, 40
GAP_ACROSS, GAP_DOWN = 40, 12
LANE = 10
"""Height that a line takes where it is led through a column."""
MARGIN = 4
_SWEEPS = 9
"""To and fro; the last is forward, where everything has something to stand beside."""

_Lane = tuple[str, str, int]
_Place = str | _Lane


@dataclass(frozen=True)
class Box:
    """Where an asset is drawn: its upper left corner."""

    key: str
    x: int
    y: int


@dataclass(frozen=True)
class Line:
    """From an asset to one that is made from it, as SVG path data."""

    source: str
    target: str
    path: str


@dataclass(frozen=True)
class Drawing:
    """A drawn graph and its size."""

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[Line]


def draw(made_from: Mapping[str, Iterable[str]]) -> Drawing:
    """Draw a graph; an edge to something that is not in it is left out, and so is one of a circle.

    Args:
        made_from: By key, the keys of what it is made from.
    """
    parents = {
        key: [p for p in dict.fromkeys(given) if p in made_from and p != key]
        for key, given in made_from.items()
    }
    ranks = _ranks(parents)
    edges = [(p, key) for key, given in parents.items() for p in given if ranks[p] < ranks[key]]
    columns, chains = _with_lanes(ranks, edges)
    beside = _Neighbours.of(chains.values())
    _order(columns, beside)
    tops = _tops(columns, beside)
    return Drawing(
        width=max(len(columns) * (WIDTH + GAP_ACROSS) - GAP_ACROSS, 0) + 2 * MARGIN,
        height=max((top + _size(place) for place, top in tops.items()), default=MARGIN) + MARGIN,
        boxes=[Box(key, _left(ranks[key]), tops[key]) for key in parents],
        lines=[
            Line(source, target, _path(chain, tops, ranks[source]))
            for (source, target), chain in chains.items()
        ],
    )


def _ranks(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The column of each: one to the right of the last of what it is made from."""
    ranks: dict[str, int] = {}
    for start in parents:
        stack = [start]
        open_ones: set[str] = set()
        while stack:
            key = stack[-1]
            open_ones.add(key)
            # In a circle, the line that closes it counts for nothing.
            left = [p for p in parents[key] if p not in ranks and p not in open_ones]
            if key not in ranks and left:
                stack += left
                continue
            stack.pop()
            open_ones.discard(key)
            if key not in ranks:
                ranks[key] = 1 + max((ranks[p] for p in parents[key] if p in ranks), default=-1)
    return ranks


def _with_lanes(
    ranks: Mapping[str, int], edges: Sequence[tuple[str, str]]
) -> tuple[list[list[_Place]], dict[tuple[str, str], list[_Place]]]:
    """The columns with a lane for every line that passes, and the way of each line."""
    columns: list[list[_Place]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for key, rank in ranks.items():
        columns[rank].append(key)
    chains: dict[tuple[str, str], list[_Place]] = {}
    for source, target in edges:
        lanes: list[_Place] = [
            (source, target, rank) for rank in range(ranks[source] + 1, ranks[target])
        ]
        for rank, lane in enumerate(lanes, ranks[source] + 1):
            columns[rank].append(lane)
        chains[source, target] = [source, *lanes, target]
    return columns, chains


@dataclass(frozen=True)
class _Neighbours:
    """What each place is joined to, in the column before it and in the one after it."""

    before: Mapping[_Place, Sequence[_Place]]
    after: Mapping[_Place, Sequence[_Place]]

    @classmethod
    def of(cls, chains: Iterable[Sequence[_Place]]) -> _Neighbours:
        before: dict[_Place, list[_Place]] = defaultdict(list)
        after: dict[_Place, list[_Place]] = defaultdict(list)
        for chain in chains:
            for left, right in pairwise(chain):
                before[right].append(left)
                after[left].append(right)
        return cls(before, after)


def _order(columns: list[list[_Place]], beside: _Neighbours) -> None:
    """Move each place to the middle of its neighbours, column by column, to and fro."""
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        neighbours = beside.before if forward else beside.after
        order = range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1)
        for rank in order:
            column = columns[rank]
            other = columns[rank - 1 if forward else rank + 1]
            place = {each: index / len(other) for index, each in enumerate(other)}
            middles = {}
            for index, each in enumerate(column):
                near = [place[n] for n in neighbours.get(each, ())]
                middles[each] = sum(near) / len(near) if near else index / len(column)
            column.sort(key=middles.__getitem__)


def _size(place: _Place) -> int:
    return HEIGHT if isinstance(place, str) else LANE


def _tops(columns: Sequence[Sequence[_Place]], beside: _Neighbours) -> dict[_Place, int]:
    """The upper edge of each place: as near to the middle of its neighbours as there is room."""
    middles: dict[_Place, float] = {}
    for column in columns:
        middles |= zip(column, _spread(column, [0.0] * len(column)), strict=True)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        neighbours = beside.before if forward else beside.after
        for column in columns if forward else reversed(columns):
            wanted = []
            for each in column:
                near = [middles[n] for n in neighbours.get(each, ())]
                wanted.append(sum(near) / len(near) if near else middles[each])
            middles |= zip(column, _spread(column, wanted), strict=True)
    tops = {each: middle - _size(each) / 2 for each, middle in middles.items()}
    highest = min(tops.values(), default=0.0)
    return {each: MARGIN + round(top - highest) for each, top in tops.items()}


def _spread(column: Sequence[_Place], wanted: Sequence[float]) -> list[float]:
    """Middles that are in order and apart, and as near as can be (least squares) to those wanted.

    With the room above each taken off, what is left to do is to make numbers rise: neighbours that
    do not are put together at their mean (pool adjacent violators).
    """
    room, used = [], 0.0
    for each in column:
        room.append(used + _size(each) / 2)
        used += _size(each) + GAP_DOWN
    blocks: list[tuple[float, int]] = []
    for middle, above in zip(wanted, room, strict=True):
        mean, number = middle - above, 1
        while blocks and blocks[-1][0] > mean:
            other, many = blocks.pop()
            mean, number = (mean * number + other * many) / (number + many), number + many
        blocks.append((mean, number))
    risen = [mean for mean, number in blocks for _ in range(number)]
    return [mean + above for mean, above in zip(risen, room, strict=True)]


def _left(rank: int) -> int:
    return MARGIN + rank * (WIDTH + GAP_ACROSS)


def _path(chain: Sequence[_Place], tops: Mapping[_Place, int], first: int) -> str:
    """A line from the right edge of the first through all lanes to the left edge of the last."""
    x, y = _left(first) + WIDTH, tops[chain[0]] + _size(chain[0]) // 2
    parts = [f"M{x} {y}"]
    for rank, place in enumerate(chain[1:], first + 1):
        to_x, to_y = _left(rank), tops[place] + _size(place) // 2
        half = (to_x - x) // 2
        parts.append(f"C{x + half} {y} {to_x - half} {to_y} {to_x} {to_y}")
        x, y = to_x, to_y
        if not isinstance(place, str):
            x += WIDTH
            parts.append(f"H{x}")
    return "".join(parts)
