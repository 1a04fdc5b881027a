"""What a bad publish of a partition touched: which partitions were really built from it, and when.

Belongs here: following one publish through the ledger. Does not belong here: which assets are made
from which (given as ``Wiring``), and making anything again.

A partition is touched where it was published after what it is made from was bad, and before that
was good again. Not the graph says so but the ledger: what was not built since is not touched, and
what was built again from the good rows is touched no longer. A rollback counts as what it restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from platform_assets.errors import PartitionError
from platform_assets.observability.lineage_graph import LineageGraph
from platform_assets.sql import after_scan, quote_literal
from platform_assets.warehouse import hold, ledger
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import LedgerEntry
from platform_assets.warehouse.tables import LEDGER

LOOKUP = "looked up"
SAME = "same partition"
WHOLE = "whole table"
VIEW = "view"


@dataclass(frozen=True)
class Wiring:
    """How assets are made from each other.

    Attributes:
        graph: Which are made from which.
        cut: Assets that are cut into partitions.
        views: Assets that hold no rows: they show what is upstream, at once.
        lookups: Child and parent, where the child looks values up in the parent's whole table.
        ledgers: Assets whose publishes the ledger tells under another's key.
    """

    graph: LineageGraph
    cut: frozenset[str]
    views: frozenset[str] = frozenset()
    lookups: frozenset[tuple[str, str]] = frozenset()
    ledgers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Publish:
    """A publish of a partition, as it bears on what follows.

    Attributes:
        snapshot: The snapshot that its rows stem from: of a rollback, the restored one.
        committed: The snapshot that it was committed in.
        run_id: The run.
        at: When (UTC).
        entry: What the ledger says of it.
    """

    snapshot: int
    committed: int
    run_id: str
    at: datetime
    entry: LedgerEntry


@dataclass(frozen=True)
class Touched:
    """A partition that was built from the bad one, at once or not.

    Attributes:
        asset: The asset's key.
        partition: The partition's key.
        by: The assets that it has it from.
        how: same partition, whole table, looked up, or view.
        since: The first publish that was built from it; None: a view.
        rows: Rows that the newest such publish holds of the partition; None: a view.
        is_standing: Whether what stands now was built from it.
    """

    asset: str
    partition: str
    by: tuple[str, ...]
    how: str
    since: Publish | None
    rows: int | None
    is_standing: bool


@dataclass(frozen=True)
class Impact:
    """What a bad publish touched.

    Attributes:
        asset: The asset's key.
        partition: The partition's key.
        bad: The publish.
        mended: The publish that took its place; None: it stands.
        touched: What was built from it, upstream first.
        untouched: Assets downstream that nothing was built of since.
    """

    asset: str
    partition: str
    bad: Publish
    mended: Publish | None
    touched: tuple[Touched, ...]
    untouched: tuple[str, ...]


@dataclass(frozen=True)
class _Span:
    """For how long a partition was bad, in snapshots: from ``first`` until before ``until``."""

    first: int
    until: int | None


def impact_of(
    connection: Connection, wiring: Wiring, asset: str, partition: str, at: int | None = None
) -> Impact:
    """Follow a bad publish of a partition.

    Args:
        connection: An open lake.
        wiring: How assets are made from each other.
        asset: The asset's key.
        partition: The partition's key.
        at: A snapshot: the publish that the partition stood at then is the bad one; None: the one
            that it stands at now.

    Raises:
        PartitionError: The partition was never published, or not by then.
    """
    own = _publishes(connection, wiring.ledgers.get(asset, asset)).get(partition, [])
    by_then = [each for each in own if at is None or each.committed <= at]
    if not by_then:
        raise PartitionError(
            "A partition has no publish that could have touched anything",
            where=f"{asset}, partition {partition}",
            expected="a publish" + ("" if at is None else f" by snapshot {at}"),
            found=f"its first one is of snapshot {own[0].committed}" if own else "none",
            fix="correct asset and partition ('all' of a table without days); "
            "platform-assets rollback ASSET --partition P --list shows the publishes",
        )
    bad = by_then[-1]
    mended = next((each for each in own if each.committed > bad.committed), None)
    spans = {asset: {partition: _Span(bad.committed, mended.committed if mended else None)}}
    touched: list[Touched] = []
    untouched: list[str] = []
    for child in wiring.graph.below([asset]):
        found = _of_child(connection, wiring, child, spans)
        touched += found
        if not found:
            untouched.append(child)
    return Impact(asset, partition, bad, mended, tuple(touched), tuple(untouched))


def _of_child(
    connection: Connection, wiring: Wiring, child: str, spans: dict[str, dict[str, _Span]]
) -> list[Touched]:
    """The partitions of one asset that were built from bad ones; notes for how long they were."""
    parents = [parent for parent in wiring.graph.parents(child) if parent in spans]
    if child in wiring.views:
        return _of_view(child, parents, spans)
    found, own = [], {}
    for key, publishes in _publishes(connection, wiring.ledgers.get(child, child)).items():
        reaching = [
            (parent, how, span)
            for parent in parents
            for how, span in _reaching(wiring, child, parent, key, spans[parent])
        ]
        hit = [
            (each, parent, how)
            for parent, how, span in reaching
            for each in publishes
            if each.snapshot >= span.first and (span.until is None or each.snapshot < span.until)
        ]
        if not hit:
            continue
        bad = {each.committed: each for each, _, _ in hit}
        newest = bad[max(bad)]
        # Good again with the first publish that none of the bad ones is among.
        after = [p for p in publishes if p.committed > newest.committed]
        own[key] = _Span(min(bad), after[0].committed if after else None)
        found.append(
            Touched(
                asset=child,
                partition=key,
                by=tuple(sorted({parent for _, parent, _ in hit})),
                how=hit[0][2],
                since=bad[min(bad)],
                rows=_rows(child, newest.entry),
                is_standing=not after,
            )
        )
    if own:
        spans[child] = own
    return sorted(found, key=lambda each: each.partition)


def _of_view(
    child: str, parents: Sequence[str], spans: dict[str, dict[str, _Span]]
) -> list[Touched]:
    """A view shows what its table has, as long as it has it."""
    own: dict[str, _Span] = {}
    for parent in parents:
        own |= spans[parent]
    if not own:
        return []
    spans[child] = own
    return [
        Touched(child, key, tuple(parents), VIEW, None, None, is_standing=span.until is None)
        for key, span in sorted(own.items())
    ]


def _reaching(
    wiring: Wiring, child: str, parent: str, key: str, bad: Mapping[str, _Span]
) -> list[tuple[str, _Span]]:
    """The bad partitions of a parent that a partition of a child is made from, and how."""
    if (child, parent) in wiring.lookups:
        return [(LOOKUP, span) for span in bad.values()]
    if child in wiring.cut and parent in wiring.cut:
        return [(SAME, bad[key])] if key in bad else []
    return [(WHOLE, span) for span in bad.values()]


def _rows(asset: str, entry: LedgerEntry) -> int:
    layer = asset.partition("/")[0]
    return {"raw": entry.extracted, "quarantine": entry.quarantined}.get(layer, entry.cleaned)


def _publishes(connection: Connection, asset: str) -> dict[str, list[Publish]]:
    """Every publish of an asset, by partition, oldest first."""
    times = connection.execute(
        f"SELECT snapshot_id, partition, epoch(recorded_at) FROM {LEDGER} "
        f"WHERE asset = {quote_literal(asset)} AND {after_scan('status')} = 'published'"
    ).fetchall()
    recorded = {(int(snapshot), str(key)): float(at) for snapshot, key, at in times}
    found: dict[str, list[Publish]] = {}
    for entry in ledger.all_publishes(connection, asset):
        assert entry.snapshot is not None  # it was read back from the ledger
        restored = hold.restored_snapshot(entry)
        found.setdefault(entry.partition, []).append(
            Publish(
                snapshot=entry.snapshot if restored is None else restored,
                committed=entry.snapshot,
                run_id=entry.run_id,
                at=datetime.fromtimestamp(recorded[entry.snapshot, entry.partition], UTC),
                entry=entry,
            )
        )
    return found
