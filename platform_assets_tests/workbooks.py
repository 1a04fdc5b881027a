"""Workbooks of sales, as Excel and other writers make them, and what the source gives of them.

Belongs here: what the tests of workbooks share. Does not belong here: an assertion about them.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.sources.base import Access
from platform_assets.sources.excel import ExcelFiles
from platform_assets_tests.support import D1, START, Site


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
