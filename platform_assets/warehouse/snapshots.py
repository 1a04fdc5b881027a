"""Snapshots of the lake: which one a number, a time or a run means, and what a table was then.

Belongs here: finding snapshots, and a table's identity and columns at one. Does not belong here:
comparing what tables hold at two of them (``diff``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from platform_assets.errors import PartitionError
from platform_assets.sql import quote_literal
from platform_assets.warehouse.compaction import CATALOG
from platform_assets.warehouse.lake import Connection, attach_again, current_snapshot
from platform_assets.warehouse.tables import LEDGER

NOW = "now"
# Enough of a run's id that it is no slip.
SHORTEST_RUN = 4
# A catalog in SQLite keeps it as text.
_TIME = "CAST(snapshot_time AS TIMESTAMPTZ)"


@dataclass(frozen=True)
class Asked:
    """A snapshot as a person names it.

    Attributes:
        text: A snapshot's number, a run's id or its beginning, a time (ISO 8601, UTC where it has
            no zone), or ``now``.
        option: What gave it, for messages.
        begins: Whether it is where a comparison begins. A run then means the state before its first
            publish of the asset; otherwise the state after its last.
    """

    text: str
    option: str
    begins: bool = False


def find(connection: Connection, asset: str, asked: Asked) -> int:
    """The snapshot that a person means.

    Args:
        connection: An open lake.
        asset: The asset whose publishes a run is looked for in, such as ``cleaned/orders``.
        asked: What was said.

    Raises:
        PartitionError: There is none, no longer, or not yet; or the run published nothing of the
            asset, or several begin so.
    """
    text = asked.text.strip()
    if text == NOW:
        return current_snapshot(connection)
    if text.isdecimal():
        return _numbered(connection, int(text), asked)
    at = _time(text)
    if at is not None:
        return _as_of(connection, at, asked)
    return _of_run(connection, asset, text, asked)


def _numbered(connection: Connection, number: int, asked: Asked) -> int:
    row = connection.execute(
        f"SELECT min(snapshot_id), max(snapshot_id), bool_or(snapshot_id = {number}) "
        f"FROM {CATALOG}.ducklake_snapshot"
    ).fetchone()
    first, last, there = row if row else (0, 0, False)
    if there:
        return number
    raise PartitionError(
        "A snapshot was never there" if number > last else "A snapshot is there no longer",
        where=asked.option,
        expected=f"a snapshot from {first} to {last} that was not expired",
        found=str(number),
        fix="platform-assets rollback ASSET --partition P --list shows the snapshots of an asset's "
        "publishes; a time or a run's id can be given instead",
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _as_of(connection: Connection, at: datetime, asked: Asked) -> int:
    """The newest snapshot that is not younger than a time."""
    row = connection.execute(
        f"SELECT max(snapshot_id) FILTER ({_TIME} <= $at), min({_TIME}) "
        f"FROM {CATALOG}.ducklake_snapshot",
        {"at": at},
    ).fetchone()
    if row is None or row[0] is None:
        raise PartitionError(
            "The lake has no snapshot that is so old",
            where=asked.option,
            expected=f"a time from {row[1].astimezone(UTC) if row else 'now'} on",
            found=at.astimezone(UTC).isoformat(sep=" "),
            fix="give a later time",
        )
    return int(row[0])


def _of_run(connection: Connection, asset: str, text: str, asked: Asked) -> int:
    rows = connection.execute(
        f"SELECT run_id, asset, min(snapshot_id), max(snapshot_id) FROM {LEDGER} "
        f"WHERE starts_with(run_id, {quote_literal(text)}) AND status = 'published' GROUP BY ALL"
    ).fetchall()
    runs = {str(run) for run, *_ in rows}
    own = [(int(first), int(last)) for _, told, first, last in rows if told == asset]
    if len(runs) == 1 and own and len(text) >= SHORTEST_RUN:
        first, last = own[0]
        return first - 1 if asked.begins else last
    if len(runs) > 1 or (runs and len(text) < SHORTEST_RUN):
        raise PartitionError(
            "Several runs begin so, or may do so soon",
            where=asked.option,
            expected=f"a run's id, or enough of its beginning ({SHORTEST_RUN} letters at least)",
            found=f"{text}: {len(runs)} runs",
            fix="give more of it",
        )
    raise PartitionError(
        "A run has published nothing of the asset" if runs else "Nothing is known by this name",
        where=asked.option,
        expected=f"a snapshot's number, a time (YYYY-MM-DD HH:MM), or a run that published {asset}",
        found=text,
        fix="look the run up: what it published is in its log and in lake.platform.ledger"
        if runs
        else "correct it",
    )


def told_at(connection: Connection, snapshot: int) -> datetime | None:
    """When a snapshot was made (UTC); None where it is gone."""
    row = connection.execute(
        f"SELECT {_TIME} FROM {CATALOG}.ducklake_snapshot WHERE snapshot_id = {snapshot}"
    ).fetchone()
    return row[0].astimezone(UTC) if row else None


def table_id(connection: Connection, schema: str, name: str, snapshot: int) -> int | None:
    """Which table had a name at a snapshot; None where none had. A rewritten one is another."""
    row = connection.execute(
        f"""
        SELECT t.table_id FROM {CATALOG}.ducklake_table AS t
        JOIN {CATALOG}.ducklake_schema AS s USING (schema_id)
        WHERE s.schema_name = {quote_literal(schema)} AND t.table_name = {quote_literal(name)}
          AND t.begin_snapshot <= {snapshot}
          AND (t.end_snapshot IS NULL OR t.end_snapshot > {snapshot})
          AND s.begin_snapshot <= {snapshot}
          AND (s.end_snapshot IS NULL OR s.end_snapshot > {snapshot})
        """
    ).fetchone()
    return int(row[0]) if row else None


def look_back(connection: Connection, *snapshots: int) -> None:
    """See to it that tables can be read as they were at snapshots, in the rest of the connection.

    DuckLake remembers which tables there are by the version of the schema alone (its issue 955). To
    read rows that are kept in the catalog, it looks up their table under the version at which the
    first of them was written, but as of the snapshot that made the table. From then on it takes
    what there was at that snapshot for all of that version: tables that were made in between "do
    not exist". What it has seen rightly before, it keeps.

    Args:
        connection: An open lake, outside of a transaction.
        snapshots: Those at which tables are about to be read.
    """
    if not snapshots:
        return
    confused = connection.execute(
        f"""
        SELECT min(snapshot_id) FROM {CATALOG}.ducklake_snapshot
        WHERE snapshot_id IN ({", ".join(map(str, snapshots))})
          AND schema_version IN (SELECT schema_version FROM {CATALOG}.ducklake_inlined_data_tables)
          AND schema_version <> (SELECT max(schema_version) FROM {CATALOG}.ducklake_snapshot)
        GROUP BY schema_version
        """
    ).fetchall()
    if not confused:
        return
    attach_again(connection)
    for (snapshot,) in confused:
        # Described and not read: reading its rows would confuse the next.
        connection.execute(f"DESCRIBE FROM {LEDGER} AT (VERSION => {snapshot})")


def columns_at(connection: Connection, table: str, snapshot: int) -> dict[str, str]:
    """Name and SQL type of a table's columns at a snapshot at which it was there."""
    described = connection.execute(
        f"SELECT column_name, column_type FROM (DESCRIBE FROM {table} AT (VERSION => {snapshot}))"
    ).fetchall()
    return {str(name): str(sql_type) for name, sql_type in described}


def written_since(connection: Connection, table: int, snapshot: int) -> bool:
    """Whether a table may hold other rows than at a snapshot; where that is not known, it may.

    Args:
        connection: An open lake.
        table: Which table, as ``table_id`` says.
        snapshot: The snapshot.
    """
    row = connection.execute(
        f"""
        SELECT count(*) = max(snapshot_id) - {snapshot} AS all_known,
            bool_or(list_contains(regexp_extract_all(changes_made, '[0-9]+'), '{table}'))
        FROM {CATALOG}.ducklake_snapshot_changes WHERE snapshot_id > {snapshot}
        """
    ).fetchone()
    if row is None or row[1] is None:
        # Nothing was written since, or all that tells of it was expired.
        return current_snapshot(connection) != snapshot
    return not row[0] or bool(row[1])
