"""Connections of the sources as Dagster resources: configuration and secrets, nothing else.

Belongs here: where a source's system is and how to sign in there, configured with ``EnvVar`` so
that a secret is in no file and no UI. Does not belong here: reading (``sources``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import dagster as dg
from pydantic import Field


class ConnectionResource(dg.ConfigurableResource, ABC):  # type: ignore[type-arg] # holds no inner value
    """What a source reads through; each kind of connection is a subclass."""

    @property
    @abstractmethod
    def connection(self) -> object:
        """What ``Access.connection`` gives to a source."""


class FolderResource(ConnectionResource):
    """A folder that files are delivered to.

    Attributes:
        path: The folder, absolute or relative to where Dagster was started.
    """

    path: str = Field(description="The folder that files are delivered to.")

    @property
    def connection(self) -> Path:
        """The folder."""
        return Path(self.path)
