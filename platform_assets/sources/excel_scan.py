"""One pass over a sheet's XML, for what the library that reads its values does not tell.

Belongs here: cells that would be loaded wrong without a word. Does not belong here: the values
themselves (``excel_reading``).

calamine gives an error (``#DIV/0!``) and a formula that was never calculated as an empty cell, a
date that does not exist as another one, takes the last of two cells of one name, rounds a number
of too many digits, and makes room for every cell up to the last one, however far away it is. Each
of that is found here first. What is counted here, by another reader, is held against what it gave.
"""

from __future__ import annotations

import math
import zipfile
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

from platform_assets.sources.excel_package import Fault, RefusedError, Sheet, new_parser

MAX_CELLS = 16 * 2**20
"""Cells up to the last one with a value: all 1,048,576 rows of 16 columns, about 1.3 GB in
calamine."""
MAX_ROWS, MAX_COLUMNS = 2**20, 2**14
# Beyond so many digits a number may be another one than a spreadsheet's own, which is a double.
_EXACT_DIGITS, _DOUBLE_DIGITS = 15, 17
# In a spreadsheet, the 60th day is 29 February 1900, which never was.
_LEAP_DAY = 60
# From here on, a time of day is rounded up to the day that follows it.
_MIDNIGHT = 1 - 0.0005 / 86_400
_ERRORS = frozenset(
    {"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!"}
)
_TEXTS = frozenset({"s", "str", "inlineStr"})
_NUMBERS = frozenset({"n", "b", "d"})


@dataclass(frozen=True)
class Facts:
    """What one pass over a sheet found out.

    Attributes:
        rows: The number of the last row with a value.
        columns: The number of the last column with a value.
        numbers: Cells below the header that are not text.
        texts: Cells below the header that are text, which may be empty.
        below: The first row with a value below the header, by column (from 0).
        no_dates: Places of numbers that are no date to a spreadsheet, ascending.
    """

    rows: int
    columns: int
    numbers: int
    texts: int
    below: Mapping[int, int] = field(hash=False)
    no_dates: array[int] = field(hash=False)

    def is_no_date(self, row: int, column: int) -> bool:
        """Whether a cell's number is none that a spreadsheet shows as a date."""
        place = row * MAX_COLUMNS + column
        at = bisect_left(self.no_dates, place)
        return at < len(self.no_dates) and self.no_dates[at] == place


def scan(path: Path, sheet: Sheet, header_row: int) -> Facts:
    """Pass over a sheet.

    Args:
        path: The file.
        sheet: The sheet.
        header_row: The header's row; what is above it is not looked at.

    Raises:
        RefusedError: A cell would be loaded wrong.
    """
    found = _Scan(sheet, header_row)
    parser = new_parser()
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text
    with zipfile.ZipFile(path) as package, package.open(sheet.part) as file:
        parser.ParseFile(file)
    return found.facts()


class _Scan:
    """What is known while the XML goes by."""

    def __init__(self, sheet: Sheet, header_row: int) -> None:
        self.sheet = sheet
        self.header_row = header_row
        self.row = self.last_row = 0
        self.column = -1
        self.columns = self.numbers = self.texts = 0
        self.below: dict[int, int] = {}
        self.no_dates = array("q")
        self.merged: list[str] = []
        self.kind, self.style = "n", ""
        self.is_formula = self.has_value = self.reads = False
        self.parts: list[str] = []

    def start(self, name: str, told: dict[str, str]) -> None:
        name = name.rpartition(":")[2] if ":" in name else name
        if name == "c":
            self._start_cell(told)
        elif name == "v":
            self.has_value = self.reads = True
        elif name == "is":
            self.has_value = True
        elif name == "t":
            self.reads = True
        elif name == "f":
            self.is_formula = True
        elif name == "row":
            self._start_row(told)
        elif name == "mergeCell":
            self.merged.append(told.get("ref", ""))

    def text(self, data: str) -> None:
        if self.reads:
            self.parts.append(data)

    def end(self, name: str) -> None:
        name = name.rpartition(":")[2] if ":" in name else name
        if name in {"v", "t"}:
            self.reads = False
        elif name == "c":
            self._end_cell()

    def _start_row(self, told: dict[str, str]) -> None:
        number = int(told["r"]) if "r" in told else self.row + 1
        if not self.row < number <= MAX_ROWS:
            raise self._refused(
                "A sheet has a row twice, or rows out of order",
                f"after row {self.row}",
                "rows in ascending order, at most 1,048,576",
                f"row {number}",
            )
        self.row, self.column = number, -1

    def _start_cell(self, told: dict[str, str]) -> None:
        name = told.get("r")
        number = self.column + 1 if name is None else _column_of(name, self.row)
        if not self.column < number < MAX_COLUMNS:
            raise self._refused(
                "A sheet has a cell twice, or cells out of order",
                f"row {self.row}",
                "each cell of a row once, in ascending order",
                f"cell {name} after {cell_name(self.row, self.column)}"
                if self.column >= 0
                else f"cell {name}",
            )
        self.column = number
        self.kind, self.style = told.get("t", "n"), told.get("s", "0")
        self.is_formula = self.has_value = False
        self.parts = []

    def _end_cell(self) -> None:
        if not self.has_value and not self.is_formula:
            return
        text = "".join(self.parts)
        if self.row >= self.header_row:
            self._judge(text)
        # An empty text is an empty cell.
        if not text and self.kind != "s":
            return
        self.last_row = self.row
        if self.column >= self.columns:
            self.columns = self.column + 1
        if self.row > self.header_row:
            if self.column not in self.below:
                self.below[self.column] = self.row
            if self.kind in _TEXTS:
                self.texts += 1
            else:
                self.numbers += 1

    def _judge(self, text: str) -> None:
        kind = self.kind
        if kind == "e":
            raise self._cell(
                "A cell holds an error instead of a value",
                "a value, or an empty cell",
                text if text in _ERRORS else "an error",
                "have the formula corrected, or the cell emptied",
            )
        if self.is_formula and (not self.has_value or self.sheet.is_stale or self._lost(text)):
            raise self._cell(
                "A cell holds a formula whose value was not calculated",
                "a workbook that was calculated before it was saved",
                "a formula without a value"
                if not self.sheet.is_stale
                else "a formula in a workbook that is to be calculated when it is opened",
                "open the workbook in Excel or LibreOffice and save it, or have values delivered "
                "instead of formulas",
            )
        if kind == "n":
            self._judge_number(text)
        elif kind not in _TEXTS and kind not in _NUMBERS:
            raise self._cell("A cell is of an unknown type", "text, a number, a date", "another")

    def _lost(self, text: str) -> bool:
        """Whether a formula's number is missing; a formula's text may be empty."""
        return not text and self.kind in _NUMBERS

    def _judge_number(self, text: str) -> None:
        if not text:
            return
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        # Python's own numbers may have blanks and underscores; those of a sheet may not.
        if not math.isfinite(value) or "_" in text or text != text.strip():
            raise self._cell("A cell's number cannot be read", "a number", "something else")
        if len(text) > _EXACT_DIGITS and not _is_double(text, value):
            raise self._cell(
                "A cell's number has more digits than a spreadsheet's number can hold",
                f"a number of about {_EXACT_DIGITS} digits",
                "one that would be rounded",
                "have such numbers, like those of cards and accounts, written as text",
            )
        # A cell without a style of its own is never shown as a date.
        if self.style != "0" and (
            value < 0 or _LEAP_DAY <= value < _LEAP_DAY + 1 or _MIDNIGHT <= value < 1
        ):
            self.no_dates.append(self.row * MAX_COLUMNS + self.column)

    def facts(self) -> Facts:
        """What was found, at the end of the sheet."""
        for each in self.merged:
            if self._matters(each):
                raise self._refused(
                    "A sheet has merged cells",
                    f"cells {each}",
                    "one cell for every value",
                    "cells that are merged: whose value it is cannot be told",
                    "have them unmerged, or set ExcelFiles(header_row=…) if they are a title",
                )
        if self.last_row * self.columns > MAX_CELLS:
            raise self._refused(
                "A sheet is too large",
                f"up to cell {cell_name(self.last_row, self.columns - 1)}",
                f"at most {MAX_CELLS:,} cells up to the last one with a value",
                f"{self.last_row * self.columns:,} cells",
                "delete what stands far away from the table, or have it delivered as CSV or "
                "Parquet",
            )
        return Facts(
            self.last_row, self.columns, self.numbers, self.texts, self.below, self.no_dates
        )

    def _matters(self, merged: str) -> bool:
        """Whether a range of merged cells is one of the table's."""
        first, _, last = merged.partition(":")
        top, left = _place(first)
        bottom, _ = _place(last or first)
        return bottom >= self.header_row and top <= self.last_row and left < self.columns

    def _cell(self, what: str, expected: str, found: str, fix: str = "") -> RefusedError:
        place = f"cell {cell_name(self.row, self.column)}"
        return self._refused(what, place, expected, found, fix)

    def _refused(
        self, what: str, place: str, expected: str, found: str, fix: str = ""
    ) -> RefusedError:
        again = "have the workbook delivered again; nothing of this partition was loaded"
        return RefusedError(Fault(what, self.sheet.at(place), expected, found, fix or again))


def _is_double(text: str, value: float) -> bool:
    """Whether a number is what it is loaded as, or a double as Excel writes it, in 17 digits."""
    try:
        told = Decimal(text)
    except InvalidOperation:
        return False
    if told == Decimal(repr(value)):
        return True
    digits = len(told.normalize().as_tuple().digits)
    # An integer that is written out is meant to the last digit.
    is_meant = told == told.to_integral_value() and "e" not in text.lower()
    return (
        not is_meant
        and digits <= _DOUBLE_DIGITS
        and told == Decimal(f"{value:.{max(digits, 1) - 1}e}")
    )


def cell_name(row: int, column: int) -> str:
    """``C17`` for row 17 and column 2 (from 0)."""
    name = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        name = chr(ord("A") + letter) + name
    return f"{name}{row}"


def _column_of(name: str, row: int) -> int:
    letters = name.rstrip("0123456789")
    if name[len(letters) :] != str(row):
        return -1
    return _number_of(letters)


@lru_cache(maxsize=MAX_COLUMNS)
def _number_of(letters: str) -> int:
    number = 0
    for letter in letters:
        if not "A" <= letter <= "Z":
            return -1
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _place(name: str) -> tuple[int, int]:
    """Row, and column from 0, of a cell's name."""
    letters = name.replace("$", "").rstrip("0123456789")
    return int(name.replace("$", "")[len(letters) :]), _number_of(letters)
