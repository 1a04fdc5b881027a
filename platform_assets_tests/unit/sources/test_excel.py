"""Workbooks: each value as the sheet has it, and each fault with file, sheet and cell."""

from __future__ import annotations

import gc
import io
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.sources import excel_reading, excel_scan
from platform_assets.sources.deliveries import CompletionFlag
from platform_assets_tests.support import D1, D2, D3, Site
from platform_assets_tests.workbooks import GOOD, HEADER, book, put, raw, sales, saved, texts


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


def test_copies_are_gone_when_nobody_reads_them(shared_site: Site) -> None:
    row = shared_site.select("SELECT current_setting('temp_directory')")[0]
    put(shared_site, "gone", book(GOOD))
    shared_site.run(sales("gone"), [D1])
    gc.collect()  # a failed run of another test may be held by its traceback
    assert list(Path(row[0]).glob("excel-*")) == []
