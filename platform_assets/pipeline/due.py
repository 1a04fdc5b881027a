"""Which partitions have to be judged, and which stand as they are.

Belongs here: what the cleaned rows of a partition depend on, held against what they were published
from. Does not belong here: judging and publishing them (``clean``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from platform_assets.pipeline import gates, overlay
from platform_assets.pipeline.merging import Waiting, by_since
from platform_assets.pipeline.standing import moved_references
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.upstream import refusals
from platform_assets.warehouse import corrections, hold, ledger
from platform_assets.warehouse.ledger import LedgerEntry, Status


def due(
    step: Step, asset: str, partitions: Sequence[str]
) -> tuple[list[LedgerEntry], dict[int | None, list[Waiting]]]:
    """Tell the partitions that have to be judged from those that have not, or cannot.

    Args:
        step: What to work on and with; nothing is written.
        asset: The cleaned asset's key.
        partitions: The partitions' keys.

    Returns:
        Entries of the partitions that are left as they are, or refused; and the others by the load
        after which their versions are new (None: all of them are).
    """
    upstream = f"raw/{step.dataset.name}"
    # Nothing is upstream of raw rows that could have them refused unseen.
    newest = ledger.judged_of(step.lake, [upstream, asset], partitions)
    raw, refused = refusals(step, asset, partitions, newest[upstream])
    standing = newest[asset]
    rolled_back = hold.among(step.lake, asset, standing)
    moved = moved_references(step, standing)
    any_corrected = corrections.any_recorded(step.lake)
    corrected = (
        corrections.digests(step.lake, step.dataset.name, partitions) if any_corrected else {}
    )
    # An old version that was given another key may decide over a new one.
    unmergeable = step.force or (any_corrected and overlay.changes_keys(step))
    waiting, idle = [], []
    for key in partitions:
        if key in refused:
            idle.append(refused[key])
            continue
        found = fingerprint(step, raw[key], corrected)
        last = standing.get(key)
        same = (
            last is not None
            and last.status is Status.PUBLISHED
            and last.input_fingerprint == found
            and key not in moved
        )
        if last is not None and same and not step.force:
            idle.append(ledger.unchanged(last, step.run_id))
        elif hold.holds(rolled_back.get(key), found) and not step.force:
            idle.append(ledger.unchanged(rolled_back[key], step.run_id))
        else:
            mergeable = last if not unmergeable and key not in moved else None
            waiting.append(Waiting(raw[key], found, mergeable))
    return idle, by_since(step, waiting)


def fingerprint(step: Step, raw: LedgerEntry, corrected: Mapping[str, str]) -> str:
    """What the cleaned rows of a partition depend on beyond the code.

    Args:
        step: What to work on and with.
        raw: The publish of its raw rows.
        corrected: What changes with the corrections of each partition, from
            ``corrections.digests``.
    """
    demands = (
        step.dataset.compiled.version,
        str(step.dataset.max_bad_share),
        step.key_version,
        *gates.demands(step.dataset),
        # One that is asked for later makes all partitions due, and is made of all versions.
        *(("history",) if step.dataset.history else ()),
        *((step.dataset.deletes,) if step.dataset.marks_deletes else ()),
        *((corrected[raw.partition],) if raw.partition in corrected else ()),
    )
    if step.dataset.has_versions:
        return f"{_digest(*demands)}@{raw.input_fingerprint}"
    return _digest(raw.input_fingerprint, *demands)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
