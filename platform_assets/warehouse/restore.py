"""Restoring: rows of a table, and of the quarantine, as they were at an earlier snapshot.

Belongs here: reading earlier rows in the columns that a table has now, and bringing the quarantine
of a partition back to what belonged to a publish. Does not belong here: which publish that is, its
gate and its books (``pipeline.rollback``).

Earlier rows are laid out before the transaction begins: one that has written to a table would see
its own rows there in an earlier snapshot, too.
"""

from __future__ import annotations

from collections.abc import Collection

from platform_assets.errors import PublishError
from platform_assets.sql import literal_list, quote_identifier, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.leftovers import Compared
from platform_assets.warehouse.migrate import table_columns
from platform_assets.warehouse.quarantine import HELD, RowStatus
from platform_assets.warehouse.snapshots import columns_at
from platform_assets.warehouse.tables import QUARANTINE

_THEN = "_quarantine_then"


def lay_out(
    connection: Connection,
    source: Compared,
    partition: str,
    snapshot: int,
    into: str,
    *,
    required: Collection[str] = (),
    fix: str,
) -> int:
    """Lay out a partition's earlier rows in the columns that their table has now.

    A column that was added since is NULL; one that is gone since is left out; one of another type
    is converted where every value can be.

    Args:
        connection: An open lake, outside of a transaction.
        source: The table.
        partition: The partition's key.
        snapshot: When.
        into: The temporary table to make.
        required: Columns that may not be NULL.
        fix: What to do where the rows do not fit.

    Returns:
        How many rows there are.

    Raises:
        PublishError: The rows do not fit into the table as it is now.
    """
    then, now = (
        columns_at(connection, source.table, snapshot),
        table_columns(connection, source.table),
    )
    _examine(source, snapshot, [n for n in now if n not in then and n in required], fix)
    kept = {name: then[name] != now[name] for name in now if name in then}
    picked = (
        f"FROM {source.table} AT (VERSION => {snapshot}) "
        f"WHERE {source.partition} = {quote_literal(partition)}"
    )

    def value(name: str) -> str:
        quoted, sql_type = quote_identifier(name), now[name]
        if name not in kept:
            return f"CAST(NULL AS {sql_type}) AS {quoted}"
        return f"TRY_CAST({quoted} AS {sql_type}) AS {quoted}" if kept[name] else quoted

    for name in (n for n, retyped in kept.items() if retyped):
        quoted = quote_identifier(name)
        lost = connection.execute(
            f"SELECT count(*) {picked} AND {quoted} IS NOT NULL "
            f"AND TRY_CAST({quoted} AS {now[name]}) IS NULL"
        ).fetchone()
        if lost != (0,):
            _refuse(source, snapshot, f"column {name} as {now[name]}", f"it was {then[name]}", fix)
    # Row numbers in files follow from the order of the raw table's rows.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {into} AS SELECT {', '.join(map(value, now))} {picked} "
        "ORDER BY rowid"
    )
    counted = connection.execute(f"SELECT count(*) FROM {into}").fetchone()
    return int(counted[0]) if counted else 0


def _examine(source: Compared, snapshot: int, lacking: list[str], fix: str) -> None:
    if lacking:
        _refuse(
            source,
            snapshot,
            f"a value in column {', '.join(lacking)}, which must not be empty",
            "rows that are older than the column",
            fix,
        )


def _refuse(source: Compared, snapshot: int, expected: str, found: str, fix: str) -> None:
    raise PublishError(
        "The earlier rows do not fit into the table as it is now",
        where=f"asset {source.asset}, snapshot {snapshot}",
        expected=expected,
        found=found,
        fix=fix,
    )


def lay_out_quarantine(connection: Connection, dataset: str, partition: str, snapshot: int) -> None:
    """Lay out what the quarantine had of a partition, before the transaction begins.

    Args:
        connection: An open lake, outside of a transaction.
        dataset: The dataset's name.
        partition: The partition's key.
        snapshot: When.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_THEN} AS FROM {QUARANTINE} AT (VERSION => {snapshot}) "
        f"WHERE {_own(dataset, partition)}"
    )


def _own(dataset: str, partition: str) -> str:
    return f"dataset = {quote_literal(dataset)} AND partition = {quote_literal(partition)}"


def restore_quarantine(connection: Connection, dataset: str, partition: str) -> None:
    """Bring a partition's quarantine to what belonged to a publish, in the caller's transaction.

    Rows that the publish was without are held again, and no others. What a person has resolved
    since stays resolved, where the row is held at all. Rows of a later attempt that was stopped
    stay ``blocked``: they are of no publish. No row leaves the quarantine.

    Args:
        connection: An open lake, inside a transaction; ``lay_out_quarantine`` came before it.
        dataset: The dataset's name.
        partition: The partition's key.
    """
    held = literal_list(HELD)
    own = _own(dataset, partition)
    released, resolved = quote_literal(RowStatus.RELEASED), quote_literal(RowStatus.RESOLVED)
    connection.execute(
        f"UPDATE {QUARANTINE} SET status = {released} WHERE {own} AND status IN {held} "
        f"AND quarantine_id NOT IN (SELECT quarantine_id FROM {_THEN} WHERE status IN {held})"
    )
    connection.execute(
        f"""
        UPDATE {QUARANTINE} SET status = then_status, rules = then_rules, run_id = then_run,
            contract_version = then_contract
        FROM (SELECT quarantine_id AS then_id, status AS then_status, rules AS then_rules,
                     run_id AS then_run, contract_version AS then_contract
              FROM {_THEN} WHERE status IN {held})
        WHERE {own} AND quarantine_id = then_id AND status <> {resolved}
        """
    )
    connection.execute(
        f"INSERT INTO {QUARANTINE} BY NAME FROM {_THEN} WHERE status IN {held} "
        f"AND quarantine_id NOT IN (SELECT quarantine_id FROM {QUARANTINE} WHERE {own})"
    )
    connection.execute(f"DROP TABLE {_THEN}")
