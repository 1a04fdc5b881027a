"""What connections lead to: where a system is and how to sign in there.

Belongs here: plain values that a source is given. Does not belong here: Dagster's resources that
make them (``resources``), and reading through them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from platform_assets.errors import SettingsError


@dataclass(frozen=True)
class Bearer:
    """A token in the ``Authorization`` header."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class ApiKey:
    """A key in a header or a query parameter.

    Attributes:
        key: The secret.
        name: Of the header or parameter.
        location: Which of the two.
    """

    key: str = field(repr=False)
    name: str = "X-API-Key"
    location: Literal["header", "query"] = "header"


@dataclass(frozen=True)
class Basic:
    """User name and password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class ClientCredentials:
    """OAuth2 client credentials: a token that is asked for, and anew when it has expired.

    Attributes:
        token_url: Where tokens are given out.
        client_id: Who asks.
        client_secret: The secret.
        scope: What for; empty: not said.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""


Auth: TypeAlias = Bearer | ApiKey | Basic | ClientCredentials | None


@dataclass(frozen=True)
class RestApi:
    """An API that is spoken to over HTTP.

    Attributes:
        base_url: What the paths of its endpoints are added to.
        landing: Folder that answers are kept in.
        auth: How to sign in; it is sent to the base URL's own host and to no other.
        headers: Sent with every request to that host; a value may be a secret.
        requests_per_second: The most that all threads of a process send together; None: no limit.
        timeout: Seconds to wait for a connection, and for the next bytes of an answer.
        answer_seconds: Seconds that a whole answer may take.
        max_page_bytes: Bytes of one answer, unpacked.

    Raises:
        SettingsError: The base URL is none.
    """

    base_url: str
    landing: Path
    auth: Auth = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    requests_per_second: float | None = None
    timeout: float = 30.0
    answer_seconds: float = 300.0
    max_page_bytes: int = 32_000_000

    def __post_init__(self) -> None:
        """Refuse an address that cannot be spoken to, or holds a password."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise SettingsError(
                "The address of an API is not one",
                where="base_url of a RestApiResource",
                expected="https://host/path, without user name and password",
                found="something else (not shown: it may hold a password)",
                fix="correct it; how to sign in is said by `auth`",
            )


DatabaseKind = Literal["sqlite", "postgres", "mysql"]


@dataclass(frozen=True)
class Database:
    """A database that tables are read from.

    Attributes:
        kind: ``sqlite``, ``postgres`` or ``mysql`` (MariaDB too).
        path: The file of a SQLite database.
        host: The server.
        port: Its port; None: the usual one.
        database: The database on the server.
        user: Who signs in; a user that may only read is enough.
        password: Never shown.
    """

    kind: DatabaseKind
    path: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    database: str = ""
    user: str = ""
    password: SecretStr | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Where it is, for messages; without any secret."""
        if self.kind == "sqlite":
            return f"sqlite database {self.path}"
        port = f":{self.port}" if self.port else ""
        return f"{self.kind} database {self.database} on {self.host}{port}"


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3-compatible storage, or what lies below a prefix of it.

    Attributes:
        bucket: Its name.
        key_id: The access key's id.
        secret: The access key's secret.
        prefix: What the names of all files begin with, before ``/``; empty: the whole bucket.
        endpoint: Host and port, such as ``minio.internal:9000``; empty: Amazon's.
        region: Where it is.
        path_style: Whether the bucket's name stands in the path, and not in the host's name.
        ssl: Whether to connect by HTTPS.
    """

    bucket: str
    key_id: str
    secret: str = field(repr=False)
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = False
    ssl: bool = True

    @property
    def root(self) -> str:
        """What the url of every file begins with."""
        return "s3://" + "/".join(part for part in (self.bucket, self.prefix.strip("/")) if part)
