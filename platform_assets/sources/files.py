"""CSV files in a folder, one or several a partition, the partition in the path.

Belongs here: finding files and judging their headers. Does not belong here: reading records
(``csv_reading``), what a good row is (the contract), and what happens to rows afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platform_assets.errors import ContractError, SourceError
from platform_assets.sources import csv_shape
from platform_assets.sources.base import Access, Extract, Layouts, SourceColumn, SourceInput
from platform_assets.sources.csv_reading import PLACEHOLDER, Reading, odd_line_end


@dataclass(frozen=True)
class CsvFiles:
    """CSV files (UTF-8, with a header) in a folder.

    The dialect is pinned here, never guessed: a guess that is wrong loads wrong rows silently.

    Attributes:
        path: Where a partition's files are below the connection's folder, such as
            ``orders/{partition}.csv``; ``*`` after ``{partition}`` takes several. Without
            ``{partition}`` the files are the whole of an unpartitioned dataset.
        connection: Name of the connection, which leads to a folder.
        delimiter: One character between fields.
        quote: One character around a field that holds a delimiter or a line end.

    Raises:
        ContractError: The path has a ``*`` before ``{partition}``, or several ``{partition}``.
    """

    path: str
    connection: str = "files"
    delimiter: str = ","
    quote: str = '"'

    def __post_init__(self) -> None:
        """Refuse a path that does not tell which partition a file belongs to."""
        before, mark, after = self.path.partition(PLACEHOLDER)
        if (mark and "*" in before) or PLACEHOLDER in after:
            raise ContractError(
                "The path does not tell which partition a file belongs to",
                where=f"CsvFiles(path={self.path!r})",
                expected=f"one {PLACEHOLDER}, and a * only after it",
                found=self.path,
                fix=f"write it like orders/{PLACEHOLDER}/*.csv",
            )

    @property
    def kind(self) -> str:
        """What it reads."""
        return "csv"

    def inputs(self, access: Access, partitions: Sequence[str]) -> list[SourceInput]:
        """The files of each partition, by name, size and time of change.

        Args:
            access: What to read through.
            partitions: The partitions' keys.

        Raises:
            SourceError: The connection is not configured, or its folder does not exist.
        """
        folder = self._folder(access)
        return [self._input(folder, key) for key in partitions]

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        """The header of the newest partition's last file; a file is text, so all is text.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        del access  # a path is read as it is
        newest = max((each for each in inputs if each.items), key=lambda each: each.partition)
        header = csv_shape.read_header(Path(newest.items[-1]), self.delimiter, self.quote)
        return tuple(SourceColumn(name) for name in header)

    def layouts(self, access: Access, inputs: Sequence[SourceInput]) -> Layouts:
        """The header of every file; a file is text, so all is text.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        del access  # a path is read as it is
        return {
            each.partition: {
                item: tuple(
                    SourceColumn(name)
                    for name in csv_shape.read_header(Path(item), self.delimiter, self.quote)
                )
                for item in each.items
            }
            for each in inputs
        }

    def _folder(self, access: Access) -> Path:
        folder = access.connection(
            self.connection,
            Path,
            reader=f"CsvFiles(path={self.path!r})",
            fix=f"pass resources={{'{self.connection}': FolderResource(path=…)}} "
            "to build_definitions",
        )
        root = folder / self.path.partition(PLACEHOLDER)[0].rpartition("/")[0]
        if "*" not in str(root) and not root.is_dir():
            raise SourceError(
                "The folder of a source does not exist",
                where=f"connection {self.connection!r} of CsvFiles(path={self.path!r})",
                expected=f"a folder {root}",
                found="none" if not root.exists() else "something that is no folder",
                fix="correct the connection's path, or mount the share; "
                "`make demo` creates the demo shop's",
            )
        return folder.absolute()

    def _input(self, folder: Path, key: str) -> SourceInput:
        pattern = self.path.replace(PLACEHOLDER, key)
        if "*" in pattern:
            files = sorted(path for path in folder.glob(pattern) if path.is_file())
        else:
            files = [folder / pattern] if (folder / pattern).exists() else []
        stats = [(path, path.stat()) for path in files]
        identity = "\n".join(
            f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats
        )
        return SourceInput(
            partition=key,
            items=tuple(str(path) for path in files),
            bytes=sum(stat.st_size for _, stat in stats),
            fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:16],
        )

    def inspect(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Judge every file's header before a row is used: errors by partition.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: The partitions' files.
            columns: The columns that the contract names, by every name that files may have.
        """
        del access  # a path is read as it is
        errors: dict[str, SourceError] = {}
        for each in inputs:
            for item in each.items:
                error = self._judge_header(dataset, Path(item), columns)
                if error is not None:
                    errors.setdefault(each.partition, error)
        return errors

    def _judge_header(self, dataset: str, path: Path, columns: Sequence[str]) -> SourceError | None:
        where = f"dataset {dataset}, file {path}, line 1"
        expected = f"a header with the columns {', '.join(columns)}"
        try:
            header = csv_shape.read_header(path, self.delimiter, self.quote)
            # To the engine, names that differ by case are one.
            folded = [name.lower() for name in header]
            missing = [name for name in columns if name.lower() not in folded]
            guess = csv_shape.guess_delimiter(path, len(columns)) if missing else None
        except (OSError, csv_shape.HeaderError) as error:
            return _unreadable(where, error)
        if not header:
            size = path.stat().st_size
            return SourceError(
                "A file begins with a blank line instead of a header"
                if size
                else "A file is empty: it has not even a header",
                where=where,
                expected=expected,
                found="a blank line" if size else "0 bytes",
                fix="deliver the file again; a day without data is a day without a file, "
                "or a file with only its header",
            )
        if missing and guess not in (None, self.delimiter):
            return SourceError(
                "A file has another delimiter than its dataset says",
                where=where,
                expected=f"fields separated by {self.delimiter!r}",
                found=f"fields separated by {guess!r}",
                fix=f"set CsvFiles(delimiter={guess!r}), or have the file delivered as agreed",
            )
        # Which of them may be missing is for the drift policy to say; a file that has none of them
        # is another file, or has no header.
        if len(missing) == len(columns):
            return SourceError(
                f"A file lacks {'a column' if len(missing) == 1 else 'columns'}: "
                + ", ".join(missing),
                where=where,
                expected=expected,
                found=f"{len(header)} fields, none of them such a column "
                "(not shown: without a header they are a row's values)",
                fix="have the file delivered with it, or take the column out of the contract; "
                "a renamed column is mapped with Field(source=…)",
            )
        repeated = sorted({name for name in header if folded.count(name.lower()) > 1})
        reserved = sorted(n for n in header if n.startswith("_") or not n or "\0" in n)
        if repeated or reserved:
            return SourceError(
                "A file's header has names that cannot be told apart from others",
                where=where,
                expected="each name once in whatever case, none empty, none that begins with an "
                "underscore",
                found=", ".join(repr(name) for name in repeated + reserved),
                fix="have the column renamed at the source",
            )
        return None

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
        """
        del access  # a path is read as it is
        layouts: dict[tuple[str, ...], list[str]] = {}
        for item in (item for each in inputs for item in each.items):
            header = tuple(csv_shape.read_header(Path(item), self.delimiter, self.quote))
            layouts.setdefault(header, []).append(item)
        known = {name.lower() for name in columns}
        further = {name.lower(): name for name in sorted({n for header in layouts for n in header})}
        extra = [name for folded, name in further.items() if folded not in known]
        reading = Reading(
            dataset=dataset,
            path=self.path,
            delimiter=self.delimiter,
            quote=self.quote,
            inputs=inputs,
            layouts=layouts,
            columns=(*columns, *extra),
        )
        return Extract(
            relation=reading.relation(),
            columns=tuple(SourceColumn(name) for name in reading.columns),
            verify=reading.verify,
        )

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why the engine could not read a partition's files.

        Args:
            dataset: The dataset's name, for messages.
            each: The partition's files.
            error: What the engine said; its text may quote a line, and is not repeated.
        """
        for item in each.items:
            try:
                odd = odd_line_end(dataset, Path(item), self.quote)
            except OSError as gone:
                return _unreadable(f"dataset {dataset}, file {item}", gone)
            if odd is not None:
                return odd
        return SourceError(
            "The engine cannot read a partition's files",
            where=f"dataset {dataset}, " + (", ".join(each.items) or f"partition {each.partition}"),
            expected=f"CSV in UTF-8, separated by {self.delimiter!r}, quoted by {self.quote!r}",
            found=f"{type(error).__name__} (its text is withheld: it may hold a row's value)",
            fix="have the file delivered again; nothing of this partition was loaded",
        )


def _unreadable(where: str, error: OSError | csv_shape.HeaderError) -> SourceError:
    found = error.strerror if isinstance(error, OSError) else str(error)
    return SourceError(
        "A file cannot be read",
        where=where,
        expected="a UTF-8 text file that this process may read",
        found=found or type(error).__name__,
        fix="correct the file's rights or encoding, then run the partition again",
    )
