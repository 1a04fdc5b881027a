"""The guard: what is tried again, how often, after how long; what the breaker hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest
import requests
import stamina
from stamina.instrumentation import RetryDetails

from platform_assets.errors import SourceError
from platform_assets.sources.breaker import BreakerOpenError
from platform_assets.sources.failure import (
    PermanentSourceError,
    TransientSourceError,
    status_diagnosis,
)
from platform_assets.sources.retrying import ONCE, Guard, RetryPolicy

SECRET = "hunter2-secret"
AT_ONCE = RetryPolicy(wait_initial=0, wait_max=0, jitter=0)
REFUSED = requests.ConnectionError(f"https://x/?key={SECRET}: Connection refused")


class Calls:
    """A source that goes through a list of outcomes, the last one for ever."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)
        self.made = 0

    def __call__(self) -> object:
        outcome = self.outcomes[min(self.made, len(self.outcomes) - 1)]
        self.made += 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def waits() -> Iterator[list[float]]:
    """How long was waited before each further call."""
    seen: list[float] = []

    def note(details: RetryDetails) -> None:
        assert SECRET not in repr(details.caused_by)
        seen.append(details.wait_for)

    usual = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([note])
    yield seen
    stamina.instrumentation.set_on_retry_hooks(usual)


def test_a_retry_is_told_in_the_log_and_not_on_standard_output(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert Guard(policy=AT_ONCE)("shop", Calls(TimeoutError(), "answer")) == "answer"
    assert capsys.readouterr().out == ""
    assert [record.name for record in caplog.records] == ["stamina"]


def test_what_passes_is_tried_again_three_times_in_all() -> None:
    guard = Guard(policy=AT_ONCE)
    calls = Calls(REFUSED, TimeoutError(), "answer")
    assert guard("shop", calls) == "answer"
    assert calls.made == 3
    assert guard.breakers.state("shop").failures == 0
    calls = Calls(REFUSED)
    with pytest.raises(TransientSourceError, match="connection refused") as raised:
        guard("shop", calls, where="GET /orders")
    assert calls.made == 3
    assert raised.value.where == "connection 'shop', GET /orders"
    assert guard.breakers.state("shop").failures == 3
    assert guard.breakers.state("shop").last_failure == "connection refused"


def test_no_secret_is_chained_to_an_error() -> None:
    with pytest.raises(TransientSourceError) as raised:
        Guard(policy=AT_ONCE)("shop", Calls(REFUSED))
    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "error",
    [
        duckdb.CatalogException("Table does not exist"),
        requests.exceptions.SSLError(SECRET),
        PermissionError("no"),
    ],
)
def test_what_stays_is_not_tried_again_and_says_why(error: Exception) -> None:
    guard, calls = Guard(policy=AT_ONCE), Calls(error)
    with pytest.raises(PermanentSourceError, match="would refuse again"):
        guard("shop", calls)
    assert calls.made == 1


@pytest.mark.parametrize(
    "error",
    [SourceError("a column is missing"), duckdb.ConversionException("'x'"), KeyError("defect")],
)
def test_what_is_about_data_or_a_defect_is_raised_as_it_is(error: Exception) -> None:
    guard, calls = Guard(policy=AT_ONCE), Calls(error)
    with pytest.raises(type(error)) as raised:
        guard("shop", calls)
    assert raised.value is error
    assert calls.made == 1
    assert guard.breakers.state("shop").failures == 0


def test_a_source_that_answers_with_a_refusal_is_not_down() -> None:
    guard = Guard(policy=replace(AT_ONCE, attempts=4))
    with pytest.raises(TransientSourceError):
        guard("shop", Calls(TimeoutError()))
    assert guard.breakers.state("shop").failures == 4
    with pytest.raises(PermanentSourceError):
        guard("shop", Calls(duckdb.CatalogException("no such table: x")))
    assert guard.breakers.state("shop").failures == 0


def test_a_call_that_must_not_be_made_twice_is_made_once() -> None:
    calls = Calls(TimeoutError())
    with pytest.raises(TransientSourceError):
        Guard()("shop", calls, policy=ONCE)
    assert calls.made == 1


def test_an_open_breaker_ends_the_retries_and_refuses_at_once() -> None:
    guard, calls = Guard(policy=replace(AT_ONCE, attempts=10)), Calls(TimeoutError())
    with pytest.raises(TransientSourceError) as raised:
        guard("shop", calls)
    assert not isinstance(raised.value, BreakerOpenError)
    assert calls.made == 5
    with pytest.raises(BreakerOpenError, match="5 failures in a row"):
        guard("shop", calls)
    assert calls.made == 5
    assert guard("another", Calls("answer")) == "answer"


def test_a_process_that_is_interrupted_gives_a_trial_back() -> None:
    guard = Guard(policy=replace(AT_ONCE, attempts=10))
    with pytest.raises(TransientSourceError):
        guard("shop", Calls(TimeoutError()))
    opened = guard.breakers.state("shop").opened_at
    assert opened is not None
    guard.breakers.clock = lambda: opened + 61

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guard("shop", interrupted)
    with pytest.raises(KeyError):
        guard("shop", Calls(KeyError("a defect says nothing of the source")))
    assert guard("shop", Calls("answer")) == "answer"
    assert guard.breakers.state("shop").state == "closed"


def test_waits_grow_with_jitter_and_are_capped(waits: list[float]) -> None:
    policy = RetryPolicy(attempts=4, wait_initial=0.01, wait_max=0.03, jitter=0.005)
    with pytest.raises(TransientSourceError):
        Guard()("shop", Calls(TimeoutError()), policy=policy)
    for wait, least, most in zip(waits, (0.01, 0.02, 0.03), (0.015, 0.025, 0.03), strict=True):
        assert least - 1e-9 <= wait <= most + 1e-9


def asks(seconds: float) -> TransientSourceError:
    return TransientSourceError("busy", reason=status_diagnosis(429).reason, retry_after=seconds)


def test_retry_after_is_respected(waits: list[float]) -> None:
    calls = Calls(asks(0.05), asks(0.0), "answer")
    assert Guard()("shop", calls) == "answer"
    assert waits == [0.05, 0.0]


def test_one_that_asks_for_too_long_is_not_come_back_to_early(waits: list[float]) -> None:
    calls = Calls(asks(3600))
    with pytest.raises(TransientSourceError) as raised:
        Guard()("shop", calls)
    assert calls.made == 1
    assert waits == []
    assert raised.value.retry_after == 3600
