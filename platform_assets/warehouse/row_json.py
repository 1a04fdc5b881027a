"""A row as JSON: the SQL by which its values are named, read and told apart.

Belongs here: expressions over a row that is kept as JSON by the source's names. Does not belong
here: which rows, and what is done with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.sql import quote_identifier, quote_literal


def content_sql(names: Sequence[str], prefix: str = "") -> str:
    """SQL of what tells a raw row's content: its values by name, without those that are not there.

    So a row is still the same one when its table gets a further column.

    Args:
        names: The source's own columns.
        prefix: Alias of the raw table, with its point.
    """
    packed = ", ".join(
        f"{quote_identifier(name)} := {prefix}{quote_identifier(name)}" for name in names
    )
    return digest_of(f"to_json(struct_pack({packed}))")


def digest_of(row: str) -> str:
    """SQL of the same, over a row as JSON."""
    return f"md5(json_merge_patch('{{}}', {row}))"


def pointer(name: str) -> str:
    """A column as a JSON pointer, quoted: it needs no rules about dots and quotes."""
    return quote_literal("/" + name.replace("~", "~0").replace("/", "~1"))


def from_text(text: str, sql_type: str) -> str:
    """SQL of a corrected value in the raw column's type; NULL where it cannot hold it.

    Args:
        text: SQL of the value's text.
        sql_type: The column's type.
    """
    if sql_type == "VARCHAR":
        return text
    nested = "(" in sql_type and not sql_type.startswith("DECIMAL")
    if nested or sql_type.endswith("]") or sql_type == "JSON":
        return f"TRY_CAST(TRY_CAST({text} AS JSON) AS {sql_type})"
    return f"TRY_CAST({text} AS {sql_type})"
