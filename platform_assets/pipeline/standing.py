"""What a judgement rests on: if it moves before the commit, the judgement is made again.

Belongs here: noting it and comparing. Does not belong here: judging and publishing (``clean``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platform_assets.pipeline.steps import Step
from platform_assets.warehouse import corrections, ledger, migrate, tables
from platform_assets.warehouse.lake import current_snapshot
from platform_assets.warehouse.ledger import LedgerEntry


@dataclass(frozen=True)
class Standing:
    """What the verdicts on a batch depend on.

    Attributes:
        snapshot: Of the lake, before the others were read.
        raw: The publish that the raw rows of each partition stand at.
        cleaned: The snapshot of the publish that its cleaned rows stand at.
        referred: The snapshot of the newest publish of each dataset referred to, and of its own
            where it is unique across partitions.
        raw_columns: The raw table's; where a type changed, its rows were written anew, with other
            row ids.
        corrections: What changes with the corrections that each partition depends on.
    """

    snapshot: int
    raw: Mapping[str, LedgerEntry]
    cleaned: Mapping[str, int | None]
    referred: Mapping[str, int]
    raw_columns: Mapping[str, str]
    corrections: Mapping[str, str]

    @property
    def publishes(self) -> tuple[Mapping[str, object], ...]:
        """What has to stay as it is: snapshots, and the raw table's columns."""
        raw = {key: entry.snapshot for key, entry in self.raw.items()}
        return raw, self.cleaned, self.referred, self.raw_columns, self.corrections


def standing_of(step: Step, partitions: Sequence[str]) -> Standing:
    """What a judgement of partitions rests on now.

    Args:
        step: What to work on and with.
        partitions: The partitions to be judged.
    """
    # The snapshot comes first: what is committed between the queries counts as moved.
    snapshot = current_snapshot(step.lake)
    name = step.dataset.name
    # A value that another partition has taken meanwhile is taken.
    own = (name,) if step.dataset.unique_across else ()
    layers = ("raw", "cleaned") if step.dataset.has_versions else ("raw",)
    found = ledger.standing_of(step.lake, [f"{layer}/{name}" for layer in layers], partitions)
    return Standing(
        snapshot,
        found[f"raw/{name}"],
        {key: entry.snapshot for key, entry in found.get(f"cleaned/{name}", {}).items()},
        {
            other: ledger.last_snapshot(step.lake, f"cleaned/{other}")
            for other in (*step.dataset.references, *own)
        },
        migrate.table_columns(step.lake, tables.raw_table(step.dataset.name)),
        corrections.digests(step.lake, name, partitions),
    )


def has_moved(step: Step, standing: Standing) -> bool:
    """Whether what was judged is no longer what stands; most often nothing was committed at all."""
    if current_snapshot(step.lake) == standing.snapshot:
        return False
    now = standing_of(step, list(standing.raw))
    return now.publishes != standing.publishes


def moved_references(step: Step, standing: Mapping[str, LedgerEntry]) -> set[str]:
    """Partitions with orphans, whose referenced dataset was published anew since.

    Args:
        step: What to work on and with.
        standing: The newest publish or failure of each partition.
    """
    moved: set[str] = set()
    for rule in (r for r in step.dataset.compiled.rules if r.references is not None):
        assert rule.references is not None  # narrowed by the filter above
        orphans = {key: e for key, e in standing.items() if e.broken.get(rule.name)}
        if orphans:
            newest = ledger.last_snapshot(step.lake, f"cleaned/{rule.references[0]}")
            moved |= {key for key, entry in orphans.items() if (entry.snapshot or 0) < newest}
    return moved
