"""What the ledger comes to by asset, kept up to date from what was appended to it.

Belongs here: adding up. Does not belong here: which metrics follow (``ledger``, ``quality``).

A ledger of years is not read again at each scrape: it is only ever appended to, so what came since
the last look is added to what is known. Where each partition stands is kept in a temporary table
of the reader's engine; the sums that only grow are kept here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from platform_assets.sql import quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import UPSTREAM, Status
from platform_assets.warehouse.reader import View
from platform_assets.warehouse.tables import LEDGER, was_filled

_OUTCOMES = ("extracted", "cleaned", "quarantined", "deduplicated")
_PUBLISHED = f"status = {quote_literal(Status.PUBLISHED)}"
# What a partition's newest publish says; the rest of a row is what its newest attempt says.
_OF_PUBLISH = (*_OUTCOMES, "bytes", "seconds", "broken", "recorded_at", "newest_event")


@dataclass(frozen=True, slots=True)
class Rows:
    """What became of rows; they add up."""

    extracted: int = 0
    cleaned: int = 0
    quarantined: int = 0
    deduplicated: int = 0

    def __add__(self, other: Rows) -> Rows:
        """Both together."""
        return Rows(
            self.extracted + other.extracted,
            self.cleaned + other.cleaned,
            self.quarantined + other.quarantined,
            self.deduplicated + other.deduplicated,
        )

    def by_outcome(self) -> dict[str, int]:
        """Rows by what became of them."""
        return {
            "extracted": self.extracted,
            "cleaned": self.cleaned,
            "quarantined": self.quarantined,
            "deduplicated": self.deduplicated,
        }


@dataclass
class Totals:
    """All attempts at an asset's partitions, since its first.

    Attributes:
        attempts: By status.
        rows: Of publishes.
        bytes: That were read, by publishes and by attempts that failed.
        seconds: That these took.
        last_failure: When the newest failure was recorded; None: none ever.
    """

    attempts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    rows: Rows = Rows()
    bytes: int = 0
    seconds: float = 0.0
    last_failure: datetime | None = None

    @property
    def version(self) -> int:
        """Changes with every attempt."""
        return sum(self.attempts.values())


@dataclass(frozen=True)
class Standing:
    """What the partitions of an asset stand at.

    Attributes:
        published: Partitions that are published.
        failed: Partitions whose newest attempt was stopped by something of their own.
        refused: Partitions whose newest attempt was refused for what is upstream.
        rows: Of the publishes that stand.
        last_publish: When the newest publish was recorded; None: there is none.
        newest: The newest partition that is published.
        newest_publish: When that was published last.
        newest_seconds: What that took.
        newest_rows: What became of its rows.
        newest_broken: Its rows by broken rule.
        newest_event: The newest event time of all published rows (UTC); None: not known.
    """

    published: int
    failed: int
    refused: int
    rows: Rows
    last_publish: datetime | None
    newest: str | None
    newest_publish: datetime | None
    newest_seconds: float
    newest_rows: Rows
    newest_broken: Mapping[str, int]
    newest_event: datetime | None


class LedgerBook:
    """The ledger's figures; of one reader."""

    def __init__(self) -> None:
        self.totals: dict[str, Totals] = {}
        self.standing: dict[str, Standing] = {}
        self._opening = 0
        self._snapshot = -1

    def catch_up(self, view: View) -> None:
        """Bring the figures to a state of the lake.

        Args:
            view: The state.
        """
        if view.opening != self._opening or view.snapshot < self._snapshot:
            self._begin(view)
        if view.snapshot == self._snapshot:
            return
        if was_filled(view.connection, "ledger"):
            self._add(view)
        self._snapshot = view.snapshot

    def _begin(self, view: View) -> None:
        """Forget everything: it is another lake, or another engine."""
        self.totals, self.standing = {}, {}
        self._opening, self._snapshot = view.opening, -1
        view.connection.execute(
            """
            CREATE OR REPLACE TEMP TABLE _metrics_partitions (
                asset VARCHAR, partition VARCHAR, status VARCHAR, refused BOOLEAN,
                extracted BIGINT, cleaned BIGINT, quarantined BIGINT, deduplicated BIGINT,
                bytes BIGINT, seconds DOUBLE, broken VARCHAR, recorded_at TIMESTAMPTZ,
                newest_event TIMESTAMP,
                PRIMARY KEY (asset, partition)
            )
            """
        )

    def _add(self, view: View) -> None:
        """Add what came since the last look."""
        execute = view.connection.execute
        found = execute(
            f"""
            CREATE OR REPLACE TEMP TABLE _metrics_new AS
            SELECT asset, partition, status, stopped_by = {quote_literal(UPSTREAM)} AS refused,
                   {", ".join(_OF_PUBLISH)},
                   struct_pack(snapshot := snapshot_id, number := rowid) AS place
            FROM {_with_events(view.connection)}
            WHERE snapshot_id > {self._snapshot} AND snapshot_id <= {view.snapshot}
            """
        ).fetchone()
        if found == (0,):
            return
        self._add_totals(view)
        told = ", ".join(f"{name} := {name}" for name in _OF_PUBLISH)
        kept = [f"{name} = coalesce(excluded.{name}, {name})" for name in _OF_PUBLISH]
        # One look for the newest row and one for the newest publish, each for all its columns.
        execute(
            f"""
            INSERT INTO _metrics_partitions
            SELECT asset, partition, newest.status, newest.refused,
                   {", ".join(f"publish.{name}" for name in _OF_PUBLISH)}
            FROM (
                SELECT asset, partition,
                       arg_max(struct_pack(status := status, refused := refused), place) AS newest,
                       arg_max(struct_pack({told}), place) FILTER ({_PUBLISHED}) AS publish
                FROM _metrics_new GROUP BY 1, 2
            )
            ON CONFLICT DO UPDATE SET status = excluded.status, refused = excluded.refused,
                {", ".join(kept)}
            """
        )
        self.standing |= _standing(view)
        execute("DROP TABLE _metrics_new")

    def _add_totals(self, view: View) -> None:
        # An attempt that left everything as it was repeats the figures of the publish.
        did = f"status <> {quote_literal(Status.UNCHANGED)}"
        rows = ", ".join(f"coalesce(sum({name}) FILTER ({_PUBLISHED}), 0)" for name in _OUTCOMES)
        for asset, status, attempts, size, seconds, last, *outcomes in view.connection.execute(
            f"""
            SELECT asset, status, count(*), coalesce(sum(bytes) FILTER ({did}), 0),
                   coalesce(sum(seconds) FILTER ({did}), 0), max(recorded_at), {rows}
            FROM _metrics_new GROUP BY 1, 2
            """
        ).fetchall():
            told = self.totals.setdefault(asset, Totals())
            told.attempts[status] = told.attempts.get(status, 0) + attempts
            told.bytes += int(size)
            told.seconds += float(seconds)
            told.rows += Rows(*map(int, outcomes))
            if status == Status.FAILED:
                told.last_failure = max(last, told.last_failure or last)


def _with_events(connection: Connection) -> str:
    """The ledger; one of an earlier version, which nobody has written to since, has no events."""
    columns = connection.execute(f"SELECT column_name FROM (DESCRIBE {LEDGER})").fetchall()
    if ("newest_event",) in columns:
        return LEDGER
    return f"(SELECT *, snapshot_id, rowid, NULL::TIMESTAMP AS newest_event FROM {LEDGER})"


def _standing(view: View) -> dict[str, Standing]:
    """Where the assets stand that something new came of."""
    # A partition that was never published has no time of a publish: it is no newest one.
    published = "FILTER (recorded_at IS NOT NULL)"
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in _OUTCOMES)
    told = ", ".join(
        f"{name} := {name}" for name in ("recorded_at", "seconds", "broken", *_OUTCOMES)
    )
    found = {}
    for (
        asset,
        published_count,
        failed,
        refused,
        last,
        event,
        newest,
        publish,
        *counts,
    ) in view.connection.execute(
        f"""
            SELECT asset, count(recorded_at),
                   count(*) FILTER (status = {quote_literal(Status.FAILED)} AND NOT refused),
                   count(*) FILTER (status = {quote_literal(Status.FAILED)} AND refused),
                   max(recorded_at), max(newest_event), max(partition) {published},
                   arg_max(struct_pack({told}), partition) {published}, {sums}
            FROM _metrics_partitions WHERE asset IN (SELECT asset FROM _metrics_new) GROUP BY 1
            """
    ).fetchall():
        there = publish or {}
        found[str(asset)] = Standing(
            published=published_count,
            failed=failed,
            refused=refused,
            rows=Rows(*map(int, counts)),
            last_publish=last,
            newest=newest,
            newest_publish=there.get("recorded_at"),
            newest_seconds=there.get("seconds", 0.0),
            newest_rows=Rows(*(int(there.get(name, 0)) for name in _OUTCOMES)),
            newest_broken=json.loads(there.get("broken", "{}")),
            newest_event=event.replace(tzinfo=UTC) if event is not None else None,
        )
    return found
