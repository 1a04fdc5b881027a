"""Writers meet: on one table, on one partition, on a lake that does not exist yet."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline import load_raw
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets_tests.faults.conftest import Delivery, Undisturbed, assert_is_truth
from platform_assets_tests.faults.processes import (
    KILLED,
    PATIENCE_SECONDS,
    context,
    in_thread,
    together,
    worker,
)
from platform_assets_tests.faults.site import (
    DATASETS,
    Site,
    Work,
    assert_equal_contents,
    contents,
    observe,
)

WRITERS = 4
NEW_LAKES = 3


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A lake that does not exist yet."""
    return Site(tmp_path / "site")


def test_four_processes_publish_other_partitions_of_one_table(
    site: Site, month: Delivery, quiet_month: Undisturbed, tmp_path: Path
) -> None:
    whole = Work(site, month.folder, month.days, batch_bytes=30_000)
    replace(whole, datasets=("products", "customers"), batch_bytes=10**9).do()
    size = len(month.days) // WRITERS
    shares = [
        replace(whole, datasets=("orders",), days=month.days[n * size : (n + 1) * size])
        for n in range(WRITERS)
    ]

    together([share.do for share in shares], tmp_path / "errors")

    assert_equal_contents(contents(site), quiet_month.contents)
    with site.open() as connection:
        assert_is_truth(observe(connection), month.report)


@pytest.mark.parametrize("force", [False, True], ids=["new", "forced"])
def test_the_same_partitions_by_several_processes_come_out_once(
    site: Site, month: Delivery, quiet_month: Undisturbed, tmp_path: Path, *, force: bool
) -> None:
    work = Work(site, month.folder, month.days, batch_bytes=10**9)
    if force:
        work.do()

    together([replace(work, force=force).do] * WRITERS, tmp_path / "errors")

    # The ledger tells of every publish; the tables hold the last.
    assert_equal_contents(contents(site), quiet_month.contents, but=["ledger"])
    with site.open() as connection:
        assert_is_truth(observe(connection), month.report)


def test_four_processes_make_one_lake(month: Delivery, tmp_path: Path) -> None:
    days = month.days[:2]
    for number in range(NEW_LAKES):
        site = Site(tmp_path / f"new-{number}")
        works = [Work(site, month.folder, days, datasets=(d.name,)) for d in DATASETS]
        # What refers to others may be judged before they are there, so only loading is compared.
        loads = [functools.partial(_load, work) for work in (*works, works[0])]
        together(loads, site.root / "errors")
        with site.open() as connection:
            seen = observe(connection)
            assert _is_complete(connection)
        assert len(seen.published) == 2 * len(days) + 1
        for (asset, partition), attempt in seen.published.items():
            assert seen.rows[asset, partition].count == attempt.extracted > 0


def _load(work: Work) -> None:
    with work.site.open() as connection:
        for dataset in (each for each in DATASETS if each.name in work.datasets):
            keys = [UNPARTITIONED_KEY] if dataset.name == "products" else work.days
            assert not load_raw(work.step(dataset, connection), keys).failed


class _Mortal:
    """A connection whose process is killed in place of one of its statements."""

    def __init__(self, connection: Connection, lives: int) -> None:
        self._connection = connection
        self._lives = lives

    def execute(self, *arguments: Any) -> Connection:
        if self._lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._lives -= 1
        return self._connection.execute(*arguments)


def _make_tables(site: Site, lives: int) -> None:
    with site.open() as connection:
        tables.ensure_platform_tables(cast(Connection, _Mortal(connection, lives)))


TABLES = [
    "contracts",
    "corrections",
    "cursors",
    "drifts",
    "findings",
    "ledger",
    "profiles",
    "quarantine",
    "quarantine_actions",
    "rollbacks",
    "source_schemas",
]


def _is_complete(connection: Connection) -> bool:
    """Whether the platform's tables are there as they should be, with their options."""
    options = connection.execute(
        "SELECT scope_entry FROM lake.options() WHERE option_name = 'data_inlining_row_limit' "
        f"AND value = '{tables.INLINE_ROWS}' ORDER BY 1"
    ).fetchall()
    present = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'platform' ORDER BY 1"
    ).fetchall()
    inlined = sorted(f"platform.{name}" for name in tables.INLINED)
    return [name for (name,) in options] == inlined and [name for (name,) in present] == TABLES


def test_killed_at_each_statement_that_makes_the_tables_they_are_made_by_the_next(
    tmp_path: Path,
) -> None:
    lives = 0
    while True:
        site = Site(tmp_path / f"lake-{lives}")
        site.root.mkdir()
        with worker(functools.partial(_make_tables, site, lives), site.root / "e") as run:
            run.process.join(PATIENCE_SECONDS)
            code = run.process.exitcode
        with site.open() as connection:
            tables.ensure_platform_tables(connection)
            assert _is_complete(connection), f"killed in place of statement {lives}"
        if code != KILLED:
            assert code == 0
            break
        lives += 1
    assert lives > len(tables.SCHEMAS), "no statement was reached"


def test_killed_while_the_catalog_is_made_it_is_made_by_the_next(tmp_path: Path) -> None:
    for number in range(8):
        site = Site(tmp_path / f"lake-{number}")
        site.root.mkdir()
        with worker(functools.partial(_make_tables, site, -1), site.root / "e") as run:
            run.kill_after(0.02 * number)
        with site.open() as connection:
            tables.ensure_platform_tables(connection)
            assert _is_complete(connection)


def _hold_turn(site: Site, begun: Pipe) -> None:
    def work(connection: Connection) -> None:
        connection.execute("INSERT INTO lake.numbers SELECT 0 FROM range(20)")
        begun.send(True)
        threading.Event().wait()  # for ever: until it is killed

    with site.open() as connection:
        in_transaction(connection, work)


def test_a_killed_writer_gives_its_turn_away_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with site.open() as connection:
        connection.execute("CREATE TABLE lake.numbers (number INTEGER)")
        receiving, sending = context().Pipe(duplex=False)
        with worker(functools.partial(_hold_turn, site, sending), tmp_path / "e") as holder:
            assert receiving.poll(PATIENCE_SECONDS), "the writer hangs"
            waiting = in_thread(lambda: in_transaction(connection, _insert(1)))
            waiting.join(0.2)
            assert waiting.is_alive(), "it did not wait for its turn"
            assert holder.kill_after(0)
            waiting.join(PATIENCE_SECONDS)
        assert connection.execute(
            "SELECT number, count(*) FROM lake.numbers GROUP BY 1"
        ).fetchall() == [(1, 1)]


def test_a_long_transaction_is_not_starved_by_short_ones(site: Site) -> None:
    attempts = 0
    with site.open() as patient, site.open() as hasty:
        patient.execute("CREATE TABLE lake.numbers (number INTEGER)")
        threads: list[threading.Thread] = []

        def long(connection: Connection) -> None:
            nonlocal attempts
            attempts += 1
            connection.execute("INSERT INTO lake.numbers VALUES (1)")
            threads.append(in_thread(lambda: in_transaction(hasty, _insert(2))))
            threads[-1].join(0.2)

        in_transaction(patient, long)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert attempts == 1
        numbers = patient.execute("SELECT number FROM lake.numbers ORDER BY rowid").fetchall()
        assert numbers == [(1,), (2,)]


def test_a_reader_does_not_wait_for_a_writer(site: Site) -> None:
    with site.open() as writer, site.open() as reader:
        writer.execute("CREATE TABLE lake.numbers (number INTEGER)")

        def work(connection: Connection) -> list[Any]:
            connection.execute("INSERT INTO lake.numbers VALUES (1)")
            return reader.execute("SELECT count(*) FROM lake.numbers").fetchall()

        assert in_transaction(writer, work) == [(0,)]
        assert reader.execute("SELECT count(*) FROM lake.numbers").fetchall() == [(1,)]


def test_a_transaction_in_a_transaction_is_refused_not_waited_for(site: Site) -> None:
    with site.open() as connection:
        with pytest.raises(duckdb.TransactionException, match="within a transaction"):
            in_transaction(connection, lambda con: in_transaction(con, _insert(1)))
        # The outer transaction is over too: the connection is as good as new.
        connection.execute("CREATE TABLE lake.numbers (number INTEGER)")
        in_transaction(connection, _insert(1))


def _insert(number: int) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(f"INSERT INTO lake.numbers VALUES ({number})")
