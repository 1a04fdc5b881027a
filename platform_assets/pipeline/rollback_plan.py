"""What a rollback restores: the table, and the publish that is to stand again.

Belongs here: finding that publish, and refusing what cannot be rolled back. Does not belong here:
restoring it (``rollback``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from platform_assets.dataset import Dataset
from platform_assets.errors import PartitionError
from platform_assets.warehouse import hold, ledger
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import LedgerEntry
from platform_assets.warehouse.leftovers import Compared
from platform_assets.warehouse.snapshots import Asked, find

SHOWN_PUBLISHES = 5


@dataclass(frozen=True)
class Target:
    """What is rolled back.

    Attributes:
        table: The asset's table.
        dataset: Its dataset; None: it is an aggregate.
        required: Columns that may not be NULL.
        unique: The key that the whole table may hold only once; empty: each partition by itself.
    """

    table: Compared
    dataset: Dataset | None = None
    required: frozenset[str] = frozenset()
    unique: Sequence[str] = ()

    @property
    def asset(self) -> str:
        """The asset's key."""
        return self.table.asset

    @property
    def layer(self) -> str:
        """The asset's layer."""
        return self.asset.partition("/")[0]

    @property
    def cleaned(self) -> Dataset | None:
        """The dataset, where its cleaned rows are rolled back: quarantine and history go along."""
        return self.dataset if self.layer == "cleaned" else None

    def rows_of(self, entry: LedgerEntry) -> int:
        """The rows that a publish had, by the ledger."""
        return entry.extracted if self.layer == "raw" else entry.cleaned


@dataclass(frozen=True)
class Plan:
    """What a rollback will do.

    Attributes:
        target: What is rolled back.
        partition: The partition's key.
        standing: The publish that stands.
        restored: The publish whose rows are to stand.
    """

    target: Target
    partition: str
    standing: LedgerEntry
    restored: LedgerEntry

    @property
    def is_done(self) -> bool:
        """Whether the partition stands there already."""
        there = hold.restored_snapshot(self.standing)
        return self.restored.snapshot in (self.standing.snapshot, there)

    @property
    def snapshot(self) -> int:
        """The snapshot to restore."""
        assert self.restored.snapshot is not None  # it was read back from the ledger
        return self.restored.snapshot

    @property
    def rolled_from(self) -> int:
        """The snapshot that stands."""
        assert self.standing.snapshot is not None  # it was read back from the ledger
        return self.standing.snapshot


def plan(connection: Connection, target: Target, partition: str, to: Asked | None = None) -> Plan:
    """Find the publish to restore.

    Args:
        connection: An open lake.
        target: What to roll back.
        partition: The partition's key.
        to: The newest publish that is not younger than this is restored; None: the publish before
            the one that stands.

    Raises:
        PartitionError: There is no such publish, or this kind of table cannot be rolled back.
    """
    _examine(target)
    where = f"asset {target.asset}, partition {partition}"
    publishes = ledger.publishes(connection, target.asset, partition)
    if not publishes:
        raise PartitionError(
            "A partition cannot be rolled back that was never published",
            where=where,
            expected="two publishes in the ledger at least",
            found="none",
            fix="correct the asset or the partition",
        )
    standing = publishes[-1]
    if to is None:
        restored = _before(standing, publishes, where)
    else:
        snapshot = find(connection, target.table.publishes, to)
        older = [each for each in publishes if (each.snapshot or 0) <= snapshot]
        if not older:
            raise PartitionError(
                "A partition was not published yet at this snapshot",
                where=where,
                expected="a snapshot from "
                f"{publishes[0].snapshot} on; its publishes: {_listed(publishes)}",
                found=f"snapshot {snapshot}",
                fix="give a later --to",
            )
        restored = older[-1]
    # Rows of a snapshot that is gone cannot be read.
    find(connection, target.asset, Asked(str(restored.snapshot), where))
    return Plan(target, partition, standing, restored)


def _examine(target: Target) -> None:
    if target.layer in ("quarantine", "history"):
        raise PartitionError(
            "This table is rolled back together with the cleaned rows that it belongs to",
            where=f"asset {target.asset}",
            expected=f"cleaned/{target.asset.partition('/')[2]}",
            found=target.asset,
            fix="roll that back",
        )
    if target.layer == "raw" and target.dataset is not None and target.dataset.has_versions:
        raise PartitionError(
            "The raw rows of a source that is read by its changes cannot be rolled back",
            where=f"asset {target.asset}",
            expected="raw rows that are delivered anew as a whole",
            found="versions up to a cursor, which would stay where it is: what came since would be "
            "lost, and nothing would bring it again",
            fix=f"roll cleaned/{target.dataset.name} back, which keeps all versions",
        )


def _before(standing: LedgerEntry, publishes: Sequence[LedgerEntry], where: str) -> LedgerEntry:
    if hold.is_held(standing):
        # Said twice, "the one before" would lead back to what was rolled away from.
        raise PartitionError(
            "A partition is rolled back already, and nothing says how much further",
            where=where,
            expected=f"--to one of its publishes: {_listed(publishes)}",
            found=f"it stands at snapshot {hold.restored_snapshot(standing)}, restored by "
            f"{standing.run_id}",
            fix="say --to",
        )
    if len(publishes) == 1:
        raise PartitionError(
            "A partition has no earlier publish",
            where=where,
            expected="two publishes in the ledger at least",
            found=f"one, at snapshot {standing.snapshot}",
            fix="have the rows corrected at the source; to leave them out, resolve or remove them",
        )
    return publishes[-2]


def _listed(publishes: Sequence[LedgerEntry]) -> str:
    return ", ".join(str(each.snapshot) for each in publishes[-SHOWN_PUBLISHES:])
