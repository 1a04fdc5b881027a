"""Reading records that are JSON, one a line: each value as the text that the source wrote.

Belongs here: the engine's relation over files of newline-delimited JSON. Does not belong here:
where such files come from, or which columns are asked for.

The engine's JSON functions read a number as a double where it has a fraction and write it anew:
``1.10`` becomes ``1.1``, and of ``12345678901234567.89`` the last digits are lost. So numbers are
made strings with a mark before a record is taken apart, and the mark is taken off what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from platform_assets.sql import quote_identifier, quote_literal

FILENAME = "filename"
# The engine's own limit of a record.
MAX_RECORD_BYTES = 16_000_000

# Two control characters, which no source begins a text with; JSON itself must escape them.
_MARK = r"\u0001\u0002"
# A string as a whole, or a number: what looks like a number in a string is passed over with it.
_TOKENS = r'("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)'


def key_path(name: str) -> str | None:
    """The JSON path of a record's own name, whatever is in it; None where there is none."""
    # The engine takes a star for all names even where it is quoted.
    unsayable = not name.strip("*") or set(name) & {'"', "\\", "\0"}
    return None if unsayable else f'$."{name}"'


def relation(paths: Sequence[str], columns: Mapping[str, str]) -> str:
    """A SELECT of columns as text, and ``filename``, over files of one record a line.

    A string is its text, a number is as it was written, a list or an object is JSON without
    spaces; what is null or not there is NULL. Of a name that a record has twice, the first counts.

    Args:
        paths: The files, plain or gzip.
        columns: The JSON path of each column, by its name.
    """
    files = ", ".join(quote_literal(path) for path in paths)
    asked = ", ".join(quote_literal(path) for path in columns.values())
    selected = "".join(
        f"{_plain(f'_found[{number}]')} AS {quote_identifier(name)}, "
        for number, name in enumerate(columns, start=1)
    )
    found = f"json_extract_string({_marked('json')}, [{asked}])" if columns else "NULL"
    return (
        f"SELECT {selected}{FILENAME} FROM ("
        f"SELECT {found} AS _found, {FILENAME} "
        f"FROM read_ndjson_objects([{files}], filename=true, "
        f"maximum_object_size={MAX_RECORD_BYTES}))"
    )


def _marked(json: str) -> str:
    """A record in which every number is a string that begins with the mark.

    The engine replaces all matches alike, so strings get the mark's frame too, which is then empty.
    """
    framed = (
        f"regexp_replace({json}, {quote_literal(_TOKENS)}, '\\1' || chr(1) || '\\2' || chr(2), 'g')"
    )
    bare = f"replace({framed}, chr(1) || chr(2), '')"
    return f"""replace(replace({bare}, chr(1), '"{_MARK}'), chr(2), '"')"""


def _plain(value: str) -> str:
    """A value without marks: a number, or numbers in the text of a list or an object."""
    mark = "chr(1) || chr(2)"
    nested = rf"""regexp_replace({value}, '"\\u0001\\u0002([^"]*)"', '\1', 'g')"""
    return (
        f"CASE WHEN starts_with({value}, {mark}) THEN substr({value}, 3) "
        f"WHEN {value}[1] IN ('{{', '[') THEN {nested} ELSE {value} END"
    )
