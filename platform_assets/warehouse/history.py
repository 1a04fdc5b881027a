"""History tables: where they are, and that they are there.

Belongs here: the table's name and own columns, making it, and how the ledger tells of it. Does not
belong here: what is in it (``pipeline.history``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from platform_assets.provenance import PARTITION_COLUMN, PERIOD
from platform_assets.sql import quote_name
from platform_assets.warehouse import migrate
from platform_assets.warehouse.lake import LAKE, Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry
from platform_assets.warehouse.tables import existing_layers

SCHEMA = "history"
OWN_COLUMNS = ((PARTITION_COLUMN, "VARCHAR"), *PERIOD)
"""Name and SQL type of its columns beyond those that are published."""


def history_table(dataset: str) -> str:
    """The table of all good versions of a dataset's rows."""
    return quote_name(LAKE, SCHEMA, dataset)


def ensure_history_table(
    connection: Connection, dataset: str, ddl: str, published: Sequence[tuple[str, str]]
) -> None:
    """Create a dataset's history table where it is missing, and widen it by added columns.

    Args:
        connection: An open lake.
        dataset: The dataset's name.
        ddl: The CREATE TABLE IF NOT EXISTS of the table.
        published: Name and SQL type of the columns that the contract publishes.

    Raises:
        PublishError: The contract has changed in a way that the table cannot follow by itself.
    """
    if SCHEMA not in existing_layers(connection, dataset):

        def create(con: Connection) -> None:
            # A lake that is older than histories has no such schema.
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_name(LAKE, SCHEMA)}")
            con.execute(ddl)

        in_transaction(connection, create)
    migrate.align(connection, dataset, history_table(dataset), [*published, *OWN_COLUMNS])


def history_entry(cleaned: LedgerEntry, rows: int) -> LedgerEntry:
    """The entry of a history's partition.

    Args:
        cleaned: Of its cleaned rows.
        rows: Rows that the history has of it.
    """
    return replace(
        cleaned,
        asset=cleaned.asset.replace("cleaned/", "history/", 1),
        cleaned=rows,
        quarantined=0,
        deduplicated=0,
        broken={},
        rows_added=None,
        rows_removed=None,
        rows_changed=None,
    )
