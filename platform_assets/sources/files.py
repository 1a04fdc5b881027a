"""CSV files, one or several a partition, the partition in the path.

Belongs here: the declaration with its dialect, and judging headers. Does not belong here: finding
files (``deliveries``), reading records (``csv_reading``), what a good row is (the contract), and
what happens to rows afterwards.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from platform_assets.errors import ContractError, SourceError
from platform_assets.sources import copies, csv_dialect
from platform_assets.sources.base import Access, Extract, Layouts, SourceColumn, SourceInput
from platform_assets.sources.csv_dialect import Dialect, HeaderError, Preparation
from platform_assets.sources.csv_reading import CsvFile, Reading, misread
from platform_assets.sources.csv_staging import StagingError, stage
from platform_assets.sources.deliveries import (
    Delivery,
    further,
    name_fault,
    names,
    not_read,
    shown_name,
    unreadable,
)
from platform_assets.sources.stores import READ_ERRORS, FolderStore, Store, is_local, open_plain


@dataclass(frozen=True)
class CsvFiles(Delivery):
    """CSV files in a folder or bucket.

    The dialect is pinned here, never guessed: a guess that is wrong loads wrong rows silently.

    Attributes:
        path: As for every ``Delivery``.
        connection: As for every ``Delivery``.
        delimiter: One character between fields.
        quote: One character around a field that holds a delimiter or a line end; empty: none is.
        escape: What stands before a quote that is data; empty: the quote itself, doubled.
        columns: The columns by position, for files without a header; empty: there is one.
        encoding: Of the text, as Python's codecs name it (``utf-16``, ``latin-1``). For another
            than UTF-8, and with ``skip`` or ``comment``, a copy is read that lies in the scratch
            folder for as long as it is read.
        skip: Lines before the header that are none of the table.
        comment: What a line begins with that is none of the table; empty: there are no such.

    Raises:
        ContractError: The path does not tell the partition, or the dialect contradicts itself.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = field(default="", kw_only=True)
    columns: tuple[str, ...] = field(default=(), kw_only=True)
    encoding: str = field(default="utf-8", kw_only=True)
    skip: int = field(default=0, kw_only=True)
    comment: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what cannot be read by."""
        super().__post_init__()
        object.__setattr__(self, "columns", tuple(self.columns))
        fault = self._fault()
        if fault:
            raise ContractError(
                "The dialect of a CSV source contradicts itself",
                where=self.called,
                expected="a delimiter, a quote, an escape and a comment of one ASCII character "
                "each, all different (quote, escape and comment may be empty)",
                found=fault,
                fix="write it as the files have it, like "
                "CsvFiles(path, delimiter=';', quote='\"', encoding='latin-1')",
            )

    def _fault(self) -> str:
        marks = {
            "delimiter": self.delimiter,
            "quote": self.quote,
            "escape": self.escape,
            "comment": self.comment,
        }
        for name, mark in marks.items():
            if mark and (len(mark) > 1 or not mark.isascii() or mark in "\r\n\0"):
                return f"{name}={mark!r}"
        given = [mark for name, mark in marks.items() if mark]
        if not self.delimiter or len(set(given)) < len(given):
            return ", ".join(f"{name}={mark!r}" for name, mark in marks.items())
        if self.escape and not self.quote:
            return "an escape, and no quote that it could stand before"
        if self.skip < 0:
            return f"skip={self.skip}"
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            return f"encoding={self.encoding!r}, which Python does not know"
        return name_fault(self.columns)

    @property
    def kind(self) -> str:
        """What it reads."""
        return "csv"

    @property
    def dialect(self) -> Dialect:
        """How fields are written."""
        return Dialect(self.delimiter, self.quote, self.escape or self.quote)

    @property
    def _preparation(self) -> Preparation:
        return Preparation(self.encoding, self.skip, self.comment)

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        """The header of the newest partition's last file; a file is text, so all is text.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.

        Raises:
            SourceError: The file cannot be read.
        """
        url = self.newest(inputs)
        try:
            fields = self._fields(self.store(access), url)
        except (*READ_ERRORS, HeaderError, StagingError) as error:
            raise unreadable(f"file {url}", error) from None
        return tuple(SourceColumn(name) for name in fields)

    def layouts(self, access: Access, inputs: Sequence[SourceInput]) -> Layouts:
        """The header of every file; a file is text, so all is text.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        store = self.store(access)
        return {
            each.partition: {
                url: tuple(SourceColumn(name) for name in self._fields(store, url))
                for url in each.items
            }
            for each in inputs
        }

    def _fields(self, store: Store, url: str) -> list[str]:
        """The columns of a file, by position."""
        return list(self.columns) or self._first_record(store, url, self.dialect)

    def _first_record(self, store: Store, url: str, dialect: Dialect) -> list[str]:
        with open_plain(store, url) as file:
            return csv_dialect.read_header(file, dialect, self._preparation)

    def judge(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Judge every file's header before a row is used: errors by partition.

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
                error = self._judge_header(store, dataset, url, columns)
                if error is not None:
                    errors.setdefault(each.partition, error)
        return errors

    def _judge_header(
        self, store: Store, dataset: str, url: str, columns: Sequence[str]
    ) -> SourceError | None:
        where = f"dataset {dataset}, file {url}, line {self.skip + 1}"
        expected = "a header with the columns " + ", ".join(shown_name(n) for n in columns)
        try:
            first = self._first_record(store, url, self.dialect)
            header = list(self.columns) or first
            # To the engine, names that differ by case are one.
            folded = {name.lower() for name in header}
            missing = [name for name in columns if name.lower() not in folded]
            guess = self._guess_delimiter(store, url, len(columns)) if missing else None
        except (*READ_ERRORS, HeaderError) as error:
            return unreadable(where, error, f"a {self.encoding.upper()} text file")
        if not first and not self.columns:
            return self._no_header(store, url, where, expected)
        if missing and not self.columns and guess not in (None, self.delimiter):
            return SourceError(
                "A file has another delimiter than its dataset says",
                where=where,
                expected=f"fields separated by {self.delimiter!r}",
                found=f"fields separated by {guess!r}",
                fix=f"set CsvFiles(delimiter={guess!r}), or have the file delivered as agreed",
            )
        # Which of them may be missing is for the drift policy to say; a file that has none of them
        # is another file, or has no header.
        if missing and len(missing) == len(columns):
            return SourceError(
                f"A file lacks {'a column' if len(missing) == 1 else 'columns'}: "
                + ", ".join(shown_name(name) for name in missing),
                where=where,
                expected=expected,
                found=names(header, columns),
                fix="have the file delivered with it, or take the column out of the contract; "
                "a renamed column is mapped with Field(source=…)",
            )
        fault = name_fault(header)
        if fault:
            return SourceError(
                "A file's header has names that cannot be told apart from others",
                where=where,
                expected="each name once in whatever case, none empty, none that begins with an "
                "underscore",
                found=fault,
                fix="have the column renamed at the source, or skip the header and name the "
                f"columns by position: CsvFiles(skip={self.skip + 1}, columns=(…))",
            )
        return None

    def _guess_delimiter(self, store: Store, url: str, columns: int) -> str | None:
        """The delimiter that would give a header of this many columns, if a common one does."""
        for mark in csv_dialect.COMMON_DELIMITERS:
            if len(self._first_record(store, url, Dialect(mark))) >= columns:
                return mark
        return None

    def _no_header(self, store: Store, url: str, where: str, expected: str) -> SourceError:
        with open_plain(store, url) as file:
            empty = not file.read(1)
        return SourceError(
            "A file is empty: it has not even a header"
            if empty
            else "A file begins with a blank line instead of a header",
            where=where,
            expected=expected,
            found="0 bytes" if empty else "a blank line",
            fix="deliver the file again; a day without data is a day without a file, "
            "or a file with only its header"
            + ("" if empty else f"; a title is passed over with CsvFiles(skip={self.skip + 1})"),
        )

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """The engine's relation over the files, all columns as text.

        Files are grouped by header, so that a column is always found by its name.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: Partitions that ``inspect`` found no fault in; at least one has a file.
            columns: The columns that the contract names; further ones are kept too.

        Raises:
            SourceError: A file is not in the encoding that the dataset pins.
        """
        store = self.store(access)
        store.prepare(access.engine)
        found = [
            CsvFile(url, each.partition, tuple(self._fields(store, url)), store)
            for each in inputs
            for url in each.items
        ]
        folder = None
        if self._preparation.needed:
            folder = copies.new_folder(access)
            try:
                found = [self._staged(dataset, folder, file) for file in found]
            except BaseException:
                copies.remove(folder)
                raise
        reading = Reading(
            dataset=dataset,
            delivery=self,
            dialect=self.dialect,
            with_header=not self.columns,
            files=found,
            columns=(*columns, *further(columns, [file.fields for file in found])),
        )
        if folder:
            # The copies live as long as somebody may read them or hold them against the rows.
            copies.keep_for(reading, folder)
        return Extract(
            relation=reading.relation(),
            columns=tuple(SourceColumn(name) for name in reading.columns),
            verify=reading.verify,
        )

    def _staged(self, dataset: str, folder: Path, file: CsvFile) -> CsvFile:
        try:
            with open_plain(file.store, file.url) as stream:
                copy = stage(stream, folder / file.name, self._preparation, self.dialect)
        except (*READ_ERRORS, StagingError) as error:
            raise unreadable(
                f"dataset {dataset}, file {file.url}", error, f"a {self.encoding.upper()} text file"
            ) from None
        return CsvFile(file.url, file.partition, file.fields, FolderStore(folder), copy)

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why the engine could not read a partition's files.

        Args:
            dataset: The dataset's name, for messages.
            each: The partition's files.
            error: What the engine said; its text may quote a line, and is not repeated.
        """
        for url in each.items:
            if self._preparation.needed or not is_local(url):
                continue
            try:
                # Judged as of the number of columns that its own header has.
                store = FolderStore(Path(url).parent)
                file = CsvFile(url, each.partition, tuple(self._fields(store, url)), store)
            except (*READ_ERRORS, HeaderError) as gone:
                return unreadable(f"dataset {dataset}, file {url}", gone)
            found = misread(f"dataset {dataset}, file {url}", file, self.dialect, None)
            if found is not None:
                return found
        expected = f"CSV in {self.encoding.upper()}, separated by {self.delimiter!r}, "
        return not_read(dataset, each, error, expected + f"quoted by {self.quote!r}")
