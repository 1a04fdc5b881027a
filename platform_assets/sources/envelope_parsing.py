"""The SQL that reads a line of a change log, whatever it is wrapped in.

Belongs here: JSON, envelopes, keys, tombstones, numbers that must stay exact. Does not belong here:
what becomes of the events (``envelope``).

The engine reads numbers as binary floating point where they have a fraction, so such numbers are
made text before a line is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.sql import quote_literal

# What stands before a number that was made text; no value of a source begins like this.
MARK, ESCAPED_MARK = "\x01\x02", r"\u0001\u0002"
_HAS_FRACTION = r"[:,\[]\s*-?[0-9]+[.eE]"
# Everything up to a number outside of quotes that has a fraction, then that number; or the rest.
_UP_TO_NUMBER = (
    r'((?:"(?:[^"\\]|\\.)*"|[^"])*?)'
    r"(?:(-?[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))|$)"
)

# In a replacement, a backslash is itself only when doubled.
_ESCAPED_MARK_SQL = ESCAPED_MARK.replace("\\", "\\\\")


def parsed(lines: str, key_columns: Sequence[str], position: str | None) -> str:
    """The query over all lines, one step of unwrapping upon the other.

    Args:
        lines: A relation of ``line`` and ``filename``.
        key_columns: The columns that identify a row.
        position: Path of the position in an envelope; None: Postgres's or MySQL's.

    Returns:
        SQL of ``(piece, kind, op, row_, key_, keys, position, changed, problem, line, marked)``: a
        line is an ``event``, a ``tombstone``, ``blank``, or ``bad`` with its problem.
    """
    up_to, then = quote_literal(_UP_TO_NUMBER), quote_literal(f'\\1"{_ESCAPED_MARK_SQL}\\2"')
    empty = quote_literal(f'"{ESCAPED_MARK}"')
    text = (
        f"CASE WHEN regexp_matches(line, {quote_literal(_HAS_FRACTION)}) "
        # The end of the line counts as a number, of no digits.
        f"THEN replace(regexp_replace(line, {up_to}, {then}, 'g'), {empty}, '') ELSE line END"
    )
    place = quote_literal(pointer(*position.split("."))) if position else "'/source/lsn'"
    told = (
        "['/op', '/before', '/after', '/ts_ms', '/source/ts_ms', '/source/file', "
        f"'/source/pos', {place}]"
    )
    keys = ", ".join(quote_literal(pointer(name)) for name in key_columns)
    none = f"list_value({', '.join(['NULL'] * len(key_columns))})"
    own_key, told_key = (
        f"CASE WHEN json_type({each}) = 'OBJECT' THEN json_extract_string({each}, [{keys}]) "
        f"ELSE {none} END"
        if key_columns
        else "NULL"
        for each in ("row_", "key_")
    )
    number = "TRY_CAST(said[8] AS BIGINT)"
    row = _object("CASE WHEN said[1] = 'd' THEN said[2] ELSE said[3] END")
    key = _object(_unwrapped("key_", "json_type(key_, '/schema') IS NOT NULL"))
    value = _unwrapped("value", "json_type(value, '/op') IS NULL")
    binlog = (
        "TRY_CAST(regexp_extract(said[6], '[.]([0-9]+)$', 1) AS BIGINT) * 4294967296 "
        "+ TRY_CAST(said[7] AS BIGINT)"
    )
    both = (
        "list_transform(list_zip(own_key, told_key), lambda p: coalesce(p[1], p[2]))"
        if key_columns
        else "NULL"
    )
    key_missing = f"len(list_filter({both}, lambda k: k IS NULL)) > 0" if key_columns else "false"
    no_key = "false" if key_columns else "true"
    return f"""
        SELECT piece, kind, op, row_, key_, {both} AS keys,
               CASE WHEN kind = 'event' THEN position END AS position, changed,
               problem, CASE WHEN problem IS NOT NULL THEN line END AS line,
               contains(coalesce(row_, ''), {quote_literal(ESCAPED_MARK)}) AS marked
        FROM (SELECT *, CASE WHEN blank THEN 'blank' WHEN problem IS NOT NULL THEN 'bad'
                             WHEN tombstone THEN 'tombstone' ELSE 'event' END AS kind
        FROM (SELECT *, CASE WHEN blank OR tombstone THEN NULL
                 WHEN NOT valid THEN 'it is not JSON'
                 WHEN op IS NULL THEN 'it has no op'
                 WHEN op NOT IN ('c', 'u', 'd', 'r') THEN 'its op is none of c, u, d and r'
                 WHEN row_ IS NULL AND (op <> 'd' OR {no_key})
                    THEN 'it has no row'
                 WHEN {key_missing} THEN 'it has no key'
                 WHEN position IS NULL THEN 'it has no position' END AS problem
        FROM (SELECT *, {own_key} AS own_key, {told_key} AS told_key
        FROM (SELECT piece, line, blank, valid, tombstone, said[1] AS op,
                 {row} AS row_, {key} AS key_,
                 {f"coalesce({number}, {binlog})" if position is None else number}
                    AS position,
                 TRY(make_timestamp(
                     TRY_CAST(coalesce(said[5], said[4]) AS BIGINT) * 1000)) AS changed
        FROM (SELECT *, CASE WHEN valid AND NOT tombstone AND value IS NOT NULL
                 THEN json_extract_string(value, {told}) END AS said
        FROM (SELECT * EXCLUDE (value, tombstone), {value} AS value,
                 tombstone OR (has[1] IS NULL AND {_is_null_payload("value")}) AS tombstone
        FROM (SELECT *,
                 CASE WHEN has[1] IS NULL THEN {_object("coalesce(top[2], top[3])")}
                      ELSE text END AS value,
                 top[1] AS key_,
                 coalesce(text = 'null' OR (has[1] IS NULL AND top[2] IS NULL
                          AND top[3] IS NULL AND (has[2] = 'NULL' OR has[3] = 'NULL')), false)
                          AS tombstone
        FROM (SELECT *,
                 CASE WHEN valid THEN json_type(text, ['/op', '/value', '/payload']) END AS has,
                 CASE WHEN valid THEN json_extract_string(text, ['/key', '/value', '/payload'])
                 END AS top
        FROM (SELECT *, coalesce(json_valid(text), false) AS valid
        FROM (SELECT filename AS piece, line, coalesce(trim(line, ' \t'), '') = '' AS blank,
                     trim({text}, ' \t') AS text
        FROM {lines}))))))))))"""


def pointer(*names: str) -> str:
    """A JSON pointer: any name can be written in one."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def _object(text: str) -> str:
    """A text where it is a JSON object, else NULL."""
    return f"CASE WHEN json_valid({text}) AND json_type({text}) = 'OBJECT' THEN {text} END"


def _unwrapped(text: str, lacks: str) -> str:
    """What a schema stands beside, or the text itself where there is none.

    Args:
        text: SQL of the text.
        lacks: SQL that tells that the text itself is not what is looked for.
    """
    return (
        f"CASE WHEN json_valid({text}) AND json_type({text}, '/payload') = 'OBJECT' AND {lacks} "
        f"THEN json_extract_string({text}, '/payload') ELSE {text} END"
    )


def _is_null_payload(text: str) -> str:
    return f"coalesce(json_valid({text}) AND json_type({text}, '/payload') = 'NULL', false)"
