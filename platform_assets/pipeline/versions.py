"""Versions of rows: of all that a source told of a key, the newest decides.

Belongs here: which version that is, and which others are left out for it. Does not belong here: the
rules that a version is judged by (``contracts``), and the publish.

A version decides if it is good, or says that the row was deleted. Versions before it are left out,
good or bad; a bad one after it is quarantined, and the row stays as it last was good.
"""

from __future__ import annotations

from platform_assets.pipeline.raw_table import source_types
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.temporary import (
    CARRIED,
    COPIES,
    DECIDED,
    MARKS,
    RANKED,
    VERDICTS,
)
from platform_assets.provenance import (
    CHANGED_COLUMN,
    DELETED,
    DELETED_AT_COLUMN,
    LOAD_COLUMN,
    OP_COLUMN,
    PARTITION_COLUMN,
    POSITION_COLUMN,
)
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import tables


def key_sql(step: Step) -> str:
    """SQL of a raw row's typed key columns."""
    return ", ".join(typed_keys(step))


def typed_keys(step: Step) -> list[str]:
    """SQL of each of a raw row's typed key columns."""
    types = source_types(step)
    compiled = step.dataset.compiled
    return [compiled.cast_sql(name, source_types=types) for name in compiled.key]


def find_superseded(step: Step, where: str) -> None:
    """Note the versions to leave out; one of them that is bad is no longer rejected.

    Nearly all keys have one version: those with several are found by a hash of 8 bytes first, and
    only their rows are cast and ranked.

    Args:
        step: What to work on and with; the verdicts on its rows are there.
        where: SQL that picks the judged rows.
    """
    lake, table = step.lake, step.raw_rows
    deleted = f"{OP_COLUMN} = {quote_literal(DELETED)}"
    if not step.dataset.compiled.key:
        lake.execute(
            f"CREATE OR REPLACE TEMP TABLE {COPIES} AS "
            f"SELECT rowid AS _rowid, {PARTITION_COLUMN} FROM {table} WHERE {where} AND {deleted}"
        )
        return
    named = {f"_key_{number}": sql for number, sql in enumerate(typed_keys(step))}
    key, keys = ", ".join(named.values()), ", ".join(named)
    typed = ", ".join(f"{sql} AS {name}" for name, sql in named.items())
    given = " AND ".join(f"{name} IS NOT NULL" for name in named)
    ranked = f"""
        WITH candidates AS (
            SELECT rowid AS _rowid, {PARTITION_COLUMN}, {CHANGED_COLUMN}, {typed},
                   {deleted} AS _gone,
                   {{'p': {POSITION_COLUMN}, 'l': {LOAD_COLUMN}, 'r': rowid}} AS _place,
                   {deleted} OR rowid NOT IN (SELECT _rowid FROM {VERDICTS} WHERE _rejected)
                       AS _decides
            FROM {table}
            WHERE {where} AND ({deleted} OR hash({key}) IN (
                SELECT hash({key}) AS hashed FROM {table} WHERE {where}
                GROUP BY hashed HAVING count(*) > 1))
        )
        SELECT *, {given} AS _given,
               max(_place) FILTER (_decides) OVER (PARTITION BY {keys}) AS _newest
               {_living(step, keys)}
        FROM candidates
        """
    left_out = "_gone OR (_given AND _place < _newest)"
    if step.dataset.marks_deletes:
        lake.execute(f"CREATE OR REPLACE TEMP TABLE {RANKED} AS {ranked}")
        ranked = f"FROM {RANKED}"
        left_out = "_gone OR (_given AND _place < _newest AND _place IS DISTINCT FROM _living)"
        lake.execute(
            f"CREATE OR REPLACE TEMP TABLE {MARKS} AS SELECT _rowid, _until AS {DELETED_AT_COLUMN} "
            f"FROM {RANKED} WHERE _given AND _place = _living AND _living < _newest"
        )
    lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {COPIES} AS "
        f"SELECT _rowid, {PARTITION_COLUMN} FROM ({ranked}) WHERE {left_out}"
    )
    lake.execute(
        f"DELETE FROM {VERDICTS} WHERE _rejected AND _rowid IN (SELECT _rowid FROM {COPIES})"
    )


def _living(step: Step, keys: str) -> str:
    """Further columns where deletes are marked: the newest that lives, and when the newest was."""
    if not step.dataset.marks_deletes:
        return ""
    return (
        f", max(_place) FILTER (_decides AND NOT _gone) OVER (PARTITION BY {keys}) AS _living, "
        f"max_by({CHANGED_COLUMN}, _place) FILTER (_decides) OVER (PARTITION BY {keys}) AS _until"
    )


def carry_marked(step: Step, condition: str) -> dict[str, int]:
    """Lay out cleaned rows that new versions say are gone, marked so.

    Args:
        step: What to work on and with; its new versions are judged.
        condition: SQL that picks the cleaned rows that are about to be replaced.

    Returns:
        How many, by partition; all of them are also among ``decided_rows``.
    """
    compiled = step.dataset.compiled
    typed = ", ".join(
        f"_key_{number} AS {quote_identifier(name)}" for number, name in enumerate(compiled.key)
    )
    published = ", ".join(
        f"{compiled.pii_sql(name)} AS _key_{number}" for number, name in enumerate(compiled.key)
    )
    same = " AND ".join(
        f"c.{quote_identifier(name)} = g._key_{number}" for number, name in enumerate(compiled.key)
    )
    cleaned = tables.cleaned_table(step.dataset.name)
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {CARRIED} AS "
        f"SELECT c.* REPLACE (g._until AS {DELETED_AT_COLUMN}) FROM {cleaned} AS c "
        f"JOIN (SELECT {published}, _until FROM (SELECT DISTINCT {typed}, _until FROM {RANKED} "
        f"WHERE _given AND _gone AND _living IS NULL)) AS g ON {same} WHERE {condition}"
    )
    rows = step.lake.execute(
        f"SELECT {PARTITION_COLUMN}, count(*) FROM {CARRIED} GROUP BY 1"
    ).fetchall()
    return {str(key): int(count) for key, count in rows}


def can_be_merged(step: Step) -> bool:
    """Whether new versions alone tell what a cleaned table becomes.

    A unique rule looks at all rows of a partition; and a key that is not published, or masked as
    those of other rows are, cannot be found in the cleaned table.
    """
    compiled = step.dataset.compiled
    return (
        bool(compiled.key)
        and all(compiled.column(name).pii in (None, "hash") for name in compiled.key)
        and not any(rule.kind == "unique" for rule in compiled.rules)
    )


def may_overlap(step: Step, since: int) -> bool:
    """Whether a version of later loads may come before, or with, an earlier one of its key.

    Most sources tell changes in their order, which two columns show without a look at keys.

    Args:
        step: What to work on and with.
        since: The load that was judged last.
    """
    return _reaches(step, since, ">=")


def _reaches(step: Step, since: int, comparison: str) -> bool:
    """Whether the last position up to a load reaches, or passes, the first one after it."""
    table = tables.raw_table(step.dataset.name)
    first = step.lake.execute(
        f"SELECT min({POSITION_COLUMN}) FROM {table} WHERE {LOAD_COLUMN} > {since}"
    ).fetchone()
    if first is None or first[0] is None:
        return False
    # Asked so, files that hold only earlier positions are not opened.
    there = step.lake.execute(
        f"SELECT 1 FROM {table} WHERE {LOAD_COLUMN} <= {since} "
        f"AND {POSITION_COLUMN} {comparison} {int(first[0])} LIMIT 1"
    ).fetchone()
    return there is not None


def is_in_order(step: Step, since: int) -> bool:
    """Whether every version of later loads comes after all earlier ones of its key.

    Args:
        step: What to work on and with.
        since: The load that was judged last.
    """
    if not _reaches(step, since, ">"):
        # As always where the order of loads is the order of versions.
        return True
    table, key = tables.raw_table(step.dataset.name), key_sql(step)
    row = step.lake.execute(
        f"""
        SELECT count(*) FROM (
            SELECT hash({key}) AS hashed, {POSITION_COLUMN} AS position FROM {table}
            WHERE {LOAD_COLUMN} <= {since}) AS old
        JOIN (
            SELECT hash({key}) AS hashed, min({POSITION_COLUMN}) AS position FROM {table}
            WHERE {LOAD_COLUMN} > {since} GROUP BY 1) AS new
        ON old.hashed = new.hashed AND old.position > new.position
        """
    ).fetchone()
    return row == (0,)


def note_decided(step: Step, condition: str, row_key: str) -> None:
    """Lay out the keys of the versions that decide.

    Args:
        step: What to work on and with; its rows are judged and the superseded ones noted.
        condition: SQL that picks the judged rows.
        row_key: SQL of a raw row's key as one text.
    """
    compiled = step.dataset.compiled
    typed = ", ".join(
        f"{sql} AS {quote_identifier(name)}"
        for name, sql in zip(compiled.key, typed_keys(step), strict=True)
    )
    published = ", ".join(
        f"{compiled.pii_sql(name)} AS _key_{number}" for number, name in enumerate(compiled.key)
    )
    step.lake.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {DECIDED} AS
        SELECT DISTINCT {published}, _row_key FROM (
            SELECT {typed}, {row_key} AS _row_key FROM {step.raw_rows}
            WHERE {condition}
              AND rowid NOT IN (SELECT _rowid FROM {VERDICTS} WHERE _rejected))
        """
    )


def decided_rows(step: Step) -> str:
    """SQL that picks the rows of the cleaned table that a decision is about."""
    keys = ", ".join(quote_identifier(name) for name in step.dataset.compiled.key)
    chosen = ", ".join(f"_key_{number}" for number in range(len(step.dataset.compiled.key)))
    return f"({keys}) IN (SELECT ({chosen}) FROM {DECIDED})"


def decided_quarantine() -> str:
    """SQL that picks the rows of the quarantine that a decision is about."""
    return f"row_key IN (SELECT _row_key FROM {DECIDED})"
