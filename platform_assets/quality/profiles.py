"""The book of profiles: one row per partition and publish, committed with the rows it tells of.

Belongs here: keeping profiles and reading them back. Does not belong here: making them
(``profile``), and what is expected of the next one (``detectors``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa

from platform_assets.quality.profile import ColumnProfile, Profile
from platform_assets.sql import after_scan, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import LedgerEntry
from platform_assets.warehouse.tables import PROFILES


@dataclass(frozen=True)
class Observed:
    """What is known of one publish of a partition, as statistics see it.

    Attributes:
        partition: The partition's key.
        profile: What its rows look like.
        extracted: Rows that came in.
        quarantined: Rows that broke a blocking rule.
        deduplicated: Copies and older versions that were left out.
        broken: Rows by broken rule.
        seconds: What it took to clean them.
        load_seconds: What it took to load them.
        bytes: What they came from.
    """

    partition: str
    profile: Profile
    extracted: int = 0
    quarantined: int = 0
    deduplicated: int = 0
    broken: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    load_seconds: float = 0.0
    bytes: int = 0

    @classmethod
    def of(cls, entry: LedgerEntry, loaded: LedgerEntry, profile: Profile) -> Observed:
        """What a publish comes to.

        Args:
            entry: What the ledger says of it.
            loaded: What the ledger says of the raw rows that it was made of.
            profile: What its rows look like.
        """
        return cls(
            partition=entry.partition,
            profile=profile,
            extracted=entry.extracted,
            quarantined=entry.quarantined,
            deduplicated=entry.deduplicated,
            broken=dict(entry.broken),
            seconds=entry.seconds,
            load_seconds=loaded.seconds,
            bytes=entry.bytes,
        )


def store(connection: Connection, asset: str, run_id: str, observed: Iterable[Observed]) -> None:
    """Append profiles, in the caller's transaction.

    Args:
        connection: An open lake, inside the transaction that publishes the rows.
        asset: The asset's key, such as ``cleaned/orders``.
        run_id: The run.
        observed: One for each partition.
    """
    told = [
        (each.partition, json.dumps(each, default=vars, separators=(",", ":"))) for each in observed
    ]
    if not told:
        return
    partitions, profiles = zip(*told, strict=True)
    table = pa.table({"partition": partitions, "profile": profiles})
    connection.register("_profile_rows", table)
    try:
        connection.execute(
            f"INSERT INTO {PROFILES} BY NAME SELECT ? AS asset, ? AS run_id, *, "
            "now() AS recorded_at FROM _profile_rows",
            [asset, run_id],
        )
    finally:
        connection.unregister("_profile_rows")


def restore(connection: Connection, asset: str, partition: str, snapshot: int, run_id: str) -> None:
    """Append the profile that a partition had at a snapshot, in the caller's transaction.

    What stands after a rollback is what statistics learn from.

    Args:
        connection: An open lake, inside the transaction that restores the rows.
        asset: The asset's key.
        partition: The partition's key.
        snapshot: That of the restored publish.
        run_id: What restores it.
    """
    connection.execute(
        f"INSERT INTO {PROFILES} BY NAME "
        f"SELECT asset, ? AS run_id, partition, profile, now() AS recorded_at "
        f"FROM (SELECT *, snapshot_id, rowid FROM {PROFILES} "
        f"WHERE asset = {quote_literal(asset)} AND partition = {quote_literal(partition)}) "
        f"WHERE snapshot_id <= {snapshot} ORDER BY snapshot_id DESC, rowid DESC LIMIT 1",
        [run_id],
    )


def of_days(
    connection: Connection, asset: str, first: str, last: str, window: int
) -> dict[str, Observed]:
    """The newest profile of each day that some days are judged by, and of these days.

    Args:
        connection: An open lake.
        asset: The asset's key.
        first: The first day to be judged.
        last: The last one.
        window: Days of history before the first.
    """
    begin = date.fromisoformat(first) - timedelta(days=window)
    rows = connection.execute(
        f"""
        SELECT max_by(profile, (snapshot_id, rowid)) FROM {PROFILES}
        WHERE asset = {quote_literal(asset)}
          AND {after_scan("partition")} BETWEEN '{begin}' AND {quote_literal(last)}
        GROUP BY partition ORDER BY partition
        """
    ).fetchall()
    found = [_read(text) for (text,) in rows]
    return {each.partition: each for each in found}


def of_publishes(connection: Connection, asset: str, partition: str, window: int) -> list[Observed]:
    """The last profiles of one partition, oldest first.

    Args:
        connection: An open lake.
        asset: The asset's key.
        partition: The partition's key.
        window: How many.
    """
    rows = connection.execute(
        f"SELECT profile FROM (SELECT profile, snapshot_id, rowid FROM {PROFILES} "
        f"WHERE asset = {quote_literal(asset)} AND partition = {quote_literal(partition)}) "
        f"ORDER BY snapshot_id DESC, rowid DESC LIMIT {window}"
    ).fetchall()
    return [_read(text) for (text,) in reversed(rows)]


def of_run(connection: Connection, asset: str, run_id: str) -> dict[str, Observed]:
    """The profiles that a run has made, by partition.

    Args:
        connection: An open lake.
        asset: The asset's key.
        run_id: The run.
    """
    rows = connection.execute(
        f"SELECT profile FROM (SELECT profile, run_id, snapshot_id, rowid FROM {PROFILES} "
        f"WHERE asset = {quote_literal(asset)} AND {after_scan('run_id')} = "
        f"{quote_literal(run_id)}) ORDER BY snapshot_id, rowid"
    ).fetchall()
    return {each.partition: each for each in (_read(text) for (text,) in rows)}


def newest(connection: Connection, asset: str, partition: str | None = None) -> Observed | None:
    """The profile that a partition stands at; of the newest partition, where none is named.

    Args:
        connection: An open lake.
        asset: The asset's key.
        partition: The partition's key.
    """
    own = "" if partition is None else f" AND partition = {quote_literal(partition)}"
    row = connection.execute(
        f"SELECT profile FROM (SELECT profile, partition, snapshot_id, rowid FROM {PROFILES} "
        f"WHERE asset = {quote_literal(asset)}{own}) "
        "ORDER BY partition DESC, snapshot_id DESC, rowid DESC LIMIT 1"
    ).fetchone()
    return None if row is None else _read(row[0])


def _read(text: str) -> Observed:
    told = json.loads(text)
    profile = told.pop("profile")
    columns = {name: _column(each) for name, each in profile.pop("columns").items()}
    return Observed(profile=Profile(columns=columns, **profile), **told)


def _column(told: dict[str, object]) -> ColumnProfile:
    quantiles = told.pop("quantiles")
    assert isinstance(quantiles, Sequence)  # as it was stored
    return ColumnProfile(quantiles=tuple(quantiles), **told)  # type: ignore[arg-type] # as stored
