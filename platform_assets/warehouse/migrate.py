"""A table follows its contract: added columns by itself, anything else when told to.

Belongs here: bringing a table's columns to those of a contract, and rewriting one. Does not belong
here: comparing contracts and the plan that follows (``pipeline.contract_plan``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from platform_assets.errors import PublishError
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import threads
from platform_assets.warehouse.lake import Connection, in_transaction


def table_columns(connection: Connection, table: str) -> dict[str, str]:
    """Name and SQL type of a table's columns."""
    described = connection.execute(
        f"SELECT column_name, column_type FROM (DESCRIBE {table})"
    ).fetchall()
    return {str(name): str(sql_type) for name, sql_type in described}


def align(
    connection: Connection,
    dataset: str,
    table: str,
    columns: Sequence[tuple[str, str]],
    *,
    commit_with: Callable[[Connection], object] | None = None,
) -> None:
    """Add the columns that a table lacks; refuse where more than that has changed.

    Rows that are already there have NULL in an added column until their partition is judged again,
    which the contract's new version makes due.

    Args:
        connection: An open lake.
        dataset: The dataset's name, for the message.
        table: The table, quoted.
        columns: Name and SQL type of each column that it should have.
        commit_with: What must be committed together with the change, also where there is none.

    Raises:
        PublishError: A column has another type, or the contract no longer has it. Rows that are
            inserted all the same would be converted silently.
    """
    held, wanted = table_columns(connection, table), dict(columns)
    if held == wanted and commit_with is None:
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
            fix=f"see what follows from it: platform-assets contracts diff {dataset}; "
            f"do it: platform-assets contracts apply {dataset}",
        )
    added = [(name, sql_type) for name, sql_type in wanted.items() if name not in held]

    def widen(con: Connection) -> None:
        for name, sql_type in added:
            con.execute(
                f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {quote_identifier(name)} {sql_type}"
            )
        if commit_with is not None:
            commit_with(con)

    in_transaction(connection, widen)


def rewrite_in_order(
    connection: Connection,
    table: str,
    values: Mapping[str, str],
    *,
    without: Sequence[str] = (),
) -> None:
    """Give columns of a table other values, and so other types, in one transaction.

    Rows keep their order, by which copies and row numbers are told; their row ids change. An
    UPDATE would keep those, and hold all rows in memory.

    Args:
        connection: An open lake.
        table: The table, quoted.
        values: The new value of a column as SQL over the old ones.
        without: Columns to leave out.
    """

    def rewrite(con: Connection) -> None:
        for statement in rewriting(table, values, without=without, in_order=True):
            con.execute(statement)

    with threads.only_one(connection):
        in_transaction(connection, rewrite)


def rewriting(
    table: str,
    values: Mapping[str, str],
    *,
    without: Sequence[str] = (),
    in_order: bool = False,
) -> list[str]:
    """The statements that give columns of a table other values; see ``rewrite_in_order``."""
    made = table[:-1] + '__new"'
    replaced = ", ".join(f"{sql} AS {quote_identifier(name)}" for name, sql in values.items())
    excluded = ", ".join(quote_identifier(name) for name in without)
    return [
        f"CREATE TABLE {made} AS SELECT *"
        + (f" EXCLUDE ({excluded})" if excluded else "")
        + f" REPLACE ({replaced}) FROM {table}"
        + (" ORDER BY rowid" if in_order else ""),
        f"DROP TABLE {table}",
        f"ALTER TABLE {made} RENAME TO {table.rpartition('.')[2]}",
    ]
