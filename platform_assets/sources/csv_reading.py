"""One pass of the engine over CSV files: what it reads, and whether it read all of it.

Belongs here: the relation over files, and errors about records. Does not belong here: finding
files and judging their headers (``files``), or judging their bytes (``csv_shape``).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import duckdb

from platform_assets.errors import CountError, SourceError
from platform_assets.sources import csv_shape
from platform_assets.sources.csv_dialect import Dialect
from platform_assets.sources.csv_shape import Shape
from platform_assets.sources.csv_staging import Staged
from platform_assets.sources.deliveries import Delivery, unreadable, wanted
from platform_assets.sources.stores import (
    READ_ERRORS,
    Store,
    compression_of,
    engine_path,
    open_plain,
)
from platform_assets.sql import quote_literal

# A line beyond this is a missing quote far more often than data.
MAX_LINE_BYTES = 2_000_000
MAX_REJECTS_PER_FILE = 10


@dataclass(frozen=True)
class CsvFile:
    """One file of a pass.

    Attributes:
        url: Where it is.
        partition: The partition that it belongs to.
        fields: Its columns, by position.
        store: What the engine reads it from: where it is, or where its copy is.
        staged: Its copy; None: it is read as it is.
    """

    url: str
    partition: str
    fields: tuple[str, ...]
    store: Store
    staged: Staged | None = None

    @property
    def read(self) -> str:
        """The url that the engine reads."""
        return str(self.staged.path) if self.staged else self.url

    @property
    def compression(self) -> str | None:
        """As the engine calls it; a copy is plain, whatever its name."""
        return None if self.staged else compression_of(self.url)

    def open(self) -> BinaryIO:
        """The bytes that the engine reads, decompressed."""
        return self.store.open(self.read) if self.staged else open_plain(self.store, self.url)

    @property
    def name(self) -> str:
        """Its path below the store's root."""
        return self.read[len(self.store.root) + 1 :]

    def line(self, number: int) -> int:
        """The file's own line for one that was read."""
        return self.staged.line(number) if self.staged else number


@dataclass
class Reading:
    """One pass of the engine over the files of one batch.

    Attributes:
        dataset: The dataset's name, for messages.
        delivery: Which files belong to which partition.
        dialect: How fields are written.
        with_header: Whether the first record of a file is its header.
        files: The files.
        columns: The columns to read; one that a file does not have is NULL there.
        blank_is_none: Whether a blank line is no record in files of one column too.
        look_only: Whether the rows are not kept: lines that the engine refuses are passed over.
        number: Of this pass in the process.
    """

    dataset: str
    delivery: Delivery
    dialect: Dialect
    with_header: bool
    files: Sequence[CsvFile]
    columns: tuple[str, ...]
    blank_is_none: bool = False
    look_only: bool = False
    layouts: list[list[CsvFile]] = field(init=False)
    number: int = field(init=False, default_factory=itertools.count().__next__)

    def __post_init__(self) -> None:
        """Put files together that the engine can read with one call."""
        layouts: dict[object, list[CsvFile]] = {}
        for file in self.files:
            key = (file.fields, file.store.root, file.compression)
            layouts.setdefault(key, []).append(file)
        self.layouts = list(layouts.values())

    def relation(self) -> str:
        """A SELECT over all files, each column found by its name."""
        return " UNION ALL ".join(self._scan(n, files) for n, files in enumerate(self.layouts))

    def _scan(self, number: int, files: Sequence[CsvFile]) -> str:
        """A SELECT over files of one layout.

        ``parallel=false`` keeps each file's rows in order, so that a row's number in its file is
        known without the price of counting; files are read side by side all the same.
        """
        rejects, scans = self._reject_tables(number)
        first = files[0]
        options = ", ".join(
            (
                f"auto_detect=false, header={str(self.with_header).lower()}, filename=true",
                "strict_mode=true, parallel=false",
                f"compression={quote_literal(first.compression or 'none')}",
                f"delim={quote_literal(self.dialect.delimiter)}",
                f"quote={quote_literal(self.dialect.quote)}",
                f"escape={quote_literal(self.dialect.escape)}",
                f"max_line_size={MAX_LINE_BYTES}",
                "ignore_errors=true"
                if self.look_only
                else f"store_rejects=true, rejects_limit={MAX_REJECTS_PER_FILE}, "
                f"rejects_table='{rejects}', rejects_scan='{scans}'",
            )
        )
        types = ", ".join(f"{quote_literal(name)}: 'VARCHAR'" for name in first.fields)
        paths = ", ".join(quote_literal(engine_path(file.read)) for file in files)
        return (
            f"SELECT {wanted(self.columns, first.fields)}, "
            f"{self.delivery.provenance(first.store.root, first.partition)} "
            f"FROM read_csv([{paths}], columns={{{types}}}, {options})"
        )

    def _reject_tables(self, layout: int) -> tuple[str, str]:
        """Where the engine notes what it refused: names of this pass, never those of another."""
        return f"_rejects_{self.number}_{layout}", f"_reject_scans_{self.number}_{layout}"

    def verify(
        self, connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
    ) -> Mapping[str, SourceError]:
        """Errors by partition: records that the engine refused, or read otherwise than they are.

        Args:
            connection: The one that the relation was read through.
            rows: Rows that were read, by the file's path below the folder.
        """
        return {**self._misread(rows), **self._rejected(connection)}

    def _misread(self, rows: Mapping[str, int]) -> dict[str, SourceError]:
        def look_at(file: CsvFile) -> SourceError | None:
            return misread(
                f"dataset {self.dataset}, file {file.url}",
                file,
                self.dialect,
                rows.get(file.name, 0) + self.with_header,
                blank_is_none=self.blank_is_none,
            )

        errors: dict[str, SourceError] = {}
        # numpy and the decompressors let other threads run meanwhile.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for file, error in zip(self.files, pool.map(look_at, self.files), strict=True):
                if error is not None:
                    errors.setdefault(file.partition, error)
        return errors

    def _rejected(self, connection: duckdb.DuckDBPyConnection) -> dict[str, SourceError]:
        errors: dict[str, SourceError] = {}
        for number, files in enumerate(self.layouts):
            of_path = {file.read: file for file in files}
            rejects, scans = self._reject_tables(number)
            # The refused line itself is never read out: it may hold personal data.
            rows = connection.execute(
                f"""
                SELECT s.file_path, e.line, e.column_name, CAST(e.error_type AS VARCHAR),
                       e.error_message
                FROM {rejects} AS e
                JOIN {scans} AS s USING (scan_id, file_id)
                ORDER BY s.file_path, e.line
                """
            ).fetchall()
            for path, line, column, kind, message in rows:
                file = of_path[path]
                errors.setdefault(
                    file.partition, self._refused(file, line, column, str(kind), str(message))
                )
            connection.execute(f"DROP TABLE IF EXISTS {rejects}")
            connection.execute(f"DROP TABLE IF EXISTS {scans}")
        return errors

    def _refused(
        self, file: CsvFile, line: int, column: str | None, kind: str, message: str
    ) -> SourceError:
        # Only messages of fixed wording are repeated: others quote the line.
        counts = message.startswith("Expected Number of Columns")
        return SourceError(
            f"A file has a line that is not a record ({kind.lower()})",
            where=f"dataset {self.dataset}, file {file.url}, line {file.line(line)}"
            + (f", column {column}" if column else ""),
            expected=message.split(" Found:", maxsplit=1)[0].removeprefix("Expected ").lower()
            if counts
            else f"a well-formed CSV record in UTF-8 of at most {MAX_LINE_BYTES:,} bytes",
            found=message.rsplit("Found:", maxsplit=1)[-1].strip() + " columns"
            if counts
            else kind.lower(),
            fix="have the file delivered again, or correct the line; "
            "nothing of this partition was loaded",
        )


def misread(
    where: str,
    file: CsvFile,
    dialect: Dialect,
    records: int | None,
    *,
    blank_is_none: bool = False,
) -> SourceError | None:
    """The error about a file whose bytes say otherwise than what was read from it.

    The engine swallows the rest of a file after a quote that is never closed, drops blanks after
    a closing quote and a delimiter at the end of a record, and takes a compressed file that is
    cut off for whole, each without a word. Counting bytes is cheap; only where there are quotes
    or returns, or the counts differ, is every quote looked at.

    Args:
        where: The file, for the message.
        file: The file.
        dialect: How fields are written.
        records: Records that were read, header included; None: unknown, judge the bytes alone.
        blank_is_none: Whether a blank line is no record in a file of one column too.
    """
    fields = len(file.fields)
    try:
        with file.open() as stream:
            counts = csv_shape.count(stream, dialect)
        regular = not counts.special and counts.delimiters == counts.lines * (fields - 1)
        # In a file of one column, a blank line needs a closer look.
        if regular and counts.lines == records and (fields > 1 or blank_is_none):
            return None
        with file.open() as stream:
            shape = csv_shape.shape(csv_shape.blocks_of(stream), dialect)
        ragged = shape.delimiters != shape.records * (fields - 1)
        if ragged and _plain_fault(shape) is None:
            with file.open() as stream:
                shape = csv_shape.shape(csv_shape.blocks_of(stream), dialect, fields)
    except READ_ERRORS as error:
        return unreadable(where, error, "a whole file")
    if blank_is_none:
        shape = replace(shape, blank_line=None)
    return _told(where, file, shape, fields, records)


def _plain_fault(shape: Shape) -> object:
    return shape.odd or shape.fault or shape.open_line


def _told(
    where: str, file: CsvFile, shape: Shape, fields: int, records: int | None
) -> SourceError | None:
    again = "have the file delivered again"
    if shape.odd is not None:
        return SourceError(
            "A file's lines end in different ways",
            where=f"{where}, line {file.line(shape.odd.line)}",
            expected=f"{shape.end}, as the first line",
            found=shape.odd.what,
            fix="have the file delivered as one piece, with one kind of line end; "
            "a CR or LF that is data belongs inside quotes",
        )
    if shape.fault is not None:
        return SourceError(
            "A file has a quote that cannot be told from data",
            where=f"{where}, line {file.line(shape.fault.line)}",
            expected="a delimiter or a line end after the quote that closes a field; "
            "a quote that is data written as the dataset's dialect says",
            found=shape.fault.what,
            fix=f"{again}, or pin the dialect that it really has (delimiter, quote, escape)",
        )
    if shape.open_line is not None:
        return SourceError(
            "A file has a quote that is never closed",
            where=f"{where}, line {file.line(shape.open_line)}",
            expected="as many closing quotes as opening ones",
            found="a record that begins in this line and goes on to the end of the file",
            fix="look for a quote without its partner near this line, or before it; " + again,
        )
    if fields == 1 and shape.blank_line is not None:
        return SourceError(
            "A file of one column has a blank line, which may be a value or none",
            where=f"{where}, line {file.line(shape.blank_line)}",
            expected='each value in a line of its own, an empty one as ""',
            found="a blank line",
            fix=f"{again} without blank lines, or with every empty value quoted",
        )
    if shape.ragged is not None:
        return SourceError(
            "A file has a line that is not a record (other number of fields)",
            where=f"{where}, line {file.line(shape.ragged.line)}",
            expected=f"{fields} fields, as the header",
            found=shape.ragged.what,
            fix=f"{again}, or correct the line; nothing of this partition was loaded",
        )
    if records is not None and shape.records != records:
        return CountError(
            "A file holds another number of records than were read from it",
            where=where,
            expected=f"{shape.records:,} records, header included",
            found=f"{records:,} records read",
            fix=f"look for a quote without its partner; {again}",
        )
    return None
