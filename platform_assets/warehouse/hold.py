"""Holds: a partition that was rolled back stays so until its input is another one.

Belongs here: how the ledger says that a publish is a rollback, and what that asks of the next run.
Does not belong here: rolling back (``pipeline.rollback``).

The entry of a rollback is a publish whose fingerprint begins with ``held``: it names the snapshot
that was restored, the input of the publish that was rolled away from, and that of the restored one,
which comes last: ``held|<snapshot>|<input refused>|<input restored>``. A run that meets the
refused input leaves the partition as it is. Another input, another contract or ``force`` publish.
"""

from __future__ import annotations

from collections.abc import Mapping

from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import LedgerEntry, Status

_HELD = "held"
_SEPARATOR = "|"


def is_held(entry: LedgerEntry) -> bool:
    """Whether a publish is a rollback, or an attempt found that it still stands."""
    return entry.input_fingerprint.startswith(f"{_HELD}{_SEPARATOR}")


def holds(entry: LedgerEntry | None, fingerprint: str) -> bool:
    """Whether a partition has to stay as it is, though this input would make it another.

    Args:
        entry: The publish that it stands at.
        fingerprint: What identifies the input that a run has met.
    """
    return entry is not None and is_held(entry) and refused_input(entry) == fingerprint


def among(
    connection: Connection, asset: str, newest: Mapping[str, LedgerEntry]
) -> dict[str, LedgerEntry]:
    """The rollbacks that partitions stand at, by partition.

    A failed attempt ends no hold: what it met was refused, not published.

    Args:
        connection: An open lake.
        asset: The asset's key.
        newest: The newest publish or failure of each partition.
    """
    failed = [key for key, entry in newest.items() if entry.status is Status.FAILED]
    found = dict(newest)
    if failed:
        found |= ledger.published(connection, asset, failed)
    return {key: entry for key, entry in found.items() if is_held(entry)}


def refused_input(entry: LedgerEntry) -> str:
    """The input that a partition was last published from, whether it was rolled back or not.

    A run that meets it has nothing to do.
    """
    if not is_held(entry):
        return entry.input_fingerprint
    return _parts(entry)[1]


def restored_input(entry: LedgerEntry) -> str:
    """The input that a publish's rows were made from."""
    return _parts(entry)[2] if is_held(entry) else entry.input_fingerprint


def restored_snapshot(entry: LedgerEntry) -> int | None:
    """The snapshot that a rollback restored; None where the publish is none."""
    return int(_parts(entry)[0]) if is_held(entry) else None


def rolled_back(standing: LedgerEntry, restored: LedgerEntry) -> str:
    """The fingerprint of a rollback.

    What leads back to the refused input itself needs no hold: it is what that input gives.

    Args:
        standing: The publish that is rolled away from.
        restored: The publish whose rows take its place.
    """
    assert restored.snapshot is not None  # it was read back from the ledger
    refused, own = refused_input(standing), restored_input(restored)
    if standing.status is Status.PUBLISHED and own == refused:
        return own
    return _SEPARATOR.join((_HELD, str(restored.snapshot), refused, own))


def _parts(entry: LedgerEntry) -> tuple[str, str, str]:
    _, snapshot, inputs = entry.input_fingerprint.split(_SEPARATOR, 2)
    refused, _, own = inputs.rpartition(_SEPARATOR)
    return snapshot, refused, own
