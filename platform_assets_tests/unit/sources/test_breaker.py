"""The breaker: opens, waits, lets one trial through; the same for all processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from platform_assets.errors import SettingsError
from platform_assets.sources.breaker import BreakerOpenError, BreakerStore, Permit


@dataclass
class Clock:
    now: float = 1_760_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> BreakerStore:
    path = tmp_path / "state" / "breakers.sqlite" if request.param == "file" else None
    return BreakerStore(path, clock=clock)


def fail(store: BreakerStore, times: int, name: str = "shop", reason: str = "timeout") -> None:
    for _ in range(times):
        store.failed(store.admit(name), reason)


def test_five_failures_in_a_row_open_it_and_the_error_says_all(
    store: BreakerStore, clock: Clock
) -> None:
    fail(store, 4)
    store.succeeded(store.admit("shop"))
    fail(store, 4)
    assert store.state("shop").state == "closed"
    clock.now += 10
    fail(store, 1, reason="connection refused")
    with pytest.raises(BreakerOpenError) as raised:
        store.admit("shop")
    text = str(raised.value)
    assert "connection 'shop'" in text
    assert "5 failures in a row since 2025-10-09 08:53:20 UTC" in text
    assert "the last one: connection refused" in text
    assert "tried again 2025-10-09 08:54:30 UTC" in text
    assert "platform-assets connections reset shop" in text
    store.admit("another")  # one that is down hurts only itself
    assert [each.connection for each in store.states()] == ["shop"]


def test_after_a_minute_one_trial_is_let_through_and_closes_it(
    store: BreakerStore, clock: Clock
) -> None:
    fail(store, 5)
    clock.now += 59.9
    with pytest.raises(BreakerOpenError):
        store.admit("shop")
    clock.now += 0.2
    trial = store.admit("shop")
    assert trial.trial
    assert store.state("shop").state == "half-opened"
    with pytest.raises(BreakerOpenError, match="the trial that is on its way"):
        store.admit("shop")
    store.succeeded(trial)
    assert store.state("shop").state == "closed"
    assert store.state("shop").failures == 0
    fail(store, 4)
    assert not store.admit("shop").trial


def test_a_trial_that_fails_opens_it_for_another_minute(store: BreakerStore, clock: Clock) -> None:
    fail(store, 5)
    clock.now += 61
    after = store.failed(store.admit("shop"), "HTTP 503")
    assert (after.state, after.failures, after.last_failure) == ("opened", 6, "HTTP 503")
    clock.now += 59
    with pytest.raises(BreakerOpenError, match="6 failures in a row"):
        store.admit("shop")
    clock.now += 2
    assert store.admit("shop").trial


def test_a_trial_whose_process_died_is_followed_by_another(
    store: BreakerStore, clock: Clock
) -> None:
    fail(store, 5)
    clock.now += 61
    dead = store.admit("shop")
    clock.now += 61
    second = store.admit("shop")
    assert second.trial
    # What the first one says now, if it lives after all, no longer counts.
    store.failed(dead, "timeout")
    assert store.state("shop").state == "half-opened"
    store.succeeded(second)
    assert store.state("shop").state == "closed"


def test_a_trial_that_learnt_nothing_is_had_by_another(store: BreakerStore, clock: Clock) -> None:
    fail(store, 5)
    clock.now += 61
    store.abandon(store.admit("shop"))
    assert store.next_try(store.state("shop")) == pytest.approx(clock.now - 1)
    assert store.admit("shop").trial


def test_a_late_result_of_before_changes_nothing(store: BreakerStore, clock: Clock) -> None:
    late = store.admit("shop")
    fail(store, 5)
    store.succeeded(late)
    assert store.state("shop").state == "opened"
    clock.now += 61
    store.succeeded(store.admit("shop"))
    assert store.failed(late, "timeout").failures == 0


def test_reset_closes_it_at_once(store: BreakerStore) -> None:
    fail(store, 5)
    assert store.reset("shop")
    assert not store.admit("shop").trial
    assert not store.reset("shop")
    assert not store.reset("never seen")


def test_a_file_that_was_deleted_is_made_anew(tmp_path: Path) -> None:
    store = BreakerStore(tmp_path / "breakers.sqlite")
    fail(store, 5)
    for path in tmp_path.iterdir():
        path.unlink()
    assert not store.admit("shop").trial
    assert store.states() == []


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="circuit breakers cannot be used"):
        BreakerStore(tmp_path / "file" / "breakers.sqlite").admit("shop")


def test_a_file_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "breakers.sqlite"
    path.write_text("no database, only text\n" * 100)
    with pytest.raises(SettingsError, match="circuit breakers cannot be used") as raised:
        BreakerStore(path).admit("shop")
    assert str(path) in raised.value.where


def test_threads_of_a_process_let_one_trial_through(store: BreakerStore, clock: Clock) -> None:
    fail(store, 5)
    clock.now += 61
    given: list[Permit] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        try:
            given.append(store.admit("shop"))
        except BreakerOpenError:
            return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [permit.trial for permit in given] == [True]


PROGRAM = """
import json, sys
from pathlib import Path
from platform_assets.sources.breaker import BreakerOpenError, BreakerStore

path, now, times = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
store = BreakerStore(path, failures=40, clock=lambda: now)
print("ready", flush=True)
sys.stdin.readline()
told = {"failed": 0, "refused": 0, "trials": 0}
for _ in range(times):
    try:
        permit = store.admit("shop")
    except BreakerOpenError:
        told["refused"] += 1
        continue
    told["trials"] += permit.trial
    if not permit.trial:
        store.failed(permit, "timeout")
        told["failed"] += 1
print(json.dumps(told), flush=True)
sys.stdin.readline()
"""


def start(path: Path, now: float, times: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(now), str(times)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def run_together(path: Path, now: float, times: int) -> list[dict[str, int]]:
    """Four processes at once, each killed after it has told what it saw."""
    processes = [start(path, now, times) for _ in range(4)]
    told = []
    try:
        for each in processes:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        for each in processes:
            assert each.stdout is not None
            told.append(json.loads(each.stdout.readline()))
    finally:
        for each in processes:
            each.kill()
            each.communicate()
    return told


def test_processes_share_it_and_a_kill_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "breakers.sqlite"  # not there yet: all four make it at once
    store = BreakerStore(path, failures=40, clock=clock)

    told = run_together(path, clock.now, times=25)
    # Not one of the failures was lost or counted twice. Calls that were let through before it
    # opened may come back after it: they are no failures of an open breaker.
    assert 40 <= sum(each["failed"] for each in told) <= 43
    assert sum(each["failed"] + each["refused"] for each in told) == 100
    assert store.state("shop").failures == 40
    assert store.state("shop").state == "opened"

    told = run_together(path, clock.now + 61, times=5)
    assert sorted(each["trials"] for each in told) == [0, 0, 0, 1]
    assert sum(each["refused"] for each in told) == 19
    # The process that had the trial was killed before it could say how it went.
    clock.now += 61 + 61
    trial = store.admit("shop")
    assert trial.trial
    store.succeeded(trial)
    assert store.state("shop").state == "closed"


@dataclass
class Model:
    """What a breaker is, in a few lines."""

    state: str = "closed"
    failures: int = 0
    since: float = 0.0
    trial: Permit | None = None
    current: list[Permit] = field(default_factory=list)


# None of them sum up to the minute itself, at which a breaker may be open or due.
WAITS = (0.7, 20.3, 61.0)


class BreakerMachine(RuleBasedStateMachine):
    """Random calls, results, waits and kills against the model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = BreakerStore(failures=3, seconds=60, clock=self.clock)
        self.model = Model()
        self.stale: list[Permit] = []

    def leave(self, state: str) -> None:
        self.stale += self.model.current
        self.model.current = []
        self.model.state, self.model.since = state, self.clock.now

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def call(self) -> None:
        model = self.model
        due = self.clock.now > model.since + 60
        if model.state == "half-opened":
            due = model.trial is None or self.clock.now >= model.since + 60
        if model.state != "closed" and not due:
            with pytest.raises(BreakerOpenError):
                self.store.admit("c")
            return
        permit = self.store.admit("c")
        assert permit.trial == (model.state != "closed")
        if permit.trial:
            self.leave("half-opened")
            model.trial = permit
        model.current.append(permit)

    @precondition(lambda self: self.model.current)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        model = self.model
        permit = data.draw(st.sampled_from(model.current))
        model.current.remove(permit)
        self.store.failed(permit, "timeout")
        model.failures += 1
        if permit.trial or model.failures >= 3:
            self.leave("opened")

    @precondition(lambda self: self.model.current)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        model = self.model
        permit = data.draw(st.sampled_from(model.current))
        model.current.remove(permit)
        self.store.succeeded(permit)
        model.failures = 0
        if permit.trial:
            self.leave("closed")

    @precondition(lambda self: self.model.current)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        permit = data.draw(st.sampled_from(self.model.current))
        self.model.current.remove(permit)
        self.store.abandon(permit)
        if permit.trial:
            self.model.trial = None

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), good=st.booleans())
    def come_late(self, data: st.DataObject, good: bool) -> None:
        permit = data.draw(st.sampled_from(self.stale))
        if good:
            self.store.succeeded(permit)
        else:
            self.store.failed(permit, "late")

    @rule()
    def reset(self) -> None:
        forgot = self.store.reset("c")
        assert forgot == (self.model.state != "closed" or self.model.failures > 0)
        if forgot:
            self.leave("closed")
            self.model.failures = 0

    @invariant()
    def same(self) -> None:
        found = self.store.state("c")
        assert (found.state, found.failures) == (self.model.state, self.model.failures)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
