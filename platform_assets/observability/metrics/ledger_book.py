"""What the ledger comes to by asset, kept up to date from what was appended to it.

Belongs here: adding up. Does not belong here: which metrics follow (``ledger``, ``quality``).

A ledger of years is not read again at each scrape: it is only ever appended to, so what came since
the last look is added to what is known. Where each partition stands is kept in a temporary table
of the reader's engine; what assets come to is kept here, and moves by what their partitions moved.
So a look hardly takes longer after years: old partitions are only searched for those that moved.

Moments are seconds since 1970 (UTC), as metrics have them; the engine takes long to make datetimes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import UPSTREAM, Status
from platform_assets.warehouse.reader import View
from platform_assets.warehouse.tables import LEDGER, was_filled

_OUTCOMES = ("extracted", "cleaned", "quarantined", "deduplicated")
_PUBLISHED = f"status = {quote_literal(Status.PUBLISHED)}"
# What a partition's newest publish says.
_OF_PUBLISH = {
    **dict.fromkeys(_OUTCOMES, "BIGINT"),
    "seconds": "DOUBLE", "broken": "VARCHAR", "recorded_at": "DOUBLE", "newest_event": "DOUBLE",
}  # fmt: skip
# By asset: whether a moment fell, and what ``Standing.moved`` takes.
_MORE = ", ".join(
    f"coalesce(sum(publish.{name}), 0) - coalesce(sum(was.publish.{name}), 0)" for name in _OUTCOMES
)
_MOVES = f"""
    SELECT asset,
        coalesce(bool_or(was.publish.recorded_at > publish.recorded_at
            OR was.publish.newest_event > coalesce(publish.newest_event, '-infinity')), false),
        count(publish) - count(was.publish),
        count(*) FILTER (failed) - count(*) FILTER (was.failed),
        count(*) FILTER (refused) - count(*) FILTER (was.refused),
        max(publish.recorded_at), max(publish.newest_event),
        max(partition) FILTER (publish IS NOT NULL),
        arg_max(publish, partition) FILTER (publish IS NOT NULL),
        {_MORE}
    FROM _metrics_moved GROUP BY 1
"""


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
    last_failure: float | None = None

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
        newest_event: The newest event time of all published rows; None: not known.
    """

    published: int = 0
    failed: int = 0
    refused: int = 0
    rows: Rows = Rows()
    last_publish: float | None = None
    newest: str | None = None
    newest_publish: float | None = None
    newest_seconds: float = 0.0
    newest_rows: Rows = Rows()
    newest_broken: Mapping[str, int] = field(default_factory=dict)
    newest_event: float | None = None

    def moved(
        self,
        published: int,
        failed: int,
        refused: int,
        last_publish: float | None,
        newest_event: float | None,
        newest: str | None,
        publish: Mapping[str, Any] | None,
        *rows: int,
    ) -> Standing:
        """Where it stands when some of its partitions have moved.

        Args:
            published: How many more of them are published.
            failed: How many more have failed.
            refused: How many more were refused.
            last_publish: When the newest publish of them was recorded.
            newest_event: The newest event time of them.
            newest: The newest of them that is published.
            publish: Its publish.
            *rows: How many more rows there are of each outcome.
        """
        told = replace(
            self,
            published=self.published + published,
            failed=self.failed + failed,
            refused=self.refused + refused,
            rows=self.rows + Rows(*map(int, rows)),
            last_publish=_later(self.last_publish, last_publish),
            newest_event=_later(self.newest_event, newest_event),
        )
        if newest is None or publish is None or newest < (self.newest or newest):
            return told
        return replace(
            told,
            newest=newest,
            newest_publish=publish["recorded_at"],
            newest_seconds=publish["seconds"],
            newest_rows=Rows(*(int(publish[name]) for name in _OUTCOMES)),
            newest_broken=json.loads(publish["broken"]),
        )


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
        publish = ", ".join(f"{name} {sql_type}" for name, sql_type in _OF_PUBLISH.items())
        view.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE _metrics_partitions (
                asset VARCHAR, partition VARCHAR, failed BOOLEAN, refused BOOLEAN,
                publish STRUCT({publish}), PRIMARY KEY (asset, partition)
            )
            """
        )

    def _add(self, view: View) -> None:
        """Add what came since the last look."""
        found = view.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE _metrics_new AS
            SELECT asset, partition, status, stopped_by = {quote_literal(UPSTREAM)} AS refused,
                   {", ".join(_OUTCOMES)}, bytes, seconds, CAST(broken AS VARCHAR) AS broken,
                   epoch(recorded_at) AS recorded_at, epoch(newest_event) AS newest_event,
                   struct_pack(snapshot := snapshot_id, number := rowid) AS place
            FROM {_with_events(view.connection)}
            WHERE snapshot_id > {self._snapshot} AND snapshot_id <= {view.snapshot}
            """
        ).fetchone()
        if found == (0,):
            return
        self._add_totals(view.connection)
        _move_partitions(view.connection)
        self._add_standing(view.connection)
        view.connection.execute("DROP TABLE _metrics_new; DROP TABLE _metrics_moved")

    def _add_totals(self, connection: Connection) -> None:
        # An attempt that left everything as it was repeats the figures of the publish.
        did = f"status <> {quote_literal(Status.UNCHANGED)}"
        rows = ", ".join(f"coalesce(sum({name}) FILTER ({_PUBLISHED}), 0)" for name in _OUTCOMES)
        for asset, status, attempts, size, seconds, last, *outcomes in connection.execute(
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
                told.last_failure = _later(told.last_failure, last)

    def _add_standing(self, connection: Connection) -> None:
        taken_back = []
        for asset, fell, *moved in connection.execute(_MOVES).fetchall():
            self.standing[asset] = self.standing.get(asset, Standing()).moved(*moved)
            if fell:
                taken_back.append(asset)
        if not taken_back:
            return
        # The latest moment was that of a publish that stands no more: it is looked up.
        for asset, last, event in connection.execute(
            "SELECT asset, max(publish.recorded_at), max(publish.newest_event) "
            f"FROM _metrics_partitions WHERE asset IN {literal_list(taken_back)} GROUP BY 1"
        ).fetchall():
            told = self.standing[asset]
            self.standing[asset] = replace(told, last_publish=last, newest_event=event)


def _move_partitions(connection: Connection) -> None:
    """Bring each partition to where it stands; what moved, and from where, is kept beside."""
    told = ", ".join(f"{name} := {name}" for name in _OF_PUBLISH)
    failed = f"status = {quote_literal(Status.FAILED)}"
    # One look for the newest attempt and one for the newest publish, each for all its columns.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE _metrics_moved AS
        SELECT asset, partition, newest.failed, newest.refused,
               coalesce(newest_publish, was.publish) AS publish,
               struct_pack(failed := was.failed, refused := was.refused, publish := was.publish)
                   AS was
        FROM (
            SELECT asset, partition,
                   arg_max(struct_pack(failed := {failed} AND NOT refused,
                                       refused := {failed} AND refused), place) AS newest,
                   arg_max(struct_pack({told}), place) FILTER ({_PUBLISHED}) AS newest_publish
            FROM _metrics_new GROUP BY 1, 2
        )
        LEFT JOIN _metrics_partitions AS was USING (asset, partition)
        """
    )
    connection.execute(
        "INSERT OR REPLACE INTO _metrics_partitions "
        "SELECT asset, partition, failed, refused, publish FROM _metrics_moved"
    )


def _later(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _with_events(connection: Connection) -> str:
    """The ledger; one of an earlier version, which nobody has written to since, has no events."""
    columns = connection.execute(f"SELECT column_name FROM (DESCRIBE {LEDGER})").fetchall()
    if ("newest_event",) in columns:
        return LEDGER
    return f"(SELECT *, snapshot_id, rowid, NULL::TIMESTAMP AS newest_event FROM {LEDGER})"
