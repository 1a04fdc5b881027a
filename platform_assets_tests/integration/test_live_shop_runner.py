"""The living shop as a process: it lives a day every so often, and ends when it is told to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from platform_assets.demo.live import LiveShop
from platform_assets.demo.live.runner import TOKEN_ENV, main

TOKEN = "a token that nobody may see"
PATIENCE_SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The shop in a process of its own, gone when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "platform_assets.demo.live", "--folder", str(folder), *options],
        cwd=ROOT,
        env={**os.environ, TOKEN_ENV: TOKEN, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)


def first_lines(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The URL that it says, and the line of the first day."""
    assert process.stdout is not None
    greeting, day = process.stdout.readline(), process.stdout.readline()
    found = re.fullmatch(r"products at (http://127\.0\.0\.1:\d+/products)\n", greeting)
    assert found, greeting
    return found[1], day


def get(url: str) -> int | None:
    """The status of an answer; None where nobody answers."""
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return requests.get(url, headers=headers, timeout=PATIENCE_SECONDS).status_code
    except requests.ConnectionError:
        return None


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold before patience ends."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.05)
    return held


def ended(process: subprocess.Popen[str]) -> str:
    """What else it printed; it ended well, and complained of nothing."""
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (0, "")
    return output


def test_it_lives_as_many_days_as_it_is_told(tmp_path: Path) -> None:
    with running(tmp_path, "--days", "3", "--day-seconds", "0.01", "--seed", "5") as process:
        output = ended(process)
    _, *days = output.splitlines()
    assert [line.split()[0] for line in days] == ["2025-01-01", "2025-01-02", "2025-01-03"]
    assert all("orders +" in line for line in days)
    assert TOKEN not in output
    shop = LiveShop.open(tmp_path)
    assert (shop.days, shop.parameters.seed) == (3, 5)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(tmp_path: Path, told: signal.Signals) -> None:
    options = ("--day-seconds", "600", "--inject", "down:api=up,slow:milliseconds=1")
    with running(tmp_path, *options) as process:
        url, _ = first_lines(process)
        assert get(url) == 200
        assert not (tmp_path / "shop.sqlite").exists()
        process.send_signal(told)
        assert ended(process) == ""
    assert get(url) is None
    # What it turned on is off again, and nobody holds the database.
    shop = LiveShop.open(tmp_path)
    assert (shop.acting, shop.days) == ({}, 1)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["shop.sqlite"]
    assert shop.database.exists()


def test_a_running_shop_can_be_switched(tmp_path: Path) -> None:
    with running(tmp_path, "--day-seconds", "600") as process:
        url, _ = first_lines(process)
        folder = ("--folder", str(tmp_path), "--switch")
        assert main([*folder, "--inject", "down:api=refused"]) == 0
        assert soon(lambda: get(url) is None)
        assert not (tmp_path / "shop.sqlite").exists()
        assert main([*folder, "--inject", "slow:milliseconds=1", "--inject-days", "2"]) == 0
        assert soon(lambda: get(url) == 200)
        assert LiveShop.open(tmp_path).acting["slow"]["milliseconds"] == "1"
        assert main(folder) == 0
        assert LiveShop.open(tmp_path).acting == {}
        process.send_signal(signal.SIGTERM)
        ended(process)


def test_what_was_on_before_stays_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_TOKEN", TOKEN)
    LiveShop.open(tmp_path).inject("drift")
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    options = ("--days", "1", "--day-seconds", "0", "--token-env", "OTHER_TOKEN")
    assert main(["--folder", str(tmp_path), *options, "--inject", "dup"]) == 0
    shop = LiveShop.open(tmp_path)
    assert shop.acting == {"drift": {}}
    assert {each.name for each in shop.truth().effects} == {"drift", "dup"}
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--inject", "chaos"), "does not know this misbehaviour"),
        (("--token-env", "NO_SUCH_VARIABLE"), "the environment variable NO_SUCH_VARIABLE"),
        (("--seed", "-1"), "too small"),
        (("--day-seconds", "-1"), "--day-seconds"),
        (("--days", "-1"), "--days"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.setenv(TOKEN_ENV, TOKEN)
    assert main(["--folder", str(tmp_path), *options]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert TOKEN not in captured.out + captured.err
