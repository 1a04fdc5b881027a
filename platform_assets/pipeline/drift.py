"""Each extract's schema held against the last one and the contract: what may be loaded, and how.

Belongs here: reading schemas, judging partitions by the dataset's policy, and the events that are
committed with the rows. Does not belong here: the comparison itself (``contracts.drift``) and the
raw table's columns (``raw_table``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from platform_assets.contracts.columns import Column
from platform_assets.contracts.drift import Change, Drift, compare
from platform_assets.errors import PlatformError, SchemaDriftError
from platform_assets.partitions import Unpartitioned
from platform_assets.pipeline.steps import Step
from platform_assets.sources.base import (
    HasLayouts,
    Layouts,
    SourceColumn,
    SourceInput,
    WindowSource,
)
from platform_assets.sources.nested import HasPaths, outermost
from platform_assets.warehouse import schemas
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.schemas import DriftEvent

STOPPED_BY = "schema"
SHOWN_NAMES = 12

Schema = tuple[SourceColumn, ...]


@dataclass(frozen=True)
class Judged:
    """What became of the schemas of some partitions.

    Attributes:
        dataset: The dataset's name.
        run_id: The run.
        changes: What has changed, by partition; one where nothing has is absent.
        blocked: Why a partition must not be loaded, by partition.
        accepted: Schemas of partitions that may be, as JSON, by partition.
        defaults: What a column that no item of a partition has is filled with, by partition and
            the source's present name of the column.
        whole: Whether the source comes whole: it has no older deliveries, so to be as it once was
            is a change, too.
        known: Schemas that were accepted before, as JSON. A book of them is only written on, so
            that those need not be looked for again; of a source that comes whole, there are none.
    """

    dataset: str
    run_id: str
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    blocked: Mapping[str, SchemaDriftError] = field(default_factory=dict)
    accepted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    whole: bool = False
    known: frozenset[str] = frozenset()

    def record(self, connection: Connection, rows: Mapping[str, int]) -> None:
        """Commit what is told of partitions with their rows, in the caller's transaction.

        Args:
            connection: An open lake, inside a transaction.
            rows: Rows that were loaded, by partition; 0 for one that was stopped.
        """
        schemas.record_drifts(
            connection,
            [
                DriftEvent(
                    dataset=self.dataset,
                    run_id=self.run_id,
                    partition=partition,
                    kind=each.kind,
                    column_name=_printable(each.column),
                    before=_printable(each.before),
                    after=_printable(each.after),
                    decision=each.decision,
                    text=_printable(each.text),
                    rows=count,
                )
                for partition, count in rows.items()
                for each in self.changes.get(partition, ())
            ],
        )
        met = [text for key in sorted(rows) for text in self.accepted.get(key, ())]
        for text in dict.fromkeys(text for text in met if text not in self.known):
            schemas.record_source_schema(
                connection, self.dataset, text, self.run_id, again=self.whole
            )


class SchemaBook:
    """The schemas that a dataset's source has had, and what each new one of a load changes.

    A schema is told of once: all partitions of the load that first meets it carry the change, and
    a later load with it is silent. An older delivery, loaded again, is no change either.
    """

    def __init__(self, step: Step) -> None:
        """Read what is known.

        Args:
            step: What is worked on; the platform's tables are there.
        """
        self._step = step
        texts = schemas.source_schemas(step.lake, step.dataset.name)
        self._newest = _from_text(texts[-1]) if texts else None
        self._whole = isinstance(step.dataset.partitions, Unpartitioned)
        self._seen = set(texts[-1:] if self._whole else texts)
        self._met: dict[str, Drift] = {}

    def judge(self, layouts: Layouts) -> Judged:
        """Hold schemas against what is known, and decide by the dataset's policy.

        Args:
            layouts: The columns of each item, by partition. A source without items or partitions
                gives one of each, under any name.
        """
        changes: dict[str, tuple[Change, ...]] = {}
        blocked: dict[str, SchemaDriftError] = {}
        accepted: dict[str, tuple[str, ...]] = {}
        defaults: dict[str, dict[str, str]] = {}
        for partition in sorted(layouts):
            items = layouts[partition]
            by_item = {item: self._drift(found) for item, found in items.items()}
            found = dict.fromkeys(each for drift in by_item.values() for each in drift.changes)
            if found:
                changes[partition] = tuple(found)
            error = self._refusal(partition, items, by_item)
            if error is not None:
                blocked[partition] = error
                continue
            accepted[partition] = tuple(dict.fromkeys(_as_text(each) for each in items.values()))
            given = self._defaults(items)
            if given:
                defaults[partition] = given
        name = self._step.dataset.name
        return Judged(
            name,
            self._step.run_id,
            changes,
            blocked,
            accepted,
            defaults,
            whole=self._whole,
            known=frozenset() if self._whole else frozenset(self._seen),
        )

    def _drift(self, found: Schema) -> Drift:
        text = _as_text(found)
        if text not in self._met:
            known = found if text in self._seen else self._newest
            dataset = self._step.dataset
            drift = compare(known, found, dataset.compiled.columns, dataset.drift)
            self._met[text] = drift
            if not drift.blocked and text not in self._seen:
                self._newest = found
        return self._met[text]

    def _refusal(
        self, partition: str, items: Mapping[str, Schema], by_item: Mapping[str, Drift]
    ) -> SchemaDriftError | None:
        name = self._step.dataset.name
        for item, drift in by_item.items():
            if drift.blocked:
                return _error(name, partition, item, items[item], drift.blocked, self._step)
        divided = [
            column.name
            for column in self._step.dataset.compiled.columns
            if self._step.dataset.drift.default(column) is not None
            and len({_has(found, column) for found in items.values()}) > 1
        ]
        if not divided:
            return None
        return SchemaDriftError(
            "Items of one partition do not agree on a column that has a default",
            where=f"dataset {name}, partition {partition}",
            expected=f"{', '.join(divided)} in all of its items, or in none",
            found="it is in some of them",
            fix="have those without it delivered again",
        )

    def _defaults(self, items: Mapping[str, Schema]) -> dict[str, str]:
        given = {}
        for column in self._step.dataset.compiled.columns:
            value = self._step.dataset.drift.default(column)
            if value is not None and not any(_has(found, column) for found in items.values()):
                given[column.source] = value
        return given if items else {}


def read_layouts(step: Step, inputs: Sequence[SourceInput]) -> tuple[Layouts, dict[str, Exception]]:
    """The columns of each item of inputs that passed ``inspect``, and what could not be read.

    Args:
        step: What is worked on.
        inputs: The inputs; one without items has no columns.

    Returns:
        Columns by partition and item; errors by partition.
    """
    source = step.dataset.source
    contract = step.dataset.compiled.columns
    assert isinstance(source, WindowSource)  # a source of changes tells its columns as it reads
    there = [each for each in inputs if each.items]
    if not there:
        return {}, {}
    if not isinstance(source, HasLayouts):
        try:
            columns = source.schema(step.access, there)
        except (PlatformError, duckdb.Error, OSError) as error:
            # One answer for all of them: a source that is down is not asked again for each.
            return {}, {each.partition: error for each in there}
        return {each.partition: {"": columns} for each in there}, {}
    layouts: dict[str, Mapping[str, Schema]] = {}
    errors: dict[str, Exception] = {}
    for each in there:
        try:
            for partition, items in source.layouts(step.access, [each]).items():
                layouts[partition] = (
                    {item: _with_paths(found, contract) for item, found in items.items() if found}
                    if isinstance(source, HasPaths)
                    else items
                )
        except (PlatformError, duckdb.Error, OSError) as error:
            errors[each.partition] = error
    return layouts, errors


def _with_paths(found: Schema, columns: Sequence[Column]) -> Schema:
    """The schema of records with the contract's paths that lead into what they have.

    Whether a value has what a path asks for is seen row by row. A name that no record has is null
    in all of them, as JSON's writers leave null out: only what must not be null is missing then.
    """
    there = {each.name for each in found}
    further = []
    for column in columns:
        if there.isdisjoint(column.sources):
            leading = [name for name in column.sources if outermost(name) in there]
            further += leading[:1] or ([column.source] if column.nullable else [])
    return (*found, *map(SourceColumn, further))


def names_in(columns: Sequence[Column], layouts: Layouts, partitions: Sequence[str]) -> list[str]:
    """The contract's columns as the items of these partitions call them; what none has is absent.

    Args:
        columns: The contract's columns.
        layouts: The columns of each item, by partition.
        partitions: Which of them.
    """
    there = {
        each.name.lower()
        for key in partitions
        for found in layouts.get(key, {}).values()
        for each in found
    }
    return [name for column in columns for name in column.sources if name.lower() in there]


def _has(found: Schema, column: Column) -> bool:
    names = {name.lower() for name in column.sources}
    return any(each.name.lower() in names for each in found)


def _error(
    dataset: str,
    partition: str,
    item: str,
    found: Schema,
    blocked: Sequence[Change],
    step: Step,
) -> SchemaDriftError:
    gone = [each.column for each in blocked if not each.after]
    what = "The source's schema has changed in a way that needs your approval"
    if gone and len(gone) == len(blocked):
        what = f"The source lacks {'a column' if len(gone) == 1 else 'columns'}: {', '.join(gone)}"
    shown = ", ".join(each.name for each in found[:SHOWN_NAMES])
    rest = len(found) - SHOWN_NAMES
    return SchemaDriftError(
        _printable(what),
        where=f"dataset {dataset}, partition {partition}" + (f", {item}" if item else ""),
        expected="the columns "
        + ", ".join(" or ".join(each.sources) for each in step.dataset.compiled.columns),
        found=_printable(
            f"{len(found)} columns: {shown}" + (f" and {rest} more" if rest > 0 else "")
        ),
        fix=_printable(" ".join(each.text for each in blocked)),
    )


def _printable(text: str) -> str:
    """A text for one line: a source's name of a column may hold anything."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _as_text(columns: Schema) -> str:
    """A schema as JSON; the order of columns and the case of their names are no part of it."""
    listed = sorted(
        (each.name.lower(), each.sql_type, each.nullable, each.name) for each in columns
    )
    return json.dumps([[name, kind, nullable] for _, kind, nullable, name in listed])


def _from_text(text: str) -> Schema:
    return tuple(SourceColumn(name, kind, nullable) for name, kind, nullable in json.loads(text))
