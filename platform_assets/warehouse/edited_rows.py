"""A file of quarantined rows that a person has edited, read by the engine.

Belongs here: the form of such a file, and its rows as a table of the session, all of it text. Does
not belong here: what became of the values (``pipeline.correct``) and writing such a file
(``quarantine_export``).

A spreadsheet may have written it: with another separator, or a mark of the byte order in front.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from platform_assets.errors import SettingsError, SourceError
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.quarantine_export import ID, INFORMATION
from platform_assets.warehouse.row_json import pointer

EDITED = "_edited"
"""``(quarantine_id, _has_0, _new_0, …)``: for each column whether the file has it, and its text."""
ENDINGS = (".csv", ".ndjson")
MAX_LINE_BYTES = 2_000_000
_DELIMITERS = (",", ";", "\t")
_VALUES = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_LINE = re.compile(r"\bline:? (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class EditedRows:
    """An edited file whose rows are in ``EDITED``.

    Attributes:
        path: The file.
        columns: The columns that it has beside the platform's own, numbered as in ``EDITED``.
        empty_is_null: Whether the file cannot tell an empty text from none.
    """

    path: Path
    columns: tuple[str, ...]
    empty_is_null: bool


def stage(connection: Connection, path: Path) -> EditedRows:
    """Read an edited file into a temporary table of the session.

    Args:
        connection: An open lake.
        path: A CSV or NDJSON file, as ``quarantine export`` writes it.

    Raises:
        SettingsError: There is no such file, or its ending is not known.
        SourceError: It cannot be read, or does not say which rows it is about.
    """
    examine_ending(path, "option --from")
    if not path.is_file():
        raise SettingsError(
            "There is no file of edited rows",
            where=f"option --from {path}",
            expected="a file that platform-assets quarantine export wrote, edited",
            found="no file",
            fix="correct the path",
        )
    try:
        rows = _csv(connection, path) if path.suffix == ".csv" else _ndjson(connection, path)
    except (duckdb.Error, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None
    _examine_ids(connection, path)
    return rows


def examine_ending(path: Path, option: str) -> None:
    """Refuse a file that is neither CSV nor NDJSON.

    Args:
        path: The file.
        option: Where it was named.

    Raises:
        SettingsError: Its ending is not known.
    """
    if path.suffix not in ENDINGS:
        raise SettingsError(
            "A file of quarantined rows has an ending that is not known",
            where=f"{option} {path}",
            expected=" or ".join(ENDINGS),
            found=path.suffix or "none",
            fix="name the file otherwise",
        )


def drop(connection: Connection) -> None:
    """Drop the session's table."""
    connection.execute(f"DROP TABLE IF EXISTS {EDITED}")


def _csv(connection: Connection, path: Path) -> EditedRows:
    names, delimiter = _header(path)
    _examine_names(path, names)
    columns = tuple(name for name in names if name not in INFORMATION)
    # By position, as a name may differ from another by its case alone.
    read = ", ".join(f"'_c{number}': 'VARCHAR'" for number in range(len(names)))
    values = [
        f"true AS _has_{number}, _c{names.index(name)} AS _new_{number}"
        for number, name in enumerate(columns)
    ]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {EDITED} AS SELECT "
        + ", ".join([f"_c{names.index(ID)} AS quarantine_id", *values])
        + f" FROM read_csv({quote_literal(str(path))}, columns = {{{read}}}, header = true, "
        f"auto_detect = false, delim = {quote_literal(delimiter)}, quote = '\"', escape = '\"', "
        f"max_line_size = {MAX_LINE_BYTES})"
    )
    return EditedRows(path, columns, empty_is_null=True)


def _header(path: Path) -> tuple[list[str], str]:
    """The names of a CSV file's columns, and what separates them."""
    names: list[str] = []
    for delimiter in _DELIMITERS:
        # A name may hold a line break, so the reader decides where the header ends.
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, delimiter=delimiter), [])
        if ID in names:
            return names, delimiter
    return names, _DELIMITERS[-1]


def _ndjson(connection: Connection, path: Path) -> EditedRows:
    read = (
        f"read_ndjson_objects({quote_literal(str(path))}, maximum_object_size = {MAX_LINE_BYTES})"
    )
    odd = connection.execute(
        f"SELECT count(*) FROM {read} WHERE json_type(json) <> 'OBJECT'"
    ).fetchone()
    if odd != (0,):
        raise _refused(path, "lines that are JSON objects", "a line that is none")
    found = connection.execute(
        f"SELECT DISTINCT unnest(json_keys(json)) AS name FROM {read} ORDER BY name"
    ).fetchall()
    names = [str(name) for (name,) in found]
    _examine_names(path, names)
    columns = tuple(name for name in names if name not in INFORMATION)
    values = [
        f"json_exists(json, {pointer(name)}) AS _has_{number}, "
        f"json ->> {pointer(name)} AS _new_{number}"
        for number, name in enumerate(columns)
    ]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {EDITED} AS SELECT "
        + ", ".join([f"json ->> {pointer(ID)} AS quarantine_id", *values])
        + f" FROM {read}"
    )
    return EditedRows(path, columns, empty_is_null=False)


def _examine_names(path: Path, names: list[str]) -> None:
    if ID not in names:
        raise _refused(path, f"a column {ID}, which says which row each is", "no such column")
    lower = [name.lower() for name in names]
    twice = [name for name in names if lower.count(name.lower()) > 1]
    if twice:
        raise _refused(path, "each column once", f"{quote_identifier(twice[0])} twice")


def _examine_ids(connection: Connection, path: Path) -> None:
    row = connection.execute(
        f"SELECT count(*) FILTER (coalesce(quarantine_id, '') = ''), count(*) FROM {EDITED}"
    ).fetchone()
    assert row is not None  # an aggregate
    if row[0]:
        raise _refused(path, f"an id of each row in {ID}", f"{row[0]:,} rows without one")
    twice = connection.execute(
        f"SELECT quarantine_id, count(*) FROM {EDITED} GROUP BY 1 HAVING count(*) > 1 "
        "ORDER BY 1 LIMIT 1"
    ).fetchone()
    if twice:
        raise _refused(path, "each row once", f"row {twice[0]} {twice[1]} times")


def _refused(path: Path, expected: str, found: str) -> SourceError:
    return SourceError(
        "A file of edited rows is not of the form in which rows are exported",
        where=f"file {path}",
        expected=expected,
        found=found,
        fix="edit a file that platform-assets quarantine export wrote, and leave what begins "
        "with an underscore as it is",
    )


def _unreadable(path: Path, error: Exception) -> SourceError:
    # The engine's own text quotes the line, which may hold personal data.
    line, values = _LINE.search(str(error)), _VALUES.search(str(error))
    return SourceError(
        "A file of edited rows cannot be read",
        where=f"file {path}" + (f", line {line[1]}" if line else ""),
        expected="UTF-8, and in each row as many values as the header has"
        if path.suffix == ".csv"
        else "UTF-8, and one JSON object a line",
        found=f"{values[2]} values under {values[1]} names" if values else "something else",
        fix="correct the line; a spreadsheet can save as CSV UTF-8",
    )
