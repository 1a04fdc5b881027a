"""Corrections taken from a file of edited rows, or withdrawn: written down before rows are judged.

Belongs here: which values of which rows a file changes, what is refused, and the entry into the
books. Does not belong here: reading the file (``warehouse.edited_rows``), how corrections are read
over the raw rows (``overlay``), and judging the partitions again (``clean``).

A cell that is masked, or says what the row says already, changes nothing; a column that the file
does not have neither.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from platform_assets.errors import PartitionError, PlatformError, SourceError
from platform_assets.pipeline import overlay, versions
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.temporary import CORRECTED
from platform_assets.provenance import PARTITION_COLUMN, PLATFORM_COLUMNS
from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse import corrections, edited_rows, migrate, tables
from platform_assets.warehouse.corrections import CorrectionStatus
from platform_assets.warehouse.edited_rows import EDITED, EditedRows
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.quarantine import ACTIVE, RowStatus
from platform_assets.warehouse.quarantine_export import MASK
from platform_assets.warehouse.quarantine_work import Picked, Replay, examine, record
from platform_assets.warehouse.row_json import digest_of, from_text, pointer
from platform_assets.warehouse.tables import CORRECTIONS, QUARANTINE

_COMPARED = "_compared"
"""Of each row of the file: what it was, what a correction says of it, and what the file says."""
_CHANGED = "(SELECT quarantine_id FROM _compared)"


@dataclass(frozen=True)
class Corrected:
    """What became of a file's rows.

    Attributes:
        replay: The partitions to be judged now; its rows are those that were corrected.
        unchanged: Rows of the file that say what is there already.
    """

    replay: Replay
    unchanged: int


def dataset_of(connection: Connection, file: Path) -> str:
    """The dataset that the rows of an edited file are of.

    Args:
        connection: An open lake.
        file: A CSV or NDJSON file, as ``quarantine export`` writes it.

    Raises:
        SettingsError: There is no such file, or its ending is not known.
        SourceError: It cannot be read, names a row that is not in the quarantine, or rows of
            several datasets.
    """
    try:
        edited_rows.stage(connection, file)
        return _dataset(connection, file)
    finally:
        edited_rows.drop(connection)


def correct(step: Step, file: Path, *, reason: str, author: str) -> Corrected:
    """Take corrections from a file, all of them or none.

    Args:
        step: The dataset and an open lake, outside of a transaction.
        file: A CSV or NDJSON file, as ``quarantine export`` writes it.
        reason: Why the rows are to be read so.
        author: Who says so.

    Raises:
        SettingsError: There is no such file, or its ending is not known.
        SourceError: It cannot be read, or is not about rows and columns of the dataset.
        PartitionError: It changes a row that is closed, or no reason or author was given.
    """
    lake = step.lake
    examine(Picked(dataset=step.dataset.name), reason, author)
    action_id = uuid.uuid4().hex

    def work(con: Connection) -> Corrected:
        compared = _compare(replace(step, lake=con), rows)
        _examine_status(con, file)
        counted = con.execute(
            f"SELECT partition, count(*) FROM {_COMPARED} GROUP BY 1 ORDER BY 1"
        ).fetchall()
        record(con, f"quarantine_id IN {_CHANGED}", "correct", action_id, reason, author)
        before = _partitions(con, f"quarantine_id IN {_CHANGED}")
        _write(con, action_id, reason, author)
        _touch(step, action_id)
        also = {*before, *_partitions(con, f"action_id = {quote_literal(action_id)}")}
        con.execute(
            f"UPDATE {QUARANTINE} SET attempts = attempts + 1 WHERE quarantine_id IN {_CHANGED}"
        )
        name = step.dataset.name
        found = {(name, str(key)): int(count) for key, count in counted}
        return Corrected(
            Replay(action_id, found, {name: sorted(also)}, forced=False),
            compared - sum(found.values()),
        )

    try:
        rows = edited_rows.stage(lake, file)
        _dataset(lake, file, step.dataset.name)
        return in_transaction(lake, work)
    finally:
        edited_rows.drop(lake)
        lake.execute(f"DROP TABLE IF EXISTS {_COMPARED}")


def withdraw(connection: Connection, picked: Picked, *, reason: str, author: str) -> Replay:
    """Take corrections back: their rows are judged as they came.

    Args:
        connection: An open lake, outside of a transaction.
        picked: Rows of the quarantine; those without a correction in force are left alone.
        reason: Why.
        author: Who says so.

    Returns:
        What has to be judged.

    Raises:
        PartitionError: The reason or the author is empty, or nothing was said of which rows.
    """
    examine(picked, reason, author)
    action_id = uuid.uuid4().hex

    def work(con: Connection) -> Replay:
        in_force = f"status IN {literal_list(corrections.IN_FORCE)}"
        chosen = (
            f"quarantine_id IN (SELECT quarantine_id FROM {QUARANTINE} WHERE {picked.condition}) "
        )
        counted = con.execute(
            f"SELECT dataset, partition, count(*) FROM {CORRECTIONS} "
            f"WHERE {in_force} AND {chosen} GROUP BY ALL"
        ).fetchall()
        also: dict[str, list[str]] = {}
        for dataset, key in con.execute(
            f"SELECT DISTINCT dataset, unnest(partitions) FROM {CORRECTIONS} "
            f"WHERE {in_force} AND {chosen}"
        ).fetchall():
            also.setdefault(str(dataset), []).append(str(key))
        own = f"(SELECT quarantine_id FROM {CORRECTIONS} WHERE {in_force} AND {chosen})"
        record(con, f"quarantine_id IN {own}", "withdraw", action_id, reason, author)
        corrections.leave(con, chosen, CorrectionStatus.WITHDRAWN)
        found = {(str(dataset), str(key)): int(count) for dataset, key, count in counted}
        return Replay(action_id, found, also, forced=False)

    return in_transaction(connection, work)


def _dataset(connection: Connection, file: Path, name: str | None = None) -> str:
    """The one dataset of the file's rows; all of them are in the quarantine."""
    unknown = connection.execute(
        f"SELECT count(*), min(quarantine_id) FROM {EDITED} "
        f"WHERE quarantine_id NOT IN (SELECT quarantine_id FROM {QUARANTINE})"
    ).fetchone()
    if unknown is not None and unknown[0]:
        raise _refused(
            file,
            "ids of rows that are in the quarantine",
            f"{unknown[0]:,} that are not, such as {unknown[1]}",
            "take these rows out of the file, or export anew",
        )
    rows = connection.execute(
        f"SELECT DISTINCT dataset FROM {QUARANTINE} "
        f"WHERE quarantine_id IN (SELECT quarantine_id FROM {EDITED}) ORDER BY 1"
    ).fetchall()
    found = [str(each) for (each,) in rows]
    if len(found) != 1 or name not in (None, found[0]):
        raise _refused(
            file,
            f"rows of {name}" if name else "rows of one dataset",
            ", ".join(found) or "no row",
            "make a file for each dataset: platform-assets quarantine export --dataset NAME",
        )
    return found[0]


def _compare(step: Step, rows: EditedRows) -> int:
    """Lay out the rows that the file changes; how many rows it has."""
    connection, name = step.lake, step.dataset.name
    types = migrate.table_columns(connection, tables.raw_table(name))
    own = _own_columns(step, rows, types)
    earlier = corrections.corrected_columns(connection, name)
    columns = sorted({*own.values(), *(each for each in earlier if each in types)})
    numbers = {column: rows.columns.index(given) for given, column in own.items()}
    effective = {column: _effective(column) for column in columns}
    final = {
        column: _final(effective[column], numbers[column], types[column], rows.empty_is_null)
        if column in numbers
        else effective[column]
        for column in columns
    }
    _examine_values(connection, rows, {c: (numbers[c], types[c]) for c in numbers})
    entries = ", ".join(
        f"CASE WHEN {final[column]} IS DISTINCT FROM (original_row ->> {pointer(column)}) "
        f"THEN {{'k': {quote_literal(column)}, 'v': {final[column]}}} END"
        for column in columns
    )
    changed = f"map_from_entries(list_filter([{entries}], e -> e IS NOT NULL))"
    said = f"CAST(to_json({changed}) AS VARCHAR)" if entries else "'{}'"
    in_force = corrections.in_force(name)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {_COMPARED} AS
        SELECT q.* EXCLUDE (_said, _before), CAST(_said AS JSON) AS corrected_row
        FROM (
            SELECT quarantine_id, dataset, partition, source_file, row_number, status,
                   {digest_of("original_row")} AS content, {said} AS _said,
                   coalesce(CAST(corrected_row AS VARCHAR), '{{}}') AS _before
            FROM {EDITED} JOIN {QUARANTINE} USING (quarantine_id)
            LEFT JOIN (SELECT quarantine_id, corrected_row FROM {CORRECTIONS} WHERE {in_force})
                USING (quarantine_id)
        ) AS q WHERE _said <> _before
        """
    )
    total = connection.execute(f"SELECT count(*) FROM {EDITED}").fetchone()
    return int(total[0]) if total else 0


def _own_columns(step: Step, rows: EditedRows, types: Mapping[str, str]) -> dict[str, str]:
    """The raw table's name of each of the file's columns."""
    there = {name.lower(): name for name in types if name not in PLATFORM_COLUMNS}
    unknown = [name for name in rows.columns if name.lower() not in there]
    if unknown:
        raise _refused(
            rows.path,
            f"columns of {step.dataset.name}: {', '.join(there.values())}",
            ", ".join(unknown),
            "rename these columns, or take them out",
        )
    return {name: there[name.lower()] for name in rows.columns}


def _effective(column: str) -> str:
    """SQL of a value as the row is read now."""
    at = pointer(column)
    return (
        f"(CASE WHEN json_exists(corrected_row, {at}) THEN corrected_row ->> {at} "
        f"ELSE original_row ->> {at} END)"
    )


def _final(effective: str, number: int, sql_type: str, empty_is_null: bool) -> str:
    """SQL of a value as the file wants it: where that is another one, and else as it is."""
    new, old = f"_new_{number}", effective
    if empty_is_null:
        new, old = f"nullif({new}, '')", f"nullif({old}, '')"
    # In a number's own type, so that 5 and 5.00 are the same.
    other = f"{from_text(new, sql_type)} IS DISTINCT FROM {from_text(old, sql_type)}"
    return f"(CASE WHEN {_given(number)} AND {other} THEN {new} ELSE {effective} END)"


def _given(number: int) -> str:
    return f"(_has_{number} AND _new_{number} IS DISTINCT FROM {quote_literal(MASK)})"


def _examine_values(
    connection: Connection, rows: EditedRows, columns: Mapping[str, tuple[int, str]]
) -> None:
    """Refuse a value that the raw column could not hold."""
    for column, (number, sql_type) in columns.items():
        if sql_type == "VARCHAR":
            continue
        new = f"nullif(_new_{number}, '')" if rows.empty_is_null else f"_new_{number}"
        odd = connection.execute(
            f"SELECT count(*), min(quarantine_id) FROM {EDITED} WHERE {_given(number)} "
            f"AND {new} IS NOT NULL AND {from_text(new, sql_type)} IS NULL"
        ).fetchone()
        if odd is not None and odd[0]:
            raise _refused(
                rows.path,
                f"values of {column} that are {sql_type}, as at the source",
                f"{odd[0]:,} that are not, the first of row {odd[1]}",
                "correct these values",
            )


def _examine_status(connection: Connection, file: Path) -> None:
    """Refuse to change a row that nobody has to look at any more."""
    closed = connection.execute(
        f"SELECT count(*), min(quarantine_id), min_by(status, quarantine_id) FROM {_COMPARED} "
        f"WHERE status NOT IN {literal_list(ACTIVE)}"
    ).fetchone()
    if closed is None or not closed[0]:
        return
    error = _refused(
        file,
        f"changes of rows that are {RowStatus.OPEN} or {RowStatus.BLOCKED}",
        f"{closed[0]:,} that are not, such as {closed[1]}, which is {closed[2]}",
        "take these rows out of the file; to correct a row again that was released, withdraw its "
        "correction first: platform-assets quarantine withdraw ID",
    )
    raise PartitionError(
        error.what, where=error.where, expected=error.expected, found=error.found, fix=error.fix
    )


def _write(connection: Connection, action_id: str, reason: str, author: str) -> None:
    """Put the corrections in the book; each takes the place of an earlier one of its row."""
    corrections.leave(connection, f"quarantine_id IN {_CHANGED}", CorrectionStatus.REPLACED)
    connection.execute(
        f"""
        INSERT INTO {CORRECTIONS} BY NAME
        SELECT md5(concat_ws(chr(31), quarantine_id, CAST(corrected_row AS VARCHAR)))
                   AS correction_id,
               quarantine_id, dataset, partition, source_file, row_number, content, corrected_row,
               [partition] AS partitions, {quote_literal(CorrectionStatus.STANDING)} AS status,
               ? AS action_id, ? AS reason, ? AS author, now() AS recorded_at
        FROM {_COMPARED} WHERE CAST(corrected_row AS VARCHAR) <> '{{}}'
        """,
        [action_id, reason.strip(), author.strip()],
    )


def _partitions(connection: Connection, picked: str) -> list[str]:
    """The partitions that corrections in force bear on."""
    rows = connection.execute(
        f"SELECT DISTINCT unnest(partitions) AS key FROM {CORRECTIONS} "
        f"WHERE status IN {literal_list(corrections.IN_FORCE)} AND {picked} ORDER BY key"
    ).fetchall()
    return [str(partition) for (partition,) in rows]


def _touch(step: Step, action_id: str) -> None:
    """Note the partitions in which another version of a corrected row's keys is.

    The newest version of a key decides wherever it lies: with another key, a row may take the place
    of a row elsewhere, or leave it.
    """
    if not (step.dataset.has_versions and step.dataset.compiled.key):
        return
    key, raw = versions.key_sql(step), tables.raw_table(step.dataset.name)
    with overlay.corrected(step, (), written=True) as own:
        if not own.corrected:
            return
        step.lake.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE _touching AS
            SELECT quarantine_id, list_sort(list(DISTINCT k.{PARTITION_COLUMN})) AS found FROM (
                SELECT c.quarantine_id, h._hash FROM {CORRECTED} AS c JOIN (
                    SELECT rowid AS _rowid, hash({key}) AS _hash FROM {raw}
                    UNION ALL SELECT rowid AS _rowid, hash({key}) AS _hash FROM {own.raw_rows}
                ) AS h USING (_rowid)
            ) JOIN (
                SELECT {PARTITION_COLUMN}, hash({key}) AS _hash FROM {own.raw_rows}
            ) AS k USING (_hash)
            GROUP BY 1
            """
        )
    mine = f"action_id = {quote_literal(action_id)}"
    step.lake.execute(
        f"UPDATE {CORRECTIONS} SET partitions = found "
        "FROM (SELECT quarantine_id AS touched, found FROM _touching) "
        f"WHERE quarantine_id = touched AND {mine}"
    )
    step.lake.execute("DROP TABLE _touching")


def _refused(file: Path, expected: str, found: str, fix: str) -> PlatformError:
    return SourceError(
        "A file of edited rows does not fit the quarantine",
        where=f"file {file}",
        expected=expected,
        found=found,
        fix=fix,
    )
