"""A living shop is killed in the middle of a day: the day is there whole, or not at all."""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from platform_assets.demo.live import LiveShop
from platform_assets.demo.live import database as database_module
from platform_assets_tests.faults.processes import KILLED, PATIENCE_SECONDS, together, worker
from platform_assets_tests.unit.demo.live.reading import everything

START = date(2025, 1, 1)
DAYS = 5


def founded(folder: Path) -> LiveShop:
    """The shop that is killed: with all that can be in a day's work."""
    shop = LiveShop.open(folder, start=START)
    for name in ("late", "dup", "drift", "garbage"):
        shop.inject(name, days=4)
    return shop


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the shop is after its days where nobody kills it."""
    shop = founded(tmp_path_factory.mktemp("undisturbed") / "shop")
    shop.advance(DAYS)
    return everything(shop.folder)


def die() -> None:
    """Die as by the out-of-memory killer."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Countdown:
    """Dies when it is called for the n-th time with something that matters."""

    def __init__(self, times: int, matters: Callable[[str], bool]) -> None:
        self._left = times
        self._matters = matters

    def __call__(self, what: object) -> None:
        self._left -= self._matters(str(what))
        if self._left == 0:
            die()


def before_statement(text: str, times: int) -> None:
    """Arrange to die when a statement begins, before it does anything."""
    countdown = _Countdown(times, lambda statement: statement.startswith(text))
    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(countdown)
        return connection

    database_module.sqlite3.connect = traced  # type: ignore[assignment] # in a process of its own


def before_rename(name: str, times: int) -> None:
    """Arrange to die when a file is finished, before it has its name."""
    countdown = _Countdown(times, lambda target: target.endswith(name))
    replace = Path.replace

    def counted(self: Path, target: Path) -> Path:
        countdown(target)
        return replace(self, target)

    Path.replace = counted  # type: ignore[method-assign,assignment] # in a process of its own


def advance(folder: Path, arrange: Callable[[], None], days: int) -> None:
    """What the process does that is killed."""
    shop = LiveShop.open(folder)
    arrange()
    shop.advance(days)


def found(folder: Path, arrange: Callable[[], None]) -> None:
    """As above, but it is killed while it founds the shop."""
    arrange()
    LiveShop.open(folder, start=START)


BEGUN, DAY_DONE = "BEGIN IMMEDIATE", "COMMIT"
MOMENTS = {
    "when the day begins": (2, before_statement, BEGUN, 1),
    "in the catalogue": (2, before_statement, "UPDATE _catalogue", 2),
    "in the schema": (4, before_statement, "ALTER TABLE", 1),
    "in the orders": (2, before_statement, "INSERT INTO orders", 20),
    "in the steps": (2, before_statement, "UPDATE orders SET status", 1),
    "in the tickets": (2, before_statement, "INSERT OR REPLACE INTO _tickets", 5),
    "in the outbox": (2, before_statement, "INSERT INTO _outbox", 4),
    "at the commit": (2, before_statement, DAY_DONE, 1),
    "after the commit": (2, before_statement, BEGUN, 2),
    "at the first file": (2, before_rename, ".ndjson", 1),
    "between the files": (2, before_rename, ".csv.gz", 2),
    "at the flag": (2, before_rename, ".flag", 1),
    "after the files": (2, before_statement, "DELETE FROM _outbox", 1),
    "at the commit of the outbox": (2, before_statement, DAY_DONE, 2),
    "on the next day": (2, before_statement, "INSERT INTO orders", 60),
}
"""The days lived before, and where in the next one the process dies."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_day_is_whole_or_not_at_all(
    tmp_path: Path, undisturbed: dict[str, Any], moment: str
) -> None:
    lived, arrange, what, times = MOMENTS[moment]
    shop = founded(tmp_path / "shop")
    shop.advance(lived)
    work = functools.partial(
        advance, shop.folder, functools.partial(arrange, what, times), DAYS - lived
    )
    with worker(work, tmp_path / "errors.txt") as process:
        process.process.join(PATIENCE_SECONDS)
        assert process.process.exitcode == KILLED
    again = LiveShop.open(shop.folder)
    again.advance(DAYS - again.days)
    assert everything(shop.folder) == undisturbed


@pytest.mark.parametrize(
    ("arrange", "what", "times"),
    [
        (before_statement, "CREATE TABLE orders", 1),
        (before_statement, "INSERT INTO customers", 50),
        (before_statement, DAY_DONE, 1),
        (before_rename, ".ndjson", 1),
        (before_statement, DAY_DONE, 2),
    ],
)
def test_a_killed_founding_is_made_up_for(
    tmp_path: Path, arrange: Callable[[str, int], None], what: str, times: int
) -> None:
    folder = tmp_path / "shop"
    work = functools.partial(found, folder, functools.partial(arrange, what, times))
    with worker(work, tmp_path / "errors.txt") as process:
        process.process.join(PATIENCE_SECONDS)
        assert process.process.exitcode == KILLED
    LiveShop.open(folder, start=START)
    other = LiveShop.open(tmp_path / "other", start=START)
    assert everything(folder) == everything(other.folder)


def test_a_shop_that_is_killed_again_and_again(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Wherever it happens to be: each process gets a little longer than the one before."""
    shop = founded(tmp_path / "shop")
    kills = 0
    for attempt in range(50):
        left = DAYS - shop.days
        if not left:
            break
        work = functools.partial(advance, shop.folder, _nothing, left)
        with worker(work, tmp_path / f"errors-{attempt}.txt") as process:
            kills += process.kill_after(0.01 * 1.25**attempt)
    LiveShop.open(shop.folder)
    assert kills > 0
    assert everything(shop.folder) == undisturbed


def test_two_processes_share_a_shop(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Each day is lived once, whoever lives it."""
    shop = founded(tmp_path / "shop")
    work = functools.partial(advance, shop.folder, _nothing, 2)
    together([work, work], tmp_path / "errors")
    shop.advance(DAYS - shop.days)
    assert shop.days == DAYS
    assert everything(shop.folder) == undisturbed


def test_two_processes_found_one_shop(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    work = functools.partial(found, folder, _nothing)
    together([work, work], tmp_path / "errors")
    other = LiveShop.open(tmp_path / "other", start=START)
    assert everything(folder) == everything(other.folder)


def _nothing() -> None:
    """Arrange nothing."""
