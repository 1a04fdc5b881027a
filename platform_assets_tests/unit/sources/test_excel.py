"""Workbooks: each value as the sheet has it, and each fault with file, sheet and cell."""

from __future__ import annotations

import gc
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.errors import ContractError, SourceError
from platform_assets.partitions import Daily
from platform_assets.sources import excel_reading, excel_scan
from platform_assets.sources.base import Access
from platform_assets.sources.deliveries import CompletionFlag
from platform_assets.sources.excel import ExcelFiles
from platform_assets_tests.support import D1, D2, D3, START, Site


class Sale(Contract):
    """A sale: a key, and one column of each kind."""

    sale_id: str = Key()
    amount: Decimal = Field(ge=0, decimal=(18, 2), nullable=True)
    day: date = Field(nullable=True)


HEADER = ("sale_id", "amount", "day")
GOOD = ("a", 1.5, date(2025, 1, 1))


def sales(name: str, path: str = "{partition}.xlsx", **options: Any) -> Dataset:
    source = ExcelFiles(f"{name}/{path}", **options)
    return Dataset(
        name=name, contract=Sale, source=source, partitions=Daily(START), max_bad_share=0.9
    )


def book(*rows: Sequence[object], header: Sequence[object] = HEADER, **more: Any) -> bytes:
    """A workbook with one sheet; ``more`` are further sheets' names."""
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    for each in (header, *rows):
        sheet.append(list(each))
    for title in more.get("sheets", ()):
        made.create_sheet(title).append(["x"])
    if more.get("change"):
        more["change"](sheet)
    return saved(made)


def saved(made: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def edited(content: bytes, part: str, pattern: str, to: str) -> bytes:
    """A workbook with a part of it changed, as other writers than openpyxl have it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            data = old.read(name).decode()
            if name == part:
                data, count = re.subn(pattern, lambda _: to, data, flags=re.DOTALL)
                assert count
            new.writestr(name, data)
    return file.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
NAMES = "".join(
    f'<c r="{cell}1" t="inlineStr"><is><t>{name}</t></is></c>'
    for cell, name in zip("ABC", HEADER, strict=True)
)


def raw(*cells: str, rows: str = "") -> bytes:
    """A workbook whose second row is written by hand."""
    style = (("a", 1, time(1)), ("b", 1, timedelta(hours=30)), GOOD)  # the formats are there
    calculated = edited(book(*style), "xl/workbook.xml", r' fullCalcOnLoad="1"', "")
    told = f'<row r="1">{NAMES}</row>' + (rows or f'<row r="2">{"".join(cells)}</row>')
    return edited(calculated, SHEET, "(?<=<sheetData>).*(?=</sheetData>)", told)


def cell(name: str, value: str, kind: str = "n", style: int = 0) -> str:
    return f'<c r="{name}" t="{kind}" s="{style}"><v>{value}</v></c>'


def put(site: Site, name: str, content: bytes, day: str = D1, end: str = ".xlsx") -> Path:
    path = site.folder / name / f"{day}{end}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def texts(site: Site, name: str, content: bytes, **options: Any) -> list[tuple[Any, ...]]:
    """The rows of one workbook as the source gives them, in order."""
    put(site, name, content)
    source = ExcelFiles(f"{name}/{{partition}}.xlsx", **options)
    access = Access(site.lake, site.connections)
    found = source.inputs(access, [D1])
    errors = source.inspect(access, name, found, ())
    if errors:
        raise errors[D1]
    extract = source.extract(access, name, found, [c.name for c in source.schema(access, found)])
    rows = site.select(f"SELECT * EXCLUDE (_partition, _source_file) FROM ({extract.relation})")
    errors = extract.verify(site.lake, {f"{name}/{D1}.xlsx": len(rows)})
    if errors:
        raise errors[D1]
    return rows


def test_values_arrive_as_text_and_are_typed_by_the_contract(shared_site: Site) -> None:
    site = shared_site
    put(site, "typed", book(("007", 1.5, date(2025, 1, 1)), ("b", 12, None)))
    more = book(("c", "1.10", datetime(2025, 1, 2), "x"), header=(*HEADER, "more"))
    put(site, "typed", more, D2)
    loaded, cleaned = site.run(sales("typed"), [D1, D2, D3])
    assert not loaded.failed
    assert not cleaned.failed
    assert site.raw("typed", "sale_id, amount, day, more, _source_file") == [
        ("007", "1.5", "2025-01-01", None, f"typed/{D1}.xlsx"),
        ("b", "12", None, None, f"typed/{D1}.xlsx"),
        ("c", "1.10", "2025-01-02", "x", f"typed/{D2}.xlsx"),
    ]
    assert site.cleaned("typed", "sale_id, amount, day, _partition") == [
        ("007", Decimal("1.50"), date(2025, 1, 1), D1),
        ("b", Decimal("12.00"), None, D1),
        ("c", Decimal("1.10"), date(2025, 1, 2), D2),
    ]


VALUES: list[tuple[object, str | None]] = [
    ("00123", "00123"),
    ("  blanks  ", "  blanks  "),
    ("two\nlines", "two\nlines"),
    ("_x0041_", "A"),
    (1, "1"),
    (-0.0, "0"),
    (0.1, "0.1"),
    (1e22, "10000000000000000000000"),
    (1.5e-7, "0.00000015"),
    (123456789012345, "123456789012345"),
    (10**18, "1000000000000000000"),
    (True, "true"),
    (False, "false"),
    (date(1900, 3, 1), "1900-03-01"),
    (date(9999, 12, 31), "9999-12-31"),
    (datetime(2025, 1, 1, 8, 30), "2025-01-01T08:30:00"),
    (datetime(2025, 1, 1, 8, 30, 1, 250_000), "2025-01-01T08:30:01.250000"),
    (time(23, 59, 59), "23:59:59"),
    (timedelta(hours=30, minutes=5), "30:05:00"),
    (None, None),
    ("", None),
]


def test_every_kind_of_value(shared_site: Site) -> None:
    content = book(*((f"k{n}", value) for n, (value, _) in enumerate(VALUES)), header="kv")
    assert texts(shared_site, "kinds", content) == [
        (f"k{n}", told) for n, (_, told) in enumerate(VALUES)
    ]


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_is_written_as_excel_does_is_taken_for_the_same_double(value: float) -> None:
    for text in (repr(value), f"{value:.17g}"):
        if "e" in text or "." in text:
            assert excel_scan._is_double(text, float(text))


@settings(deadline=None)
@given(st.integers(-(10**20), 10**20))
def test_an_integer_is_taken_to_the_last_digit_or_not_at_all(value: int) -> None:
    if len(str(value)) <= 15 or excel_scan._is_double(str(value), float(value)):
        assert excel_reading._number(float(value)) == str(value)


def test_the_calendar_of_1904(shared_site: Site) -> None:
    def change(sheet: Any) -> None:
        sheet.parent.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904

    content = book(("a", datetime(2025, 1, 1, 8)), header="kv", change=change)
    assert texts(shared_site, "mac", content) == [("a", "2025-01-01T08:00:00")]


TEXTS = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="_\ufffe\uffff"
    ),
    max_size=12,
).filter(lambda text: not text.startswith(("=", "#")))
MOMENTS = st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 31)).map(
    lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000)
)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            TEXTS,
            st.floats(-1e300, 1e300) | st.integers(-(10**15), 10**15),
            MOMENTS | st.dates(date(1900, 3, 1)),
            st.booleans() | st.none(),
        ),
        max_size=8,
    )
)
def test_whatever_the_values_are_they_come_back(
    shared_site: Site, rows: list[tuple[str, float, date, bool | None]]
) -> None:
    found = texts(shared_site, "any", book(*(("k", *row) for row in rows), header="ktnmb"))
    assert len(found) == len(rows)
    for (key, text, number, moment, flag), row in zip(found, rows, strict=True):
        assert key == "k"
        assert (text or "") == row[0]
        assert "e" not in number.lower()
        # openpyxl writes 16 digits.
        assert float(number) == float(f"{row[1]:.16g}")
        assert not number.endswith(".0")
        expected = row[2] if isinstance(row[2], datetime) else datetime(*row[2].timetuple()[:3])
        assert abs(datetime.fromisoformat(moment) - expected) <= timedelta(milliseconds=1)
        assert flag == (None if row[3] is None else str(row[3]).lower())


def test_rows_are_numbered_as_they_stand(
    shared_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel_reading, "ROWS_AT_ONCE", 100)
    bad = {7, 250, 999}
    rows = [(f"s{n:04}", -1 if n in bad else 1, None) for n in range(1, 1001)]
    put(shared_site, "many", book(*rows))
    loaded, cleaned = shared_site.run(sales("many"), [D1])
    assert not loaded.failed
    assert cleaned.entries[D1].quarantined == len(bad)
    found = shared_site.quarantine("many", "row_number, row_key")
    assert found == [(n, f"s{n:04}") for n in sorted(bad)]


def test_blank_rows_are_none_and_what_is_empty_around_the_table_is_not_read(
    shared_site: Site,
) -> None:
    def change(sheet: Any) -> None:
        sheet.cell(60, 9).font = openpyxl.styles.Font(bold=True)
        sheet.column_dimensions["L"].width = 3

    blank, last = (None, None, None), ("c", -1, None)
    content = book(GOOD, blank, ("b", None, None), ("", None, None), last, change=change)
    put(shared_site, "blank", content)
    loaded, _ = shared_site.run(sales("blank"), [D1])
    assert loaded.entries[D1].extracted == 3
    # As in CSV, a blank line has no number.
    assert shared_site.quarantine("blank", "row_number, row_key") == [(3, "c")]


def test_what_is_above_the_header_is_not_read(shared_site: Site) -> None:
    def change(sheet: Any) -> None:
        sheet.insert_rows(1, 2)
        sheet["A1"], sheet["H1"] = "A title", "=1/0"
        sheet.merge_cells("A1:C1")

    put(shared_site, "title", book(GOOD, change=change))
    loaded, _ = shared_site.run(sales("title", header_row=3), [D1])
    assert not loaded.failed
    assert shared_site.raw("title", "sale_id") == [("a",)]


def test_the_named_sheet_is_read(shared_site: Site) -> None:
    made = openpyxl.load_workbook(io.BytesIO(book(GOOD, sheets=("Ä & Ö",))))
    for each in (HEADER, ("other", 2, None)):
        made["Ä & Ö"].append(each)
    made["Ä & Ö"].delete_rows(1)
    put(shared_site, "named", saved(made))
    loaded, _ = shared_site.run(sales("named", sheet="Ä & Ö"), [D1])
    assert not loaded.failed
    assert shared_site.raw("named", "sale_id") == [("other",)]


def test_a_sheet_with_only_a_header_is_an_empty_day(shared_site: Site) -> None:
    put(shared_site, "empty", book())
    loaded, cleaned = shared_site.run(sales("empty"), [D1])
    assert not loaded.failed
    assert cleaned.entries[D1].extracted == 0


def test_several_files_a_day_and_a_flag(shared_site: Site) -> None:
    site, name = shared_site, "several"
    put(site, name, book(GOOD), f"{D1}/a [1]")
    put(
        site,
        name,
        book(("b", 1, None, "x"), header=("Sale_ID", "amount", "day", "filename")),
        f"{D1}/b",
    )
    put(site, name, book(GOOD), f"{D2}/a")
    (site.folder / name / D1 / "done").touch()
    flag = CompletionFlag(f"{name}/{{partition}}/done")
    loaded, _ = site.run(sales(name, "{partition}/*.xlsx", complete=flag), [D1, D2])
    assert set(loaded.failed) == {D2}
    assert "the flag" in loaded.failed[D2].message
    assert site.raw(name, "sale_id, filename, _source_file") == [
        ("a", None, f"{name}/{D1}/a [1].xlsx"),
        ("b", "x", f"{name}/{D1}/b.xlsx"),
    ]


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


@pytest.mark.parametrize("name", BAD)
def test_a_bad_workbook_stops_its_day_only(shared_site: Site, name: str) -> None:
    content, options, told = BAD[name]
    name = f"bad_{name}"
    good = book(GOOD) if "sheet" not in options and "header_row" not in options else None
    if good:
        put(shared_site, name, good, D1)
        put(shared_site, name, book(("c", 1, None)), D3)
    put(shared_site, name, content, D2)
    loaded, _ = shared_site.run(sales(name, **options), [D1, D2, D3])
    assert set(loaded.failed) == {D2}
    message = loaded.failed[D2].message
    assert f"{name}/{D2}.xlsx" in message
    for each in told:
        assert each in message
    assert "secret" not in message
    assert len(shared_site.raw(name, "sale_id")) == (2 if good else 0)


def test_formulas_that_were_calculated_are_their_values(shared_site: Site) -> None:
    content = raw(
        '<c r="A2" t="str"><f>"a"</f><v>a</v></c><c r="B2"><f>1+1</f><v>2</v></c>'
        '<c r="C2" t="str"><f>""</f><v></v></c>'
    )
    assert texts(shared_site, "calculated", content) == [("a", "2", None)]


def test_other_ways_to_write_the_same(shared_site: Site) -> None:
    ns = 'xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    rows = (
        '<row><c t="inlineStr"><is><r><t>ri</t></r><r><t>ch</t></r><rPh><t>no</t></rPh></is></c>'
        f"<c><v>2.50</v></c></row><x:row {ns}><x:c><x:v>0.10000000000000001</x:v></x:c></x:row>"
    )
    found = texts(shared_site, "other", raw(rows=rows))
    assert found == [("rich", "2.5", None), ("0.1", None, None)]


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


def test_copies_are_gone_when_nobody_reads_them(shared_site: Site) -> None:
    row = shared_site.select("SELECT current_setting('temp_directory')")[0]
    put(shared_site, "gone", book(GOOD))
    shared_site.run(sales("gone"), [D1])
    gc.collect()  # a failed run of another test may be held by its traceback
    assert list(Path(row[0]).glob("excel-*")) == []


@pytest.mark.parametrize("options", [{"header_row": 0}, {"sheet": ""}])
def test_what_no_workbook_has_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="cannot be"):
        ExcelFiles("x/{partition}.xlsx", **options)
