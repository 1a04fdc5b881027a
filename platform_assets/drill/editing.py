"""Reading and writing a source's files: what generators and injectors use.

Belongs here: an engine of the source's own, its random numbers, whole files in and out. Does not
belong here: which rows there are, and what is wrong with them.

Random numbers are MD5 of a key and a word, which no version of the engine changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from platform_assets.sql import quote_literal

Engine = duckdb.DuckDBPyConnection

_SCALE = 1_000_000
_CSV = "FORMAT csv, HEADER true"


@contextmanager
def engine(seed: int) -> Iterator[Engine]:
    """An engine in which ``roll(key, word)`` is a number from 0 to below 1.

    Args:
        seed: Other seeds roll other numbers.
    """
    connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "500MB"})
    try:
        connection.execute(
            "CREATE MACRO roll(key, word) AS "
            f"(md5_number_lower(concat('{seed}', '/', key, '/', word)) % {_SCALE}) / {_SCALE}.0"
        )
        # Standard output is for the report, which may be JSON.
        connection.execute("SET enable_progress_bar = false")
        # Nearly normal: enough for a quantity that is looked at in sums.
        connection.execute(
            "CREATE MACRO bell(key, word) AS (roll(key, concat(word, 1)) "
            "+ roll(key, concat(word, 2)) + roll(key, concat(word, 3)) "
            "+ roll(key, concat(word, 4)) - 2) * 1.7320508"
        )
        yield connection
    finally:
        connection.close()


def csv_rows(path: Path) -> str:
    """SQL of the rows of a CSV file or pattern, all text, in the order of the file."""
    return (
        f"read_csv({quote_literal(str(path))}, all_varchar = true, header = true, delim = ',', "
        "quote = '\"', escape = '\"')"
    )


def json_rows(path: Path) -> str:
    """SQL of the objects of an NDJSON file, in the order of the file."""
    # Times stay the texts that they are.
    return (
        f"read_json({quote_literal(str(path))}, format = 'newline_delimited', "
        "auto_detect = true, convert_strings_to_integers = false, "
        "dateformat = 'none', timestampformat = 'none')"
    )


def rows_of(path: Path) -> str:
    """SQL of the rows of a file, by its kind."""
    return csv_rows(path) if path.suffix == ".csv" else json_rows(path)


def write_rows(connection: Engine, select: str, path: Path) -> None:
    """Write what a query gives as a whole file, which appears under its name at once.

    Args:
        connection: An engine.
        select: The query.
        path: The file; CSV or NDJSON, by its name.
    """
    form = _CSV if path.suffix == ".csv" else "FORMAT json"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _beside(path)
    connection.execute(f"COPY ({select}) TO {quote_literal(str(unfinished))} ({form})")
    unfinished.replace(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that appears whole; the file that it replaces may be linked elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _beside(path)
    unfinished.write_bytes(content)
    unfinished.replace(path)


def link(source: Path, target: Path) -> None:
    """Put a file in a second place without copying its bytes.

    Args:
        source: The file.
        target: Where it is to be too; what is there is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and target.samefile(source):
        return
    unfinished = _beside(target)
    os.link(source, unfinished)
    unfinished.replace(target)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")
