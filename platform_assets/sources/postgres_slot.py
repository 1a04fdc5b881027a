"""A logical replication slot and its table, before they are read: what does not work, and the fix.

Belongs here: looking, and errors that say which statement helps. Does not belong here: reading
(``postgres_log``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from platform_assets.errors import SourceError
from platform_assets.sources.dialects import Dialect
from platform_assets.sql import quote_literal

PLUGIN = "test_decoding"


@dataclass(frozen=True)
class Slot:
    """A slot, as the server tells of it now; positions in bytes of the server's log.

    Attributes:
        name: Its name.
        restart: Where the oldest change that it may give was written.
        confirmed: Up to where it was read.
        written: Up to where the server has written.
    """

    name: str
    restart: int
    confirmed: int
    written: int


@dataclass(frozen=True)
class LoggedTable:
    """A table, as the server tells of it now.

    Attributes:
        written: Its name as the log writes it.
        columns: Its columns, each as it is and as the log writes it.
    """

    written: str
    columns: dict[str, str]


def lsn(position: int) -> str:
    """A position as Postgres writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def look_at_slot(
    engine: duckdb.DuckDBPyConnection, dialect: Dialect, name: str, reader: str
) -> Slot:
    """A slot that can be read.

    Raises:
        SourceError: It is not there, or cannot be read by this role, or with this plugin.
    """
    found = engine.execute(
        "FROM "
        + dialect.query(
            "SELECT current_setting('wal_level') AS wal_level, (SELECT rolreplication OR rolsuper "
            "FROM pg_roles WHERE rolname = current_user) AS may, current_user::text AS role, "
            "(pg_current_wal_flush_lsn() - '0/0')::bigint AS written, s.slot_name::text AS slot, "
            "s.plugin::text AS plugin, s.database = current_database() AS here, s.active_pid, "
            "coalesce(s.wal_status, '') AS wal_status, s.two_phase, "
            "(s.restart_lsn - '0/0')::bigint AS restart, "
            "(s.confirmed_flush_lsn - '0/0')::bigint AS confirmed "
            f"FROM (SELECT 1) AS one LEFT JOIN pg_replication_slots AS s "
            f"ON s.slot_name = {quote_literal(name)}"
        )
    ).fetchone()
    assert found is not None  # a left join of one row has one
    level, may, role, written, slot, plugin, here, pid, status, two_phase, restart, confirmed = (
        found
    )
    create = f"SELECT pg_create_logical_replication_slot({quote_literal(name)}, '{PLUGIN}')"
    drop = f"SELECT pg_drop_replication_slot({quote_literal(name)})"

    def refuse(what: str, expected: str, found: str, fix: str) -> SourceError:
        return SourceError(what, where=reader, expected=expected, found=found, fix=fix)

    if level != "logical":
        raise refuse(
            "The database writes no logical change log",
            "wal_level = logical",
            f"wal_level = {level}",
            "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
        )
    if not may:
        raise refuse(
            "This role may not read the change log",
            "a role with REPLICATION",
            f"{role} without it",
            f'ALTER ROLE "{role}" REPLICATION',
        )
    if slot is None:
        raise refuse("The replication slot does not exist", f"a slot {name}", "none", create)
    if plugin != PLUGIN or not here or two_phase:
        kind = "a physical slot" if plugin is None else f"a slot with the plugin {plugin}"
        raise refuse(
            "The replication slot is of another kind",
            f"a logical slot of this database with the plugin {PLUGIN}",
            kind + ("" if here or plugin is None else " of another database")
            + (" for prepared transactions" if two_phase else ""),
            f"{drop}; {create}; or name another slot",
        )  # fmt: skip
    if pid is not None:
        raise refuse(
            "Somebody else reads the replication slot",
            "a slot of this dataset's own",
            f"in use by the server's process {pid}",
            f"stop the other reader (SELECT pg_terminate_backend({pid})), or make a slot of its "
            "own for each",
        )
    if status == "lost":
        raise refuse(
            "The server has thrown away changes that were not read",
            "a slot that keeps its changes",
            "wal_status = lost",
            f"raise max_slot_wal_keep_size; {drop}; {create}; then load the dataset from anew, "
            "under another name or after dropping its raw and cleaned tables and its cursor",
        )
    return Slot(name, int(restart), int(confirmed), int(written))


def look_at_table(
    engine: duckdb.DuckDBPyConnection,
    dialect: Dialect,
    table: str,
    key: Sequence[str],
    reader: str,
) -> LoggedTable:
    """A table whose changes tell of which row they are.

    Args:
        engine: The engine.
        dialect: Of the database.
        table: The table, which exists.
        key: The columns that the contract names as the key.
        reader: Who asks, for messages.

    Raises:
        SourceError: Its changes are told elsewhere, or do not tell the key.
    """
    identity = (
        "a.attnum = ANY (coalesce((SELECT i.indkey FROM pg_index AS i WHERE i.indrelid = c.oid "
        "AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident "
        "ELSE false END)::int2[], '{}')) OR c.relreplident = 'f'"
    )
    rows = engine.execute(
        "FROM "
        + dialect.query(
            "SELECT a.attname::text AS name, quote_ident(a.attname) AS written, "
            f"({identity}) AS identifies, c.relkind::text AS kind, c.relpersistence::text AS kept, "
            "quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS table_name "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "JOIN pg_attribute AS a ON a.attrelid = c.oid "
            f"WHERE c.oid = to_regclass({quote_literal(dialect.table(table))}) "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )
    ).fetchall()
    kind, kept, written = rows[0][3:]
    if kind != "r" or kept != "p":
        raise SourceError(
            "The changes of a table are not told under its name",
            where=f"{reader}, table {written}",
            expected="a plain, logged table",
            found={"p": "a partitioned table", "v": "a view", "m": "a materialized view"}.get(
                str(kind), "an unlogged, temporary or foreign table"
            ),
            fix="name a table that holds rows itself, such as one partition; or read it with "
            "SnapshotTable",
        )
    identifying = {str(name).lower() for name, _, identifies, *_ in rows if identifies}
    unknown = [name for name in key if name.lower() not in identifying]
    if unknown:
        raise SourceError(
            "Deletes and updates of a table do not tell the contract's key",
            where=f"{reader}, table {written}",
            expected="a replica identity that holds " + ", ".join(unknown),
            found=", ".join(sorted(identifying)) or "none",
            fix=f"ALTER TABLE {written} REPLICA IDENTITY FULL; or make Key() what the table's "
            "primary key is",
        )
    return LoggedTable(str(written), {str(name): str(as_written) for name, as_written, *_ in rows})
