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
from contextlib import AbstractContextManager
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


@dataclass(frozen=True)
class Held:
    """What the raw table of a change source holds already.

    Attributes:
        table: The raw table, quoted.
        current: A SELECT of the newest version of every key, deleted ones left out: the source's
            columns and ``_partition``.
        types: The engine's type of each of the source's columns in it, by name.
    """

    table: str
    current: str
    types: Mapping[str, str]


@dataclass(frozen=True)
class ChangeRequest:
    """What is asked of a change source.

    Attributes:
        dataset: The dataset's name, for messages.
        key: The columns that identify a row, as the source calls them.
        columns: The columns that the contract names, as the source calls them.
        decimals: Decimals of each column that holds exact numbers, for control totals.
        event_time: The column that says which partition a row belongs to; None: not cut.
        cursor: Where the last load ended, as the source itself wrote it; None: nothing was loaded.
        requested: The partitions that are asked for.
        windows: Those of them that were never read, and are to be read whole.
        again: Those of them that were read before, and are to be compared whole with what is held.
        loaded: All partitions that were read before. A change that belongs to neither these nor
            the windows is left for the first load of its partition.
        held: What the raw table holds; None: there is none yet.
        time_sql: Given a column and the source's types, the SQL of its value as a time in UTC.
        partition_sql: Given the source's types and the SQL of the time of change, the SQL of the
            partition that a row belongs to.
    """

    dataset: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    decimals: Mapping[str, int]
    event_time: str | None
    cursor: str | None
    requested: tuple[str, ...]
    windows: tuple[str, ...]
    again: tuple[str, ...]
    loaded: tuple[str, ...]
    held: Held | None
    time_sql: Callable[[str, Mapping[str, str]], str]
    partition_sql: Callable[[Mapping[str, str], str], str]


@dataclass(frozen=True)
class Control:
    """A control total: the same figure from the source itself and from what arrived.

    Attributes:
        name: What is counted or summed, such as ``rows`` or ``sum(total_amount)``.
        at_source: As the source's own engine gives it.
        arrived: As the rows that were read give it.
    """

    name: str
    at_source: str
    arrived: str

    @property
    def holds(self) -> bool:
        """Whether both are the same."""
        return self.at_source == self.arrived


@dataclass(frozen=True)
class Ended:
    """What is known when all changes have been read.

    Attributes:
        cursor: Where this load ended; committed with the rows.
        controls: Control totals of what was read.
    """

    cursor: str
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What has changed since a cursor, ready to be read.

    Attributes:
        columns: The source's own columns.
        read: Gives a SELECT of them, ``_partition``, ``_source_file``, ``_op``, ``_position``
            (NULL: by the order of loads) and ``_changed_at``; to be called in the transaction in
            which the rows are read, so that all queries see one state of the source.
        ended: To be called with a relation of the staged rows, in the same transaction.
        replaces: Whether the rows are all there is of the partitions asked for, which take the
            place of what was held of them.
        acknowledge: To be called after the commit: tells the source that it may forget.
    """

    columns: tuple[SourceColumn, ...]
    read: Callable[[], str]
    ended: Callable[[str], Ended]
    replaces: bool = False
    acknowledge: Callable[[], None] = lambda: None


@runtime_checkable
class ChangeSource(Source, Protocol):
    """A source that gives what has changed since a cursor, deletes included."""

    @property
    def needs_key(self) -> bool:
        """Whether its changes mean nothing without a key to find the row by."""
        ...

    def schema(self, access: Access) -> tuple[SourceColumn, ...]:
        """The columns as the source tells them now.

        Raises:
            SourceError: The source cannot be read.
        """
        ...

    def reading(self, access: Access, request: ChangeRequest) -> AbstractContextManager[Changes]:
        """What has changed; the source stays open as long as the block lasts.

        Nothing of the lake is locked meanwhile, so a slow source holds up nobody.

        Raises:
            SourceError: The source cannot be read.
        """
        ...


@runtime_checkable
class TellsChanges(ChangeSource, Protocol):
    """A change source that can say cheaply where something has changed, without loading it."""

    def touched(self, access: Access, request: ChangeRequest) -> frozenset[str]:
        """The partitions of ``request.loaded`` in which something has changed since the cursor.

        Raises:
            SourceError: The source cannot be read.
        """
        ...


AnySource = WindowSource | ChangeSource
