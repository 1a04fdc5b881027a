"""What a collector looks at: the instance, the lake, the assets and what is known to be wrong.

Belongs here: the types that all collectors share, and opening the lake no earlier than it is
needed. Does not belong here: looking (each collector's module).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol, Self

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from platform_assets.alerts.routing import Thresholds
from platform_assets.alerts.signals import Kind, Signal, Standing
from platform_assets.dataset import Dataset
from platform_assets.sensors.alerting.definitions import Definitions
from platform_assets.sources.breaker import BreakerStore
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.tables import ensure_platform_tables

LAYERS = ("raw", "cleaned", "quarantine", "history", "aggregated")


@dataclass(frozen=True)
class Collected:
    """What a collector has seen.

    Attributes:
        signals: In the order in which it happened.
        cursor: How far it has looked, for the next time; None: as it was.
    """

    signals: list[Signal] = field(default_factory=list)
    cursor: str | None = None


class Assets:
    """What a person needs to know of an asset that has a problem.

    Args:
        graph: All assets of the code location.
    """

    def __init__(self, graph: AssetGraph) -> None:
        self.graph = graph
        self._below: dict[dg.AssetKey, tuple[str, ...]] = {}

    def key(self, asset: str) -> dg.AssetKey | None:
        """The asset's key in Dagster; None: the code location has no such asset."""
        key = dg.AssetKey.from_user_string(asset)
        return key if self.graph.has(key) else None

    def described(self, signal: Signal) -> Signal:
        """A signal about an asset, with its dataset, layer, owners and what is made from it."""
        key = self.key(signal.subject)
        if key is None:
            return signal
        node = self.graph.get(key)
        layer = node.tags.get("layer") or next(
            (each for each in LAYERS if each == key.path[0] and len(key.path) > 1), ""
        )
        return replace(
            signal,
            dataset=node.tags.get("dataset", ""),
            layer=layer,
            owners=tuple(node.owners),
            downstream=self.downstream(key),
        )

    def downstream(self, key: dg.AssetKey) -> tuple[str, ...]:
        """Keys of every asset that is made from one, near or far, in order."""
        if key not in self._below:
            found: set[dg.AssetKey] = set()
            waiting = [key]
            while waiting:
                children = self.graph.get(waiting.pop()).child_keys - found
                found |= children
                waiting += children
            self._below[key] = tuple(sorted(each.to_user_string() for each in found))
        return self._below[key]


@dataclass
class World:
    """What there is to look at, for the length of one tick.

    Attributes:
        instance: Dagster's instance.
        repository: The code location's definitions.
        assets: Its assets.
        datasets: Its datasets, by name.
        open_lake: Opens the lake; it is called when the first collector asks for it.
        connection: Gives what a connection of that name leads to; None: it has none.
        breakers: The circuit breakers; None: none was ever used.
        known: The problems that the book holds open, each as it was told last.
        definitions: What is defined here and elsewhere, and what is no more.
        thresholds: From when on something is worth saying.
        now: The time of the tick.
    """

    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    assets: Assets
    datasets: Mapping[str, Dataset]
    open_lake: Callable[[], AbstractContextManager[Connection]]
    connection: Callable[[str], object | None]
    breakers: BreakerStore | None
    known: Collection[Signal]
    definitions: Definitions
    thresholds: Thresholds
    now: datetime
    _held: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Begin to look."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the lake, where it was opened."""
        self._held.close()

    @cached_property
    def lake(self) -> Connection:
        """The open lake, with the platform's tables.

        Raises:
            SettingsError: It cannot be opened.
        """
        opened = self._held.enter_context(self.open_lake())
        ensure_platform_tables(opened)
        return opened

    def of(self, kind: Kind) -> dict[str, Signal]:
        """The open problems of a kind, by fingerprint."""
        return {each.fingerprint: each for each in self.known if each.kind is kind}

    def own(self, kind: Kind) -> list[Signal]:
        """The open problems of a kind that are over where nothing of them is seen here.

        Those of what another code location defines, or nobody any more, are not.
        """
        return [each for each in self.of(kind).values() if self.definitions.judges(each)]


class Collector(Protocol):
    """Looks at one place and says what it has seen."""

    def __call__(self, world: World, cursor: str | None) -> Collected:
        """Look.

        Args:
            world: What there is to look at.
            cursor: How far was looked the last time; None: never, and what happened before now is
                told only where it still stands.
        """
        ...


def over(problem: Signal, at: datetime) -> Signal:
    """The signal that a problem is there no longer."""
    return replace(problem, at=at, standing=Standing.OVER)


def transitions(present: Sequence[Signal], known: Iterable[Signal], at: datetime) -> list[Signal]:
    """What has begun, got worse or better, or ended since the book was written.

    What only goes on is not told again: each telling counts as another failure.

    Args:
        present: Everything that is wrong now.
        known: Everything of these kinds that the book holds open.
        at: When what is there no longer was found gone.
    """
    before = {each.fingerprint: each for each in known}
    now = {each.fingerprint for each in present}
    begun = [
        each
        for each in present
        if each.fingerprint not in before or before[each.fingerprint].severity is not each.severity
    ]
    return [*begun, *(over(each, at) for key, each in before.items() if key not in now)]
