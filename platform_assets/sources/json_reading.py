"""JSON texts in the engine: judged, and taken apart into columns without a digit lost.

Belongs here: the SQL between a column of JSON texts and a contract's columns. Does not belong
here: which files there are, and how texts come out of them (``ndjson``, ``json_files``).

The engine's own JSON functions read a number as a float: ``1.10`` becomes 1.1, and a long decimal
loses digits. So numbers are first turned into marked strings, which pass through unharmed, and the
marks are taken off again at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sources.nested import path_of
from platform_assets.sql import quote_identifier, quote_literal

TEXT = "_json"
# A control character that JSON cannot hold as it is; a text that holds it escaped is refused.
MARK = "\\u0001"
_STRING = r'"(?:[^"\\]|\\.)*"'
# From where the last match ended: strings and all else up to the next number, or to the end.
_NUMBERS = rf'((?:{_STRING}|[^"0-9-])*)(-?[0-9][0-9.eE+-]*|$)'
_MARKED = r'"\\u0001([0-9eE.+-]*)"'


def marked(text: str) -> str:
    """SQL of a JSON text whose numbers are marked strings.

    Args:
        text: SQL of the text.
    """
    replaced = f"regexp_replace({text}, {quote_literal(_NUMBERS)}, '\\1\"{_escaped()}\\2\"', 'gs')"
    # The last match is the end of the text, where an empty number was put.
    tail = len(MARK) + 2
    return f"substr({replaced}, 1, length({replaced}) - {tail})"


def _escaped() -> str:
    return MARK.replace("\\", "\\\\")


def _key(key: str) -> str:
    escaped = key.replace('"', '\\"')
    return f'$."{escaped}"'


def value(path: str, text: str = TEXT) -> str:
    """SQL of what a path leads to as text: a string is its text, all else is as it was written.

    Args:
        path: The path, as the engine takes it.
        text: SQL of the marked text.
    """
    path = quote_literal(path)
    found = f"({text} ->> {path})"
    inner = f"regexp_replace({found}, {quote_literal(_MARKED)}, '\\1', 'g')"
    kind = f"json_type({text}, {path})"
    return (
        f"CASE WHEN {kind} IN ('OBJECT', 'ARRAY') THEN {inner} "
        f"WHEN starts_with({found}, chr(1)) THEN substr({found}, 2) ELSE {found} END"
    )


def select(columns: Sequence[str], further: Mapping[str, Sequence[str]], relation: str) -> str:
    """A SELECT of columns and provenance out of a relation with a JSON text.

    Args:
        columns: The columns to read, each a path.
        further: Keys to read as they are, by the column that they go to; several where files
            spell one differently.
        relation: SQL of a relation with the marked text ``_json`` and provenance.
    """
    sql = {column: value(path_of(column)) for column in columns} | {
        column: "coalesce(" + ", ".join(value(_key(key)) for key in keys) + ")"
        for column, keys in further.items()
    }
    values = ", ".join(f"{each} AS {quote_identifier(column)}" for column, each in sql.items())
    return f"SELECT {values}, {PARTITION_COLUMN}, {FILE_COLUMN} FROM ({relation})"


def faults(columns: Sequence[str], text: str = TEXT, *, is_marked: bool = False) -> str:
    """SQL of what is wrong with a text that should be an object; NULL where nothing is.

    Args:
        columns: The columns of the contract; the objects on the way to them are judged too.
        text: SQL of the text.
        is_marked: Whether its numbers are marked already: it was judged as a whole before.
    """
    parents = {".".join(c.split(".")[:n]) for c in columns for n in range(1, c.count(".") + 1)}
    doubled = [f"len(json_keys({text})) <> len(list_distinct(json_keys({text})))"]
    for parent in sorted(parents):
        keys = f"json_keys({text}, {quote_literal(path_of(parent))})"
        doubled.append(f"len({keys}) <> len(list_distinct({keys}))")
    # Such a key cannot be told from the path that has the same name.
    dotted = [f"list_contains(json_keys({text}), {quote_literal(c)})" for c in columns if "." in c]
    taken = "false" if is_marked else f"contains({text}, {quote_literal(MARK)})"
    return (
        f"CASE WHEN {taken} THEN 'the control character U+0001' "
        f"WHEN NOT json_valid({text}) THEN 'text that is no JSON' "
        f"WHEN json_type({text}) <> 'OBJECT' THEN 'JSON that is no object' "
        f"WHEN {' OR '.join(doubled)} THEN 'an object that has a key twice' "
        + (
            f"WHEN {' OR '.join(dotted)} THEN 'a key with a dot, named as a path is' "
            if dotted
            else ""
        )
        + "END"
    )
