"""Connections of the sources as Dagster resources: configuration and secrets, nothing else.

Belongs here: where a source's system is and how to sign in there, configured with ``EnvVar`` so
that a secret is in no file and no UI. Does not belong here: reading (``sources``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import cast, get_args

import dagster as dg
from pydantic import Field, SecretStr

from platform_assets.errors import SettingsError
from platform_assets.sources.connections import Database, DatabaseKind, HttpEndpoint


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


class DatabaseResource(ConnectionResource):
    """A database that tables are read from; configure the password with ``EnvVar``.

    Attributes:
        kind: ``sqlite``, ``postgres`` or ``mysql`` (MariaDB too).
        path: The file of a SQLite database.
        host: The server.
        port: Its port; None: the usual one.
        database: The database on the server.
        user: Who signs in; a user that may only read is enough.
        password: Never shown.
    """

    kind: str = Field(description="sqlite, postgres or mysql.")
    path: str = Field(default="", description="The file of a SQLite database.")
    host: str = Field(default="127.0.0.1", description="The server.")
    port: int | None = Field(default=None, description="Its port; empty: the usual one.")
    database: str = Field(default="", description="The database on the server.")
    user: str = Field(default="", description="Who signs in.")
    password: str = Field(default="", repr=False, description="A secret: use EnvVar.")

    @property
    def connection(self) -> Database:
        """Where the database is and how to sign in."""
        if self.kind not in get_args(DatabaseKind):
            raise SettingsError(
                "There is no such kind of database",
                where="DatabaseResource(kind=…)",
                expected="one of " + ", ".join(get_args(DatabaseKind)),
                found=repr(self.kind),
                fix="correct the kind",
            )
        return Database(
            kind=cast("DatabaseKind", self.kind),
            path=Path(self.path) if self.path else None,
            host=self.host,
            port=self.port,
            database=self.database,
            user=self.user,
            password=SecretStr(self.password) if self.password else None,
        )


class HttpEndpointResource(ConnectionResource):
    """A server that streams over HTTP; configure the token with ``EnvVar``.

    Attributes:
        url: Its address, without a secret.
        token: Sent as a bearer token; never shown.
    """

    url: str = Field(description="The server's address.")
    token: str = Field(default="", repr=False, description="A bearer token: use EnvVar.")

    @property
    def connection(self) -> HttpEndpoint:
        """Where the server is and how to sign in."""
        return HttpEndpoint(self.url, SecretStr(self.token) if self.token else None)
