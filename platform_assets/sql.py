"""Quoting: the only way by which a name or a value gets into a SQL text.

Belongs here: turning a Python value into a safe piece of SQL. Does not belong here: any query.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal


def quote_identifier(name: str) -> str:
    """Quote one identifier (a column, a table, a schema).

    Args:
        name: The bare name, not a dotted path.

    Raises:
        ValueError: The name is empty or holds a NUL, which no SQL text can carry.
    """
    if not name or "\0" in name:
        raise ValueError("an SQL identifier must not be empty or contain NUL")
    return '"' + name.replace('"', '""') + '"'


def quote_name(*parts: str) -> str:
    """Quote a dotted name such as catalog, schema and table, part by part."""
    return ".".join(quote_identifier(part) for part in parts)


def quote_literal(value: str) -> str:
    """Quote one text value.

    Args:
        value: Any text that UTF-8 can encode.

    Raises:
        ValueError: The text holds a NUL or a lone surrogate, which no SQL text can carry.
    """
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError("an SQL literal must not contain NUL or a lone surrogate")
    return "'" + value.replace("'", "''") + "'"


def literal_list(values: Iterable[str]) -> str:
    """A parenthesised list of quoted text values, for ``IN``.

    An empty list becomes ``(NULL)``, which nothing is equal to: ``IN ()`` is not SQL.
    """
    return "(" + (", ".join(quote_literal(value) for value in values) or "NULL") + ")"


def after_scan(column: str) -> str:
    """A text column, for a condition that is looked at only once the rows are read.

    The lake asks its catalog for the statistics of every file for each column that a condition
    names, which takes longer than to read a table of few rows, or of rows kept in the catalog. One
    condition that leaves out most files is worth that; the others are cheaper afterwards.

    Args:
        column: SQL of the column.
    """
    return f"({column} || '')"


def literal(value: object, sql_type: str) -> str:
    """Write a value as a literal of exactly one SQL type, so that nothing is promoted.

    Args:
        value: A str, bool, int, float, Decimal, date or datetime.
        sql_type: The type of the column that it is compared with.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote_literal(value)
    if isinstance(value, datetime):
        # strftime does not pad the year on Linux, isoformat does.
        return f"CAST('{value.isoformat(sep=' ')}' AS TIMESTAMP)"
    if isinstance(value, date):
        return f"CAST('{value.isoformat()}' AS DATE)"
    text = format(value, "f") if isinstance(value, Decimal) else repr(value)
    return f"CAST('{text}' AS {sql_type})"
