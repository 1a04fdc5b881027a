"""From a changed contract to what has to be done: statements on the table, partitions to redo.

Belongs here: the plan, carrying it out, and following a change that needs no plan. Does not belong
here: printing a plan (``cli``), or judging partitions again (``clean`` finds them due by itself).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from platform_assets.contracts.casts import cast
from platform_assets.contracts.changes import (
    ContractChange,
    describe,
    differences,
    renamed_columns,
)
from platform_assets.contracts.widening import holding
from platform_assets.dataset import Dataset
from platform_assets.errors import PublishError
from platform_assets.pipeline.raw_table import follow_names
from platform_assets.pipeline.steps import Step
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import ledger, migrate, schemas, tables
from platform_assets.warehouse.history import OWN_COLUMNS, SCHEMA, history_table
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.schemas import ContractVersion
from platform_assets.warehouse.tables import existing_layers

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_ANNOTATIONS = {
    "BOOLEAN": "bool", "DATE": "date", "TIMESTAMP": "datetime", "FLOAT": "float",
    "DOUBLE": "float", "TINYINT": "int", "SMALLINT": "int", "INTEGER": "int", "BIGINT": "int",
    "UTINYINT": "int", "USMALLINT": "int", "UINTEGER": "int",
    "TIMESTAMP WITH TIME ZONE": "datetime",
}  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """A column that the raw table keeps and the contract does not name.

    Attributes:
        column: The raw table's name of it.
        sql_type: Its type there.
        line: The line that would add it to the contract.
    """

    column: str
    sql_type: str
    line: str


@dataclass(frozen=True)
class Plan:
    """What a changed contract asks for.

    Attributes:
        dataset: The dataset's name.
        recorded: The version that the table follows; None: none was recorded.
        version: The version of the contract in the code.
        changes: What differs between them.
        statements: What brings the table to the contract, in one transaction.
        redo: Loaded partitions that another version judged, in order.
        why: Why they are to be redone.
        offered: Columns that could be added.
    """

    dataset: str
    recorded: str | None
    version: str
    changes: tuple[ContractChange, ...] = ()
    statements: tuple[str, ...] = ()
    redo: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    offered: tuple[Offer, ...] = ()

    @property
    def to_apply(self) -> bool:
        """Whether ``apply`` has something to do."""
        return bool(self.statements or self.changes)

    @property
    def is_empty(self) -> bool:
        """Whether table and partitions are what the contract says."""
        return not (self.to_apply or self.redo)


def plan(connection: Connection, dataset: Dataset) -> Plan:
    """Compare the contract in the code with the lake.

    Args:
        connection: An open lake.
        dataset: The dataset.

    Returns:
        What has to be done; empty for a dataset that was never loaded.
    """
    compiled = dataset.compiled
    tables.ensure_platform_tables(connection)
    layers = tables.existing_layers(connection, dataset.name)
    described = describe(compiled)
    versions = schemas.contract_versions(connection, dataset.name)
    newest = versions[-1] if versions else None
    judged = ledger.published(connection, f"cleaned/{dataset.name}")
    due = {
        k: e.contract_version for k, e in judged.items() if e.contract_version != compiled.version
    }
    changes: list[ContractChange] = []
    if newest is not None and newest.description != described:
        changes = differences(newest.description, described)
    return Plan(
        dataset=dataset.name,
        recorded=newest.version if newest else None,
        version=compiled.version,
        changes=tuple(changes),
        statements=tuple(_statements(connection, dataset, newest)),
        redo=tuple(sorted(due)),
        why=tuple(_reasons({v.version: v for v in versions}, set(due.values()), described)),
        offered=tuple(_offers(connection, dataset)) if "raw" in layers else (),
    )


def apply(connection: Connection, dataset: Dataset, planned: Plan) -> None:
    """Do what a plan says, in one transaction: killed, it has done all of it or nothing.

    Args:
        connection: An open lake.
        dataset: The dataset.
        planned: Its plan, as it was shown.

    Raises:
        PublishError: The table is no longer the one that was planned for.
    """
    described = describe(dataset.compiled)

    def work(con: Connection) -> None:
        versions = schemas.contract_versions(con, dataset.name)
        now = _statements(con, dataset, versions[-1] if versions else None)
        if tuple(now) != planned.statements:
            raise PublishError(
                "A table has changed since its plan was made",
                where=f"dataset {dataset.name}",
                expected=f"{len(planned.statements)} statements as shown",
                found=f"{len(now)} others",
                fix=f"look at the new plan: platform-assets contracts diff {dataset.name}",
            )
        for statement in planned.statements:
            con.execute(statement)
        _drop_history_of_another_contract(con, dataset)
        if not versions or versions[-1].description != described:
            schemas.record_contract(
                con, dataset.name, ContractVersion(dataset.compiled.version, described)
            )

    in_transaction(connection, work)


def _drop_history_of_another_contract(connection: Connection, dataset: Dataset) -> None:
    """Drop a history that cannot be widened: it is made anew from raw as partitions are redone."""
    if SCHEMA not in existing_layers(connection, dataset.name):
        return
    wanted = dict([*dataset.compiled.published_columns, *OWN_COLUMNS])
    held = migrate.table_columns(connection, history_table(dataset.name))
    if any(wanted.get(name) != sql_type for name, sql_type in held.items()):
        connection.execute(f"DROP TABLE {history_table(dataset.name)}")


def follow_contract(step: Step) -> None:
    """Bring a dataset's tables to its contract where no row that is there changes by it.

    Columns are added, and raw columns get the present names of the source's. The version that the
    table follows from now on is kept.

    Args:
        step: What to work on and with; its tables are there.

    Raises:
        PublishError: More than that has changed; ``contracts apply`` has to be told to.
    """
    dataset = step.dataset
    follow_names(step)
    described = describe(dataset.compiled)
    versions = schemas.contract_versions(step.lake, dataset.name)
    same = bool(versions) and versions[-1].description == described

    def record(connection: Connection) -> None:
        schemas.record_contract(
            connection, dataset.name, ContractVersion(dataset.compiled.version, described)
        )

    migrate.align(
        step.lake,
        dataset.name,
        tables.cleaned_table(dataset.name),
        _wanted(dataset),
        commit_with=None if same else record,
    )


def _wanted(dataset: Dataset) -> list[tuple[str, str]]:
    return [*dataset.compiled.published_columns, *dataset.cleaned_provenance]


def _statements(
    connection: Connection, dataset: Dataset, newest: ContractVersion | None
) -> list[str]:
    """What makes the cleaned table the contract's, in order; nothing where there is none yet."""
    if "cleaned" not in tables.existing_layers(connection, dataset.name):
        return []
    table = tables.cleaned_table(dataset.name)
    held = migrate.table_columns(connection, table)
    wanted = dict(_wanted(dataset))
    described = describe(dataset.compiled)
    renamed = renamed_columns(newest.description, described) if newest else {}
    renamed |= _other_case(held, wanted)
    renamed = {a: b for a, b in renamed.items() if a in held and b in wanted and b not in held}
    alter = f"ALTER TABLE {table}"
    statements = [
        f"{alter} DROP COLUMN {quote_identifier(name)}"
        for name in held
        if name not in wanted and name not in renamed
    ]
    for name, to in renamed.items():
        statements.append(
            f"{alter} RENAME COLUMN {quote_identifier(name)} TO {quote_identifier(to)}"
        )
    held = {renamed.get(name, name): sql_type for name, sql_type in held.items()}
    retyped = {}
    for name, sql_type in wanted.items():
        if name not in held:
            statements.append(f"{alter} ADD COLUMN {quote_identifier(name)} {sql_type}")
        elif held[name] == sql_type:
            continue
        elif holding(held[name], sql_type) == sql_type:
            statements.append(f"{alter} ALTER {quote_identifier(name)} SET DATA TYPE {sql_type}")
        else:
            retyped[name] = _exactly(dataset, name, held[name], sql_type)
    return statements + (migrate.rewriting(table, retyped) if retyped else [])


def _other_case(held: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Columns whose names differ from the contract's by case, which to the engine are the same."""
    there = {name.lower(): name for name in held}
    return {
        there[name.lower()]: name
        for name in wanted
        if name not in held and name.lower() in there and there[name.lower()] not in wanted
    }


def _exactly(dataset: Dataset, name: str, held: str, sql_type: str) -> str:
    """The value in another type, or null where it has none; the redo gives every row its own."""
    column = dataset.compiled.column(name)
    if column.pii is not None:
        return f"CAST(NULL AS {sql_type})"
    return cast(quote_identifier(name), column.type, None, held).sql


def _reasons(
    versions: Mapping[str, ContractVersion], judged_by: set[str], described: str
) -> list[str]:
    """Why partitions that other versions judged are to be redone, each reason once."""
    found: dict[str, None] = {}
    for version in sorted(judged_by):
        kept = versions.get(version)
        if kept is None:
            found[f"judged by version {version}, which this lake has no record of"] = None
            continue
        for change in differences(kept.description, described):
            if change.judged:
                found[f"{change.subject}: {change.text}"] = None
    return list(found)


def _offers(connection: Connection, dataset: Dataset) -> list[Offer]:
    claimed = {name.lower() for c in dataset.compiled.columns for name in c.sources}
    taken = {c.name.lower() for c in dataset.compiled.columns}
    offers = []
    held = migrate.table_columns(connection, tables.raw_table(dataset.name))
    for column, sql_type in held.items():
        # What begins with an underscore is the platform's own.
        if column.lower() in claimed or column.startswith("_"):
            continue
        name = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_").lower() or "column"
        name = name if name[0].isalpha() else f"column_{name}"
        name = name if name not in taken else f"{name}_2"
        options = ["nullable=True"] if name == column else ["nullable=True", f"source={column!r}"]
        decimal = _DECIMAL.fullmatch(sql_type)
        if decimal:
            options.append(f"decimal=({decimal[1]}, {decimal[2]})")
        annotation = "Decimal" if decimal else _ANNOTATIONS.get(sql_type, "str")
        offers.append(
            Offer(column, sql_type, f"{name}: {annotation} = Field({', '.join(options)})")
        )
    return offers
