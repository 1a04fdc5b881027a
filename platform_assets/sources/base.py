"""The one protocol by which rows come in.

Belongs here: what every kind of source must offer, and what it is given to read through. Does not
belong here: any kind of source, and what a connection is (``connections``).

There are two ways to read, and a source has one of them. A ``WindowSource`` gives all rows of a
partition, which replace what was held (files, tables read in full). A ``ChangeSource`` gives what
has changed since a cursor, which is appended to what is held (tables with a watermark, snapshot
diffs, change logs). Both tell their schema before a row is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import duckdb

from platform_assets.errors import SourceError

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
    """

    engine: duckdb.DuckDBPyConnection
    connections: Connections = field(default_factory=dict)

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
    """

    partition: str
    items: tuple[str, ...]
    bytes: int
    fingerprint: str


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
            SourceError: The source itself is not there. (A partition for which nothing came is
                not an error: it is empty.)
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


@dataclass(frozen=True)
class Held:
    """What the raw table of a change source holds already.

    Attributes:
        current: A SELECT of the newest version of every key, deleted ones left out: the source's
            columns and ``_partition``.
        columns: The source's columns in it.
        partitions: The partitions that were read whole at least once; a change that belongs to
            another one is left for the first load of that partition.
    """

    current: str
    columns: tuple[str, ...]
    partitions: frozenset[str]


@dataclass(frozen=True)
class ChangeRequest:
    """What is asked of a change source.

    Attributes:
        dataset: The dataset's name, for messages.
        key: The columns that identify a row, as the source calls them.
        columns: The columns that the contract names, as the source calls them.
        cursor: Where the last load ended, as the source itself wrote it; None: nothing was loaded.
        windows: Partitions that are asked for and were never read whole, or are to be read whole
            again.
        held: What the raw table holds.
        partition_sql: Given SQL of the event time and of the time of change, writes the SQL of the
            partition's key; unpartitioned: a constant.
        event_time: The column that says which partition a row belongs to, as the source calls it;
            None where the dataset is not cut.
    """

    dataset: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    cursor: str | None
    windows: tuple[str, ...]
    held: Held
    partition_sql: Callable[[str, str], str]
    event_time: str | None


@dataclass(frozen=True)
class Control:
    """A control total: the same figure from the source itself and from what arrived.

    Attributes:
        name: What is counted or summed, such as ``rows`` or ``sum(total_amount)``.
        at_source: As the source's own engine gives it.
        arrived: As the staged rows give it.
    """

    name: str
    at_source: str
    arrived: str

    @property
    def holds(self) -> bool:
        """Whether both are the same."""
        return self.at_source == self.arrived


@dataclass(frozen=True)
class Changes:
    """What has changed since a cursor, staged and ready to be published.

    Attributes:
        relation: A SELECT of ``columns``, provenance and the columns of a change.
        columns: The source's own columns in it.
        cursor: Where this load ended; committed with the rows.
        controls: Control totals of the window that was read.
        bytes: Bytes that were read, as far as known.
        acknowledge: To be called after the commit: tells the source that it may forget.
    """

    relation: str
    columns: tuple[SourceColumn, ...]
    cursor: str
    controls: tuple[Control, ...] = ()
    bytes: int = 0
    acknowledge: Callable[[], None] = lambda: None


@runtime_checkable
class ChangeSource(Source, Protocol):
    """A source that gives what has changed since a cursor, deletes included."""

    def schema(self, access: Access) -> tuple[SourceColumn, ...]:
        """The columns as the source tells them now.

        Raises:
            SourceError: The source cannot be read.
        """
        ...

    def changes(self, access: Access, request: ChangeRequest) -> Changes:
        """Read what has changed into a stage of the engine.

        Nothing of the lake is locked meanwhile, so a slow source holds up nobody.

        Raises:
            SourceError: The source cannot be read.
        """
        ...
