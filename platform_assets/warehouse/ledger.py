"""The ledger: one row per asset, partition and attempt, committed with what it tells of.

Belongs here: writing ledger rows and asking what they say. Does not belong here: deciding what to
do about it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from platform_assets.sql import after_scan, literal_list, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.tables import LEDGER
from platform_assets.warehouse.tally import RowChanges

UPSTREAM = "upstream"
"""``stopped_by`` of a refusal: what it is made from did not pass (``gate``), nothing was tried."""


class Status(StrEnum):
    """What became of a partition in one attempt."""

    PUBLISHED = "published"
    """Its rows were audited and replaced what was there."""
    UNCHANGED = "unchanged"
    """Its input and contract are those of the last publish: nothing was done."""
    FAILED = "failed"
    """It was stopped; what was published before is still there."""


@dataclass(frozen=True)
class LedgerEntry:
    """One attempt at one partition of one asset.

    Attributes:
        asset: The asset's key, such as ``cleaned/orders``.
        partition: The partition's key.
        run_id: The run that made the attempt.
        status: What became of it.
        extracted: Rows that came in.
        cleaned: Rows that were published.
        quarantined: Rows that broke a blocking rule.
        deduplicated: Older versions and copies of a key that were left out.
        bytes: Size of the source.
        seconds: The partition's share of the batch's time, by rows.
        code_version: Version of the platform.
        contract_version: Version of the contract.
        input_fingerprint: Changes when the input may have changed.
        broken: Rows by broken rule.
        stopped_by: The rule or step that stopped it, where it failed.
        message: The error's text, where it failed; never a row's value.
        rows_added: Of the published rows, those whose key was not there before; None: not known,
            as of a publish by an earlier version.
        rows_removed: Rows that were there before and whose key is there no longer.
        rows_changed: Rows whose key was there before, with other content.
        newest_event: The newest event time of its rows (UTC) that was not after the publish; None:
            it has no rows, or they have no event time.
        snapshot: The lake's snapshot that it was committed in; known only once read back.
    """

    asset: str
    partition: str
    run_id: str
    status: Status
    extracted: int = 0
    cleaned: int = 0
    quarantined: int = 0
    deduplicated: int = 0
    bytes: int = 0
    seconds: float = 0.0
    code_version: str = ""
    contract_version: str = ""
    input_fingerprint: str = ""
    broken: Mapping[str, int] = field(default_factory=dict)
    stopped_by: str = ""
    message: str = ""
    rows_added: int | None = None
    rows_removed: int | None = None
    rows_changed: int | None = None
    newest_event: datetime | None = None
    snapshot: int | None = None


_STORED = (
    "asset", "partition", "run_id", "status", "extracted", "cleaned", "quarantined",
    "deduplicated", "bytes", "seconds", "code_version", "contract_version",
    "input_fingerprint", "broken", "stopped_by", "message",
    "rows_added", "rows_removed", "rows_changed", "newest_event",
)  # fmt: skip
# A column of nothing but NULL has no type of its own.
_TYPES = {
    **dict.fromkeys(("rows_added", "rows_removed", "rows_changed"), pa.int64()),
    "newest_event": pa.timestamp("us"),
}


def unchanged(entry: LedgerEntry, run_id: str) -> LedgerEntry:
    """The entry of an attempt that left a publish as it is.

    Args:
        entry: The publish.
        run_id: The run that made the attempt.
    """
    return tallied(replace(entry, run_id=run_id, status=Status.UNCHANGED), RowChanges())


def tallied(entry: LedgerEntry, changes: RowChanges) -> LedgerEntry:
    """An entry that tells what its publish did to the rows that were there.

    Args:
        entry: The publish.
        changes: What was counted in its transaction.
    """
    return replace(
        entry,
        rows_added=changes.added,
        rows_removed=changes.removed,
        rows_changed=changes.changed,
    )


def record(connection: Connection, entries: Sequence[LedgerEntry]) -> None:
    """Append entries, in the caller's transaction.

    Args:
        connection: An open lake, inside a transaction that also holds the rows told of.
        entries: What to append.
    """
    if not entries:
        return
    table = pa.table(
        {
            name: pa.array(
                [_as_stored(getattr(entry, name)) for entry in entries],
                type=_TYPES.get(name),
            )
            for name in _STORED
        }
    )
    connection.register("_ledger_rows", table)
    try:
        connection.execute(
            f"INSERT INTO {LEDGER} BY NAME SELECT *, now() AS recorded_at FROM _ledger_rows"
        )
    finally:
        connection.unregister("_ledger_rows")


def _as_stored(value: object) -> object:
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _fetch(connection: Connection, where: str, statuses: Sequence[Status]) -> list[LedgerEntry]:
    """The newest entry of each partition of each asset; in half the time of a window."""
    rows = connection.execute(
        f"""
        SELECT max_by(({", ".join(_STORED)}, snapshot_id), (snapshot_id, rowid)) FROM {LEDGER}
        WHERE ({where}) AND {after_scan("status")} IN {literal_list(statuses)}
        GROUP BY asset, partition ORDER BY asset, partition
        """
    ).fetchall()
    return _entries([row for (row,) in rows])


def _fetch_all(connection: Connection, where: str) -> list[LedgerEntry]:
    """Every publish, oldest first."""
    rows = connection.execute(
        f"SELECT {', '.join(_STORED)}, snapshot_id FROM {LEDGER} "
        f"WHERE {where} AND {after_scan('status')} = 'published' ORDER BY snapshot_id, rowid"
    ).fetchall()
    return _entries(rows)


def _entries(rows: Sequence[tuple[Any, ...]]) -> list[LedgerEntry]:
    entries = []
    for row in rows:
        values = dict(zip((*_STORED, "snapshot"), row, strict=True))
        values["status"] = Status(values["status"])
        values["broken"] = json.loads(values["broken"])
        if values["newest_event"] is not None:
            values["newest_event"] = values["newest_event"].replace(tzinfo=UTC)
        entries.append(LedgerEntry(**values))
    return entries


def _of(assets: Sequence[str], partitions: Sequence[str]) -> str:
    return f"{after_scan('asset')} IN {literal_list(assets)} AND " + in_partitions(
        partitions, "partition"
    )


def latest(
    connection: Connection,
    asset: str,
    partitions: Sequence[str] | None = None,
    statuses: Sequence[Status] = tuple(Status),
) -> dict[str, LedgerEntry]:
    """The newest entry of each partition of an asset.

    Args:
        connection: An open lake.
        asset: The asset's key.
        partitions: Only these; None: all.
        statuses: Only entries of these statuses.

    Returns:
        Entries by partition; a partition without one is absent.
    """
    where = f"asset = {quote_literal(asset)}"
    if partitions is not None:
        where = _of([asset], partitions)
    return {entry.partition: entry for entry in _fetch(connection, where, statuses)}


def publishes(connection: Connection, asset: str, partition: str) -> list[LedgerEntry]:
    """Every publish of a partition, oldest first.

    Args:
        connection: An open lake.
        asset: The asset's key.
        partition: The partition's key.
    """
    return _fetch_all(connection, _of([asset], [partition]))


def all_publishes(connection: Connection, asset: str) -> list[LedgerEntry]:
    """Every publish of every partition of an asset, oldest first.

    Args:
        connection: An open lake.
        asset: The asset's key.
    """
    return _fetch_all(connection, f"asset = {quote_literal(asset)}")


def published(
    connection: Connection, asset: str, partitions: Sequence[str] | None = None
) -> dict[str, LedgerEntry]:
    """The publish that each partition of an asset stands at."""
    return latest(connection, asset, partitions, (Status.PUBLISHED,))


def judged(
    connection: Connection, asset: str, partitions: Sequence[str] | None = None
) -> dict[str, LedgerEntry]:
    """The newest attempt of each partition that was judged: published, or failed by a verdict.

    A refusal for what is upstream is none: nothing was looked at, and what stood still stands.
    """
    where = f"asset = {quote_literal(asset)}" if partitions is None else _of([asset], partitions)
    return {entry.partition: entry for entry in _fetch_judged(connection, where)}


def judged_of(
    connection: Connection, assets: Sequence[str], partitions: Sequence[str]
) -> dict[str, dict[str, LedgerEntry]]:
    """As ``judged``, of partitions of several assets, by one question.

    Args:
        connection: An open lake.
        assets: The assets' keys.
        partitions: The partitions' keys.

    Returns:
        Entries by partition, by asset.
    """
    return _by_asset(assets, _fetch_judged(connection, _of(assets, partitions)))


def _fetch_judged(connection: Connection, where: str) -> list[LedgerEntry]:
    return _fetch(
        connection,
        f"{where} AND {after_scan('stopped_by')} <> {quote_literal(UPSTREAM)}",
        (Status.PUBLISHED, Status.FAILED),
    )


def _by_asset(
    assets: Sequence[str], entries: Sequence[LedgerEntry]
) -> dict[str, dict[str, LedgerEntry]]:
    found: dict[str, dict[str, LedgerEntry]] = {asset: {} for asset in assets}
    for entry in entries:
        found[entry.asset][entry.partition] = entry
    return found


def standing_of(
    connection: Connection, assets: Sequence[str], partitions: Sequence[str]
) -> dict[str, dict[str, LedgerEntry]]:
    """The publishes that partitions of several assets stand at, by one question.

    Args:
        connection: An open lake.
        assets: The assets' keys.
        partitions: The partitions' keys.

    Returns:
        Entries by partition, by asset.
    """
    entries = _fetch(connection, _of(assets, partitions), (Status.PUBLISHED,))
    return _by_asset(assets, entries)


def told_in(connection: Connection, run_id: str, asset: str) -> dict[str, LedgerEntry]:
    """What became of an asset's partitions in a run, by partition."""
    where = f"asset = {quote_literal(asset)} AND {after_scan('run_id')} = {quote_literal(run_id)}"
    return {e.partition: e for e in _fetch(connection, where, tuple(Status))}


def failed_in(connection: Connection, run_id: str, asset: str) -> dict[str, LedgerEntry]:
    """What a run has left unpublished of an asset, by partition."""
    told = told_in(connection, run_id, asset)
    return {key: entry for key, entry in told.items() if entry.status is Status.FAILED}


def assets(connection: Connection, layer: str) -> list[str]:
    """The assets of a layer that the ledger tells of, in order."""
    rows = connection.execute(
        f"SELECT DISTINCT asset FROM {LEDGER} WHERE starts_with(asset, ?) ORDER BY 1", [f"{layer}/"]
    ).fetchall()
    return [str(asset) for (asset,) in rows]


def last_snapshot(connection: Connection, asset: str) -> int:
    """The snapshot of an asset's newest publish; -1 where there is none."""
    row = connection.execute(
        f"SELECT max(snapshot_id) FROM {LEDGER} WHERE asset = ? "
        f"AND {after_scan('status')} = 'published'",
        [asset],
    ).fetchone()
    return -1 if row is None or row[0] is None else int(row[0])
