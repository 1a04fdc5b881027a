"""What an .xlsx file consists of: its worksheets, and where in the package each of them is.

Belongs here: opening the package, and choosing one sheet. Does not belong here: what is in a sheet
(``excel_scan``, ``excel_reading``).
"""

from __future__ import annotations

import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from python_calamine import CalamineError

# Beyond this, unpacked, a part is a bomb far more often than data.
MAX_UNPACKED_BYTES = 4 * 2**30
_MAX_DIRECTORY_BYTES = 16 * 2**20
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_WORKBOOK = "xl/workbook.xml"
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    CalamineError,
    EOFError,
    KeyError,
    NotImplementedError,  # a compression that zipfile does not know
    OverflowError,  # a duration beyond what Python counts
    RuntimeError,  # a member with a password
    UnicodeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class Fault:
    """Why a workbook is refused; it names places and never holds a cell's value.

    Attributes:
        what: What is wrong, in a sentence.
        place: The sheet, and the cell or row in it; empty: the file as a whole.
        expected: What should be there.
        found: What is there.
        fix: What to do about it.
    """

    what: str
    place: str
    expected: str
    found: str
    fix: str


class RefusedError(Exception):
    """A workbook that cannot be loaded right.

    Args:
        fault: Why.
    """

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.what)


@dataclass(frozen=True)
class Sheet:
    """One worksheet.

    Attributes:
        name: As the workbook calls it.
        part: Its file in the package.
        is_stale: Whether the workbook says that its formulas are still to be calculated.
    """

    name: str
    part: str
    is_stale: bool

    def at(self, place: str) -> str:
        """A place in this sheet, for a message."""
        return f"sheet {self.name!r}, {place}"


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Turn what the libraries raise about a damaged file into one plain refusal.

    Raises:
        RefusedError: The file is damaged; an ``OSError`` passes, as it is not of the content.
    """
    try:
        yield
    except _DAMAGED as error:
        raise _damaged(type(error).__name__) from None
    except BaseException as error:
        # What calamine is written in stops by an exception that is none of Python's Exceptions.
        if type(error).__name__ != "PanicException":
            raise
        raise _damaged("the reader stopped") from None


def choose(path: Path, wanted: str | None) -> Sheet:
    """The sheet to read.

    Args:
        path: The file.
        wanted: Its name; None: the only one.

    Raises:
        RefusedError: The file is no workbook, lacks the sheet, or has several to choose from.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(len(_OLE))
    if start == _OLE:
        raise RefusedError(
            Fault(
                "A workbook is protected by a password, or is of the old format .xls",
                "",
                "an .xlsx workbook that opens without a password",
                "an OLE container",
                "have it saved as .xlsx without a password",
            )
        )
    if not start:
        raise _damaged("0 bytes")
    with refusing_damage(), zipfile.ZipFile(path) as package:
        _refuse_bomb(package)
        sheets = _sheets(package)
    names = ", ".join(repr(name) for name in sheets)
    if wanted is not None and wanted in sheets:
        return sheets[wanted]
    if wanted is None and len(sheets) == 1:
        return next(iter(sheets.values()))
    raise RefusedError(
        Fault(
            "A workbook lacks the sheet that its dataset names"
            if wanted is not None
            else "A workbook has not exactly one sheet, and its dataset does not say which to read",
            "",
            f"a worksheet {wanted!r}" if wanted is not None else "one worksheet",
            f"the worksheets {names}" if names else "no worksheet",
            "say which one to read with ExcelFiles(sheet=…), or have the workbook delivered as "
            "agreed",
        )
    )


def _sheets(package: zipfile.ZipFile) -> dict[str, Sheet]:
    """The worksheets by name, hidden ones too; charts and macros are none."""
    if _WORKBOOK not in package.namelist():
        raise _damaged(f"a ZIP archive without {_WORKBOOK}")
    parts = {
        told["Id"]: told["Target"]
        for name, told in _elements(package, "xl/_rels/workbook.xml.rels")
        if name == "Relationship" and told["Type"].endswith("/worksheet")
    }
    listed: list[tuple[str, str]] = []
    is_stale = False
    for name, told in _elements(package, _WORKBOOK):
        if name == "calcPr":
            is_stale = told.get("fullCalcOnLoad") in {"1", "true"}
        if name == "sheet":
            relation = next((v for key, v in told.items() if key.rpartition(":")[2] == "id"), "")
            if relation in parts:
                listed.append((told["name"], posixpath.join("/xl", parts[relation])))
    return {name: Sheet(name, posixpath.normpath(at).lstrip("/"), is_stale) for name, at in listed}


def _elements(package: zipfile.ZipFile, part: str) -> list[tuple[str, dict[str, str]]]:
    """All elements of a small part, in order."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = new_parser()
    parser.StartElementHandler = lambda name, told: found.append((name.rpartition(":")[2], told))
    if package.getinfo(part).file_size > _MAX_DIRECTORY_BYTES:
        raise _damaged(f"more than {_MAX_DIRECTORY_BYTES:,} bytes in {part}")
    with package.open(part) as file:
        parser.ParseFile(file)
    return found


def new_parser() -> expat.XMLParserType:
    """A parser of a package's XML; none of it may declare entities."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise _damaged("a document type declaration, which no workbook has")

    parser.StartDoctypeDeclHandler = refuse
    return parser


def _refuse_bomb(package: zipfile.ZipFile) -> None:
    unpacked = sum(each.file_size for each in package.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise RefusedError(
            Fault(
                "A workbook is too large",
                "",
                f"at most {MAX_UNPACKED_BYTES:,} bytes when it is unpacked",
                f"{unpacked:,} bytes",
                "have it delivered as CSV or Parquet",
            )
        )


def _damaged(found: str) -> RefusedError:
    return RefusedError(
        Fault(
            "A file is not a whole workbook",
            "",
            "a whole .xlsx workbook",
            found,
            "have it delivered again, saved as .xlsx; then run the partition again",
        )
    )
