"""Partitions that failed, and partitions with many rows in quarantine: read from the ledger.

Belongs here: what the ledger's new attempts say, and from what each failure follows. Does not
belong here: reading the ledger (``warehouse.ledger_feed``).

A partition that was stopped because of another one names that as its cause, however many steps
away; one that was stopped by a change of the source's columns names the change; and one whose
source is left alone names the breaker. Each is told of once, by its cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from platform_assets.alerts.signals import Kind, Severity, Signal, Standing, fingerprint
from platform_assets.pipeline import drift
from platform_assets.pipeline.upstream import RAW_MISSING
from platform_assets.sensors.alerting.drifts import blocked_since
from platform_assets.sensors.alerting.wording import first_lines, retry
from platform_assets.sensors.alerting.world import Collected, World
from platform_assets.warehouse import gate, ledger_feed
from platform_assets.warehouse.ledger import UPSTREAM, Status
from platform_assets.warehouse.ledger_feed import Attempt, Position

SOURCE = "source"
CLEANED = "cleaned/"
KINDS = (Kind.PARTITION_FAILED, Kind.QUARANTINE_SHARE)


def collect(world: World, cursor: str | None) -> Collected:
    """What the ledger's new attempts say; the first time, what stands failed.

    Args:
        world: What there is to look at.
        cursor: How far the ledger was read.
    """
    lake = world.lake
    reading = _Reading(world)
    if cursor is None:
        # The end first: what is written meanwhile is then seen twice, and not missed.
        end = ledger_feed.newest(lake)
        for attempt in ledger_feed.standing_failures(lake):
            reading.take(attempt)
        return Collected(reading.signals, end.text())
    watched = {(e.subject, e.partition) for kind in KINDS for e in world.of(kind).values()}
    lowest = min(
        world.thresholds.quarantine_share,
        *(each.quarantine_share for each in world.thresholds.datasets.values()),
        1.0,
    )
    page = ledger_feed.since(lake, Position.parse(cursor), watched, lowest)
    for attempt in page.attempts:
        reading.take(attempt)
    return Collected(reading.signals, page.position.text())


@dataclass
class _Reading:
    """What is told of attempts, one after the other."""

    world: World
    signals: list[Signal] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)
    _full: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._failed = set(self.world.of(Kind.PARTITION_FAILED))
        self._full = set(self.world.of(Kind.QUARANTINE_SHARE))

    def take(self, attempt: Attempt) -> None:
        """Tell of one attempt."""
        if attempt.status == Status.FAILED:
            signal = self._failure(attempt)
            self._failed.add(signal.fingerprint)
            self.signals.append(signal)
            return
        self._ended(Kind.PARTITION_FAILED, attempt, self._failed)
        name = attempt.asset.removeprefix(CLEANED)
        limit = self.world.thresholds.of(name).quarantine_share
        if attempt.asset != name and attempt.quarantined > limit * attempt.extracted:
            signal = self._share(attempt, name, limit)
            # An attempt that changed nothing has nothing new to say of it.
            if attempt.status == Status.PUBLISHED or signal.fingerprint not in self._full:
                self._full.add(signal.fingerprint)
                self.signals.append(signal)
            return
        self._ended(Kind.QUARANTINE_SHARE, attempt, self._full)

    def _ended(self, kind: Kind, attempt: Attempt, standing: set[str]) -> None:
        signal = Signal(
            kind=kind,
            subject=attempt.asset,
            at=attempt.at,
            standing=Standing.OVER,
            partition=attempt.partition,
            run_id=attempt.run_id,
        )
        if signal.fingerprint in standing:
            standing.discard(signal.fingerprint)
            self.signals.append(signal)

    def _failure(self, attempt: Attempt) -> Signal:
        what, _, rest = attempt.message.partition("\n")
        return self.world.assets.described(
            Signal(
                kind=Kind.PARTITION_FAILED,
                subject=attempt.asset,
                at=attempt.at,
                partition=attempt.partition,
                title=f"stopped by {attempt.stopped_by}: {what}",
                detail=first_lines(rest),
                cause=self._cause(attempt),
                run_id=attempt.run_id,
                command=_command(attempt),
            )
        )

    def _cause(self, attempt: Attempt) -> str:
        layer, _, name = attempt.asset.partition("/")
        if attempt.stopped_by == UPSTREAM:
            root = gate.origin(attempt.message)
            return fingerprint(Kind.PARTITION_FAILED, root[0], "", root[1]) if root else ""
        if attempt.stopped_by == RAW_MISSING:
            raw = fingerprint(Kind.PARTITION_FAILED, f"raw/{name}", "", attempt.partition)
            return raw if raw in self._failed else ""
        if layer != "raw" or name not in self.world.datasets:
            return ""
        if attempt.stopped_by == drift.STOPPED_BY:
            return blocked_since(self.world.lake, name, attempt.run_id)
        if attempt.stopped_by == SOURCE and self.world.breakers is not None:
            connection = self.world.datasets[name].source.connection
            if self.world.breakers.state(connection).is_open:
                return fingerprint(Kind.BREAKER_OPEN, f"source/{connection}")
        return ""

    def _share(self, attempt: Attempt, name: str, limit: float) -> Signal:
        share = attempt.quarantined / attempt.extracted
        return self.world.assets.described(
            Signal(
                kind=Kind.QUARANTINE_SHARE,
                subject=attempt.asset,
                at=attempt.at,
                partition=attempt.partition,
                severity=Severity.WARN,
                title=f"{share:.1%} of its rows are in quarantine",
                detail=f"expected: at most {limit:.1%}\n"
                f"found: {attempt.quarantined:,} of {attempt.extracted:,} rows; the others were "
                "published",
                run_id=attempt.run_id,
                command=_quarantine(name, attempt.partition),
            )
        )


def _quarantine(dataset: str, partition: str) -> str:
    return f"platform-assets quarantine list --dataset {dataset} --partition {partition}"


def _command(attempt: Attempt) -> str:
    layer, _, name = attempt.asset.partition("/")
    looks = f"fix: see the rows: {_quarantine(name, attempt.partition)}"
    if layer == "cleaned" and looks in attempt.message:
        return _quarantine(name, attempt.partition)
    return retry(attempt.asset, attempt.partition)


def causes_in(world: World, run_id: str) -> Mapping[str, str]:
    """The failures of partitions in a run, for what else the run tells of them.

    Args:
        world: What there is to look at.
        run_id: The run.

    Returns:
        Fingerprints by ``<asset>`` (the first root among its partitions) and by
        ``<asset>:<partition>``; the first one of all under the empty name.
    """
    found: dict[str, str] = {}
    for attempt in ledger_feed.failed_by(world.lake, run_id):
        own = fingerprint(Kind.PARTITION_FAILED, attempt.asset, "", attempt.partition)
        found.setdefault("", own)
        found.setdefault(attempt.asset, own)
        found[f"{attempt.asset}:{attempt.partition}"] = own
    return found
