"""The raw table's columns: the source's, by their present names and in types that hold all values.

Belongs here: making the table, and bringing it to what the source has now. Does not belong here:
whether a change is allowed (``drift``), and the rows themselves (``raw``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from platform_assets.contracts.widening import holding, storable
from platform_assets.errors import SchemaDriftError
from platform_assets.pipeline.steps import Step
from platform_assets.provenance import PARTITION_COLUMN, PROVENANCE, PROVENANCE_COLUMNS
from platform_assets.sources.base import TEXT, SourceColumn
from platform_assets.sql import literal_list, quote_identifier, quote_literal
from platform_assets.warehouse import migrate, tables
from platform_assets.warehouse.lake import Connection, in_transaction, one_state


def align_raw(
    step: Step,
    found: Sequence[SourceColumn] | None,
    provenance: Sequence[tuple[str, str]] = PROVENANCE,
) -> dict[str, str]:
    """Make the raw table, or bring it to the columns that the source has now.

    A column that the source has beyond it is added; one whose type holds too little becomes wider
    or, where no type holds both, text. No value is lost or rounded, and rows keep their order.

    Args:
        step: What to work on and with.
        found: The source's columns; None: nothing came, and they are not known yet.
        provenance: Name and SQL type of the platform's own columns in it.

    Returns:
        Name and SQL type of each column of the table.

    Raises:
        SchemaDriftError: A column would have to become text, and the dataset's policy forbids it.
    """
    name = step.dataset.name
    table = tables.raw_table(name)
    asked = [SourceColumn(column.source) for column in step.dataset.compiled.columns]
    columns = by_present_name(step, found) if found else asked
    follow_names(step)
    with one_state(step.lake):
        there_is_one = "raw" in tables.existing_layers(step.lake, name)
        held = migrate.table_columns(step.lake, table) if there_is_one else {}
    if not held:
        types = {column.name.lower(): storable(column.sql_type) for column in columns}
        ddl = step.dataset.compiled.ddl(table, "raw", provenance, types)
        in_transaction(step.lake, lambda connection: connection.execute(ddl))
        held = migrate.table_columns(step.lake, table)
    # To the engine, names that differ by case are one.
    there = {name.lower(): name for name in held}
    added = {c.name: storable(c.sql_type) for c in columns if c.name.lower() not in there}
    wider, text = {}, []
    for column in columns:
        own = there.get(column.name.lower())
        if own is None or held[own] in (TEXT, storable(column.sql_type)):
            continue
        wide = holding(held[own], storable(column.sql_type))
        if wide is None:
            _may_become_text(step, column, held[own])
            text.append(own)
        elif wide != held[own]:
            wider[own] = wide

    def change(connection: Connection) -> None:
        for name, sql_type in added.items():
            connection.execute(
                f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {quote_identifier(name)} {sql_type}"
            )
        for name, sql_type in wider.items():
            connection.execute(
                f"ALTER TABLE {table} ALTER {quote_identifier(name)} SET DATA TYPE {sql_type}"
            )

    if added or wider:
        in_transaction(step.lake, change)
    if text:
        migrate.rewrite_in_order(
            step.lake, table, {name: f"CAST({quote_identifier(name)} AS VARCHAR)" for name in text}
        )
    return migrate.table_columns(step.lake, table) if added or wider or text else held


def _may_become_text(step: Step, column: SourceColumn, held: str) -> None:
    if step.dataset.drift.type_changed == "cast":
        return
    raise SchemaDriftError(
        "A column has another type at the source than it had",
        where=f"dataset {step.dataset.name}, column {column.name}",
        expected=held,
        found=column.sql_type,
        fix="have it corrected at the source, or set DriftPolicy(type_changed='cast')",
    )


def by_present_name(step: Step, found: Sequence[SourceColumn]) -> list[SourceColumn]:
    """The source's columns as the raw table calls them.

    Args:
        step: What to work on and with.
        found: The source's columns; of a column of the contract, several names may be there where
            they come from several items.
    """
    left = {each.name.lower(): each for each in found}
    columns = []
    for column in step.dataset.compiled.columns:
        present = [left.pop(name.lower()) for name in column.sources if name.lower() in left]
        if not present:
            continue
        sql_type = present[0].sql_type
        for other in present[1:]:
            sql_type = holding(sql_type, other.sql_type) or TEXT
        columns.append(SourceColumn(column.source, sql_type, present[0].nullable))
    return [*columns, *left.values()]


def follow_names(step: Step) -> None:
    """Give a raw column the source's present name, where the contract says that it was renamed.

    Args:
        step: What to work on and with; the raw table may be missing.
    """
    renamed = [column for column in step.dataset.compiled.columns if column.former]
    if not renamed or "raw" not in tables.existing_layers(step.lake, step.dataset.name):
        return
    table = tables.raw_table(step.dataset.name)
    for column in renamed:
        there = {name.lower(): name for name in migrate.table_columns(step.lake, table)}
        for former in column.former:
            if former.lower() not in there:
                continue
            old = there.pop(former.lower())
            if column.source.lower() in there:
                _unite(step, table, there[column.source.lower()], old)
                continue
            statement = (
                f"ALTER TABLE {table} RENAME COLUMN {quote_identifier(old)} "
                f"TO {quote_identifier(column.source)}"
            )
            in_transaction(step.lake, lambda con, sql=statement: con.execute(sql))  # type: ignore[misc] # mypy cannot infer a lambda with a default
            there[column.source.lower()] = column.source


def _unite(step: Step, table: str, name: str, former: str) -> None:
    """Make one column of two: of each row, the value that is there."""
    held = migrate.table_columns(step.lake, table)
    sql_type = holding(held[name], held[former]) or TEXT
    values = [f"CAST({quote_identifier(each)} AS {sql_type})" for each in (name, former)]
    migrate.rewrite_in_order(
        step.lake, table, {name: f"coalesce({', '.join(values)})"}, without=[former]
    )


def raw_rows(
    step: Step,
    relation: str,
    found: Sequence[SourceColumn],
    held: Mapping[str, str],
    defaults: Mapping[str, Mapping[str, str]],
) -> str:
    """The SELECT of new rows with exactly the raw table's columns.

    Args:
        step: What to work on and with.
        relation: A SELECT of the source's columns and provenance.
        found: The source's columns in it.
        held: The raw table's columns, from ``align_raw``.
        defaults: By partition, the values of columns that its items do not have.
    """
    given = {each.name.lower(): each for each in found}
    names = {column.source.lower(): column.sources for column in step.dataset.compiled.columns}
    selected = []
    for own, sql_type in held.items():
        quoted = quote_identifier(own)
        if own in PROVENANCE_COLUMNS:
            selected.append(quoted)
            continue
        present = [given[n.lower()] for n in names.get(own.lower(), (own,)) if n.lower() in given]
        values = [
            quote_identifier(each.name)
            if each.sql_type == sql_type
            else f"CAST({quote_identifier(each.name)} AS {sql_type})"
            for each in present
        ]
        value = f"coalesce({', '.join(values)})" if len(values) > 1 else "".join(values) or "NULL"
        selected.append(f"{_or_default(value, own, sql_type, defaults)} AS {quoted}")
    return f"SELECT {', '.join(selected)} FROM ({relation})"


def _or_default(
    value: str, own: str, sql_type: str, defaults: Mapping[str, Mapping[str, str]]
) -> str:
    partitions: dict[str, list[str]] = {}
    for partition, by_name in defaults.items():
        for name, default in by_name.items():
            if name.lower() == own.lower():
                partitions.setdefault(default, []).append(partition)
    if not partitions:
        return value
    cases = " ".join(
        f"WHEN {PARTITION_COLUMN} IN {literal_list(keys)} "
        f"THEN CAST({quote_literal(default)} AS {sql_type})"
        for default, keys in partitions.items()
    )
    return f"CASE {cases} ELSE {value} END"


def raw_columns(step: Step) -> Mapping[str, str]:
    """Name and SQL type of the raw table's columns, as a judgement has found them."""
    return step.raw_columns or migrate.table_columns(step.lake, tables.raw_table(step.dataset.name))


def source_types(step: Step) -> dict[str, str]:
    """The raw table's types by lower-case name: those of the source."""
    return {name.lower(): sql_type for name, sql_type in raw_columns(step).items()}
