"""`contracts apply` is killed at any moment: the table is the old one or the new one, whole."""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.pipeline.contract_plan import apply, plan
from platform_assets.warehouse import migrate, schemas, tables
from platform_assets.warehouse.lake import Connection, LakeConfig, connect
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.faults.processes import KILLED, PATIENCE_SECONDS, worker
from platform_assets_tests.support import D1, text, things

pytestmark = pytest.mark.faults

KILLS = 10
SEED = 20250102
ROWS = 20_000


class Sale(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(decimal=(10, 2))
    note: str = Field(nullable=True)


class Another(Contract):
    """A sale: a column gone, one of another type, one renamed."""

    key: str = Key(source="sale_id")
    amount: int = Field()


OLD = {"sale_id": "VARCHAR", "amount": "DECIMAL(10,2)", "note": "VARCHAR"}
NEW = {"key": "VARCHAR", "amount": "BIGINT"}


def sales(contract: type[Contract]) -> Dataset:
    return things("sales", contract=contract)


def fill(config: LakeConfig, folder: Path) -> None:
    (folder / "sales").mkdir(parents=True, exist_ok=True)
    rows = (f"s{n},{n}.00,x" for n in range(ROWS))
    (folder / "sales" / f"{D1}.csv").write_text(text(*rows, header="sale_id,amount,note"))
    with connect(config) as lake:
        step = Step(sales(Sale), lake, "run-1", {"files": folder})
        load_raw(step, [D1])
        clean(step, [D1])


class Mortal:
    """A connection whose process is killed in place of one of its statements."""

    def __init__(self, connection: Connection, lives: int) -> None:
        self._connection = connection
        self._lives = lives

    def execute(self, *arguments: Any) -> Connection:
        if self._lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._lives -= 1
        return self._connection.execute(*arguments)


def change(config: LakeConfig, contract: type[Contract], lives: int = -1) -> None:
    with connect(config) as lake:
        dataset = sales(contract)
        apply(cast(Connection, Mortal(lake, lives)), dataset, plan(lake, dataset))


def killed_at(work: functools.partial[None], errors: Path) -> bool:
    """Run it in a process of its own; whether it was killed."""
    with worker(work, errors) as run:
        run.process.join(PATIENCE_SECONDS)
        code = run.process.exitcode
    assert code in (KILLED, 0)
    return code == KILLED


def seen(config: LakeConfig) -> tuple[bool, int]:
    """Whether the table is the new one, and how many versions are kept; nothing is half."""
    with connect(config) as lake:
        table = tables.cleaned_table("sales")
        held = migrate.table_columns(lake, table)
        columns = {name: kind for name, kind in held.items() if not name.startswith("_")}
        assert columns in (OLD, NEW)
        versions = schemas.contract_versions(lake, "sales")
        new = columns == NEW
        assert versions[-1].version == sales(Another if new else Sale).compiled.version
        key = "key" if new else "sale_id"
        found = lake.execute(
            f"SELECT count(*), count(DISTINCT {key}), sum(amount)::BIGINT FROM {table}"
        ).fetchone()
        assert found == (ROWS, ROWS, ROWS * (ROWS - 1) // 2)
        left = lake.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE '%\\_\\_new' "
            "ESCAPE '\\'"
        ).fetchone()
        assert left == (0,)
        return new, len(versions)


def test_killed_in_place_of_each_statement_apply_leaves_the_old_table(tmp_path: Path) -> None:
    config = lake_in(tmp_path)
    fill(config, tmp_path / "delivered")
    lives = 0
    while killed_at(functools.partial(change, config, Another, lives), tmp_path / f"{lives}.txt"):
        assert seen(config) == (False, 1), f"killed in place of statement {lives}"
        lives += 1
    assert seen(config) == (True, 2)
    assert lives > len(NEW), "no statement was reached"


def test_a_killed_apply_leaves_the_table_before_or_after(tmp_path: Path) -> None:
    config = lake_in(tmp_path)
    fill(config, tmp_path / "delivered")
    delays = random.Random(SEED)
    with worker(functools.partial(change, config, Another), tmp_path / "first.txt") as first:
        started = time.perf_counter()
        first.finish()
        length = time.perf_counter() - started
    was_new, versions = seen(config)
    assert was_new
    killed = 0
    for number in range(KILLS):
        target = Sale if was_new else Another
        delay = length * (number + delays.random()) / KILLS
        work = functools.partial(change, config, target)
        with worker(work, tmp_path / f"{number}.txt") as process:
            killed += process.kill_after(delay)
        is_new, kept = seen(config)
        assert kept == versions + (is_new is not was_new)
        was_new, versions = is_new, kept
    assert killed, "nothing was killed"
