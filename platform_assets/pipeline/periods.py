"""From versions to periods: the SQL by which a key's versions follow each other.

Belongs here: which versions make a row of the history, and when each holds. Does not belong here:
which keys are done, and what is replaced (``history``).

The versions that decide are put in the order by which the newest is found. One whose published
content is that of the one before it makes no row, nor does a delete of what is gone, and of several
with one position the last counts. A source's clock may go back: a period then begins where the one
before it began, and that one has no length. So periods of a key never overlap, and none ends before
it begins. A version without a time takes that of the one before it.
"""

from __future__ import annotations

from platform_assets.pipeline.raw_table import source_types
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.temporary import KNOWN
from platform_assets.provenance import (
    CHANGED_COLUMN,
    DELETED,
    IS_CURRENT,
    LOAD_COLUMN,
    OP_COLUMN,
    PARTITION_COLUMN,
    POSITION_COLUMN,
    VALID_FROM,
    VALID_TO,
)
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal

# For a first version whose time nobody knows.
_ALWAYS = "TIMESTAMP '1970-01-01 00:00:00'"
_GONE = f"{OP_COLUMN} = {quote_literal(DELETED)}"
EVENT = ("_gone", "_at", "_hash", POSITION_COLUMN, LOAD_COLUMN, "_rowid")
"""Columns of an event beyond those that are published and ``_partition``."""


def published_names(step: Step) -> list[str]:
    """Names of the published columns, quoted."""
    return [q(name) for name, _ in step.dataset.compiled.published_columns]


def published_keys(step: Step) -> str:
    """The key's columns as they are published, quoted."""
    return ", ".join(q(name) for name in step.dataset.compiled.key)


def hash_sql(step: Step) -> str:
    """SQL of a raw row's key as 8 bytes, for this session only."""
    types = source_types(step)
    compiled = step.dataset.compiled
    return f"hash({', '.join(compiled.cast_sql(n, source_types=types) for n in compiled.key)})"


def events(step: Step, condition: str, rejected: str, *, hidden: bool) -> str:
    """A SELECT of the versions that decide, as published, with what orders them.

    Args:
        step: What to work on and with.
        condition: SQL that picks rows of the raw table.
        rejected: The temporary table of the row ids that are bad.
        hidden: Whether some may belong to partitions that are not published (``KNOWN`` tells
            which are): one that is not closes what was before it, as it does in the cleaned
            table, and is not shown itself.
    """
    compiled, types = step.dataset.compiled, source_types(step)
    # Of a delete, no more than the key was looked at by anybody.
    values = ", ".join(
        f"{compiled.cast_sql(c, judged=not c.key, source_types=types)} AS {q(c.name)}"
        for c in compiled.columns
    )
    rows = (
        f"(SELECT *, rowid AS _rowid FROM {step.raw_rows} "
        f"WHERE ({condition}) AND ({_GONE} OR rowid NOT IN (SELECT _rowid FROM {rejected})))"
    )
    gone = _GONE
    if hidden:
        rows += f" LEFT JOIN {KNOWN} ON _known_partition = {PARTITION_COLUMN}"
        gone = f"({_GONE} OR coalesce({LOAD_COLUMN} > _known_load, true))"
    given = " AND ".join(f"{q(name)} IS NOT NULL" for name in compiled.key)
    typed = (
        f"(SELECT {values}, {PARTITION_COLUMN}, {gone} AS _gone, "
        f"coalesce({CHANGED_COLUMN}, {_ALWAYS}) AS _at, {hash_sql(step)} AS _hash, "
        f"{POSITION_COLUMN}, {LOAD_COLUMN}, _rowid FROM {rows})"
    )
    return compiled.publish_select(
        f"(SELECT * FROM {typed} WHERE {given})", passthrough=(PARTITION_COLUMN, *EVENT)
    )


def period_names(step: Step) -> list[str]:
    """The columns of a history table, quoted."""
    return [*published_names(step), PARTITION_COLUMN, VALID_FROM, VALID_TO, IS_CURRENT]


def single(step: Step, of_events: str) -> str:
    """Periods of keys that have one version each."""
    listed = ", ".join([*published_names(step), PARTITION_COLUMN])
    return (
        f"SELECT {listed}, _at AS {VALID_FROM}, CAST(NULL AS TIMESTAMP) AS {VALID_TO}, "
        f"true AS {IS_CURRENT} FROM ({of_events}) WHERE NOT _gone"
    )


def periods(step: Step, of_events: str) -> str:
    """Periods of keys from all their events.

    Args:
        step: What to work on and with.
        of_events: A SELECT of events with a column ``_base``: whether it is what the history has
            already, which comes before all others of its key.

    Returns:
        A SELECT of the columns of a history table and ``_base``.
    """
    names = [*published_names(step), PARTITION_COLUMN]
    listed = ", ".join(names)
    content = ", ".join(f"'c{number}': {name}" for number, name in enumerate(names))
    keys = published_keys(step)
    order = f"PARTITION BY {keys} ORDER BY _base DESC, {POSITION_COLUMN}, {LOAD_COLUMN}, _rowid"
    return f"""
        WITH told AS (
            SELECT * FROM ({of_events})
            QUALIFY _base OR lead({POSITION_COLUMN}) OVER ({order})
                IS DISTINCT FROM {POSITION_COLUMN}
        ),
        compared AS (
            SELECT *, lag(_gone, 1, true) OVER ({order}) AS _was_gone,
                {{{content}}} AS _content, lag(_content) OVER ({order}) AS _before
            FROM told
        ),
        turns AS (
            SELECT *, max(_at) OVER ({order} ROWS UNBOUNDED PRECEDING) AS _from
            FROM compared
            WHERE _base OR CASE WHEN _gone THEN NOT _was_gone
                ELSE _was_gone OR _content IS DISTINCT FROM _before END
        ),
        ended AS (SELECT *, lead(_from) OVER ({order}) AS _to FROM turns)
        SELECT {listed}, _from AS {VALID_FROM}, _to AS {VALID_TO}, _to IS NULL AS {IS_CURRENT},
            _base
        FROM ended WHERE NOT _gone
    """
