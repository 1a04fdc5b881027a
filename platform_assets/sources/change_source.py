"""The protocol of sources that give what has changed, and what they are asked.

Belongs here: requests, changes and control totals. Does not belong here: sources that give whole
partitions (``base``), and any source itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from platform_assets.errors import SourceError
from platform_assets.sources.base import Access, Source, SourceColumn, WindowSource


class MissingColumnsError(SourceError):
    """A source without columns that its rows are found, placed or ordered by.

    Args:
        what: Which ones.
        columns: The columns that it has.
        where: The dataset and its source.
        expected: The columns that are needed.
        fix: What to do about it.
    """

    def __init__(
        self, what: str, columns: Sequence[SourceColumn], *, where: str, expected: str, fix: str
    ) -> None:
        found = ", ".join(column.name for column in columns)
        super().__init__(what, where=where, expected=expected, found=found, fix=fix)
        self.columns = tuple(columns)


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

    @property
    def found_by(self) -> tuple[str, ...]:
        """The columns that a row is found and placed by: without them nothing can be read.

        Of every other column that is not there, the dataset's drift policy decides.
        """
        return tuple(dict.fromkeys((*self.key, *filter(None, [self.event_time]))))


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
        notes: Sentences about what was not read yet, and why, for the run's log.
    """

    cursor: str
    controls: tuple[Control, ...] = ()
    notes: tuple[str, ...] = ()


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
        acknowledge: To be called after the commit: tells the source that it may forget. Where
            that fails, the same changes may be given again. None: nothing is to be told.
        order: SQL of what ``read`` gives, by which versions of one key at one position are
            ordered; empty: there are none.
    """

    columns: tuple[SourceColumn, ...]
    read: Callable[[], str]
    ended: Callable[[str], Ended]
    replaces: bool = False
    acknowledge: Callable[[], None] | None = None
    order: str = ""


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

        Where every load brings all that is new, the newest of them stands for all.

        Raises:
            SourceError: The source cannot be read.
        """
        ...


@dataclass(frozen=True)
class Lag:
    """How far reading is behind a change log.

    Attributes:
        since: When the oldest change that was not read was made (UTC); None: all was read, or no
            change that waits tells its time.
        bytes: Bytes of the log that wait; None: not known.
        events: Events of the log that wait; None: not known.
        at_least: Whether more events may wait: they were counted no further.
    """

    since: datetime | None
    bytes: int | None = None
    events: int | None = None
    at_least: bool = False


@runtime_checkable
class TellsLag(ChangeSource, Protocol):
    """A change source that can say cheaply how far reading is behind, without reading on."""

    def lag(self, access: Access, cursor: str) -> Lag:
        """How far reading is behind.

        Args:
            access: What to read through.
            cursor: Where the last load ended.

        Raises:
            SourceError: The source cannot be read.
        """
        ...


AnySource = WindowSource | ChangeSource
