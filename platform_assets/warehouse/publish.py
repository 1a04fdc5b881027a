"""Write, audit, publish: partitions of one table replaced in one transaction, or not at all.

Belongs here: the replacement of partitions and its gate. Does not belong here: what rows are good
(the contract), and what to do about a partition that failed (the pipeline).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from platform_assets.errors import PublishError
from platform_assets.observability.traces import span
from platform_assets.partitions import spans
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import literal_list, quote_identifier, quote_literal
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.tally import Tally

# From here on, a list of names is the cheaper condition.
COMPARED_SPANS = 4
_REMOVED = "_removed"
_ARRIVING = "_arriving"

Audit = Callable[[Connection, Mapping[str, int], Mapping[str, int]], None]
"""Given the rows that each partition now has, and those that were taken out of it where only some
were to be replaced, raises where one must not be published."""


@dataclass(frozen=True)
class Publish:
    """What is to replace what.

    Attributes:
        table: The table, quoted.
        partitions: The partitions to replace; one without new rows becomes empty.
        rows: A SELECT of the new rows, with ``_partition``; columns are matched by name.
        columns: The columns that it yields.
        within: SQL that picks the rows of the partitions to replace; empty: all of them.
        tally: Counts what is added, removed and changed; None: nobody asks.
        writing: What a trace calls writing the rows: ``extract`` where that reads the source.
    """

    table: str
    partitions: Sequence[str]
    rows: str
    columns: Sequence[str]
    within: str = ""
    tally: Tally | None = None
    writing: str = "stage"

    @property
    def replaced(self) -> str:
        """SQL that picks the rows to replace."""
        return in_partitions(self.partitions) + (f" AND {self.within}" if self.within else "")


def publish(
    connection: Connection,
    staged: Publish,
    *,
    audit: Audit,
    commit_with: Callable[[Connection], None],
) -> dict[str, int]:
    """Replace partitions of one table: staged, audited, and committed with its books.

    A reader sees the old rows until the commit and the new ones after it, never a mixture. The
    whole transaction is run again where another writer came first.

    Args:
        connection: An open lake.
        staged: What is to replace what.
        audit: The gate: called before the commit; raises to stop.
        commit_with: Writes what must be committed together with the rows: ledger, quarantine,
            cursor.

    Returns:
        Rows by partition.

    Raises:
        PublishError: The staged columns are not the table's.
    """

    def work(con: Connection) -> dict[str, int]:
        _same_columns(con, staged)
        with span(staged.writing) as writing:
            rows, removed = _replace(con, staged)
            writing.set(rows=sum(rows.values()))
        with span("audit"):
            audit(con, rows, removed)
        commit_with(con)
        return rows

    with span("publish", table=staged.table.replace('"', ""), partitions=staged.partitions):
        return in_transaction(connection, work)


def count_rows(connection: Connection, table: str, partitions: Sequence[str]) -> dict[str, int]:
    """Rows of each of these partitions as the table has them now; an empty one counts 0."""
    counted = connection.execute(
        f"SELECT {PARTITION_COLUMN}, count(*) FROM {table} "
        f"WHERE {in_partitions(partitions)} GROUP BY 1"
    ).fetchall()
    return dict.fromkeys(partitions, 0) | {str(key): int(rows) for key, rows in counted}


def in_partitions(partitions: Sequence[str], column: str = PARTITION_COLUMN) -> str:
    """A condition that picks partitions, written so that files outside the span are skipped.

    Few spans of neighbouring days are compared with their bounds, many with a list of names:
    looking up 180 names costs ten times the comparison with two bounds.
    """
    if not partitions:
        return "false"
    found = spans(partitions)
    if len(found) <= COMPARED_SPANS:
        return "(" + " OR ".join(_between(column, *span) for span in found) + ")"
    return (
        f"({_between(column, found[0][0], found[-1][1])} "
        f"AND {column} IN {literal_list(partitions)})"
    )


def _between(column: str, first: str, last: str) -> str:
    if first == last:
        return f"{column} = {quote_literal(first)}"  # by half quicker than two bounds
    return f"{column} BETWEEN {quote_literal(first)} AND {quote_literal(last)}"


def _replace(connection: Connection, staged: Publish) -> tuple[dict[str, int], dict[str, int]]:
    """Put the new rows in the place of the old ones.

    Returns:
        Rows by partition; and those taken out, by partition, where only some of one are.
    """
    if staged.tally is not None:
        return _replace_and_tally(connection, staged, staged.tally)
    removed = _remove(connection, staged)
    connection.execute(f"INSERT INTO {staged.table} BY NAME {staged.rows}")
    return count_rows(connection, staged.table, staged.partitions), removed


def _replace_and_tally(
    connection: Connection, staged: Publish, tally: Tally
) -> tuple[dict[str, int], dict[str, int]]:
    if not staged.within:
        going = tally.whole(staged.table, staged.columns, staged.replaced)
        held = tally.begin(connection, going)
        _remove(connection, staged)
        connection.execute(f"INSERT INTO {staged.table} BY NAME {staged.rows}")
        rows = count_rows(connection, staged.table, staged.partitions)
        # What had no rows before is not looked at again.
        come = tally.whole(staged.table, staged.columns, in_partitions(held))
        tally.end(connection, come if held else f"{come} LIMIT 0", rows)
        return rows, {}
    _note_removed(connection, staged, tally.key_sql)
    tally.begin(connection, tally.some(_REMOVED, "_key"))
    removed = _remove_noted(connection, staged)
    # Few rows, which could be found in the table only by looking through all of it.
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_ARRIVING} AS {staged.rows}")
    connection.execute(f"INSERT INTO {staged.table} BY NAME FROM {_ARRIVING}")
    tally.end(
        connection,
        tally.some(_ARRIVING, tally.key_sql),
        dict.fromkeys(staged.partitions, 0),
    )
    connection.execute(f"DROP TABLE {_ARRIVING}")
    return count_rows(connection, staged.table, staged.partitions), removed


def _remove(connection: Connection, staged: Publish) -> dict[str, int]:
    """Take out what is replaced; rows by partition, where only some of a partition are."""
    if not staged.within:
        connection.execute(f"DELETE FROM {staged.table} WHERE {staged.replaced}")
        return {}
    if len(staged.partitions) == 1:
        deleted = connection.execute(
            f"DELETE FROM {staged.table} WHERE {staged.replaced}"
        ).fetchone()
        assert deleted is not None  # DELETE tells how many rows it took
        return {staged.partitions[0]: int(deleted[0])}
    _note_removed(connection, staged, "NULL")
    return _remove_noted(connection, staged)


def _note_removed(connection: Connection, staged: Publish, key: str) -> None:
    """Find the rows to take out once, to be counted by partition and deleted."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_REMOVED} AS SELECT rowid AS _rowid, {PARTITION_COLUMN}, "
        f"{key} AS _key FROM {staged.table} WHERE {staged.replaced}"
    )


def _remove_noted(connection: Connection, staged: Publish) -> dict[str, int]:
    counted = connection.execute(
        f"SELECT {PARTITION_COLUMN}, count(*) FROM {_REMOVED} GROUP BY 1"
    ).fetchall()
    if counted:
        connection.execute(
            f"DELETE FROM {staged.table} WHERE rowid IN (SELECT _rowid FROM {_REMOVED})"
        )
    connection.execute(f"DROP TABLE {_REMOVED}")
    return {str(key): int(rows) for key, rows in counted}


def _same_columns(connection: Connection, staged: Publish) -> None:
    described = connection.execute(f"SELECT column_name FROM (DESCRIBE {staged.table})").fetchall()
    table = {str(name) for (name,) in described}
    given = set(staged.columns)
    if table != given:
        raise PublishError(
            "The rows to publish do not have the table's columns",
            where=f"table {staged.table}",
            expected=", ".join(sorted(quote_identifier(name) for name in table)),
            found="missing "
            + (", ".join(sorted(table - given)) or "none")
            + "; unknown "
            + (", ".join(sorted(given - table)) or "none"),
            fix="the contract has changed since the table was made: platform-assets contracts "
            "diff DATASET",
        )
