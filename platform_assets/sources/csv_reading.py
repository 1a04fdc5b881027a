"""One pass of the engine over CSV files: what it reads, and whether it read all of it.

Belongs here: the relation over files, and errors about records. Does not belong here: finding
files and judging their headers (``files``), or counting their bytes (``csv_shape``).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from platform_assets.errors import SourceError
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sources import csv_shape
from platform_assets.sources.base import SourceInput
from platform_assets.sql import quote_identifier, quote_literal

PLACEHOLDER = "{partition}"
# A line beyond this is a missing quote far more often than data.
MAX_LINE_BYTES = 2_000_000
MAX_REJECTS_PER_FILE = 10


@dataclass
class Reading:
    """One pass of the engine over the files of one batch.

    Attributes:
        dataset: The dataset's name, for messages.
        path: Where a partition's files are below the connection's folder.
        delimiter: One character between fields.
        quote: One character around a field.
        inputs: The partitions' files.
        layouts: Files by their header.
        columns: The columns to read; one that a file does not have is NULL there.
        partition_of: Which partition each file belongs to.
        number: Of this pass in the process.
    """

    dataset: str
    path: str
    delimiter: str
    quote: str
    inputs: Sequence[SourceInput]
    layouts: Mapping[tuple[str, ...], Sequence[str]]
    columns: tuple[str, ...]
    partition_of: dict[str, str] = field(init=False)
    number: int = field(init=False, default_factory=itertools.count().__next__)

    def __post_init__(self) -> None:
        """Note which partition each file belongs to."""
        self.partition_of = {item: each.partition for each in self.inputs for item in each.items}

    def relation(self) -> str:
        """A SELECT over all files, each column found by its name."""
        return " UNION ALL ".join(
            self._scan(number, header, files)
            for number, (header, files) in enumerate(self.layouts.items())
        )

    def _scan(self, number: int, header: Sequence[str], files: Sequence[str]) -> str:
        """A SELECT over files of one header.

        ``parallel=false`` keeps each file's rows in order, so that a row's number in its file is
        known without the price of counting; files are read side by side all the same.
        """
        rejects, scans = self._reject_tables(number)
        dialect = ", ".join(
            (
                "auto_detect=false, header=true, filename=true, strict_mode=true, parallel=false",
                f"delim={quote_literal(self.delimiter)}",
                f"quote={quote_literal(self.quote)}",
                f"escape={quote_literal(self.quote)}",
                f"max_line_size={MAX_LINE_BYTES}",
                f"store_rejects=true, rejects_limit={MAX_REJECTS_PER_FILE}",
                f"rejects_table='{rejects}', rejects_scan='{scans}'",
            )
        )
        types = ", ".join(f"{quote_literal(name)}: 'VARCHAR'" for name in header)
        paths = ", ".join(quote_literal(path) for path in files)
        # To the engine, names that differ by case are one.
        there = {name.lower(): name for name in header}
        wanted = ", ".join(
            (quote_identifier(there[n.lower()]) if n.lower() in there else "CAST(NULL AS VARCHAR)")
            + f" AS {quote_identifier(n)}"
            for n in self.columns
        )
        return (
            f"SELECT {wanted}, {self._partition_sql()} AS {PARTITION_COLUMN}, "
            f"{self._file_sql()} AS {FILE_COLUMN} "
            f"FROM read_csv([{paths}], columns={{{types}}}, {dialect})"
        )

    def _reject_tables(self, layout: int) -> tuple[str, str]:
        """Where the engine notes what it refused: names of this pass, never those of another."""
        return f"_rejects_{self.number}_{layout}", f"_reject_scans_{self.number}_{layout}"

    def _root(self) -> str:
        """The folder, recovered from a file of a known partition."""
        item, partition = next(iter(self.partition_of.items()))
        pattern = self.path.replace(PLACEHOLDER, partition)
        depth = len(Path(pattern).parts)
        return os.fspath(Path(item).parents[depth - 1])

    def _file_sql(self) -> str:
        return f"substr(filename, {len(self._root()) + 2})"

    def _partition_sql(self) -> str:
        """Cut out of the file's name: one constant a file for the engine, not work a row."""
        before, mark, _ = self.path.partition(PLACEHOLDER)
        if not mark:
            return quote_literal(UNPARTITIONED_KEY)
        key_length = len(next(iter(self.partition_of.values())))
        return f"substr(filename, {len(self._root()) + len(before) + 2}, {key_length})"

    def verify(
        self, connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
    ) -> Mapping[str, SourceError]:
        """Errors by partition: records that the engine refused, or passed over.

        Args:
            connection: The one that the relation was read through.
            rows: Rows that were read, by the file's path below the folder.
        """
        return {**self._miscounted(rows), **self._rejected(connection)}

    def _miscounted(self, rows: Mapping[str, int]) -> dict[str, SourceError]:
        """Files of which another number of records was read than their bytes hold.

        A quote that is never closed makes the engine swallow the rest of a file without a word.
        Counting line ends is cheap; only where that differs are quotes looked at.
        """
        errors: dict[str, SourceError] = {}
        start = len(self._root()) + 1
        for item, partition in self.partition_of.items():
            path, read = Path(item), rows.get(item[start:], 0)
            if csv_shape.count_lines(path) - 1 == read:
                continue
            records = csv_shape.count_records(path, self.quote)
            if records.count - 1 == read and records.open_line is None:
                continue
            odd = odd_line_end(self.dataset, path, self.quote)
            if odd is not None:
                errors[partition] = odd
            elif records.open_line is not None:
                errors[partition] = SourceError(
                    "A file has a quote that is never closed",
                    where=f"dataset {self.dataset}, file {path}, line {records.open_line}",
                    expected="as many closing quotes as opening ones",
                    found="a record that begins in this line and goes on to the end of the file",
                    fix="look for a quote without its partner near this line, or before it; "
                    "have the file delivered again",
                )
            else:
                errors[partition] = SourceError(
                    "A file holds another number of records than were read from it",
                    where=f"dataset {self.dataset}, file {path}",
                    expected=f"{records.count - 1:,} records after the header",
                    found=f"{read:,} records read",
                    fix="look for a quote without its partner; have the file delivered again",
                )
        return errors

    def _rejected(self, connection: duckdb.DuckDBPyConnection) -> dict[str, SourceError]:
        errors: dict[str, SourceError] = {}
        for number in range(len(self.layouts)):
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
                partition = self.partition_of[path]
                errors.setdefault(
                    partition, self._refused(path, line, column, str(kind), str(message))
                )
            connection.execute(f"DROP TABLE IF EXISTS {rejects}")
            connection.execute(f"DROP TABLE IF EXISTS {scans}")
        return errors

    def _refused(
        self, path: str, line: int, column: str | None, kind: str, message: str
    ) -> SourceError:
        # Only messages of fixed wording are repeated: others quote the line.
        counts = message.startswith("Expected Number of Columns")
        return SourceError(
            f"A file has a line that is not a record ({kind.lower()})",
            where=f"dataset {self.dataset}, file {path}, line {line}"
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


def odd_line_end(dataset: str, path: Path, quote: str) -> SourceError | None:
    """The error about lines that do not end as the file's others do, if there are such.

    Args:
        dataset: The dataset's name.
        path: The file.
        quote: One character.
    """
    ends = csv_shape.line_ends(path, quote)
    if ends.odd_line is None and ends.first != "CR":
        return None
    return SourceError(
        "A file's lines end in different ways" if ends.odd else "A file's lines end in a bare CR",
        where=f"dataset {dataset}, file {path}, line {ends.odd_line or 1}",
        expected=f"{ends.first}, as the first line" if ends.odd else "LF or CRLF",
        found=ends.odd or ends.first,
        fix="have the file delivered as one piece, with one kind of line end; "
        "a CR or LF that is data belongs inside quotes",
    )
