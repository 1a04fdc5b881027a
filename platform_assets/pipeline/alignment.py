"""The raw table follows its source: made with the source's types, widened by its new columns.

Belongs here: bringing the raw table to what a load is about to put in. Does not belong here: the
cleaned table, which follows the contract (``warehouse.migrate``).
"""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.errors import SourceError
from platform_assets.pipeline.steps import Step
from platform_assets.provenance import PROVENANCE
from platform_assets.sources.base import TEXT, SourceColumn
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import migrate, tables
from platform_assets.warehouse.lake import Connection, in_transaction


def source_names(step: Step) -> list[str]:
    """The columns that the contract names, as the source calls them."""
    return [column.source for column in step.dataset.compiled.columns]


def align_raw(
    step: Step,
    found: Sequence[SourceColumn] | None,
    provenance: Sequence[tuple[str, str]] = PROVENANCE,
) -> dict[str, str]:
    """Make the raw table, or give it the columns that the source has beyond it.

    Args:
        step: What to work on and with.
        found: The source's columns; None: nothing came, and they are not known yet.
        provenance: Name and SQL type of the platform's own columns in it.

    Returns:
        Name and SQL type of each column of the table.

    Raises:
        SourceError: A column now holds values that the table's type cannot.
    """
    name = step.dataset.name
    table = tables.raw_table(name)
    columns = found or [SourceColumn(column) for column in source_names(step)]
    if "raw" not in tables.existing_layers(step.lake, name):
        types = {column.name.lower(): column.sql_type for column in columns}
        ddl = step.dataset.compiled.ddl(table, "raw", provenance, types)
        in_transaction(step.lake, lambda connection: connection.execute(ddl))
    held = migrate.table_columns(step.lake, table)
    # To the engine, names that differ by case are one.
    there = {name.lower(): sql_type for name, sql_type in held.items()}
    for column in columns:
        _accept_type(step, column, there.get(column.name.lower(), column.sql_type))
    added = {c.name: c.sql_type for c in columns if c.name.lower() not in there}
    if added:

        def widen(connection: Connection) -> None:
            for name, sql_type in added.items():
                connection.execute(
                    f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS "
                    f"{quote_identifier(name)} {sql_type}"
                )

        in_transaction(step.lake, widen)
    return held | added


def _accept_type(step: Step, column: SourceColumn, held: str) -> None:
    """Refuse values that would be converted on their way into the raw table; text takes all."""
    if held not in (column.sql_type, TEXT):
        raise SourceError(
            "A column has another type at the source than it had",
            where=f"dataset {step.dataset.name}, column {column.name}",
            expected=held,
            found=column.sql_type,
            fix=f"platform-assets contracts diff {step.dataset.name} tells what follows from it",
        )


def source_types(step: Step) -> dict[str, str]:
    """The raw table's types by lower-case name: those of the source."""
    held = migrate.table_columns(step.lake, tables.raw_table(step.dataset.name))
    return {name.lower(): sql_type for name, sql_type in held.items()}
