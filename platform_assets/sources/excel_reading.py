"""The values of a sheet as text, staged in Parquet for the engine.

Belongs here: what each kind of cell is as a text, and the copy that the engine reads. Does not
belong here: which cells would be loaded wrong (``excel_scan``), and what a good value is (the
contract).

Here Python converts cell by cell, which is nowhere else done on the way of rows. The engine's own
``read_xlsx`` cannot be relied on: asked for text, it gives dates as the days since 1900 and true as
1, so that ``45000`` may be a price or a day; asked for types, it guesses a column's from its first
rows. A sheet has 1,048,576 rows at most, and values are converted column by column, some
thousand rows at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from python_calamine import CalamineSheet, CalamineWorkbook

from platform_assets.sources.excel_package import Fault, RefusedError, Sheet
from platform_assets.sources.excel_scan import Facts, cell_name

ROWS_AT_ONCE = 16_384
# Below this, a double that is an integer is written by an int's digits as by its own.
_PLAIN = 1e15
_LEAP_YEAR = 1900


def load(path: Path, sheet: Sheet) -> CalamineSheet:
    """A sheet's values, in calamine's memory: about 80 bytes a cell.

    Args:
        path: The file.
        sheet: A sheet that a scan found no fault in, so that its size is known to be bounded.
    """
    with CalamineWorkbook.from_path(str(path)) as book:
        return book.get_sheet_by_name(sheet.name)


def header_of(values: CalamineSheet, row: int) -> list[str]:
    """The names in the header's row, by column; empty where there is none.

    Args:
        values: The sheet.
        row: The header's row.
    """
    found = next(itertools.islice(values.iter_rows(), row - 1, None), [])
    return [_TEXT_OF[type(value)](value) or "" for value in found]


@dataclass(frozen=True)
class Copy:
    """A sheet's rows in Parquet.

    Attributes:
        path: Where they are; the columns are ``c0`` and on, by position, all text.
        rows: How many there are.
    """

    path: Path
    rows: int


def schema_of(columns: int) -> Any:  # noqa: ANN401 # pyarrow has no types
    """The columns of a copy."""
    return pa.schema([(f"c{n}", pa.string()) for n in range(columns)])


def stage(
    values: CalamineSheet,
    sheet: Sheet,
    header_row: int,
    columns: Sequence[int],
    facts: Facts,
    target: Path,
) -> Copy:
    """Write a sheet's rows below its header; a row without a value is none, as in CSV.

    Args:
        values: The sheet.
        sheet: The same, for messages.
        header_row: The header's row.
        columns: The columns to write, by position.
        facts: What the scan found out.
        target: Where to write.

    Raises:
        RefusedError: A date does not exist, or other values were read than the scan counted.
    """
    rows = itertools.islice(values.iter_rows(), header_row, None)
    schema = schema_of(len(columns))
    numbers = texts = written = 0
    first = header_row + 1
    with pq.ParquetWriter(target, schema, compression="zstd", compression_level=1) as writer:
        while batch := list(itertools.islice(rows, ROWS_AT_ONCE)):
            by_column = list(zip(*batch, strict=True))
            arrays = []
            for column in columns:
                cells = by_column[column]
                kinds = set(map(type, cells))
                if len(facts.no_dates) and kinds & _DATES:
                    _refuse_no_dates(cells, first, column, facts, sheet)
                arrays.append(pa.array(_texts(cells, kinds), pa.string()))
                numbers += len(cells) - sum(map(_is_text, cells)) if kinds != {str} else 0
                texts += len(cells) - arrays[-1].null_count
            table = pa.Table.from_arrays(arrays, schema=schema)
            table = _without_blank_rows(table)
            writer.write_table(table)
            written += table.num_rows
            first += len(batch)
    texts -= numbers
    if numbers != facts.numbers or texts > facts.texts:
        raise RefusedError(
            Fault(
                "A sheet's cells are told differently by two readers",
                sheet.at(f"rows {header_row + 1} and below"),
                f"{facts.numbers:,} numbers and dates, at most {facts.texts:,} texts",
                f"{numbers:,} numbers and dates, {texts:,} texts",
                "open the workbook in Excel or LibreOffice, save it as .xlsx and deliver that",
            )
        )
    return Copy(target, written)


def _without_blank_rows(table: Any) -> Any:  # noqa: ANN401 # pyarrow has no types
    filled = None
    for column in table.columns:
        valid = pc.is_valid(column)
        filled = valid if filled is None else pc.or_(filled, valid)
    return table if filled is None or pc.all(filled).as_py() else table.filter(filled)


def _refuse_no_dates(
    cells: Sequence[object], first: int, column: int, facts: Facts, sheet: Sheet
) -> None:
    for row, value in enumerate(cells, start=first):
        # A day of the 1904 calendar is another one, and there the 60th is a day like others.
        doubtful = isinstance(value, time) or (isinstance(value, date) and value.year <= _LEAP_YEAR)
        if doubtful and facts.is_no_date(row, column):
            raise RefusedError(
                Fault(
                    "A cell holds a date that does not exist",
                    sheet.at(f"cell {cell_name(row, column)}"),
                    "a date from 1900-01-01 to 9999-12-31, or a time of day",
                    "a negative number, 29 February 1900 or a time that rounds to the next day",
                    "have the cell corrected, or formatted as a number",
                )
            )


def _texts(cells: Sequence[Any], kinds: set[type]) -> list[str | None]:
    if kinds == {str}:
        return [each or None for each in cells]
    return [_TEXT_OF[type(each)](each) for each in cells]


def _is_text(value: object) -> bool:
    return type(value) is str


def _number(value: float) -> str:
    if -_PLAIN < value < _PLAIN and value.is_integer():
        return str(int(value))
    text = repr(value)
    if "e" not in text and not text.endswith(".0"):
        return text
    # Without an exponent, and without a fraction that is none.
    return format(Decimal(text.removesuffix(".0")), "f")


def _duration(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    seconds, rest = divmod(abs(value), timedelta(seconds=1))
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    part = f".{rest.microseconds:06}" if rest else ""
    return f"{sign}{hour:02}:{minute:02}:{second:02}{part}"


_DATES = frozenset({date, datetime, time})
_TEXT_OF: Mapping[type, Callable[[Any], str | None]] = {
    str: lambda value: value or None,
    float: _number,
    int: str,
    bool: lambda value: "true" if value else "false",
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
    timedelta: _duration,
}
