"""What connections lead to: where a system is and how to sign in there.

Belongs here: plain values that a source is given. Does not belong here: Dagster's resources that
make them (``resources``), and reading through them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

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
class HttpEndpoint:
    """A server that streams over HTTP.

    Attributes:
        url: Its address, without a secret.
        token: Sent as a bearer token; never shown.
    """

    url: str
    token: SecretStr | None = field(default=None, repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with every request."""
        if self.token is None:
            return {}
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"}
