"""The one protocol by which rows come in.

Belongs here: what every kind of source must offer, and what it is given to read through. Does not
belong here: any kind of source, and what a connection is (``connections``).

There are two ways to read, and a source has one of them. A ``WindowSource`` gives all rows of a
partition, which replace what was held (files, tables read in full). A ``ChangeSource``
(``change_source``) gives what has changed since a cursor, which is appended to what is held (tables
with a watermark, snapshot diffs, change logs). Both tell their schema before a row is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import duckdb

from platform_assets.errors import SourceError
from platform_assets.sources.retrying import Guard

Connections = Mapping[str, object]
"""What each named connection leads to, such as the folder that files are delivered to."""

TEXT = "VARCHAR"
C = TypeVar("C")


@dataclass(frozen=True)
class Access:
    """What a source reads through.

    Attributes:
        engine: The engine that reads; a source may attach a database to it, load an extension,
            or make temporary tables of its own.
        connections: What each named connection leads to.
        guard: What every call to a source's system goes through: its connection's breaker, and
            retries. (A folder on this machine is no such system.)
    """

    engine: duckdb.DuckDBPyConnection
    connections: Connections = field(default_factory=dict)
    guard: Guard = field(default_factory=Guard)

    def connection(self, name: str, kind: type[C], *, reader: str, fix: str) -> C:
        """The connection of a name, which must be of one kind.

        Args:
            name: The connection's name.
            kind: What it must lead to.
            reader: The source that asks, for the message.
            fix: How to configure one.

        Raises:
            SourceError: There is no such connection, or it leads to something else.
        """
        found = self.connections.get(name)
        if isinstance(found, kind):
            return found
        raise SourceError(
            "A source reads through a connection that is not configured",
            where=f"connection {name!r} of {reader}",
            expected=f"a {kind.__name__}",
            found="nothing" if found is None else type(found).__name__,
            fix=fix,
        )


@dataclass(frozen=True)
class SourceColumn:
    """One column as the source has it.

    Attributes:
        name: Its name there.
        sql_type: The engine's type of its values; ``VARCHAR`` where the source is text.
        nullable: Whether the source allows null; None: it does not say.
    """

    name: str
    sql_type: str = TEXT
    nullable: bool | None = None


@dataclass(frozen=True)
class SourceInput:
    """What a source holds for one partition, before a row of it is read.

    Attributes:
        partition: The partition's key.
        items: What it consists of, such as file paths; empty: nothing came for this partition.
        bytes: Size in bytes.
        fingerprint: Changes whenever the content may have changed.
        error: Why this partition, of several that were asked for, cannot be had; it then has no
            items.
    """

    partition: str
    items: tuple[str, ...]
    bytes: int
    fingerprint: str
    error: SourceError | None = None


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


def nothing_to_verify(
    connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
) -> Mapping[str, SourceError]:
    """For a source whose reader cannot pass over a row silently."""
    del connection, rows
    return {}


@dataclass(frozen=True)
class Extract:
    """Rows of whole partitions that are ready to be read.

    Attributes:
        relation: A SELECT that yields the columns, ``_partition`` and ``_source_file``.
        columns: The source's own columns in it; one that the contract does not know is kept
            in the raw table.
        verify: To be called after the relation was read to its end.
    """

    relation: str
    columns: tuple[SourceColumn, ...]
    verify: Verify = nothing_to_verify


@runtime_checkable
class Source(Protocol):
    """What every source offers."""

    @property
    def connection(self) -> str:
        """Name of the connection that it reads through."""
        ...

    @property
    def kind(self) -> str:
        """What it reads, in a word for the UI: ``csv``, ``postgres``."""
        ...


@runtime_checkable
class WindowSource(Source, Protocol):
    """A source that gives all rows of a partition: files, an API's day, a table read in full."""

    def inputs(self, access: Access, partitions: Sequence[str]) -> list[SourceInput]:
        """What there is for these partitions, in their order; no row is read.

        Raises:
            SourceError: The source itself is not there, for none of the partitions. (A partition
                for which nothing came is not an error: it is empty.)
        """
        ...

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        """The columns as the source tells them now; of several inputs, the newest one's.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``; at least one has items.

        Raises:
            SourceError: The source cannot be read.
        """
        ...

    def inspect(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Look at the shape of each input before a row is used: errors by partition.

        An input that lacks some of the columns is not at fault here: the dataset's drift policy
        decides. One that has none of them is, for it is something else.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: What to look at.
            columns: The columns that the contract names, by every name the source may have.
        """
        ...

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """Rows of inputs that passed ``inspect``.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: What to read; at least one has items.
            columns: The columns that the contract names, as the source calls them; each is in one
                of the inputs, and null in an input that lacks it.
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


Layouts = Mapping[str, Mapping[str, tuple[SourceColumn, ...]]]
"""The columns of each item, such as a file, by partition."""


@runtime_checkable
class HasLayouts(Protocol):
    """A window source whose items may each have columns of their own, such as files.

    Of any other window source, ``schema`` tells the columns of all inputs.
    """

    def layouts(self, access: Access, inputs: Sequence[SourceInput]) -> Layouts:
        """The columns of each item of each input; no row is read.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.

        Raises:
            SourceError: An item cannot be read.
        """
        ...
