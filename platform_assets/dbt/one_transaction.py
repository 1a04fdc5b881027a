"""Gives dbt a transaction that is open already: all that a run of dbt does is one commit, or none.

Belongs here: what dbt is told of the connection that it works on. Does not belong here: beginning
and ending that transaction, which its owner does, and what is built in it (the project).

dbt-duckdb opens a connection for each node and commits after each model, so that a test sees a
model only once everybody does. Here every node gets the same connection, on which BEGIN, COMMIT and
ROLLBACK do nothing: a test sees what would be published, a reader what was, and whoever called dbt
commits, with whatever belongs to it, or does not. Whether nothing failed is told by dbt's result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from dbt.adapters.duckdb import environments
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments.local import LocalEnvironment
from dbt_common.exceptions import DbtRuntimeError

from platform_assets.warehouse.lake import Connection

# dbt sends each alone, if need be after a comment of its own.
_CONTROL = re.compile(
    r"\s*(/\*.*?\*/\s*)*(begin|start\s+transaction|commit|rollback|end)(\s+transaction)?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)


class _Cursor:
    """The connection as dbt's cursor; what begins or ends a transaction is left out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, bindings: Sequence[object] | None = None) -> object:
        if _CONTROL.fullmatch(sql):
            return self
        try:
            self._connection.execute(sql, bindings)
        except RuntimeError as error:
            # What dbt takes for a failure of the node, and not of itself.
            raise DbtRuntimeError(str(error)) from error
        return self

    def __getattr__(self, name: str) -> object:
        """All else, such as ``fetchall``, is the connection's."""
        return getattr(self._connection, name)


class _Handle:
    """What dbt takes for a connection of its own: it may neither close it nor take it back."""

    def __init__(self, connection: Connection) -> None:
        self._cursor = _Cursor(connection)

    def cursor(self) -> _Cursor:
        return self._cursor

    def rollback(self) -> None:
        """Do nothing: dbt ends every test so, and of a failed model its result tells."""

    def close(self) -> None:
        """Do nothing: the connection is its owner's."""


class _OneConnection(LocalEnvironment):
    """Where dbt runs its SQL: on one open connection."""

    def __init__(self, credentials: DuckDBCredentials, connection: Connection) -> None:
        super().__init__(credentials)
        self._handle = _Handle(connection)

    def handle(self) -> _Handle:
        return self._handle


@contextmanager
def dbt_on(connection: Connection) -> Iterator[None]:
    """Have every run of dbt in the block work on a connection, in its open transaction.

    Args:
        connection: An open lake, in a transaction; nobody else may use it meanwhile.
    """

    def create(credentials: DuckDBCredentials) -> _OneConnection:
        return _OneConnection(credentials, connection)

    # dbt-duckdb keeps the environment of its last run for the next one with the same profile.
    _forget()
    # The one place of dbt-duckdb that decides where SQL runs. It has no setting for it:
    # test_one_transaction.py fails where an upgrade changes that.
    with patch.object(environments, "create", create):
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call] # dbt's own
