"""A collector at its own pace: asked so often, and its last answer is told meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest

from platform_assets.observability.metrics.declared import Metric, Reading
from platform_assets.observability.metrics.paced import Paced

COUNT = Metric("platform_assets_asked_runs", "How often it was asked.")


class Asked:
    """Says how often it was asked; holds on where it is told to, fails where it is told to."""

    name = "asked"
    source = "here"
    metrics = (COUNT,)

    def __init__(self) -> None:
        self.times = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.broken = False

    def read(self) -> Sequence[Reading]:
        self.times += 1
        self.go_on.wait(30)
        if self.broken:
            raise RuntimeError("broken")
        return [COUNT.at(self.times)]


def told(paced: Paced) -> float:
    (reading,) = paced.read()
    return float(reading.sample.value)


def until(value: float, paced: Paced) -> None:
    deadline = time.monotonic() + 20
    while told(paced) != value:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_is_asked_at_its_pace_and_told_at_once() -> None:
    now = [0.0]
    asked = Asked()
    paced = Paced(asked, timedelta(seconds=20), lambda: now[0])
    assert (paced.name, paced.source, paced.metrics) == ("asked", "here", (COUNT,))
    assert [told(paced), told(paced)] == [1, 1]
    now[0] = 19.9
    assert told(paced) == 1
    assert asked.times == 1
    asked.go_on.clear()
    now[0] = 20
    # It is at it, which may take long; nobody waits for that, and it is not asked again.
    assert told(paced) == 1
    now[0] = 100
    assert told(paced) == 1
    asked.go_on.set()
    until(2, paced)


def test_what_failed_is_told_until_it_is_answered() -> None:
    now = [0.0]
    asked = Asked()
    asked.broken = True
    paced = Paced(asked, timedelta(seconds=20), lambda: now[0])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            paced.read()
    assert asked.times == 1
    asked.broken, now[0] = False, 20.0
    deadline = time.monotonic() + 20
    while asked.times < 2 or not paced._asked.done():
        assert time.monotonic() < deadline
        with_old_answer(paced)
    assert told(paced) == 2


def with_old_answer(paced: Paced) -> None:
    try:
        paced.read()
    except RuntimeError:
        time.sleep(0.005)
