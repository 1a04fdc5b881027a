"""The one protocol by which rows come in.

Belongs here: what every kind of source must offer. Does not belong here: any kind of source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import duckdb

from platform_assets.errors import SourceError

Connections = Mapping[str, object]
"""What each named connection leads to, such as the folder that files are delivered to."""


@dataclass(frozen=True)
class SourceInput:
    """What a source holds for one partition, before a row of it is read.

    Attributes:
        partition: The partition's key.
        items: What it consists of, such as file paths; empty: nothing came for this partition.
        bytes: Size in bytes.
        fingerprint: Changes whenever the content may have changed.
    """

    partition: str
    items: tuple[str, ...]
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class Extract:
    """Rows that are ready to be read.

    Attributes:
        relation: A SELECT that yields the source's columns as text, ``_partition`` and
            ``_source_file``.
        columns: The source's own columns in it; one that the contract does not know is kept
            in the raw table.
        verify: To be called after the relation was read to its end.
    """

    relation: str
    columns: tuple[str, ...]
    verify: Verify


class Verify(Protocol):
    """Holds what was read against the source itself, by a second way of counting."""

    def __call__(
        self, connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
    ) -> Mapping[str, SourceError]:
        """Errors by partition; empty where every row of the source was read.

        Args:
            connection: The one that the relation was read through.
            rows: Rows that were read, by ``_source_file``.
        """
        ...


class Source(Protocol):
    """A kind of source: files, tables, an API, a change log."""

    @property
    def connection(self) -> str:
        """Name of the connection that it reads through."""
        ...

    def inputs(self, connections: Connections, partitions: Sequence[str]) -> list[SourceInput]:
        """What there is for these partitions, in their order; nothing is opened.

        Raises:
            SourceError: The source itself is not there. (A partition for which nothing came is
                not an error: it is empty.)
        """
        ...

    def inspect(
        self, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Look at the shape of each input before a row is used: errors by partition.

        Args:
            dataset: The dataset's name, for messages.
            inputs: What to look at.
            columns: The columns that the contract names, as the source calls them.
        """
        ...

    def extract(
        self, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """Rows of inputs that passed ``inspect``.

        Args:
            dataset: The dataset's name, for messages.
            inputs: What to read; at least one has items.
            columns: The columns that the contract names, as the source calls them.
        """
        ...

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why an input that passed ``inspect`` could not be read, with the place to look at.

        Args:
            dataset: The dataset's name, for messages.
            each: The input.
            error: What the engine said; its text may hold a row's value, and is not repeated.
        """
        ...
