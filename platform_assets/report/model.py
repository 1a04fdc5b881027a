"""What the page tells, as plain facts.

Belongs here: the types. Does not belong here: asking for facts (``facts``), judging by them
(``states``), drawing them (``page``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from platform_assets.alerts.signals import Severity
from platform_assets.quality.findings import Finding
from platform_assets.quality.freshness import FreshnessState

T = TypeVar("T")
POINTS = 60
"""Partitions of an asset that its numbers are told of, the last ones."""
ColumnOf = tuple[str, str]
"""An asset's key and the name of one of its columns."""


@dataclass(frozen=True)
class Unreadable:
    """What could not be found out, which a section says in place of its facts.

    Attributes:
        why: In a sentence or two; never a row's value.
    """

    why: str


@dataclass(frozen=True)
class ColumnTold:
    """A column, as the dictionary tells of it.

    Attributes:
        name: Its name in the table.
        type: The engine's type; empty: it is not published.
        description: What it holds.
        roles: Such as ``key`` and ``event time``.
        rules: What holds for it, a sentence each.
        pii: How personal data leaves for the cleaned table: hash, mask, drop; empty: it is none.
        nullable: Whether it may be empty.
    """

    name: str
    type: str = ""
    description: str = ""
    roles: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    pii: str = ""
    nullable: bool = True


@dataclass(frozen=True)
class Asset:
    """An asset of the graph.

    Attributes:
        key: Such as ``cleaned/orders``.
        layer: ``source``, ``raw``, ``cleaned``, ``quarantine``, ``history``, ``staging``,
            ``aggregated``, or the group of an asset of another kind.
        dataset: The dataset that it belongs to; empty: none.
        made_from: Keys of the assets that it is made from.
        description: What it is.
        owners: Who answers for it.
        columns: Its columns, where they are declared.
    """

    key: str
    layer: str
    dataset: str = ""
    made_from: tuple[str, ...] = ()
    description: str = ""
    owners: tuple[str, ...] = ()
    columns: tuple[ColumnTold, ...] = ()

    @property
    def name(self) -> str:
        """Its name without the layer."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class Unit:
    """What has one state: a dataset with all its assets, or an aggregate.

    Attributes:
        name: Of the dataset, or of the aggregate.
        kind: ``dataset`` or ``aggregate``.
        main: Key of the asset that people read: ``cleaned/…``, ``aggregated/…``. The unit is known
            by it: a dataset and an aggregate may have one name.
        assets: Keys of its assets that rows are published to, in the order that they are made.
        description: What it is.
        owners: Who answers for it.
        made_from: Of each unit that it is made from or refers to, the asset that people read.
        contract: Name and version of its contract; empty: it has none.
        severities: The severity of each rule of its contract, by the rule's name.
        table_rules: Rules of its contract that are of no single column, or of several.
    """

    name: str
    kind: str
    main: str
    assets: tuple[str, ...]
    description: str = ""
    owners: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    contract: str = ""
    severities: Mapping[str, str] = field(default_factory=dict)
    table_rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Partitions of an asset whose newest attempt failed, all of them for one reason.

    Attributes:
        asset: The asset's key.
        stopped_by: The rule or step that stopped them; ``upstream``: what they are made from.
        partitions: Their keys, in order.
        message: The error's text of the newest of them.
        since: When the first of them was stopped as it is now (UTC).
    """

    asset: str
    stopped_by: str
    partitions: tuple[str, ...]
    message: str
    since: datetime


@dataclass(frozen=True)
class Published:
    """How an asset stands by the ledger.

    Attributes:
        partitions: Partitions whose newest attempt passed.
        failed: Partitions whose newest attempt failed.
        newest: The newest of those that passed; None: none.
        last_attempt: When anything was tried last (UTC).
    """

    partitions: int
    failed: int
    newest: str | None
    last_attempt: datetime


@dataclass(frozen=True)
class Point:
    """One partition in a row of them, as it stands.

    Attributes:
        partition: Its key; of a table that is not cut, the day of the publish.
        rows: Rows that are published.
        extracted: Rows that came in.
        quarantined: Rows that broke a blocking rule.
        deduplicated: Rows that were left out as copies.
        score: The quality score, 0 to 100; None: it is not judged.
        failed: Whether its newest attempt failed.
    """

    partition: str
    rows: int
    extracted: int
    quarantined: int
    deduplicated: int
    score: float | None
    failed: bool


@dataclass(frozen=True)
class Cost:
    """What an asset has taken.

    Attributes:
        asset: The asset's key.
        attempts: Partitions that were worked on, each time anew.
        seconds: Of all of them.
        median: Seconds of a partition in the middle of them.
        longest: Seconds of the longest.
        bytes: What was read.
    """

    asset: str
    attempts: int
    seconds: float
    median: float
    longest: float
    bytes: int


@dataclass(frozen=True)
class Rejected:
    """Rows in quarantine that break one rule.

    Attributes:
        dataset: The dataset.
        rule: The rule's name.
        open: Rows that were left out of what is published.
        blocked: Rows that are among those which stopped their partition.
        partitions: Partitions that they are in.
        oldest: The first of these partitions.
        newest: The last of these partitions.
    """

    dataset: str
    rule: str
    open: int
    blocked: int
    partitions: int
    oldest: str
    newest: str


@dataclass(frozen=True)
class Alert:
    """A problem that is open in the book of alerts.

    Attributes:
        kind: What kind of problem.
        subject: What it is about, such as an asset's key.
        partition: The partition; empty: none.
        severity: How bad it is.
        title: In one line, what is wrong.
        detail: The first lines of the error.
        since: Since when (UTC).
        standing: ``open``, ``silenced``, or who has taken it on and why.
        seen: How often it was seen.
        owners: Who answers for it.
        command: What a person types to fix it; empty: nothing helps.
        incident: The incident that it is part of, as the commands of alerts know it.
        is_root: Whether the incident's other problems follow from it.
        following: How many they are.
    """

    kind: str
    subject: str
    partition: str
    severity: Severity
    title: str
    detail: str
    since: datetime
    standing: str = "open"
    seen: int = 1
    owners: tuple[str, ...] = ()
    command: str = ""
    incident: str = ""
    is_root: bool = True
    following: int = 0


@dataclass(frozen=True)
class Watch:
    """What the book of alerts says.

    Attributes:
        alerts: Problems that are there, the worst first.
        looked_at: When the alert loop went round last (UTC); None: never.
    """

    alerts: Sequence[Alert]
    looked_at: datetime | None = None


@dataclass(frozen=True)
class Lake:
    """What the lake's books say.

    Attributes:
        published: How each asset stands, by key; one that was never tried is absent.
        failures: What is failed now.
        points: The last partitions of each asset that people read, oldest first, by key.
        costs: What assets took, those of the most seconds first.
        rejected: What is in quarantine, the most rows first.
        findings: What is odd, the newest partition first.
    """

    published: Mapping[str, Published]
    failures: Sequence[Failure]
    points: Mapping[str, Sequence[Point]]
    costs: Sequence[Cost]
    rejected: Sequence[Rejected]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Facts:
    """All that a page tells.

    Attributes:
        made_at: When it was found out (UTC).
        version: Of the platform.
        ui_url: Where Dagster's UI is.
        some_day: A day that every range of partitions may begin with, for commands about tables
            that are not cut.
        assets: The asset graph, by key.
        units: The datasets and aggregates.
        lake: What the lake's books say.
        freshness: How fresh the assets are that a promise was made for, by key.
        watch: What the book of alerts says.
        lineage: What columns are made from, by asset and column.
    """

    made_at: datetime
    version: str
    ui_url: str
    some_day: str
    assets: Mapping[str, Asset]
    units: Sequence[Unit]
    lake: Lake | Unreadable
    freshness: Mapping[str, FreshnessState] | Unreadable
    watch: Watch | Unreadable
    lineage: Mapping[ColumnOf, Sequence[ColumnOf]] | Unreadable
