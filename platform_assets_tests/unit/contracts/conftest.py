"""What the tests of contracts share: one engine, and a way to judge rows of text."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest


@pytest.fixture(scope="session")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """Give an in-memory engine; its tables are temporary to each use."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        yield connection
