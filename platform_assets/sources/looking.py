"""Looking at a source without loading it: what a proposal of a contract is made from.

Belongs here: what a source offers for that beyond ``base``. Does not belong here: what is made of
it (``scaffold``).

A ``WindowSource`` needs none of this: its own relation can be sampled.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from platform_assets.sources.base import Access, SourceColumn


@dataclass(frozen=True)
class Look:
    """All rows of a source, to be read or not.

    Attributes:
        columns: The columns as the source tells them.
        relation: A relation of them, for the engine's FROM; nothing is read before it is asked.
        primary_key: The columns that the source's system declares as key; empty: none.
    """

    columns: tuple[SourceColumn, ...]
    relation: str
    primary_key: tuple[str, ...] = ()


@runtime_checkable
class Lookable(Protocol):
    """A source that can be looked at, such as a table of a database."""

    def look(self, access: Access) -> AbstractContextManager[Look]:
        """The source, open as long as the block lasts.

        Raises:
            SourceError: The source cannot be read.
        """
        ...
