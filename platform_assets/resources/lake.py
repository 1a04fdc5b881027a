"""The lake as a Dagster resource.

Belongs here: opening it for steps. Does not belong here: what is done with it (``warehouse``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field, PrivateAttr

from platform_assets.contracts import pii_session_variables
from platform_assets.settings import Settings, load_settings
from platform_assets.warehouse.lake import LakeConfig, connect


def lake_config(settings: Settings) -> LakeConfig:
    """Where the lake of these settings is and what its engine may use."""
    key = settings.pii_key_bytes
    return LakeConfig(
        catalog=settings.catalog.absolute(),
        files=settings.files.absolute(),
        scratch=settings.scratch.absolute(),
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        variables=pii_session_variables(key) if key else {},
    )


class LakeResource(DuckDBResource):
    """The lake as a ``DuckDBResource``: DuckDB with the lake attached as ``lake``.

    Unlike its base it closes the connection also after an exception. Opening the lake takes 0.15 s,
    so the steps that Dagster runs in one process share a connection, which is closed when they
    are done. Where the lake is, is read from the settings when a connection is opened, so that no
    secret is part of Dagster's configuration.
    """

    database: str = Field(
        default=":memory:", description="The engine's own database; the lake is attached to it."
    )
    _shared: bool = PrivateAttr(default=False)
    _held: ExitStack = PrivateAttr(default_factory=ExitStack)
    _connection: duckdb.DuckDBPyConnection | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Keep the first connection that a step asks for."""
        self._shared = True

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the connection that was kept."""
        self.release()
        self._shared = False

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """An open lake; closed when the block ends, or kept for the next step of the process.

        After an exception the next one gets a new connection.
        """
        if not self._shared:
            with connect(self.config) as connection:
                yield connection
            return
        if self._connection is None:
            self._connection = self._held.enter_context(connect(self.config))
        try:
            yield self._connection
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Close the connection that is kept, for an engine that needs its memory."""
        self._connection = None
        self._held.close()

    @property
    def config(self) -> LakeConfig:
        """Where the lake is and what its engine may use."""
        return lake_config(load_settings())
