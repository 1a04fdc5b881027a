"""The gate of a partition: whether what another step or run published may be built upon.

Belongs here: what the ledger says of a partition's gate, and the refusal that a consumer gets. Does
not belong here: the audit that a partition passes before it is published (``publish``, and who
calls it), and which upstreams a step has.

The gate of a partition is what its newest attempt came to: published or unchanged, it is open;
failed or never tried, it is closed. Of a partition that was published before and failed since, the
rows still stand, and a person may read them; what is built from them would present old data as new.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from platform_assets.errors import PartitionError
from platform_assets.sql import after_scan, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import UPSTREAM
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.tables import LEDGER, ensure_platform_tables

OnFailedUpstream = Literal["refuse", "use_last_good"]
"""What a consumer does about a partition whose gate is closed while earlier rows of it stand."""
SHOWN = 20
_FOUND = re.compile(r"^  found: (.*)$", re.MULTILINE)
_STOPPED = re.compile(r"([^\s;(]+) ([^\s;]+) is stopped by (\S+) since ")


class GateClosedError(PartitionError):
    """What is to be built on is not there, or did not pass its audit when it was last tried."""


@dataclass(frozen=True)
class ClosedGate:
    """A partition that must not be built upon.

    Attributes:
        asset: The asset's key, such as ``cleaned/orders``.
        partition: The partition's key.
        stands: Whether rows of an earlier publish stand.
        stopped_by: The rule, test or step that stopped it; ``upstream`` where its own upstream
            did; empty where it was never tried.
        since: The first failure after it last passed (UTC); None where it was never tried.
        message: What the ledger says of its last attempt.
    """

    asset: str
    partition: str
    stands: bool = False
    stopped_by: str = ""
    since: datetime | None = None
    message: str = ""

    def told(self) -> str:
        """In one sentence: what stopped it, and since when."""
        if self.since is None:
            return f"{self.asset} {self.partition} was never published"
        standing = "; rows of an earlier publish stand" if self.stands else ""
        text = (
            f"{self.asset} {self.partition} is stopped by {self.stopped_by} "
            f"since {self.since:%Y-%m-%d %H:%M} UTC{standing}"
        )
        origin = _FOUND.search(self.message) if self.stopped_by == UPSTREAM else None
        return f"{text} ({origin[1]})" if origin else text


def closed(connection: Connection, asset: str, partitions: Sequence[str]) -> dict[str, ClosedGate]:
    """The partitions whose gate is closed.

    Args:
        connection: An open lake.
        asset: The asset that is to be built upon, such as ``cleaned/orders``.
        partitions: The partitions of it that are.

    Returns:
        Closed gates by partition, in the order of the request; an open one is absent.
    """
    tried = _tried(connection, asset, partitions)
    found = {}
    for key in partitions:
        gate = tried.get(key, ClosedGate(asset, key))
        if gate is not None:
            found[key] = gate
    return found


def whole_table(connection: Connection, asset: str) -> dict[str, ClosedGate]:
    """The partitions for which who reads a whole table is refused.

    It asks for no partition in particular. One that never passed is a gap, and not among what it
    reads; one that failed since it passed is there as it was.

    Args:
        connection: An open lake.
        asset: The asset whose table is read as a whole.

    Returns:
        Closed gates by partition; one without a name where nothing was ever published.
    """
    tried = _tried(connection, asset, None)
    if not any(gate is None or gate.stands for gate in tried.values()):
        return {"": ClosedGate(asset, "(whole table)")}
    return {key: gate for key, gate in tried.items() if gate is not None and gate.stands}


def origin(message: str) -> tuple[str, str] | None:
    """The asset and partition that a refusal is for in the end, however many steps away.

    Args:
        message: What the ledger says of the refused partition.

    Returns:
        None where nothing was tried that could have failed.
    """
    found = _FOUND.search(message)
    stopped = _STOPPED.findall(found[1]) if found else []
    # Of a chain of refusals, the innermost was stopped by something of its own.
    return next(((asset, key) for asset, key, by in stopped if by != UPSTREAM), None)


def require_open(
    connection: Connection, asset: str, partitions: Sequence[str] | None = None
) -> None:
    """Refuse to build on partitions whose gate is closed: for assets of your own.

    Args:
        connection: An open lake.
        asset: The asset that is to be built upon, such as ``aggregated/daily_sales``.
        partitions: Those that are; None: its whole table is read.

    Raises:
        GateClosedError: One is closed, or nothing was ever published. It names each, what stopped
            it, since when, and what to do.
    """
    ensure_platform_tables(connection)
    shut = (
        closed(connection, asset, partitions)
        if partitions is not None
        else whole_table(connection, asset)
    )
    if shut:
        raise refusal(list(shut.values()))


def refusal(
    shut: Sequence[ClosedGate], *, consumer: str = "", allows: bool = True
) -> GateClosedError:
    """The error that a consumer is refused with.

    Args:
        shut: The closed gates, at least one.
        consumer: Asset and partition that are refused, where they are known.
        allows: Whether the consumer could be declared to make do with the rows that stand.
    """
    asset = shut[0].asset
    shown = "; ".join(gate.told() for gate in shut[:SHOWN])
    rest = len(shut) - SHOWN
    keys = ", ".join(gate.partition for gate in shut[:SHOWN])
    declare = (
        '; or, where rows of an earlier publish will do, declare on_failed_upstream="use_last_good"'
        if allows and all(gate.stands for gate in shut)
        else ""
    )
    return GateClosedError(
        "What this is made from did not pass its gate",
        where=consumer or f"{asset}, partition {keys}",
        expected=f"partitions of {asset} that passed when they were last tried",
        found=shown + (f"; and {rest} more" if rest > 0 else ""),
        fix=f"see why: platform-assets summary; materialize {asset} for "
        f"{'these partitions' if len(shut) > 1 else shut[0].partition} until it passes, "
        f"then run this again{declare}",
    )


def refused_by(
    gates: Mapping[str, ClosedGate], on_failed_upstream: OnFailedUpstream
) -> dict[str, ClosedGate]:
    """Of closed gates those that a consumer must heed.

    Args:
        gates: Closed gates by partition.
        on_failed_upstream: ``use_last_good`` makes do with rows that stand; where there are none,
            there is nothing to make do with.
    """
    if on_failed_upstream == "refuse":
        return dict(gates)
    return {key: gate for key, gate in gates.items() if not gate.stands}


def _tried(
    connection: Connection, asset: str, partitions: Collection[str] | None
) -> dict[str, ClosedGate | None]:
    """Each partition that was ever tried: None where its gate is open."""
    where = f"asset = {quote_literal(asset)}"
    if partitions is not None:
        where = (
            f"{after_scan('asset')} = {quote_literal(asset)} "
            f"AND {in_partitions(list(partitions), 'partition')}"
        )
    rows = connection.execute(
        f"""
        WITH attempts AS (
            SELECT partition, stopped_by, message, recorded_at, (snapshot_id, rowid) AS nth,
                max((snapshot_id, rowid)) FILTER (status <> 'failed') OVER (PARTITION BY partition)
                    AS passed
            FROM {LEDGER} WHERE {where}
        ), since AS (SELECT *, passed IS NULL OR nth > passed AS is_failed FROM attempts)
        SELECT partition, any_value(passed) IS NOT NULL,
            max_by(stopped_by, nth) FILTER (is_failed), max_by(message, nth) FILTER (is_failed),
            epoch(min_by(recorded_at, nth) FILTER (is_failed))
        FROM since GROUP BY partition
        """
    ).fetchall()
    return {
        str(key): None
        if since is None
        else ClosedGate(
            asset, str(key), bool(stands), stopped_by, datetime.fromtimestamp(since, UTC), message
        )
        for key, stands, stopped_by, message, since in rows
    }
