"""Deliveries: which files a partition has. What every format of files shares.

Belongs here: the path with the partition in it, finding files and telling that one changed.
Does not belong here: what is in a file (one module per format), and where files are kept
(``stores``).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from platform_assets.errors import ContractError, SourceError
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sources.base import Access, SourceInput
from platform_assets.sources.buckets import BucketStore
from platform_assets.sources.connections import Bucket
from platform_assets.sources.stores import FolderStore, Store
from platform_assets.sql import quote_identifier, quote_literal

PLACEHOLDER = "{partition}"
SHOWN_NAMES = 12
SHOWN_LETTERS = 60


@dataclass(frozen=True)
class CompletionFlag:
    """A file that its deliverer writes last: a partition without it is not complete.

    Attributes:
        path: Where it is below the connection's folder, such as
            ``events/{partition}/processing_complete.flag``.

    Raises:
        ContractError: The path is a pattern, or does not tell the partition.
    """

    path: str

    def __post_init__(self) -> None:
        """Refuse a path that is not exactly one file a partition."""
        if "*" in self.path or self.path.count(PLACEHOLDER) > 1:
            raise ContractError(
                "The path of a completion flag does not tell which partition it completes",
                where=f"CompletionFlag({self.path!r})",
                expected=f"the path of one file, with {PLACEHOLDER} and without *",
                found=self.path,
                fix=f"write it like events/{PLACEHOLDER}/processing_complete.flag",
            )


@dataclass(frozen=True)
class Delivery(ABC):
    """Files, one or several a partition, the partition in the path.

    Attributes:
        path: Where a partition's files are below the connection's folder, such as
            ``orders/{partition}.csv``; ``*`` after ``{partition}`` takes several. Without
            ``{partition}`` the files are the whole of an unpartitioned dataset. A name that ends
            in ``.gz`` or ``.zst`` is read as compressed.
        connection: Name of the connection, which leads to a folder or a bucket.
        complete: The file that completes a partition; None: its files are complete as they are.
        settled_seconds: How long a partition's files must have stayed as they are before the
            arrival sensor takes them; a run that somebody starts does not wait.

    Raises:
        ContractError: The path has a ``*`` before ``{partition}``, or several ``{partition}``.
    """

    path: str
    connection: str = "files"
    complete: CompletionFlag | None = field(default=None, kw_only=True)
    settled_seconds: float = field(default=10.0, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a path that does not tell which partition a file belongs to."""
        before, mark, after = self.path.partition(PLACEHOLDER)
        if (mark and "*" in before) or PLACEHOLDER in after:
            raise ContractError(
                "The path does not tell which partition a file belongs to",
                where=self.called,
                expected=f"one {PLACEHOLDER}, and a * only after it",
                found=self.path,
                fix=f"write it like orders/{PLACEHOLDER}/*.csv",
            )

    @property
    def called(self) -> str:
        """This source in a message."""
        return f"{type(self).__name__}(path={self.path!r})"

    def inputs(self, access: Access, partitions: Sequence[str]) -> list[SourceInput]:
        """The files of each partition, by name, size and time of change.

        Args:
            access: What to read through.
            partitions: The partitions' keys.

        Raises:
            SourceError: The connection is not configured, or its folder does not exist.
        """
        store = self.store(access)
        return [self._input(store, key) for key in partitions]

    def store(self, access: Access) -> Store:
        """Where the files are kept.

        Args:
            access: What to read through.

        Raises:
            SourceError: The connection is not configured, or its folder does not exist.
        """
        bucket = access.connections.get(self.connection)
        if isinstance(bucket, Bucket):
            store = BucketStore(bucket, self.connection, access.guard)
            store.check()
            return store
        folder = access.connection(
            self.connection,
            Path,
            reader=self.called,
            fix=f"pass resources={{'{self.connection}': FolderResource(path=…)}} "
            "to build_code_location, or a BucketResource",
        )
        root = folder / self.path.partition(PLACEHOLDER)[0].rpartition("/")[0]
        if "*" not in str(root) and not root.is_dir():
            raise SourceError(
                "The folder of a source does not exist",
                where=f"connection {self.connection!r} of {self.called}",
                expected=f"a folder {root}",
                found="none" if not root.exists() else "something that is no folder",
                fix="correct the connection's path, or mount the share; "
                "`make demo` creates the demo shop's",
            )
        return FolderStore(folder.absolute())

    def _input(self, store: Store, key: str) -> SourceInput:
        files = store.find(self.path.replace(PLACEHOLDER, key))
        start = len(store.root) + 1
        identity = "\n".join(f"{file.url[start:]} {file.version}" for file in files)
        return SourceInput(
            partition=key,
            items=tuple(file.url for file in files),
            bytes=sum(file.bytes for file in files),
            fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:16],
        )

    def inspect(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Judge deliveries before a row is used, complete or not and then each file.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: The partitions' files.
            columns: The columns that the contract names, as the files call them.
        """
        missing = self.missing_flags(access, [each.partition for each in inputs])
        errors = {
            key: SourceError(
                "A delivery is not complete",
                where=f"dataset {dataset}, partition {key}",
                expected=f"the flag {flag}",
                found="no such file",
                fix="wait until the deliverer has written it, then run the partition again; the "
                "arrival sensor does so by itself",
            )
            for key, flag in missing.items()
        }
        rest = [each for each in inputs if each.partition not in errors]
        return {**errors, **self.judge(access, dataset, rest, columns)}

    def missing_flags(self, access: Access, partitions: Sequence[str]) -> dict[str, str]:
        """The partitions that are not complete, each with the flag that it lacks.

        Args:
            access: What to read through.
            partitions: The partitions' keys.
        """
        if self.complete is None:
            return {}
        store = self.store(access)
        flags = {key: self.complete.path.replace(PLACEHOLDER, key) for key in partitions}
        return {key: f"{store.root}/{flag}" for key, flag in flags.items() if not store.find(flag)}

    @abstractmethod
    def judge(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Judge the files of complete deliveries before a row is used, as ``inspect`` tells it."""

    def newest(self, inputs: Sequence[SourceInput]) -> str:
        """The last file of the newest partition: what tells the source's schema now."""
        return max((each for each in inputs if each.items), key=lambda each: each.partition).items[
            -1
        ]

    def provenance(self, root: str, partition: str, column: str = "filename") -> str:
        """SQL of the provenance columns, cut out of a file's name: a constant a file.

        Args:
            root: What every file's url begins with, before ``/`` and its name.
            partition: The key of one of the partitions; all are of one length.
            column: The column with the url.
        """
        before, mark, _ = self.path.partition(PLACEHOLDER)
        start = len(root) + 2
        key = (
            f"substr({column}, {start + len(before)}, {len(partition)})"
            if mark
            else quote_literal(UNPARTITIONED_KEY)
        )
        return f"{key} AS {PARTITION_COLUMN}, substr({column}, {start}) AS {FILE_COLUMN}"


def names(found: Sequence[str], expected: Sequence[str]) -> str:
    """Names for an error; where none of them is known, they may be values, and are not shown.

    Args:
        found: The names in a file.
        expected: The columns that the contract names.
    """
    if not set(found) & set(expected):
        return (
            f"{len(found)} fields, none of them such a column "
            "(not shown: without a header they are a row's values)"
        )
    shown = ", ".join(shown_name(name) for name in found[:SHOWN_NAMES])
    rest = len(found) - SHOWN_NAMES
    return f"{len(found)} columns: {shown}" + (f" and {rest} more" if rest > 0 else "")


def name_fault(found: Sequence[str]) -> str:
    """Names that cannot be a table's columns side by side; empty: all can.

    Args:
        found: The names in a file.
    """
    # To the engine, names that differ by case are one.
    folded = [name.lower() for name in found]
    repeated = sorted({name for name in found if folded.count(name.lower()) > 1})
    reserved = sorted(n for n in found if n.startswith("_") or not n or "\0" in n)
    return ", ".join(repr(name[:SHOWN_LETTERS]) for name in repeated + reserved)


def shown_name(name: str) -> str:
    """A name for an error, cut where it is too long to be one."""
    name = name if len(name) <= SHOWN_LETTERS else name[:SHOWN_LETTERS] + "…"
    return name if name.isprintable() else repr(name)


def unreadable(where: str, error: Exception, expected: str = "a UTF-8 text file") -> SourceError:
    """The error about a file that cannot be opened, or is damaged.

    Args:
        where: The file.
        error: What reading it raised.
        expected: What it should have been.
    """
    found = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return SourceError(
        "A file cannot be read",
        where=where,
        expected=f"{expected} that this process may read",
        found=found or type(error).__name__,
        fix="correct the file's rights or encoding, or have it delivered again whole; then run "
        "the partition again",
    )


def not_read(dataset: str, each: SourceInput, error: Exception, expected: str) -> SourceError:
    """The error about files that the engine could not read, without what it said of them.

    Args:
        dataset: The dataset's name.
        each: The partition's files.
        error: What the engine said; its text may quote a line, and is not repeated.
        expected: What they should have been.
    """
    return SourceError(
        "The engine cannot read a partition's files",
        where=f"dataset {dataset}, " + (", ".join(each.items) or f"partition {each.partition}"),
        expected=expected,
        found=f"{type(error).__name__} (its text is withheld: it may hold a row's value)",
        fix="have the file delivered again; nothing of this partition was loaded",
    )


def wanted(columns: Sequence[str], there: Sequence[str], sql: str = "CAST(NULL AS VARCHAR)") -> str:
    """A SELECT list of columns by their names; one that is not there is NULL.

    Args:
        columns: The columns to read.
        there: The columns of the file.
        sql: What stands for one that is not there.
    """
    # To the engine, names that differ by case are one.
    held = {name.lower(): name for name in there}
    return ", ".join(
        (quote_identifier(held[n.lower()]) if n.lower() in held else sql)
        + f" AS {quote_identifier(n)}"
        for n in columns
    )


def further(columns: Sequence[str], layouts: Sequence[Sequence[str]]) -> list[str]:
    """Columns that files have beyond those of the contract, each once in whatever case.

    Args:
        columns: The columns that the contract names.
        layouts: The columns of each kind of file.
    """
    known = {name.lower() for name in columns}
    found = {name.lower(): name for name in sorted({n for layout in layouts for n in layout})}
    return [name for folded, name in found.items() if folded not in known]
