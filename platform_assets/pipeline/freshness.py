"""Freshness of all assets at once: promises held against what the ledger says.

Belongs here: asking the lake, by one question for all of them. Does not belong here: the judgement
of one asset (``quality.freshness``), why it is late (``lateness``), and telling of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pyarrow as pa

from platform_assets.partitions import UNPARTITIONED_KEY, Daily, Partitions
from platform_assets.pipeline.lateness import Fact, Lineage, Made, end_of
from platform_assets.quality.freshness import Evidence, FreshnessState, Level, judge
from platform_assets.quality.promise import Freshness
from platform_assets.sql import quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.tables import LEDGER, ensure_platform_tables

# Of an asset, the newest partitions that failed: the one that is missing is among them.
_SHOWN_FAILURES = 40
# Of each asset, the days up to its newest that are looked at closely: what stands of each. Of days
# before, what was ever published is known.
_LOOKED_AT_DAYS = 35


@dataclass(frozen=True)
class Promised:
    """An asset whose freshness is promised.

    Attributes:
        asset: Its key, such as ``cleaned/orders``.
        promise: What is promised of it.
        partitions: How it is cut.
        upstream: Keys of the assets whose gate it heeds.
        owners: Who answers for it.
        dataset: The dataset that it is of; empty: it is an aggregate.
        layer: ``cleaned`` or ``aggregated``.
        ancestors: What it is made from, near and far.
    """

    asset: str
    promise: Freshness
    partitions: Partitions
    upstream: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    dataset: str = ""
    layer: str = ""
    ancestors: tuple[Made, ...] = field(default=(), repr=False)

    @property
    def made(self) -> Made:
        """What it is made from."""
        return Made(self.asset, self.upstream, is_cut=isinstance(self.partitions, Daily))


def evaluate(
    lake: Connection,
    promised: Sequence[Promised],
    now: datetime,
    *,
    left_alone: Mapping[str, str] | None = None,
) -> dict[str, FreshnessState]:
    """How fresh assets are, and why those are late that are.

    Args:
        lake: An open lake.
        promised: The assets.
        now: The moment (with a time zone) that is asked about.
        left_alone: Of connections whose circuit breaker is open, what is to be said of it.

    Returns:
        States by asset, in the order of the request.
    """
    if not promised:
        return {}
    ensure_platform_tables(lake)
    made = {each.asset: each for one in promised for each in (*one.ancestors, one.made)}
    lineage = Lineage(made, _ask(lake, made.values()))
    return {each.asset: _state(lineage, each, now, left_alone or {}) for each in promised}


def _state(
    lineage: Lineage, promised: Promised, now: datetime, left_alone: Mapping[str, str]
) -> FreshnessState:
    asset, fact = promised.asset, lineage.facts.get(promised.asset, Fact())
    evidence = Evidence(
        newest=fact.newest,
        filled=fact.filled,
        published_at=fact.published_at,
        newest_event=fact.newest_event,
        reach=None if isinstance(promised.partitions, Daily) else lineage.reach(asset),
    )
    state = judge(asset, promised.promise, promised.partitions, evidence, now)
    if state.level is Level.FRESH:
        return state
    moment = _missing_up_to(promised, state, now)
    if not lineage.lacks(asset, moment):
        # All that was asked for is there, and it is old.
        return _because(state, lineage.sources(asset), left_alone)
    stopped_by = lineage.stopped_by(asset, moment)
    if stopped_by:
        return replace(state, message=f"{state.message} It was stopped by {stopped_by}.")
    roots = tuple(root for root in lineage.roots(asset, moment) if root != asset)
    return _because(state, roots, left_alone)


def _missing_up_to(promised: Promised, state: FreshnessState, now: datetime) -> datetime:
    """The moment up to which data should be there."""
    promise = promised.promise
    if isinstance(promised.partitions, Daily):
        return end_of(state.expected) if state.expected is not None else now
    if promise.within is not None:
        return now - ((state.level is Level.WARN and promise.warn) or promise.within)
    return promise.a_day_before(state.deadline or promise.last_deadline(now))


def _because(
    state: FreshnessState, roots: tuple[str, ...], left_alone: Mapping[str, str]
) -> FreshnessState:
    if not roots:
        return state
    said = [f"Because of {', '.join(roots)}."]
    alone = {root: left_alone.get(root.partition("/")[2]) for root in roots}
    said += [f"{root}: {told}." for root, told in alone.items() if told]
    return replace(state, late_because=roots, message=" ".join([state.message, *said]))


def _ask(lake: Connection, made: Iterable[Made]) -> dict[str, Fact]:
    """What the ledger says of assets: a look at all of it for the newest, a closer one at those."""
    kept = [each for each in made if each.is_kept]
    wanted = pa.table({"asset": [e.asset for e in kept], "is_cut": [e.is_cut for e in kept]})
    lake.register("_freshness_wanted", wanted)
    try:
        rows = lake.execute(
            f"""
            WITH attempts AS (
                SELECT * FROM (SELECT *, snapshot_id, rowid FROM {LEDGER})
                JOIN _freshness_wanted USING (asset)
                WHERE (partition <> {quote_literal(UNPARTITIONED_KEY)}) = is_cut
            ), newest AS MATERIALIZED (
                SELECT asset,
                    max(partition) FILTER (status = 'published') AS newest,
                    max(partition) FILTER (status = 'published' AND cleaned > 0) AS filled,
                    max(newest_event) FILTER (status = 'published') AS event
                FROM attempts GROUP BY asset
            ), standing AS (
                SELECT asset, partition,
                    arg_max({{
                        'at': epoch(recorded_at), 'rows': cleaned, 'event': epoch(newest_event)
                    }}, (snapshot_id, rowid)) FILTER (status = 'published') AS published,
                    epoch(max(recorded_at) FILTER (status <> 'failed')) AS passed_at,
                    arg_max({{'status': status, 'stopped_by': stopped_by}}, (snapshot_id, rowid))
                        AS last
                FROM attempts JOIN (SELECT asset, newest FROM newest) USING (asset)
                WHERE partition >= coalesce(
                    CAST(TRY_CAST(newest AS DATE) - {_LOOKED_AT_DAYS} AS VARCHAR), newest, '')
                GROUP BY asset, partition
            )
            SELECT asset, any_value(newest),
                coalesce(max(partition) FILTER (published.rows > 0), any_value(filled)),
                arg_max(published, partition) FILTER (published IS NOT NULL),
                coalesce(max(published.event), epoch(any_value(event))),
                max(passed_at),
                list((partition, last.stopped_by) ORDER BY partition DESC)
                    FILTER (last.status = 'failed')[:{_SHOWN_FAILURES}]
            FROM standing JOIN newest USING (asset) GROUP BY asset
            """
        ).fetchall()
    finally:
        lake.unregister("_freshness_wanted")
    return {str(asset): _fact(*told) for asset, *told in rows}


def _fact(
    newest: str | None,
    filled: str | None,
    published: Mapping[str, float | None] | None,
    event: float | None,
    passed_at: float | None,
    failed: Sequence[tuple[str, str]] | None,
) -> Fact:
    # Of a publish by an earlier version, events are not known: those of others tell nothing.
    known = published is not None and (published["event"] is not None or not published["rows"])
    return Fact(
        newest=newest,
        filled=filled,
        published_at=_moment(published["at"]) if published else None,
        newest_event=_moment(event) if known else None,
        passed_at=_moment(passed_at),
        failed=dict(failed or ()),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
