"""Every kind of source behind one face: how rows of sales are put there, and what it can tell.

Belongs here: what an adapter of a kind offers, and the servers that kinds share. Does not belong
here: the adapters (``file_kinds``, ``event_kinds``, ``table_kinds``), or an assertion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from platform_assets.sources.change_source import AnySource
from platform_assets.sources.connections import Database
from platform_assets_tests.buckets import Storage, bucket_server
from platform_assets_tests.servers import free_port, mariadb_server, postgres_server
from platform_assets_tests.source_tables import NOON, Row

COLUMNS = ("sale_id", "amount", "status", "note", "sold_at", "updated_at")
COLOUR = "red"
"""What rows hold in the column ``colour``, once the source has it."""
TOKEN = "a-secret-token-of-the-tests"


@dataclass
class Servers:
    """Servers that all tests of a module share, each started when it is first asked for."""

    stack: ExitStack

    @cached_property
    def postgres(self) -> Database:
        """A Postgres with logical decoding."""
        return self.stack.enter_context(postgres_server())

    @cached_property
    def mariadb(self) -> Database:
        """A MariaDB."""
        return self.stack.enter_context(mariadb_server())

    @cached_property
    def bucket(self) -> Storage:
        """S3-compatible storage."""
        return self.stack.enter_context(bucket_server())


@dataclass
class SourceKind(ABC):
    """A source of sales, and the model of what it holds.

    Attributes:
        folder: A folder of its own.
        rows: What it holds now, by key.
        clock: The newest time of change.
        coloured: Whether the source has a further column, ``colour``.
        noteless: Whether the source has lost its column ``note``.
    """

    sees_deletes: ClassVar[bool] = True
    """Whether a row that is deleted leaves the cleaned table."""
    rereads: ClassVar[bool] = False
    """Whether it is read in full each time, since it cannot tell what has changed."""
    lands_anew: ClassVar[bool] = False
    """Whether a forced load keeps the same rows under another load's name."""
    absent_is_null: ClassVar[bool] = False
    """Whether a name that is in no record is a null, and no change of the schema."""
    folder: Path
    rows: dict[int, Row] = field(default_factory=dict)
    clock: datetime = NOON
    coloured: bool = False
    noteless: bool = False

    def __post_init__(self) -> None:  # noqa: B027 # most kinds need nothing
        """Make what has to be there."""

    @property
    @abstractmethod
    def source(self) -> AnySource:
        """What a dataset declares."""

    @property
    def amount_type(self) -> str:
        """The type of the column ``amount``, as the source tells it."""
        return "VARCHAR"

    @property
    @abstractmethod
    def connections(self) -> dict[str, object]:
        """What the source reads through, as things are now."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that the source has now."""
        own = (name for name in COLUMNS if name != "note" or not self.noteless)
        return (*own, *(["colour"] if self.coloured else []))

    def put(self, *rows: Row) -> None:
        """Insert or update rows, changed now."""
        for each in rows:
            self.clock += timedelta(minutes=1)
            # What no record tells is null.
            note = None if self.noteless else each.note
            row = replace(each, updated_at=self.clock, note=note)
            self.written({row.sale_id: row})

    def delete(self, sale_id: int) -> None:
        """Delete a row."""
        self.removed(self.rows[sale_id])

    @abstractmethod
    def written(self, rows: Mapping[int, Row]) -> None:
        """Have rows inserted or updated at the source."""

    @abstractmethod
    def removed(self, row: Row) -> None:
        """Have a row deleted at the source."""

    def add_column(self) -> None:
        """Give the source the column ``colour``; what is put from now on has a value in it."""
        self.coloured = True

    def drop_column(self) -> None:
        """Take the column ``note`` from the source; what is put from now on has none."""
        self.noteless = True

    @abstractmethod
    def go_down(self) -> None:
        """Be gone."""

    @abstractmethod
    def come_up(self) -> None:
        """Be back, with all that it held."""

    def record(self, row: Row) -> dict[str, Any]:
        """A row as the source has it: values by column."""
        values = {**vars(row), "colour": COLOUR}
        return {name: values[name] for name in self.names}

    def texts(self, row: Row) -> dict[str, str | None]:
        """A row as a source that is text has it."""
        return {k: None if v is None else str(v) for k, v in self.record(row).items()}


class FolderGone(SourceKind):
    """A source in a folder, which can be moved away."""

    @property
    def place(self) -> Path:
        return self.folder / "delivered"

    @property
    def connections(self) -> dict[str, object]:
        return {"files": self.place}

    def go_down(self) -> None:
        self.place.rename(self.folder / "elsewhere")

    def come_up(self) -> None:
        (self.folder / "elsewhere").rename(self.place)


def refusing() -> str:
    """An address where nobody answers."""
    return f"127.0.0.1:{free_port()}"


Make = Callable[[Path, Servers], AbstractContextManager[SourceKind]]
"""Makes a source of a kind, in a folder of its own."""


def in_a_folder(kind: Callable[[Path], SourceKind]) -> Make:
    """Makes a kind that needs no more than a folder."""

    @contextmanager
    def make(folder: Path, servers: Servers) -> Iterator[SourceKind]:
        del servers
        yield kind(folder)

    return make
