"""A cleaned table follows its contract: added columns by itself, anything else when told to.

Belongs here: bringing a table's columns to those of a contract. Does not belong here: comparing
contracts, or filling partitions again (a changed contract makes them due by itself).
"""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.errors import PublishError
from platform_assets.sql import quote_identifier
from platform_assets.warehouse.lake import Connection, in_transaction


def table_columns(connection: Connection, table: str) -> dict[str, str]:
    """Name and SQL type of a table's columns."""
    described = connection.execute(
        f"SELECT column_name, column_type FROM (DESCRIBE {table})"
    ).fetchall()
    return {str(name): str(sql_type) for name, sql_type in described}


def align(
    connection: Connection, dataset: str, table: str, columns: Sequence[tuple[str, str]]
) -> None:
    """Add the columns that a table lacks; refuse where more than that has changed.

    Rows that are already there have NULL in an added column until their partition is judged again,
    which the contract's new version makes due.

    Args:
        connection: An open lake.
        dataset: The dataset's name, for the message.
        table: The table, quoted.
        columns: Name and SQL type of each column that it should have.

    Raises:
        PublishError: A column has another type, or the contract no longer has it. Rows that are
            inserted all the same would be converted silently.
    """
    held, wanted = table_columns(connection, table), dict(columns)
    if held == wanted:
        return
    gone = [f"{name} is no longer in the contract" for name in held if name not in wanted]
    other = [
        f"{name} is {held[name]} in the table and {sql_type} in the contract"
        for name, sql_type in wanted.items()
        if name in held and held[name] != sql_type
    ]
    if gone or other:
        raise PublishError(
            "A contract has changed in a way that its table cannot follow by itself",
            where=f"dataset {dataset}, table {table}",
            expected="the same columns and types, or further ones",
            found="; ".join([*gone, *other]),
            fix=f"platform-assets contracts rebuild {dataset}, then backfill its partitions",
        )
    added = [(name, sql_type) for name, sql_type in wanted.items() if name not in held]

    def widen(con: Connection) -> None:
        for name, sql_type in added:
            con.execute(
                f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {quote_identifier(name)} {sql_type}"
            )

    in_transaction(connection, widen)


def rebuild(connection: Connection, table: str, ddl: str) -> None:
    """Replace a cleaned table by an empty one with the contract's present columns.

    The raw rows stay, and the next backfill judges them by the new contract. Until then the table
    is empty; what it held is in the lake's earlier snapshots.

    Args:
        connection: An open lake.
        table: The table, quoted.
        ddl: The CREATE TABLE of the new one.
    """

    def replace(con: Connection) -> None:
        con.execute(f"DROP TABLE IF EXISTS {table}")
        con.execute(ddl)

    in_transaction(connection, replace)
