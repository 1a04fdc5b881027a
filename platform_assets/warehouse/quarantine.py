"""The quarantine: rows that broke a blocking rule, kept whole, with what they broke and when.

Belongs here: how rejected rows are kept and how their state moves on when a partition is judged
again. Does not belong here: judging them (the contract), what a person does with them
(``quarantine_work``), or showing them (``cli``, ``assets``).

A row's identity is its dataset, its place in the source and its content, so judging an unchanged
partition again finds the same rows and leaves them, and what is known of them, alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sql import literal_list, quote_identifier, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.tables import QUARANTINE, was_filled


class RowStatus(StrEnum):
    """Where a quarantined row stands."""

    OPEN = "open"
    """Left out of its partition's publish."""
    BLOCKED = "blocked"
    """Among the rows that stopped its partition: nothing of that attempt was published."""
    RELEASED = "released"
    """Was in quarantine until a later attempt at its partition no longer found it bad."""
    RESOLVED = "resolved"
    """Left out for good: a person has said why, and a later attempt leaves that alone."""


ACTIVE = (RowStatus.OPEN, RowStatus.BLOCKED)
"""Rows that somebody has to look at."""
HELD = (RowStatus.OPEN, RowStatus.RESOLVED)
"""Rows that a published partition is without."""
_KNOWN = "_known_rows"
FILES, SCATTERED = "_files", "_scattered_rows"
"""Tables of the session: of each file the first row id, its rows and how far they reach; and the
numbers of rows whose file was written in pieces."""


@dataclass(frozen=True)
class Rejected:
    """The rejected rows of some partitions, as tables of the caller's session.

    Attributes:
        dataset: The dataset.
        raw_table: The raw table, quoted.
        raw_columns: The source's own columns in it.
        verdicts: A temporary table ``(_rowid, _partition, _broken, _rejected)``.
        key: SQL of the row's key as text over the raw table; NULL where there is none.
        run_id: The run that judged them.
        contract_version: The contract that they broke.
        by_load: Whether a row's number is its place in its load, which is spread over partitions,
            and not in a file, which belongs to one.
    """

    dataset: str
    raw_table: str
    raw_columns: Sequence[str]
    verdicts: str
    key: str
    run_id: str
    contract_version: str
    by_load: bool = False


@dataclass(frozen=True)
class Resolved:
    """Rejected rows of a partition that a person has resolved.

    Attributes:
        rows: How many there are.
        broken: How many of them break each rule.
    """

    rows: int = 0
    broken: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """What the quarantine of some partitions has come to.

    Attributes:
        released: Rows that were open and are released, by partition.
        held: Rows that each partition is without, counted in the table; one without is absent.
    """

    released: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)


def store(
    connection: Connection,
    rejected: Rejected,
    statuses: Mapping[str, RowStatus],
    *,
    judged: str = "true",
) -> Stored:
    """Bring the quarantine of some partitions up to date, in the caller's transaction.

    Args:
        connection: An open lake, inside a transaction.
        rejected: The rejected rows.
        statuses: The status that each partition's rows take.
        judged: SQL that picks the rows of the quarantine that were judged again; by default all of
            the partitions.
    """
    if not statuses:
        return Stored()
    bad = f"{rejected.verdicts} WHERE _rejected"
    if not _has_rows(connection, bad) and not _has_rows(connection, QUARANTINE):
        return Stored()
    _stage(connection, rejected, statuses)
    own = (
        f"dataset = {quote_literal(rejected.dataset)} "
        f"AND {in_partitions(list(statuses), 'partition')}"
    )
    held = connection.execute(f"SELECT count(*) FROM {QUARANTINE} WHERE {own}").fetchone()
    if held == (0,):
        connection.execute(f"INSERT INTO {QUARANTINE} BY NAME FROM _quarantined")
        released = {}
    else:
        released = _reconcile(connection, own, judged)
    connection.execute("DROP TABLE _quarantined")
    return Stored(released, _count_held(connection, rejected.dataset, list(statuses)))


def _reconcile(connection: Connection, own: str, judged: str) -> dict[str, int]:
    """Release what is no longer bad, re-tell what is bad for other reasons, add what is new.

    A released row that is bad again takes its place again, with its content where that was erased:
    an identity is there once. A resolved one stays as it is for as long as it is bad.

    Ids are joined once, and what follows goes by the numbers of rows: a batch may be all bad, and
    a join of many texts that cannot spill would need memory for all of them.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {_KNOWN} AS
        SELECT h._rowid, h.partition, h.status, n._new, h._judged AND n._new IS NULL AS _no_longer,
               n._new IS NOT NULL AND h.status <> {quote_literal(RowStatus.RESOLVED)} AND (
                   h.status <> n.status OR h.rules IS DISTINCT FROM n.rules
                   OR h.contract_version <> n.contract_version) AS _changed
        FROM (
            SELECT rowid AS _rowid, quarantine_id, partition, status, rules, contract_version,
                   ({judged}) AND status IN {literal_list((*ACTIVE, RowStatus.RESOLVED))} AS _judged
            FROM {QUARANTINE} WHERE {own}
        ) AS h LEFT JOIN (
            SELECT rowid AS _new, quarantine_id, status, rules, contract_version FROM _quarantined
        ) AS n USING (quarantine_id)
        """
    )
    no_longer = f"{_KNOWN} WHERE _no_longer"
    released = connection.execute(
        f"SELECT partition, count(*) FROM {no_longer} AND status IN {literal_list(HELD)} GROUP BY 1"
    ).fetchall()
    if _has_rows(connection, no_longer):
        connection.execute(
            f"UPDATE {QUARANTINE} SET status = {quote_literal(RowStatus.RELEASED)} "
            f"WHERE rowid IN (SELECT _rowid FROM {no_longer})"
        )
    if _has_rows(connection, f"{_KNOWN} WHERE _changed"):
        connection.execute(
            f"""
            UPDATE {QUARANTINE} SET status = new_status, rules = new_rules, run_id = new_run_id,
                contract_version = new_contract_version
            FROM (SELECT k._rowid AS _changed_row, n.status AS new_status, n.rules AS new_rules,
                         n.run_id AS new_run_id, n.contract_version AS new_contract_version
                  FROM {_KNOWN} AS k JOIN _quarantined AS n ON n.rowid = k._new WHERE k._changed)
            WHERE rowid = _changed_row
            """
        )
    _restore(connection, own)
    connection.execute(
        f"INSERT INTO {QUARANTINE} BY NAME SELECT n.* FROM _quarantined AS n "
        f"ANTI JOIN {_KNOWN} AS k ON k._new = n.rowid"
    )
    connection.execute(f"DROP TABLE {_KNOWN}")
    return {str(key): int(rows) for key, rows in released}


def _restore(connection: Connection, own: str) -> None:
    """Give rows that are bad again the content that was erased while they were closed."""
    erased = f"{own} AND original_row IS NULL AND status IN {literal_list(ACTIVE)}"
    if _has_rows(connection, f"{QUARANTINE} WHERE {erased}"):
        connection.execute(
            f"UPDATE {QUARANTINE} SET original_row = new_original_row, row_key = new_row_key "
            "FROM (SELECT quarantine_id AS new_id, original_row AS new_original_row, "
            "row_key AS new_row_key FROM _quarantined) "
            f"WHERE {erased} AND quarantine_id = new_id"
        )


def _stage(connection: Connection, rejected: Rejected, statuses: Mapping[str, RowStatus]) -> None:
    """Lay out the rejected rows in a temporary table, as the quarantine will hold them."""
    picked = in_partitions(list(statuses))
    original = ", ".join(
        f"{quote_identifier(name)} := r.{quote_identifier(name)}" for name in rejected.raw_columns
    )
    cases = " ".join(
        f"WHEN {quote_literal(partition)} THEN {quote_literal(status)}"
        for partition, status in statuses.items()
        if status is not RowStatus.OPEN
    )
    counted = picked
    if rejected.by_load:
        counted = (
            f"{FILE_COLUMN} IN (SELECT {FILE_COLUMN} FROM {rejected.raw_table} "
            f"WHERE rowid IN (SELECT _rowid FROM {rejected.verdicts} WHERE _rejected))"
        )
    status_sql = f"CASE r.{PARTITION_COLUMN} {cases} ELSE 'open' END" if cases else "'open'"
    number_rows(connection, rejected.raw_table, counted)
    # One join of two large tables and no more: a second one at once would need their memory twice.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE _quarantined AS
        SELECT md5(concat_ws(chr(31), {quote_literal(rejected.dataset)}, partition, source_file,
                             row_number, original_row)) AS quarantine_id,
               {quote_literal(rejected.dataset)} AS dataset, *,
               {quote_literal(rejected.run_id)} AS run_id,
               {quote_literal(rejected.contract_version)} AS contract_version,
               now() AS first_seen, 1 AS attempts
        FROM (
            SELECT r.{PARTITION_COLUMN} AS partition, r.{FILE_COLUMN} AS source_file,
                   to_json(struct_pack({original})) AS original_row,
                   {rejected.key} AS row_key, {status_sql} AS status, v._broken AS rules,
                   coalesce(s.number, r.rowid - f.first + 1) AS row_number
            FROM {rejected.raw_table} AS r
            JOIN {rejected.verdicts} AS v ON r.rowid = v._rowid
            JOIN {FILES} AS f ON f.{FILE_COLUMN} = r.{FILE_COLUMN}
            LEFT JOIN {SCATTERED} AS s ON s._rowid = r.rowid
            WHERE {in_partitions(list(statuses), "r." + PARTITION_COLUMN)}
              AND v._rejected AND {in_partitions(list(statuses), "v." + PARTITION_COLUMN)}
        )
        """
    )
    drop_numbers(connection)


def number_rows(connection: Connection, raw_table: str, counted: str) -> None:
    """Lay out what tells a raw row's number in its file, as the tables ``FILES`` and ``SCATTERED``.

    A row's number in its file follows from the raw table's row ids, which keep each file's order.
    Where a file's rows stand together, as nearly always, that is a subtraction; only the few
    files whose rows were written in several pieces are counted through.

    Args:
        connection: An open lake.
        raw_table: The raw table, quoted.
        counted: SQL that picks all rows of the files in question.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {FILES} AS SELECT {FILE_COLUMN}, min(rowid) AS first, "
        "max(rowid) - min(rowid) + 1 AS span, count(*) AS rows "
        f"FROM {raw_table} WHERE {counted} GROUP BY 1"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {SCATTERED} "
        f"(_rowid BIGINT, {FILE_COLUMN} VARCHAR, number BIGINT)"
    )
    in_pieces = f"SELECT {FILE_COLUMN} FROM {FILES} WHERE span <> rows"
    if connection.execute(f"{in_pieces} LIMIT 1").fetchone() is not None:
        connection.execute(
            f"INSERT INTO {SCATTERED} SELECT rowid, {FILE_COLUMN}, "
            f"row_number() OVER (PARTITION BY {FILE_COLUMN} ORDER BY rowid) "
            f"FROM {raw_table} WHERE {counted} AND {FILE_COLUMN} IN ({in_pieces})"
        )


def drop_numbers(connection: Connection) -> None:
    """Drop what ``number_rows`` laid out."""
    for name in (FILES, SCATTERED):
        connection.execute(f"DROP TABLE {name}")


def count_resolved(
    connection: Connection, dataset: str, partitions: Sequence[str]
) -> dict[str, Resolved]:
    """Rows of each of these partitions that a person has resolved; one without is absent."""
    if not was_filled(connection, "quarantine"):
        return {}
    return _counted(connection, _resolved(dataset, partitions))


def _counted(connection: Connection, rows: str) -> dict[str, Resolved]:
    """Rows of the quarantine by partition, and by partition and rule."""
    found = connection.execute(
        f"""
        SELECT partition, NULL AS rule, count(*) FROM {rows} GROUP BY 1
        UNION ALL
        SELECT partition, rule, count(*)
        FROM (SELECT partition, unnest(rules) AS rule FROM {rows}) GROUP BY 1, 2
        """
    ).fetchall()
    by_rule: dict[str, dict[str, int]] = {}
    for partition, rule, count in found:
        if rule is not None:
            by_rule.setdefault(str(partition), {})[str(rule)] = int(count)
    return {
        str(partition): Resolved(int(count), by_rule.get(str(partition), {}))
        for partition, rule, count in found
        if rule is None
    }


def _resolved(dataset: str, partitions: Sequence[str]) -> str:
    return (
        f"{QUARANTINE} WHERE dataset = {quote_literal(dataset)} AND "
        f"status = {quote_literal(RowStatus.RESOLVED)} AND "
        f"{in_partitions(partitions, 'partition')}"
    )


def resolved_among(
    connection: Connection, rejected: Rejected, partitions: Sequence[str]
) -> dict[str, Resolved]:
    """How many of the rejected rows a person has resolved, by partition.

    Args:
        connection: An open lake.
        rejected: The rejected rows.
        partitions: The partitions that were judged.
    """
    if not count_resolved(connection, rejected.dataset, partitions):
        return {}
    _stage(connection, rejected, dict.fromkeys(partitions, RowStatus.OPEN))
    counts = _counted(
        connection,
        "_quarantined AS n SEMI JOIN (SELECT quarantine_id FROM "
        f"{_resolved(rejected.dataset, partitions)}) AS h USING (quarantine_id)",
    )
    connection.execute("DROP TABLE _quarantined")
    return counts


def count_held(connection: Connection, dataset: str, partitions: Sequence[str]) -> dict[str, int]:
    """Rows that each of these partitions is without, counted in the table; 0 for one without."""
    if not _has_rows(connection, QUARANTINE):
        return dict.fromkeys(partitions, 0)
    return dict.fromkeys(partitions, 0) | _count_held(connection, dataset, partitions)


def _count_held(connection: Connection, dataset: str, partitions: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(
        f"SELECT partition, count(*) FROM {QUARANTINE} WHERE dataset = {quote_literal(dataset)} "
        f"AND status IN {literal_list(HELD)} AND {in_partitions(partitions, 'partition')} "
        "GROUP BY 1"
    ).fetchall()
    return {str(key): int(count) for key, count in rows}


def _has_rows(connection: Connection, relation: str) -> bool:
    """Whether there is any row.

    A condition on a table that never had one takes the catalog 20 ms a column to find that out.
    """
    return connection.execute(f"SELECT 1 FROM {relation} LIMIT 1").fetchone() is not None
