"""Looking at a workbook before a row of it is used: its sheet, its header, and every cell once.

Belongs here: what is found out about one file, and remembered for its version. Does not belong
here: what a dataset makes of it (``excel``), and what makes a cell bad (``excel_scan``).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from platform_assets.errors import SourceError
from platform_assets.sources import excel_package, excel_reading, excel_scan
from platform_assets.sources.copies import PREFIX
from platform_assets.sources.excel_package import Fault, RefusedError, Sheet
from platform_assets.sources.excel_scan import Facts
from platform_assets.sources.stores import Store, is_local


@dataclass(frozen=True)
class Looked:
    """What is known of a workbook that can be loaded.

    Attributes:
        sheet: The sheet that is read.
        header: Its names, by column; empty where a column has neither name nor values.
        facts: What a scan found out.
    """

    sheet: Sheet
    header: tuple[str, ...]
    facts: Facts

    @property
    def columns(self) -> dict[str, int]:
        """The position of each column, by its name."""
        return {name: at for at, name in enumerate(self.header) if name}


def told(where: str, fault: Fault) -> SourceError:
    """The error about a workbook that is refused.

    Args:
        where: The file.
        fault: Why it is refused.
    """
    place = f", {fault.place}" if fault.place else ""
    return SourceError(
        fault.what,
        where=where + place,
        expected=fault.expected,
        found=fault.found,
        fix=fault.fix,
    )


def version_of(store: Store, url: str) -> str:
    """A file's version now.

    Args:
        store: Where it is.
        url: The file.

    Raises:
        FileNotFoundError: It is gone.
    """
    for each in store.find(url[len(store.root) + 1 :]):
        if each.url == url:
            return each.version
    raise FileNotFoundError(2, "the file is gone")


@contextmanager
def at_hand(store: Store, url: str, scratch: Path) -> Iterator[Path]:
    """A file of this machine: a package is read from its end, a bucket's file from its start.

    Args:
        store: Where the file is.
        url: The file.
        scratch: Where a bucket's file is copied to meanwhile.

    Raises:
        OSError: The file cannot be read.
    """
    if is_local(url):
        yield Path(url)
        return
    with (
        tempfile.NamedTemporaryFile(prefix=PREFIX, suffix=".xlsx", dir=scratch) as copy,
        store.open(url) as file,
    ):
        shutil.copyfileobj(file, copy, 2**20)
        copy.flush()
        yield Path(copy.name)


def look(
    store: Store, url: str, wanted: str | None, header_row: int, scratch: Path
) -> Looked | Fault:
    """Look at a workbook, all of it; again only when its version is another one.

    Args:
        store: Where the file is.
        url: The file.
        wanted: The sheet's name; None: the workbook has only one.
        header_row: The row with the columns' names.
        scratch: Where a bucket's file is copied to meanwhile.

    Raises:
        OSError: The file cannot be read.
    """
    # Every store is a frozen dataclass; the protocol does not say so.
    key = cast("Hashable", store)
    return _look(key, url, version_of(store, url), wanted, header_row, scratch)


@lru_cache(maxsize=64)
def _look(
    kept: Hashable, url: str, version: str, wanted: str | None, header_row: int, scratch: Path
) -> Looked | Fault:
    store = cast(Store, kept)
    del version
    try:
        with at_hand(store, url, scratch) as path, excel_package.refusing_damage():
            sheet = excel_package.choose(path, wanted)
            facts = excel_scan.scan(path, sheet, header_row)
            header = excel_reading.header_of(excel_reading.load(path, sheet), header_row)
    except RefusedError as error:
        return error.fault
    header += [""] * (facts.columns - len(header))
    if not any(header):
        return Fault(
            "A sheet has no header",
            sheet.at(f"row {header_row}"),
            "the names of the columns",
            "an empty row" if facts.rows else "an empty sheet",
            "deliver the workbook again; a day without data is a day without a file, or a sheet "
            "with only its header; a header further down is told by ExcelFiles(header_row=…)",
        )
    for column, row in sorted(facts.below.items()):
        if not header[column]:
            return Fault(
                "A column has values and no name in the header",
                sheet.at(f"cell {excel_scan.cell_name(row, column)}"),
                f"a name in cell {excel_scan.cell_name(header_row, column)}",
                "an empty cell",
                "have the column named, or what stands beside the table deleted",
            )
    return Looked(sheet, tuple(header), facts)
