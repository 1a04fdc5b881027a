"""Reconciliation: whether the rows of a partition add up, and what is said where they do not.

Belongs here: the sum. Does not belong here: counting its terms, each in its own place, and the
transaction that it stops (``clean``).
"""

from __future__ import annotations

from collections.abc import Mapping

from platform_assets.errors import PartitionError
from platform_assets.pipeline.steps import describe
from platform_assets.warehouse.ledger import LedgerEntry

RECONCILE = "reconcile"


class UnreconciledError(Exception):
    """Stops a transaction: rows of these partitions do not add up."""

    stopped_by = RECONCILE

    def __init__(self, messages: Mapping[str, str]) -> None:
        super().__init__()
        self.messages = messages


def unreconciled(dataset: str, entry: LedgerEntry) -> str:
    """What is wrong where a partition's rows do not add up; empty where they do.

    Each term was counted in its own place: extracted in the raw table, cleaned in the cleaned
    table, quarantined in the quarantine, deduplicated among the copies that were left out.
    """
    total = entry.cleaned + entry.quarantined + entry.deduplicated
    if total == entry.extracted:
        return ""
    return describe(
        PartitionError(
            "Rows do not add up",
            where=f"dataset {dataset}, partition {entry.partition}",
            expected=f"extracted {entry.extracted:,} = cleaned + quarantined + deduplicated",
            found=f"{entry.cleaned:,} + {entry.quarantined:,} + {entry.deduplicated:,} = {total:,}",
            fix="another writer may have changed the raw rows meanwhile: run the partition again",
        )
    )
