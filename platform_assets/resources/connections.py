"""Connections of the sources as Dagster resources: configuration and secrets, nothing else.

Belongs here: where a source's system is and how to sign in there, configured with ``EnvVar`` so
that a secret is in no file and no UI. Does not belong here: reading (``sources``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal, cast, get_args

import dagster as dg
from pydantic import Field, SecretStr

from platform_assets.errors import SettingsError
from platform_assets.settings import load_settings
from platform_assets.sources.connections import (
    ApiKey,
    Auth,
    Basic,
    Bearer,
    Bucket,
    ClientCredentials,
    Database,
    DatabaseKind,
    RestApi,
)


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


class RestApiResource(ConnectionResource):
    """An API that is spoken to over HTTP.

    Give secrets with ``EnvVar("NAME")``: then neither the UI nor a file shows them. What each kind
    of ``auth`` needs is said by the error where it is missing.

    Attributes:
        base_url: What the paths of its endpoints are added to.
        auth: How to sign in.
        requests_per_second: The most that a process sends; 0: no limit.
        timeout: Seconds to wait for a connection, and for the next bytes of an answer.
        max_page_mb: Megabytes of one answer, unpacked.
    """

    base_url: str = Field(description="What the paths of its endpoints are added to.")
    auth: Literal["none", "bearer", "api_key", "basic", "oauth2"] = Field(
        default="none", description="How to sign in."
    )
    token: str = Field(default="", repr=False, description="bearer: the token.")
    api_key: str = Field(default="", repr=False, description="api_key: the key.")
    api_key_name: str = Field(
        default="X-API-Key", description="api_key: name of the header or parameter."
    )
    api_key_in: Literal["header", "query"] = Field(
        default="header", description="api_key: where it is sent."
    )
    username: str = Field(default="", description="basic: the user's name.")
    password: str = Field(default="", repr=False, description="basic: the password.")
    token_url: str = Field(default="", description="oauth2: where tokens are given out.")
    client_id: str = Field(default="", description="oauth2: who asks.")
    client_secret: str = Field(default="", repr=False, description="oauth2: the secret.")
    scope: str = Field(default="", description="oauth2: what for.")
    headers: dict[str, str] = Field(
        default={}, repr=False, description="Sent with every request, such as an API version."
    )
    requests_per_second: float = Field(default=0.0, description="The most that a process sends.")
    timeout: float = Field(default=30.0, description="Seconds to wait for the next bytes.")
    max_page_mb: int = Field(default=32, description="Megabytes of one answer, unpacked.")

    @property
    def connection(self) -> RestApi:
        """Where the API is and how to sign in.

        Raises:
            SettingsError: What the kind of sign-in needs is missing.
        """
        return RestApi(
            base_url=self.base_url,
            landing=load_settings().landing,
            auth=self._auth(),
            headers=self.headers,
            requests_per_second=self.requests_per_second or None,
            timeout=self.timeout,
            max_page_bytes=self.max_page_mb * 1_000_000,
        )

    def _auth(self) -> Auth:
        if self.auth == "bearer":
            return Bearer(self._given("token"))
        if self.auth == "api_key":
            return ApiKey(self._given("api_key"), self.api_key_name, self.api_key_in)
        if self.auth == "basic":
            return Basic(self._given("username"), self._given("password"))
        if self.auth == "oauth2":
            return ClientCredentials(
                self._given("token_url"),
                self._given("client_id"),
                self._given("client_secret"),
                self.scope,
            )
        return None

    def _given(self, name: str) -> str:
        value = str(getattr(self, name))
        if value:
            return value
        raise SettingsError(
            "An API is to be signed in to, and what that needs is missing",
            where=f"RestApiResource(base_url={self.base_url!r}, auth={self.auth!r})",
            expected=f"{name}",
            found="nothing",
            fix=f"give it: {name}=EnvVar(…), and set the variable",
        )


class BucketResource(ConnectionResource):
    """A bucket of S3-compatible storage that files are delivered to.

    Attributes:
        bucket: Its name.
        key_id: The access key's id.
        secret: The access key's secret: pass ``EnvVar("…")``.
        prefix: What the names of all files begin with, before ``/``; empty: the whole bucket.
        endpoint: Host and port; empty: Amazon's.
        region: Where it is.
        path_style: Whether the bucket's name stands in the path, as MinIO and others want it.
        ssl: Whether to connect by HTTPS.
    """

    bucket: str = Field(description="The bucket's name.")
    key_id: str = Field(description="The access key's id.")
    secret: str = Field(description="The access key's secret, as an EnvVar.", repr=False)
    prefix: str = Field(default="", description="What the names of all files begin with.")
    endpoint: str = Field(default="", description="Host and port; empty: Amazon's.")
    region: str = Field(default="us-east-1", description="Where the bucket is.")
    path_style: bool = Field(default=False, description="The bucket's name stands in the path.")
    ssl: bool = Field(default=True, description="Connect by HTTPS.")

    @property
    def connection(self) -> Bucket:
        """The bucket."""
        return Bucket(
            bucket=self.bucket,
            key_id=self.key_id,
            secret=self.secret,
            prefix=self.prefix,
            endpoint=self.endpoint,
            region=self.region,
            path_style=self.path_style,
            ssl=self.ssl,
        )
