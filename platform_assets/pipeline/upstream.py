"""What cleaning asks of the raw partitions that it is made from: that they were loaded, and passed.

Belongs here: the refusals where they were not. Does not belong here: what a gate is (``gate``), and
any judgement of rows (``clean``).

Datasets that a contract refers to are not asked. They are looked up as whole tables, whichever
partition of theirs is new: a row that is not found there breaks a rule, whose severity says what
follows, and is judged again once they are published anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from platform_assets.errors import PartitionError
from platform_assets.pipeline.steps import Step, describe
from platform_assets.warehouse import gate, ledger
from platform_assets.warehouse.ledger import LedgerEntry, Status

RAW_MISSING = "raw_missing"


def refusals(
    step: Step, asset: str, partitions: Sequence[str], newest: Mapping[str, LedgerEntry]
) -> tuple[dict[str, LedgerEntry], dict[str, LedgerEntry]]:
    """The raw rows that partitions stand at, and the partitions that cannot be judged.

    Args:
        step: What is worked on.
        asset: The asset that is to be made.
        partitions: The partitions' keys.
        newest: The newest publish or failure of each raw partition.

    Returns:
        The publish of each raw partition; and failed entries of those that are refused.
    """
    upstream = f"raw/{step.dataset.name}"
    # Most often nothing failed, and nothing more is asked.
    doubtful = [k for k in partitions if k not in newest or newest[k].status is Status.FAILED]
    raw = {k: e for k, e in newest.items() if e.status is Status.PUBLISHED}
    if not doubtful:
        return raw, {}
    raw |= ledger.published(step.lake, upstream, doubtful)
    shut = gate.refused_by(
        gate.closed(step.lake, upstream, doubtful), step.dataset.on_failed_upstream
    )
    return raw, {
        key: _shut_out(step, asset, shut[key])
        if key in shut and key in raw
        else _never_loaded(step, asset, key)
        for key in doubtful
        if key in shut or key not in raw
    }


def _never_loaded(step: Step, asset: str, key: str) -> LedgerEntry:
    name = step.dataset.name
    error = PartitionError(
        "A partition has no raw rows to clean: it was never loaded",
        where=f"dataset {name}, partition {key}",
        expected=f"a publish of raw/{name} for this partition",
        found="none in the ledger",
        fix=f"materialize raw/{name} for this partition; if it failed, see why there",
    )
    return replace(
        step.entry(asset, key, Status.FAILED), stopped_by=RAW_MISSING, message=describe(error)
    )


def _shut_out(step: Step, asset: str, shut: gate.ClosedGate) -> LedgerEntry:
    """The refusal where the newest load of a partition failed: its raw rows are not the newest."""
    where = f"dataset {step.dataset.name}, partition {shut.partition}"
    return replace(
        step.entry(asset, shut.partition, Status.FAILED),
        stopped_by=ledger.UPSTREAM,
        message=describe(gate.refusal([shut], consumer=where)),
    )
