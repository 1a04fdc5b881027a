"""Merging: new versions of rows published on top of what is published already.

Belongs here: when that gives the same table as judging a partition whole, and what it comes to in
the books. Does not belong here: which version of a row decides (``versions``), and the publish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platform_assets.pipeline import versions
from platform_assets.pipeline.judging import Counts, Scope
from platform_assets.pipeline.loaded import Loaded
from platform_assets.pipeline.steps import Step
from platform_assets.warehouse.ledger import LedgerEntry, Status


@dataclass(frozen=True)
class Waiting:
    """A partition to be judged.

    Attributes:
        raw: Its raw publish.
        fingerprint: What identifies its input.
        last: The publish that new versions alone can be merged into; None: it is judged whole.
    """

    raw: LedgerEntry
    fingerprint: str
    last: LedgerEntry | None = None

    @property
    def key(self) -> str:
        """The partition's key."""
        return self.raw.partition


def by_since(step: Step, waiting: Sequence[Waiting]) -> dict[int | None, list[Waiting]]:
    """Partitions by the load after which their versions are new; None: all of them are.

    New versions can be merged into what is published where that was judged by the same demands,
    nothing was taken out of the raw partition since, and no older version comes late.

    Args:
        step: What to work on and with.
        waiting: The partitions to be judged.
    """
    groups: dict[int | None, list[Waiting]] = {}
    mergeable = step.dataset.has_versions and versions.can_be_merged(step)
    for each in waiting:
        since = _mergeable_since(each) if mergeable else None
        groups.setdefault(since, []).append(each)
    for since in [since for since in groups if since is not None]:
        if not versions.is_in_order(step, since):
            groups.setdefault(None, []).extend(groups.pop(since))
    return groups


def _mergeable_since(each: Waiting) -> int | None:
    if each.last is None or each.last.status is not Status.PUBLISHED:
        return None
    if _demands(each.last.input_fingerprint) != _demands(each.fingerprint):
        return None
    since = Loaded.parse(each.last.input_fingerprint.rpartition("@")[2]).load
    return since if since >= Loaded.of(each.raw).whole else None


def _demands(fingerprint: str) -> str:
    return fingerprint.rpartition("@")[0]


def can_still_merge(
    published: Mapping[str, int | None], batch: Sequence[Waiting], since: int
) -> bool:
    """Whether new versions still belong on top of what is published: nobody came between.

    Nobody published, took rows out of the raw partition, or corrected one.

    Args:
        published: The snapshot that each partition's cleaned rows stand at now.
        batch: The partitions to be judged.
        since: The load after which their versions are new.
    """
    return all(
        each.last is not None
        and published.get(each.key) == each.last.snapshot
        and _demands(each.last.input_fingerprint) == _demands(each.fingerprint)
        and since >= Loaded.of(each.raw).whole
        for each in batch
    )


def onto(counts: Counts, each: Waiting, scope: Scope) -> Counts:
    """What a partition comes to, where only its new versions were judged.

    Args:
        counts: What was found among the judged rows.
        each: The partition.
        scope: Which rows were judged.
    """
    if scope.since is None or each.last is None:
        return counts
    names = {*each.last.broken, *counts.broken}
    return Counts(
        extracted=each.last.extracted + counts.extracted,
        rejected=each.last.quarantined + counts.rejected,
        deduplicated=each.last.deduplicated + counts.deduplicated,
        broken={n: each.last.broken.get(n, 0) + counts.broken.get(n, 0) for n in sorted(names)},
    )
