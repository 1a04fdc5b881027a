"""One thread for what is small, all for what is large, one where order counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from platform_assets.warehouse import threads
from platform_assets.warehouse.lake import Connection, connect
from platform_assets_tests.conftest import lake_in

SMALL, LARGE = threads.SMALL_BYTES - 1, threads.SMALL_BYTES


@pytest.fixture
def engine() -> Iterator[Connection]:
    with duckdb.connect(":memory:", config={"threads": 3}) as connection:
        yield connection


def at_work(connection: Connection) -> int:
    row = connection.execute("SELECT current_setting('threads')").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("held", "expected"), [(0, 1), (SMALL, 1), (LARGE, 3)])
def test_a_lake_begins_with_what_its_size_needs(
    engine: Connection, held: int, expected: int
) -> None:
    threads.begin(engine, held)
    assert at_work(engine) == expected


@pytest.mark.parametrize(("size", "expected"), [(SMALL, 1), (LARGE, 3), (None, 3)])
def test_all_are_used_for_what_is_large_or_unknown(
    engine: Connection, size: int | None, expected: int
) -> None:
    threads.begin(engine, 0)
    threads.use_all(engine, size)
    assert at_work(engine) == expected


def test_they_stay_at_work_when_something_small_comes_next(engine: Connection) -> None:
    threads.begin(engine, 0)
    threads.use_all(engine, LARGE)
    threads.use_all(engine, SMALL)
    assert at_work(engine) == 3


def test_a_number_that_was_set_stays(engine: Connection) -> None:
    engine.execute("SET threads = 2")
    threads.use_all(engine, LARGE)
    assert at_work(engine) == 2


def test_only_one_and_then_as_before_also_after_an_error(engine: Connection) -> None:
    def fail() -> None:
        with threads.only_one(engine):
            assert at_work(engine) == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert at_work(engine) == 3


def test_a_lake_is_opened_with_what_its_bytes_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(lake_in(tmp_path), threads=None)
    with connect(config) as lake:
        assert at_work(lake) == 1
        every = lake.execute("SELECT getvariable('platform_assets_threads')").fetchone()
        lake.execute("CREATE TABLE lake.platform.some AS FROM range(100_000)")
    monkeypatch.setattr(threads, "SMALL_BYTES", 100_000)
    with connect(config) as lake:
        assert (at_work(lake),) == every
    with connect(replace(config, threads=2)) as lake:
        assert at_work(lake) == 2
