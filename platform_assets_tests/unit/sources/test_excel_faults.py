"""Workbooks that cannot be loaded right: each is refused with file, sheet and cell."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import openpyxl
import pytest

from platform_assets.errors import ContractError, SourceError
from platform_assets.pipeline import load_raw
from platform_assets.sources import excel_scan
from platform_assets.sources.base import Access
from platform_assets.sources.excel import ExcelFiles
from platform_assets.warehouse import tables
from platform_assets_tests.support import D1, START, Site
from platform_assets_tests.workbooks import (
    GOOD,
    HEADER,
    SHEET,
    book,
    cell,
    edited,
    put,
    raw,
    sales,
    saved,
    texts,
)


def formula(sheet: Any) -> None:
    sheet["B2"] = "=1+1"


def merge(sheet: Any) -> None:
    sheet.merge_cells("A2:A3")


TWICE = f'<row r="2">{cell("A2", "1")}{cell("A2", "2")}</row>'
BACK = f'<row r="3">{cell("A3", "1")}</row><row r="2">{cell("A2", "2")}</row>'
SPANNED = edited(book(GOOD), "xl/workbook.xml", "<workbook ", "<!DOCTYPE x><workbook ")
BAD: dict[str, tuple[bytes, dict[str, Any], tuple[str, ...]]] = {
    "no_zip": (b"sale_id,amount,day\n1,2,\n", {}, ("not a whole workbook", "BadZipFile")),
    "nothing": (b"", {}, ("not a whole workbook", "0 bytes")),
    "cut_off": (book(GOOD)[:-300], {}, ("not a whole workbook",)),
    "protected": (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, {}, ("by a password",)),
    "other_zip": (
        edited(book(GOOD), "xl/workbook.xml", "<workbook", "<not"),
        {},
        ("not a whole workbook",),
    ),
    "doctype": (SPANNED, {}, ("document type",)),
    "broken_xml": (edited(book(GOOD), SHEET, "</sheetData>", ""), {}, ("ExpatError",)),
    "two_sheets": (book(GOOD, sheets=("Old",)), {}, ("'Sheet', 'Old'", "sheet=…")),
    "no_such_sheet": (book(GOOD), {"sheet": "Orders"}, ("lacks the sheet", "'Orders'")),
    "empty_sheet": (saved(openpyxl.Workbook()), {}, ("no header", "an empty sheet")),
    "no_header": (book(GOOD), {"header_row": 9}, ("no header", "row 9")),
    "no_name": (book((*GOOD, None, 1)), {}, ("no name in the header", "cell E2")),
    "twice": (book(GOOD, header=("sale_id", "amount", "Amount")), {}, ("'Amount', 'amount'",)),
    "reserved": (book((*GOOD, 1), header=(*HEADER, "_x")), {}, ("'_x'",)),
    "another": (book(("secret", 1), header=("secret", "b")), {}, ("lacks columns", "not shown")),
    "error": (raw(cell("B2", "#DIV/0!", "e")), {}, ("cell B2", "#DIV/0!")),
    "formula": (book(GOOD, change=formula), {}, ("cell B2", "not calculated")),
    "no_value": (raw('<c r="C2"><f>1+1</f></c>'), {}, ("cell C2", "not calculated")),
    "empty_value": (raw('<c r="C2"><f>1+1</f><v></v></c>'), {}, ("cell C2", "not calculated")),
    "merged": (book(GOOD, ("b", 1, None), change=merge), {}, ("cells A2:A3", "merged")),
    "digits": (raw(cell("B2", "12345678901234567")), {}, ("cell B2", "more digits")),
    "last_digit": (raw(cell("B2", "144115188075855872")), {}, ("cell B2", "more digits")),
    "card": (raw(cell("B2", "4111111111111111.123456")), {}, ("cell B2", "more digits")),
    "no_number": (raw(cell("B2", "secret")), {}, ("cell B2", "cannot be read")),
    "nan": (raw(cell("B2", "NaN")), {}, ("cell B2", "cannot be read")),
    "huge": (raw(cell("B2", "1e400")), {}, ("cell B2", "cannot be read")),
    "spaced": (raw(cell("B2", " 5 ")), {}, ("cell B2", "cannot be read")),
    "no_kind": (raw(cell("B2", "5", "x")), {}, ("cell B2", "unknown type")),
    "no_bool": (raw(cell("B2", "7", "b")), {}, ("not a whole workbook",)),
    "no_string": (raw(cell("B2", "7777", "s")), {}, ("not a whole workbook",)),
    "cell_twice": (raw(rows=TWICE), {}, ("a cell twice", "row 2")),
    "rows_back": (raw(rows=BACK), {}, ("a row twice", "row 2")),
    "far_away": (raw(rows=f'<row r="1048576">{cell("XFD1048576", "1")}</row>'), {}, ("too large",)),
    "1900": (raw(cell("A2", "1"), cell("C2", "60", style=3)), {}, ("cell C2", "does not exist")),
    "negative": (raw(cell("A2", "1"), cell("C2", "-1", style=3)), {}, ("cell C2", "not exist")),
    "midnight": (raw(cell("C2", "0.99999999999", style=1)), {}, ("cell C2", "not exist")),
    "iso": (raw(cell("C2", "secret", "d")), {}, ("by two readers", "rows 2 and below")),
}


# Workbooks that are asked for in another way than as they are.
ASKED = {name: options for name, (_, options, _) in BAD.items() if options}
DAY_OF = {name: str(START + timedelta(2 * number + 1)) for number, name in enumerate(BAD)}


@pytest.fixture(scope="module")
def messages(shared_site: Site) -> dict[str, str]:
    """What is told of each day of one load, in which every other day is good."""
    plain = [day for name, day in DAY_OF.items() if name not in ASKED]
    good = [str(date.fromisoformat(day) + timedelta(1)) for day in plain]
    for day in good:
        put(shared_site, "bad", book(GOOD), day)
    for name, day in DAY_OF.items():
        put(shared_site, name if name in ASKED else "bad", BAD[name][0], day)
    loaded = load_raw(shared_site.step(sales("bad")), sorted([*plain, *good]))
    told = {day: entry.message for day, entry in loaded.failed.items()}
    for name, options in ASKED.items():
        loaded = load_raw(shared_site.step(sales(name, **options)), [DAY_OF[name]])
        told |= {day: entry.message for day, entry in loaded.failed.items()}
    return told


@pytest.mark.parametrize("name", BAD)
def test_a_bad_workbook_stops_its_day_only(messages: dict[str, str], name: str) -> None:
    _, options, told = BAD[name]
    message = messages[DAY_OF[name]]
    assert f"{name if options else 'bad'}/{DAY_OF[name]}.xlsx" in message
    for each in told:
        assert each in message
    assert "secret" not in message


def test_the_days_beside_them_are_there(shared_site: Site, messages: dict[str, str]) -> None:
    assert set(messages) == set(DAY_OF.values())
    days = shared_site.select(f"SELECT _partition FROM {tables.raw_table('bad')} ORDER BY ALL")
    plain = [day for name, day in DAY_OF.items() if name not in ASKED]
    assert days == [(str(date.fromisoformat(day) + timedelta(1)),) for day in plain]


def test_a_sheet_that_is_too_large_is_refused(
    shared_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel_scan, "MAX_CELLS", 5)
    with pytest.raises(SourceError, match="too large") as caught:
        texts(shared_site, "large", book(GOOD))
    assert "cell C2" in caught.value.where


def test_a_file_that_changes_while_it_is_read_is_refused(shared_site: Site) -> None:
    path = put(shared_site, "changes", book(GOOD))
    source = ExcelFiles("changes/{partition}.xlsx")
    access = Access(shared_site.lake, shared_site.connections)
    found = source.inputs(access, [D1])
    assert source.inspect(access, "changes", found, ("sale_id",)) == {}
    extract = source.extract(access, "changes", found, ("sale_id",))
    rows = {f"changes/{D1}.xlsx": 1}
    assert extract.verify(shared_site.lake, rows) == {}
    assert "1 rows" in str(extract.verify(shared_site.lake, {})[D1])
    path.write_bytes(book(GOOD, GOOD))
    assert "changed while" in str(extract.verify(shared_site.lake, rows)[D1])
    path.unlink()
    assert "cannot be read" in str(extract.verify(shared_site.lake, rows)[D1])
    assert "cannot be read" in str(source.inspect(access, "changes", found, ())[D1])


@pytest.mark.parametrize("options", [{"header_row": 0}, {"sheet": ""}])
def test_what_no_workbook_has_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="cannot be"):
        ExcelFiles("x/{partition}.xlsx", **options)
