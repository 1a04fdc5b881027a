"""What was seen in a sample, column by column, with the evidence for it.

Belongs here: the values that renderers write down. Does not belong here: how they were found.

Evidence is counts and shares. It never holds a value of a personal column, and of text at most the
words of an enumeration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from platform_assets.contracts.fields import Pii
from platform_assets.partitions import Partitions


@dataclass(frozen=True)
class ProposedColumn:
    """One column as it is proposed.

    Attributes:
        name: The contract's name of it.
        source: The source's.
        type: ``str int float bool Decimal date datetime``.
        decimal: Precision and scale of a ``Decimal``.
        format: strptime format of a date that is not ISO 8601.
        nullable: Whether a null was seen, or may come.
        role: What it is for: ``key``, ``event_time``, ``cursor`` or nothing.
        pii: How a personal value leaves.
        references: Dataset and column that hold every value of it.
        checks: Arguments of ``Field``, by name.
        evidence: Why, in sentences.
    """

    name: str
    source: str
    type: str
    decimal: tuple[int, int] | None = None
    format: str | None = None
    nullable: bool = False
    role: str = ""
    pii: Pii | None = None
    references: str | None = None
    checks: Mapping[str, object] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """A contract as it is proposed.

    Attributes:
        dataset: The dataset's name.
        columns: Its columns.
        told: What was looked at, in words.
        left_out: Columns that a contract cannot name, and why.
        partitions: How the dataset is cut; None: nothing tells.
    """

    dataset: str
    columns: tuple[ProposedColumn, ...]
    told: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    partitions: Partitions | None = None
