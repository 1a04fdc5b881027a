"""How a source is called: through its connection's breaker, again where that may help.

Belongs here: the one guard that every call to a source's system goes through. Does not belong
here: what kind of failure an error is (``failure``), or the breaker's state (``breaker``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import stamina

from platform_assets.errors import PlatformError
from platform_assets.sources.breaker import BreakerOpenError, BreakerStore, Permit
from platform_assets.sources.failure import (
    Kind,
    TransientSourceError,
    as_source_error,
    diagnose,
)

T = TypeVar("T")

# By default a retry is told on standard output, which is for a command's own answer.
stamina.instrumentation.set_on_retry_hooks((stamina.instrumentation.LoggingOnRetryHook,))


@dataclass(frozen=True)
class RetryPolicy:
    """How often and when a call is made again.

    Attributes:
        attempts: Calls in all, the first one included.
        wait_initial: Seconds before the second call; doubled for each further one.
        wait_max: Seconds that a wait never exceeds.
        jitter: Up to so many seconds are added at random, so that callers do not come in step.
        retry_after_max: Seconds that the source may ask to be left alone for; where it asks for
            longer, the call fails at once instead of coming too early.
    """

    attempts: int = 3
    wait_initial: float = 0.5
    wait_max: float = 30.0
    jitter: float = 1.0
    retry_after_max: float = 120.0


ONCE = RetryPolicy(attempts=1)
"""For a call that must not be made twice."""


@dataclass(frozen=True)
class Guard:
    """What calls to a source's system go through: breaker, retries, errors without secrets.

    Calls are not to be nested: each failed attempt of the inner one would count twice.

    Attributes:
        breakers: Which connections are left alone.
        policy: How often a call is made again.
    """

    breakers: BreakerStore = field(default_factory=BreakerStore)
    policy: RetryPolicy = RetryPolicy()

    def __call__(
        self,
        connection: str,
        work: Callable[[], T],
        *,
        where: str = "",
        policy: RetryPolicy | None = None,
    ) -> T:
        """Call a source's system.

        Args:
            connection: The connection's name: calls through one connection share a breaker.
            work: The call; it may be made several times.
            where: What is called, for the message: a table, a path.
            policy: Another one than the guard's.

        Returns:
            What the call returned.

        Raises:
            BreakerOpenError: The connection is left alone; the call was not made.
            TransientSourceError: It did not answer, in any of the attempts.
            PermanentSourceError: It refused.
            Exception: An error that is about data, or no failure of a source: as it was raised.
        """
        chosen = policy or self.policy
        place = ", ".join(part for part in (f"connection {connection!r}", where) if part)

        def again(error: Exception) -> bool | float:
            if not isinstance(error, TransientSourceError) or isinstance(error, BreakerOpenError):
                return False
            if self.breakers.next_try(self.breakers.state(connection)) is not None:
                return False
            if error.retry_after is None:
                return True
            return error.retry_after if error.retry_after <= chosen.retry_after_max else False

        for attempt in stamina.retry_context(
            on=again,
            attempts=chosen.attempts,
            timeout=None,
            wait_initial=chosen.wait_initial,
            wait_max=chosen.wait_max,
            wait_jitter=chosen.jitter,
        ):
            with attempt:
                return self._attempt(connection, work, place)
        raise AssertionError("unreachable")  # the last attempt returns or raises

    def _attempt(self, connection: str, work: Callable[[], T], place: str) -> T:
        permit = self.breakers.admit(connection)
        reported = False
        try:
            result = work()
        except Exception as error:
            told = self._report(permit, error, place)
            reported = True
            if told is error:
                raise
        else:
            self.breakers.succeeded(permit)
            reported = True
            return result
        finally:
            if not reported:
                self.breakers.abandon(permit)
        # Raised out here, so that the driver's error with its secrets is not chained to it.
        raise told

    def _report(self, permit: Permit, error: Exception, place: str) -> Exception:
        """Tell the breaker what an error means for it; the error that is to be raised."""
        diagnosis = diagnose(error)
        if diagnosis is None:
            self.breakers.abandon(permit)
            return error
        if diagnosis.kind is Kind.TRANSIENT:
            self.breakers.failed(permit, diagnosis.reason)
        else:
            # It answered: that one table is missing must not close the way to the others.
            self.breakers.succeeded(permit)
        if isinstance(error, PlatformError) or diagnosis.kind is Kind.DATA:
            return error
        return as_source_error(diagnosis, error, place)
