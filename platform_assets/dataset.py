"""What a dataset is: the one declaration from which tables, assets and checks follow.

Belongs here: the declaring type. Does not belong here: any particular dataset (``datasets/``), or
anything that is done with one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from platform_assets.contracts import (
    CompiledContract,
    Contract,
    DriftPolicy,
    RulePolicy,
    compile_contract,
    policies,
)
from platform_assets.errors import ContractError
from platform_assets.partitions import Daily, Partitions, Unpartitioned
from platform_assets.provenance import DELETED_AT_COLUMN, PARTITION_COLUMN, PERIOD, PROVENANCE
from platform_assets.quality.policy import CHECKS, Statistics
from platform_assets.quality.promise import Freshness
from platform_assets.quality.sla import examine_sla
from platform_assets.sources.change_source import AnySource, ChangeSource

DEFAULT_MAX_BAD_SHARE = 0.10
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Dataset:
    """One dataset: where it comes from, what a good row looks like, how it is cut.

    Attributes:
        name: Lower-case name; tables and assets are called after it.
        contract: The only description of the columns.
        source: Where rows come from.
        partitions: How it is cut.
        max_bad_share: Share of rejected rows, 0 to 1, above which a partition is stopped.
        deletes: What becomes of a cleaned row that its source has deleted: it is deleted
            (``delete``), or stays as it last was with the time in ``_deleted_at`` (``mark``).
        on_failed_upstream: What becomes of a cleaned partition whose newest load failed while rows
            of an earlier one stand: it is refused (``refuse``), or judged from those rows
            (``use_last_good``), for a source that is known to forget what it has delivered.
        drift: What is done about each kind of change of the source's schema.
        freshness: What is promised of how fresh its cleaned rows are; None: nothing.
        sla: How long a step may take for a partition before that is told; None: only what is
            unusual is.
        statistics: How its partitions are compared with their history.
        rules: What is done about single rules, by the rule's name: another severity than the
            column's, and how many broken rows of a partition alert, or block it.
        unique_across: Columns that together must not come again in another partition.
        history: Whether all good versions of its rows are kept too, each with the time that it
            held; its source must give changes.
        quarantine_retention: For how long the content of a quarantined row is kept after it was
            first seen, if it is closed by then; None: for ever.
        description: One sentence for the UI.
        owners: Who answers for it: ``team:finance`` or an e-mail address.
        tags: Labels for the UI.

    Raises:
        ContractError: The declaration contradicts itself, or the contract does not compile.
    """

    name: str
    contract: type[Contract]
    source: AnySource
    partitions: Partitions = field(default_factory=Unpartitioned)
    max_bad_share: float = DEFAULT_MAX_BAD_SHARE
    deletes: Literal["delete", "mark"] = "delete"
    on_failed_upstream: Literal["refuse", "use_last_good"] = "refuse"
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    freshness: Freshness | None = None
    sla: timedelta | None = None
    statistics: Statistics = field(default_factory=Statistics)
    rules: Mapping[str, RulePolicy] = field(default_factory=dict)
    unique_across: tuple[str, ...] = ()
    history: bool = False
    quarantine_retention: timedelta | None = None
    description: str = ""
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a declaration that cannot work, where it is written."""
        if not _NAME.fullmatch(self.name):
            raise ContractError(
                "A dataset's name cannot be a table's name",
                where=f"dataset {self.name!r}",
                expected="lower-case letters, digits and underscores, a letter first",
                found=repr(self.name),
                fix="rename the dataset",
            )
        if not 0 <= self.max_bad_share <= 1:
            raise ContractError(
                "The share of bad rows that stops a partition is not a share",
                where=f"dataset {self.name}, max_bad_share",
                expected="a number from 0 to 1",
                found=str(self.max_bad_share),
                fix="ten per cent is 0.10",
            )
        if self.quarantine_retention is not None and self.quarantine_retention <= timedelta(0):
            raise ContractError(
                "The time for which quarantined rows are kept is none",
                where=f"dataset {self.name}, quarantine_retention",
                expected="a time longer than nothing, or None for ever",
                found=str(self.quarantine_retention),
                fix="ninety days are timedelta(days=90)",
            )
        if self.marks_deletes and not (self.has_versions and self.compiled.key):
            raise ContractError(
                "Nothing tells this dataset that a row was deleted",
                where=f"dataset {self.name}, deletes",
                expected="a source that gives changes, and a contract with a Key()",
                found=f"{type(self.source).__name__}"
                + ("" if self.compiled.key else ", and no key"),
                fix='leave deletes="mark" out, or read the source by its changes',
            )
        object.__setattr__(self, "owners", tuple(self.owners))
        if isinstance(self.source, ChangeSource):
            self._examine_changes(self.source)
        if self.sla is not None:
            examine_sla(f"dataset {self.name}", self.sla)
        if self.freshness is not None:
            rules = [rule.name for rule in self.compiled.rules]
            self.freshness.examine(f"dataset {self.name}", self.partitions, rules)
        self.drift.examine(self.name, self.compiled.columns)
        taken = [rule.name for rule in self.compiled.rules if rule.name in CHECKS]
        if taken:
            raise ContractError(
                "A rule has the name of one of the statistics' checks",
                where=f"dataset {self.name}, contract {self.contract.__name__}, rule {taken[0]}",
                expected="other names than " + ", ".join(CHECKS),
                found=taken[0],
                fix="rename the check",
            )
        self._examine_unique_across()
        policies.examine(self.name, self.rules, self.compiled)
        if self.history:
            self._examine_history()

    def _examine_changes(self, source: ChangeSource) -> None:
        """Refuse a contract by which changes cannot be placed."""
        if source.needs_key and not self.compiled.key:
            raise ContractError(
                "The source gives changes, and nothing says which row a change is of",
                where=f"dataset {self.name}, contract {self.contract.__name__}",
                expected="a column that is (part of) the row's identity",
                found="none",
                fix="declare it with Key()",
            )
        if isinstance(self.partitions, Daily) and self.compiled.event_time is None:
            raise ContractError(
                "The source gives changes, and nothing says which day a row belongs to",
                where=f"dataset {self.name}, contract {self.contract.__name__}",
                expected="a column that tells the time of the event, as the dataset is daily",
                found="none",
                fix="declare it with EventTime(), or leave the dataset unpartitioned",
            )

    def _examine_unique_across(self) -> None:
        """Refuse it where there are no other partitions, or where rows move between them."""
        if not self.unique_across:
            return
        if isinstance(self.partitions, Unpartitioned) or self.has_versions:
            raise ContractError(
                "A dataset is to be unique across partitions, and has none to compare",
                where=f"dataset {self.name}, unique_across",
                expected="a dataset that is cut, and whose source gives whole partitions",
                found=type(self.source).__name__ if self.has_versions else "one partition",
                fix="leave it out: rows of changes are told apart by their key, and those of one "
                "partition by Field(unique=True)",
            )

    def _examine_history(self) -> None:
        """Refuse a history that could not be kept."""
        # What is read in full needs no key, and takes the place of what it was before.
        if not isinstance(self.source, ChangeSource) or not self.source.needs_key:
            raise ContractError(
                "A history is asked for, and the source gives no changes",
                where=f"dataset {self.name}, history",
                expected="a source that gives what has changed, by key: WatermarkTable, "
                "SnapshotTable, a change log",
                found=type(self.source).__name__,
                fix="leave history out, or read the source by what has changed",
            )
        unfit = [n for n in self.compiled.key if self.compiled.column(n).pii not in (None, "hash")]
        if unfit:
            raise ContractError(
                "A history is asked for, and its rows could not be told apart",
                where=f"dataset {self.name}, contract {self.contract.__name__}, column {unfit[0]}",
                expected="a key that is published as it is, or hashed",
                found=f"pii={self.compiled.column(unfit[0]).pii!r}",
                fix='declare it with pii="hash"',
            )
        own = {PARTITION_COLUMN, *(name for name, _ in PERIOD)}
        taken = [c.name for c in self.compiled.columns if c.name.lower() in own]
        if taken:
            raise ContractError(
                "A column has the name of one of the history's own",
                where=f"dataset {self.name}, contract {self.contract.__name__}, column {taken[0]}",
                expected="other names than " + ", ".join(sorted(own)),
                found=taken[0],
                fix=f"call it another name, with Field(source={taken[0]!r})",
            )

    @property
    def compiled(self) -> CompiledContract:
        """The contract as SQL, each rule with the severity that it has for this dataset."""
        given = policies.severities(self.rules)
        return compile_contract(self.contract, self.name, given, self.unique_across)

    @property
    def has_versions(self) -> bool:
        """Whether its raw table holds versions of rows, as its source gives what has changed."""
        return isinstance(self.source, ChangeSource)

    @property
    def marks_deletes(self) -> bool:
        """Whether a cleaned row stays when its source deletes it."""
        return self.deletes == "mark"

    @property
    def cleaned_provenance(self) -> tuple[tuple[str, str], ...]:
        """Name and SQL type of the platform's own columns in the cleaned table."""
        marks = ((DELETED_AT_COLUMN, "TIMESTAMP"),) if self.marks_deletes else ()
        return (*PROVENANCE, *marks)

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the datasets that this one's columns refer to, each once."""
        targets = [c.references[0] for c in self.compiled.columns if c.references]
        return tuple(dict.fromkeys(targets))

    @property
    def published_key(self) -> tuple[str, ...]:
        """The key's columns where they tell cleaned rows apart; none where one is masked."""
        key = self.compiled.key
        telling = all(self.compiled.column(name).pii in (None, "hash") for name in key)
        return tuple(key) if telling else ()
