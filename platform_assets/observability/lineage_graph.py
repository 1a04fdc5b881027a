"""Which assets are made from which: the one graph that is asked, up and down.

Belongs here: walking from asset to asset. Does not belong here: columns (``column_lineage``), and
where the edges are read from (Dagster's definitions, in ``assets``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

_Step = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True)
class AssetNode:
    """An asset on the way up or down from another.

    Attributes:
        asset: The asset's key.
        children: What comes after it.
        is_repeated: Whether what comes after it is listed at another place.
        is_cut: Whether there is more, beyond the depth that was asked for.
    """

    asset: str
    children: tuple[AssetNode, ...] = ()
    is_repeated: bool = False
    is_cut: bool = False


class LineageGraph:
    """Assets and what each is made from.

    Args:
        parents: By asset the assets that it is made from.
    """

    def __init__(self, parents: Mapping[str, Collection[str]]) -> None:
        self._parents = {asset: frozenset(above) for asset, above in parents.items()}
        self._children: dict[str, set[str]] = {}
        for asset, above in self._parents.items():
            for parent in above:
                self._children.setdefault(parent, set()).add(asset)

    @property
    def assets(self) -> tuple[str, ...]:
        """All assets, upstream first; in order of their names where that leaves a choice."""
        edges = {asset: sorted(above) for asset, above in sorted(self._parents.items())}
        return tuple(TopologicalSorter(edges).static_order())

    def parents(self, asset: str) -> tuple[str, ...]:
        """What an asset is made from at once, in order."""
        return tuple(sorted(self._parents.get(asset, ())))

    def children(self, asset: str) -> tuple[str, ...]:
        """What is made from an asset at once, in order."""
        return tuple(sorted(self._children.get(asset, ())))

    def below(self, assets: Iterable[str]) -> tuple[str, ...]:
        """Every asset that is made from some others, near or far, without these; upstream first.

        Args:
            assets: The others.
        """
        given = frozenset(assets)
        found: set[str] = set()
        waiting = list(given)
        while waiting:
            further = self._children.get(waiting.pop(), set()) - found
            found |= further
            waiting += further
        return tuple(asset for asset in self.assets if asset in found - given)

    def upstream(self, asset: str, depth: int | None = None) -> AssetNode:
        """All that an asset is made from, as a tree.

        Args:
            asset: The asset.
            depth: How many steps to go; None: to the end.
        """
        return _tree(asset, self.parents, depth, set())

    def downstream(self, asset: str, depth: int | None = None) -> AssetNode:
        """All that is made from an asset, as a tree.

        Args:
            asset: The asset.
            depth: How many steps to go; None: to the end.
        """
        return _tree(asset, self.children, depth, set())


def _tree(asset: str, step: _Step, depth: int | None, seen: set[str]) -> AssetNode:
    following = step(asset)
    if asset in seen or depth == 0:
        known = asset in seen
        return AssetNode(
            asset,
            is_repeated=known and bool(following),
            is_cut=not known and bool(following),
        )
    seen.add(asset)
    left = None if depth is None else depth - 1
    return AssetNode(asset, tuple(_tree(each, step, left, seen) for each in following))
