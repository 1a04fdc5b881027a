"""Excel workbooks (.xlsx): one sheet of each, its first row the header.

Belongs here: the declaration, judging workbooks, and the relation over them. Does not belong here:
finding files (``deliveries``), what is in a package and in a sheet (``excel_package``,
``excel_scan``), looking at one file (``excel_looking``), and what a cell is as a text
(``excel_reading``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from platform_assets.errors import ContractError, CountError, SourceError
from platform_assets.sources import copies, excel_package, excel_reading
from platform_assets.sources.base import Access, Extract, Layouts, SourceColumn, SourceInput
from platform_assets.sources.deliveries import (
    Delivery,
    further,
    name_fault,
    names,
    not_read,
    shown_name,
    unreadable,
    wanted,
)
from platform_assets.sources.excel_looking import Looked, at_hand, look, told, version_of
from platform_assets.sources.excel_package import Fault, RefusedError
from platform_assets.sources.excel_reading import Copy
from platform_assets.sources.stores import READ_ERRORS, Store, engine_path
from platform_assets.sql import quote_identifier, quote_literal


@dataclass(frozen=True)
class Book:
    """One workbook of an extract.

    Attributes:
        url: Where it is.
        partition: The partition that it belongs to.
        version: Of the file, before it was read.
        names: Its columns, in the order of the copy.
        copy: Its rows.
        error: Why it has none.
    """

    url: str
    partition: str
    version: str
    names: tuple[str, ...]
    copy: Copy
    error: SourceError | None = None


@dataclass(frozen=True)
class ExcelFiles(Delivery):
    """Excel workbooks (.xlsx) in a folder or bucket, one sheet of each.

    Values come as text: numbers with their shortest digits, dates and times as ISO 8601.

    Attributes:
        path: As for every ``Delivery``.
        connection: As for every ``Delivery``.
        sheet: The sheet's name; None: the workbook has only one.
        header_row: The row with the columns' names; what is above it is not read.

    Raises:
        ContractError: The path does not tell the partition, or there is no such row or sheet.
    """

    sheet: str | None = field(default=None, kw_only=True)
    header_row: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what no workbook has."""
        super().__post_init__()
        if self.header_row < 1 or self.sheet == "":
            raise ContractError(
                "A source of workbooks names a sheet or row that cannot be",
                where=self.called,
                expected="the name of a sheet, or none, and a row from 1 on",
                found=f"sheet={self.sheet!r}, header_row={self.header_row}",
                fix="write it like ExcelFiles(path, sheet='Orders', header_row=3)",
            )

    @property
    def kind(self) -> str:
        """What it reads."""
        return "excel"

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        """The header of the newest partition's last file; all values come as text.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.

        Raises:
            SourceError: The file cannot be read.
        """
        return self._fields(access, self.store(access), self.newest(inputs))

    def layouts(self, access: Access, inputs: Sequence[SourceInput]) -> Layouts:
        """The header of every file; all values come as text.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.

        Raises:
            SourceError: A file cannot be read.
        """
        store = self.store(access)
        return {
            each.partition: {url: self._fields(access, store, url) for url in each.items}
            for each in inputs
        }

    def _fields(self, access: Access, store: Store, url: str) -> tuple[SourceColumn, ...]:
        found = self._looked(access, store, f"file {url}", url)
        return tuple(SourceColumn(name) for name in found.columns)

    def _looked(self, access: Access, store: Store, where: str, url: str) -> Looked:
        """What is known of a file that can be loaded.

        Raises:
            SourceError: It cannot.
        """
        found = self._look(access, store, url)
        if isinstance(found, Fault):
            raise told(where, found)
        return found

    def _look(self, access: Access, store: Store, url: str) -> Looked | Fault:
        """Look at a file once for each of its versions.

        Raises:
            SourceError: The file cannot be read at all.
        """
        try:
            return look(store, url, self.sheet, self.header_row, copies.scratch_folder(access))
        except READ_ERRORS as error:
            raise unreadable(f"file {url}", error, "a whole .xlsx workbook") from None

    def judge(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Judge every workbook, all of its cells, before a row is used: errors by partition.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: The partitions' files.
            columns: The columns that the contract names, as the files call them.
        """
        store = self.store(access)
        errors: dict[str, SourceError] = {}
        for each in inputs:
            for url in each.items:
                error = self._judge(access, store, f"dataset {dataset}, file {url}", url, columns)
                if error is not None:
                    errors.setdefault(each.partition, error)
        return errors

    def _judge(
        self, access: Access, store: Store, where: str, url: str, columns: Sequence[str]
    ) -> SourceError | None:
        try:
            found = self._look(access, store, url)
        except SourceError as error:
            return error
        if isinstance(found, Fault):
            return told(where, found)
        header = [name for name in found.header if name]
        folded = {name.lower() for name in header}
        missing = [name for name in columns if name.lower() not in folded]
        where = f"{where}, {found.sheet.at(f'row {self.header_row}')}"
        # Which of them may be missing is for the drift policy to say.
        if missing and len(missing) == len(columns):
            return SourceError(
                f"A file lacks {'a column' if len(missing) == 1 else 'columns'}: "
                + ", ".join(shown_name(name) for name in missing),
                where=where,
                expected="a header with the columns " + ", ".join(shown_name(n) for n in columns),
                found=names(header, columns) if header else "an empty row",
                fix="have the file delivered with it, say which row is the header with "
                "ExcelFiles(header_row=…), or take the column out of the contract; a renamed "
                "column is mapped with Field(source=…)",
            )
        fault = name_fault(header)
        if fault:
            return SourceError(
                "A file's header has names that cannot be told apart from others",
                where=where,
                expected="each name once in whatever case, none that begins with an underscore",
                found=fault,
                fix="have the column renamed at the source",
            )
        return None

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """The engine's relation over copies of the sheets, all columns as text.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: Partitions that ``inspect`` found no fault in; at least one has a file.
            columns: The columns that the contract names; further ones are kept too.
        """
        store = self.store(access)
        folder = copies.new_folder(access)
        try:
            books = [
                self._staged(access, store, dataset, each.partition, url, folder)
                for each in inputs
                for url in each.items
            ]
        except BaseException:
            copies.remove(folder)
            raise
        found = (*columns, *further(columns, [book.names for book in books]))
        verify = _Verify(store, dataset, books)
        # The copies live as long as somebody may read them.
        copies.keep_for(verify, folder)
        layouts: dict[tuple[str, ...], list[Book]] = {}
        for book in books:
            layouts.setdefault(book.names, []).append(book)
        # A copy is named as its file is, so that provenance is cut out of its name. Rows come in
        # order through a window, as with every Parquet file: their numbers follow from it.
        relation = " UNION ALL ".join(
            f"SELECT * EXCLUDE (_n) FROM (SELECT {wanted(found, layout)}, "
            f"{self.provenance(str(folder), some[0].partition, '_url')}, "
            f"row_number() OVER () AS _n FROM (SELECT {_renamed(layout)} FROM read_parquet("
            f"[{', '.join(quote_literal(engine_path(str(book.copy.path))) for book in some)}], "
            "filename=true, hive_partitioning=false))) WHERE _n > 0"
            for layout, some in layouts.items()
        )
        return Extract(relation, tuple(SourceColumn(name) for name in found), verify)

    def _staged(
        self, access: Access, store: Store, dataset: str, partition: str, url: str, folder: Path
    ) -> Book:
        """A workbook's copy; of one that cannot be copied, an empty one and the reason."""
        target = folder / url[len(store.root) + 1 :]
        target.parent.mkdir(parents=True, exist_ok=True)
        version = ""
        header: tuple[str, ...] = ()
        where = f"dataset {dataset}, file {url}"
        try:
            version = version_of(store, url)
            found = self._looked(access, store, where, url)
            header = tuple(found.columns)
            with (
                at_hand(store, url, copies.scratch_folder(access)) as path,
                excel_package.refusing_damage(),
            ):
                copy = excel_reading.stage(
                    excel_reading.load(path, found.sheet),
                    found.sheet,
                    self.header_row,
                    tuple(found.columns.values()),
                    found.facts,
                    target,
                )
            return Book(url, partition, version, header, copy)
        except RefusedError as error:
            refused = told(where, error.fault)
        except READ_ERRORS as error:
            refused = unreadable(where, error, "a whole .xlsx workbook")
        except SourceError as error:
            refused = error
        # One workbook that cannot be read must not stand for the others.
        pq.write_table(excel_reading.schema_of(len(header)).empty_table(), target)
        return Book(url, partition, version, header, Copy(target, 0), refused)

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why the engine could not read a partition's files.

        Args:
            dataset: The dataset's name, for messages.
            each: The partition's files.
            error: What the engine said; its text may quote a value, and is not repeated.
        """
        return not_read(dataset, each, error, "whole .xlsx workbooks")


@dataclass(frozen=True, eq=False)
class _Verify:
    """Holds what was read against what was copied, and the files against their versions."""

    store: Store
    dataset: str
    books: Sequence[Book]

    def __call__(
        self, connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
    ) -> Mapping[str, SourceError]:
        del connection
        errors: dict[str, SourceError] = {}
        for book in self.books:
            error = book.error or self._differs(book, rows)
            if error is not None:
                errors.setdefault(book.partition, error)
        return errors

    def _differs(self, book: Book, rows: Mapping[str, int]) -> SourceError | None:
        read = rows.get(book.url[len(self.store.root) + 1 :], 0)
        where = f"dataset {self.dataset}, file {book.url}"
        try:
            same = version_of(self.store, book.url) == book.version
        except READ_ERRORS as error:
            return unreadable(where, error, "a whole .xlsx workbook")
        if same and read == book.copy.rows:
            return None
        return (CountError if same else SourceError)(
            "A file holds another number of rows than were read from it"
            if same
            else "A file changed while it was read",
            where=where,
            expected=f"{book.copy.rows:,} rows" if same else "the file as it was",
            found=f"{read:,} rows read" if same else "another size or time of change",
            fix="run the partition again; if it stays, have the file delivered again",
        )


def _renamed(layout: Sequence[str]) -> str:
    """A copy's columns by their names in the sheet; no name can be mistaken for the file's."""
    columns = (f"c{n} AS {quote_identifier(name)}" for n, name in enumerate(layout))
    return ", ".join((*columns, "filename AS _url"))
