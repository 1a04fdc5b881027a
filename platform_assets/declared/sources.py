"""``sources.yaml``: connections and datasets, each dataset one entry and no code.

Belongs here: what an entry may say, and how it becomes a ``Dataset``. Does not belong here: the
kinds of sources (``kinds``), columns (``contract``), and resources (``resources``). No source is
contacted here: what a live source says is pinned in a file (``pins``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from platform_assets.contracts import Contract
from platform_assets.dataset import DEFAULT_MAX_BAD_SHARE, Dataset
from platform_assets.declared import pins
from platform_assets.declared.contract import FLAGS, contract_class
from platform_assets.declared.freshness import FreshnessOptions
from platform_assets.declared.kinds import (
    KINDS,
    available,
    build_source,
    kinds,
    named,
    options_model,
)
from platform_assets.declared.rules import RuleOptions, policies
from platform_assets.declared.statistics import StatisticsOptions
from platform_assets.documents.checking import Strict, checked, mapping_at
from platform_assets.documents.document import Document, Place, read_document, shown
from platform_assets.documents.spans import SPAN
from platform_assets.errors import ContractError, PlatformError, SettingsError
from platform_assets.partitions import Daily, Partitions, Unpartitioned
from platform_assets.warehouse.picking import age_of

INFER = "infer"
RESERVED = ("lake",)
"""Names of connections that are Dagster resources of another sort."""
_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class DailyOptions(Strict):
    """One partition per day."""

    start: date
    end: date | None = None


class PartitionOptions(Strict):
    """How a dataset is cut."""

    daily: DailyOptions


class EntryOptions(Strict):
    """What every entry may say, whatever its kind."""

    name: str
    kind: str
    connection: str
    contract: Any
    partitions: PartitionOptions | None = None
    key: str | list[str] | None = None
    event_time: str | None = None
    cursor: str | None = None
    description: str = ""
    owners: list[str] = Field(default_factory=list)
    tags: dict[str, str] = Field(default_factory=dict)
    max_bad_share: float = Field(default=DEFAULT_MAX_BAD_SHARE)
    on_failed_upstream: Literal["refuse", "use_last_good"] = "refuse"
    freshness: FreshnessOptions | None = None
    statistics: StatisticsOptions = Field(default_factory=StatisticsOptions)
    rules: dict[str, RuleOptions] = Field(default_factory=dict)
    unique_across: list[str] = Field(default_factory=list)
    quarantine_retention: str | None = Field(default=None, pattern=SPAN.pattern)
    sla: str | None = Field(default=None, pattern=SPAN.pattern)


class _Top(Strict):
    connections: dict[str, Any] = Field(default_factory=dict)
    datasets: list[Any] = Field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """One entry of ``sources.yaml``, examined but for its columns.

    Attributes:
        document: The file.
        place: Where the entry is in it.
        options: What every entry may say.
        arguments: What it says for its source.
    """

    document: Document = field(repr=False)
    place: Place
    options: EntryOptions
    arguments: Mapping[str, object]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.options.name

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.document.file}:{self.document.line(self.place)}"

    @property
    def inferred(self) -> bool:
        """Whether the contract is made from the live source and pinned."""
        return bool(self.options.contract == INFER)

    @property
    def pin(self) -> Path:
        """The file that the inferred contract is pinned in."""
        return pins.path(self.document.file, self.name)

    @property
    def partitions(self) -> Partitions:
        """How the dataset is cut."""
        if self.options.partitions is None:
            return Unpartitioned()
        daily = self.options.partitions.daily
        return Daily(start=daily.start, end=daily.end)

    @property
    def flags(self) -> dict[str, tuple[str, ...]]:
        """The columns that the entry itself names as key, event time and cursor."""
        given: dict[str, Any] = {flag: getattr(self.options, flag) for flag in FLAGS}
        return {
            flag: (names,) if isinstance(names, str) else tuple(names)
            for flag, names in given.items()
            if names is not None
        }

    def dataset(self) -> Dataset:
        """The dataset.

        Raises:
            ContractError: The contract cannot be understood, is not pinned, or is pinned for
                another source.
            SettingsError: The entry, or the file of a pinned contract, is of the wrong form.
        """
        contract, document, place = self._contract()
        rules = policies(self.document, (*self.place, "rules"), self.options.rules)
        try:
            return Dataset(
                name=self.name,
                contract=contract,
                source=build_source(
                    self.options.kind,
                    self.options.connection,
                    {**self.arguments, **self._shared_arguments(contract)},
                ),
                partitions=self.partitions,
                max_bad_share=self.options.max_bad_share,
                on_failed_upstream=self.options.on_failed_upstream,
                freshness=self.options.freshness.build() if self.options.freshness else None,
                statistics=self.options.statistics.build(),
                rules=rules,
                unique_across=tuple(self.options.unique_across),
                quarantine_retention=self._quarantine_retention,
                sla=age_of(self.options.sla, "sla") if self.options.sla else None,
                description=self.options.description,
                owners=tuple(self.options.owners),
                tags=self.options.tags,
            )
        except PlatformError as error:
            raise type(error)(
                error.what,
                where=f"{self._pointed_at(error, document, place)}: {error.where}",
                expected=error.expected,
                found=error.found,
                fix=error.fix,
            ) from None

    @property
    def _quarantine_retention(self) -> timedelta | None:
        given = self.options.quarantine_retention
        return None if given is None else age_of(given, "quarantine_retention")

    def _pointed_at(self, error: PlatformError, document: Document, contract: Place) -> str:
        """The node that an error of the dataset is about: a column, a key, or the entry."""
        column = (*contract, "columns", error.where.rpartition(", column ")[2])
        if column in document.marks:
            return document.where(column)
        name = error.where.rpartition(", ")[2]
        for key in ((*self.place, name), (*self.place, "rules", name)):
            if key in self.document.marks:
                return self.document.where(key)
        return self.document.where(self.place)

    def _shared_arguments(self, contract: type[Contract]) -> dict[str, object]:
        """What the source wants to know of what the entry says for the dataset."""
        found: dict[str, object] = {}
        for key, argument in KINDS[self.options.kind].arguments.items():
            column = getattr(self.options, key)
            if column is not None:
                fields = contract.__fields__
                metadata = fields[column][1].metadata if column in fields else None
                options = (metadata or {}).get("platform_assets")
                found[argument] = getattr(options, "source", None) or column
        return found

    def _contract(self) -> tuple[type[Contract], Document, Place]:
        place = (*self.place, "contract")
        given = self.options.contract
        if self.inferred:
            pinned = pins.read(self)
            return self._described(pinned, ()), pinned, ()
        if isinstance(given, str):
            return self._imported(place, given), self.document, self.place
        if not isinstance(given, dict):
            raise self.document.error(
                ContractError,
                "A contract is neither columns, nor `infer`, nor the name of a class",
                place,
                expected="a mapping with `columns:`, or infer, or package.module:ClassName",
                found=shown(given),
                fix="write `contract: infer`, then: " + pins.command(self.name),
            )
        return self._described(self.document, place), self.document, place

    def _described(self, document: Document, place: Place) -> type[Contract]:
        columns = document.at((*place, "columns"))
        for flag, names in self.flags.items():
            for name in names:
                if isinstance(columns, dict) and name not in columns:
                    raise self.document.unknown(
                        ContractError,
                        f"The {flag.replace('_', ' ')} is not a column of the contract",
                        self._place_of(flag, name),
                        list(columns),
                        key=False,
                    )
            marked = [
                name
                for name, value in (columns.items() if isinstance(columns, dict) else ())
                if isinstance(value, dict) and flag in value and document is self.document
            ]
            if marked:
                raise document.error(
                    ContractError,
                    f"The {flag.replace('_', ' ')} is told twice",
                    (*place, "columns", marked[0], flag),
                    expected=f"`{flag}:` of the entry, or of its columns",
                    found="both",
                    fix="take one of them out",
                    key=True,
                )
        return contract_class(document, place, self.name, self.flags)

    def _place_of(self, flag: str, name: str) -> Place:
        value = self.document.at((*self.place, flag))
        return (
            (*self.place, flag, value.index(name))
            if isinstance(value, list)
            else (*self.place, flag)
        )

    def _imported(self, place: Place, given: str) -> type[Contract]:
        found = named(given) if _CLASS.fullmatch(given) else None
        if not (isinstance(found, type) and issubclass(found, Contract)):
            raise self.document.error(
                ContractError,
                "A contract's class cannot be found",
                place,
                expected="infer, or package.module:ClassName of a Contract that can be imported",
                found=given,
                fix="correct the name, or make the package importable from where Dagster starts",
            )
        if self.flags:
            flag = next(iter(self.flags))
            raise self.document.error(
                ContractError,
                f"The {flag.replace('_', ' ')} of a contract in code is told in code",
                (*self.place, flag),
                expected=f"no `{flag}:` beside a class",
                found=given,
                fix="take it out here, and say it in the class",
                key=True,
            )
        return found


@dataclass(frozen=True)
class Sources:
    """What a ``sources.yaml`` declares.

    Attributes:
        document: The file; None: there is none.
        connections: Where each connection is in it, by name.
        entries: The datasets.
    """

    document: Document | None = None
    connections: Mapping[str, Place] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()


def load_sources(file: Path, *, connections: Collection[str] = ()) -> Sources:
    """Read ``sources.yaml``; a file that is not there declares nothing.

    Args:
        file: The file.
        connections: Connections that the code brings, which entries may name too.

    Raises:
        SettingsError: The file is not of the right form.
        ContractError: Two entries have one name.
    """
    if not file.exists():
        return Sources()
    document = read_document(file)
    if document.data is None:
        return Sources(document)
    mapping_at(document, (), "The file")
    top = checked(document, (), _Top)
    for name in top.connections:
        _examine_connection(document, name, connections)
    known = {*top.connections, *connections}
    entries: dict[str, Entry] = {}
    for number in range(len(top.datasets)):
        entry = _entry(document, ("datasets", number), known)
        if entry.name in entries:
            raise document.error(
                ContractError,
                "Two entries have one name",
                (*entry.place, "name"),
                expected="each dataset once",
                found=f"{entry.name}, which {entries[entry.name].where} declares",
                fix="rename one of the two",
            )
        entries[entry.name] = entry
    return Sources(
        document, {name: ("connections", name) for name in top.connections}, tuple(entries.values())
    )


def _examine_connection(document: Document, name: str, code: Collection[str]) -> None:
    taken = (
        "the lake's" if name in RESERVED else "that of a connection in code" if name in code else ""
    )
    if taken or not _NAME.fullmatch(name):
        raise document.error(
            SettingsError,
            "A connection cannot be called so",
            ("connections", name),
            expected="lower-case letters, digits and underscores, a letter first; not taken",
            found=f"{name}, which is {taken}" if taken else name,
            fix="rename it, here and in the entries that name it",
            key=True,
        )


def _entry(document: Document, place: Place, connections: Collection[str]) -> Entry:
    given = mapping_at(document, place, "A dataset")
    common = {key: value for key, value in given.items() if key in EntryOptions.model_fields}
    options = checked(document, place, EntryOptions, values=common)
    if not available(options.kind):
        raise document.unknown(
            SettingsError, "There is no such kind of dataset", (*place, "kind"), kinds(), key=False
        )
    if options.connection not in connections:
        raise document.unknown(
            SettingsError,
            "A dataset names a connection that is not there",
            (*place, "connection"),
            connections,
            key=False,
        )
    own = {key: value for key, value in given.items() if key not in EntryOptions.model_fields}
    model = options_model(options.kind)
    arguments = checked(document, place, model, values=own, also=EntryOptions.model_fields)
    return Entry(
        document,
        place,
        options,
        {name: getattr(arguments, name) for name in arguments.model_fields_set},
    )


__all__ = ["INFER", "Entry", "EntryOptions", "Sources", "load_sources"]
