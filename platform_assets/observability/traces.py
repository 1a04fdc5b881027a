"""Spans: what a run does and how long it takes, by asset and stage; nothing where nobody collects.

Belongs here: what the pipeline and the warehouse call, the ids of a trace, and whether traces are
wanted. Does not belong here: how spans are kept and sent (``otlp``), and where a run and its steps
begin and end (``run_log``).

The standard variables of OpenTelemetry switch traces on. Where they do not, a span is a call that
returns an object that does nothing, and no module of OpenTelemetry's SDK is imported.

An attribute is a name, a count or a partition, and an error is told by its own text only where that
is the platform's: others may quote a row's value, and are told by their type.
"""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Protocol

from platform_assets.errors import PlatformError

_LOG = logging.getLogger(__name__)

Value = str | int | float | bool
Attributes = Mapping[str, Value]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
SHOWN_FAILURES = 20


class Span(Protocol):
    """A piece of work that is going on."""

    def set(self, **attributes: Value) -> None:
        """Add what has become known of it."""


class Recorder(Protocol):
    """What keeps spans; where one is inside of another is told by the context of the thread."""

    def enter_run(self, run_id: str) -> None:
        """From here on, this thread works for a run."""

    def leave_run(self) -> None:
        """This thread works again for what it worked for before, if anything."""

    def end_run(
        self,
        run_id: str,
        *,
        started: float,
        ended: float,
        attributes: Attributes,
        error: str,
        parent_run_id: str,
    ) -> None:
        """Keep the span of a run as a whole, which is the root of its trace.

        Args:
            run_id: The run.
            started: Seconds since 1970.
            ended: Seconds since 1970.
            attributes: What is known of it.
            error: Why it failed; empty: it did not.
            parent_run_id: The run that it repeats; empty: none.
        """

    def begin_step(self, name: str, attributes: Attributes) -> None:
        """A step of this thread's run begins."""

    def end_step(self, error: str) -> None:
        """It is over; ``error`` says why it failed, and is empty where it did not."""

    def tell(self, attributes: Attributes) -> None:
        """Add what has become known of the step."""

    def note_failure(self, attributes: Attributes, message: str) -> None:
        """Something in the step failed, which may end well all the same."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """A stage within the step."""

    def past(
        self, name: str, started: datetime, ended: datetime, attributes: Attributes, error: str
    ) -> None:
        """A stage that is over already; ``error`` says why it failed, where it did."""

    def ids(self) -> tuple[str, str] | None:
        """Trace and span that this thread works for, in hexadecimal; None: it works for none."""

    def flush(self, seconds: float) -> None:
        """Send what is kept, and wait for it so long at most; 0: do not wait."""

    def stop(self, seconds: float) -> None:
        """Send what is kept, wait for it so long at most, and keep nothing more."""


class _Nothing:
    """The span of a process that keeps none."""

    __slots__ = ()

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, **_: Value) -> None:
        """Do nothing."""


NOTHING = _Nothing()
Binder = Callable[[Mapping[str, str]], AbstractContextManager[None]]
_recorder: Recorder | None = None
_is_refused = False
_binder: Binder | None = None


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables of OpenTelemetry name a place to send traces to.

    Args:
        environment: The variables.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("", "otlp"):
        return False
    return any(environment.get(name, "").strip() for name in ENDPOINTS)


def start() -> Recorder | None:
    """Keep and send spans from here on, where that is wanted; what keeps them.

    To be called by what runs assets, as often as it likes.
    """
    global _recorder, _is_refused  # noqa: PLW0603 # a process has one, as it has one root logger
    if _recorder is None and not _is_refused and is_wanted(os.environ):
        try:
            # The SDK reads some of its variables while it is imported.
            from platform_assets.observability.otlp import OtlpRecorder

            _recorder = OtlpRecorder()
        except (ValueError, OSError) as error:
            _is_refused = True
            _LOG.warning("Traces are off: a variable OTEL_… has a wrong value: %s", error)
    return _recorder


def recorder() -> Recorder | None:
    """What keeps the spans of this process; None: nobody wants them."""
    return _recorder


def stop(seconds: float) -> None:
    """Send what is kept, wait for it so long at most, and keep no more spans.

    Args:
        seconds: How long to wait.
    """
    global _recorder, _is_refused  # noqa: PLW0603 # as above
    _is_refused = False
    if _recorder is not None:
        _recorder.stop(seconds)
        _recorder = None


def bind_with(binder: Binder | None) -> None:
    """Have something else know in which stage, and on which partition, a thread works.

    Args:
        binder: Given the names of both, as far as there are; None: nobody wants to know.
    """
    global _binder  # noqa: PLW0603 # as above
    _binder = binder


def span(
    name: str, *, partitions: Sequence[str] | None = None, **attributes: Value
) -> AbstractContextManager[Span]:
    """A stage of a step: to be entered with ``with``.

    Args:
        name: What is done, in the words of the glossary: ``extract``, ``audit``, ``publish``.
        partitions: The partitions that it is done to.
        **attributes: What is known of it, such as ``table``; never a row's value.
    """
    if _recorder is None and _binder is None:
        return NOTHING
    return _span(name, {**attributes, **_told(partitions)})


@contextmanager
def _span(name: str, attributes: Attributes) -> Iterator[Span]:
    if _recorder is None:
        with _bound(name, attributes):
            yield NOTHING
        return
    with _recorder.span(name, attributes) as made, _bound(name, attributes):
        yield made


def _bound(name: str, attributes: Attributes) -> AbstractContextManager[object]:
    if _binder is None:
        return NOTHING
    one = attributes.get("partition")
    return _binder({"stage": name, **({"partition": str(one)} if one is not None else {})})


def past(
    name: str, started: datetime, ended: datetime, *, error: str = "", **attributes: Value
) -> None:
    """A stage that is over already, because something else did it and has told of it.

    Args:
        name: What was done.
        started: When it began, with a time zone.
        ended: When it was over.
        error: Why it failed, without a row's value; empty: it did not.
        **attributes: What is known of it.
    """
    if _recorder is not None:
        _recorder.past(name, started, ended, attributes, error)


def tell(*, partitions: Sequence[str] | None = None, **attributes: Value) -> None:
    """Add what has become known of the asset's step.

    Args:
        partitions: The partitions that it works on.
        **attributes: What is known of it.
    """
    if _recorder is not None:
        _recorder.tell({**attributes, **_told(partitions)})


def note_failure(message: str, **attributes: Value) -> None:
    """Have the asset's step say that something in it failed, such as one of its partitions.

    Args:
        message: Why, without a row's value.
        **attributes: What failed.
    """
    if _recorder is not None:
        _recorder.note_failure(attributes, message)


def ids() -> tuple[str, str] | None:
    """Trace and span that this thread works for, in hexadecimal; None: it works for none."""
    return _recorder.ids() if _recorder is not None else None


def trace_id(run_id: str) -> str:
    """The trace of a run, in hexadecimal: its run id without the hyphens.

    Whoever knows the run knows its trace: each of its processes, a log line, a person.

    Args:
        run_id: The run; where its id is no UUID, the trace's id is a digest of it.
    """
    try:
        number = uuid.UUID(run_id)
    except ValueError:
        return hashlib.sha256(run_id.encode()).hexdigest()[:32]
    return number.hex


def root_span_id(run_id: str) -> str:
    """The span of a run as a whole, in hexadecimal: a digest of its id.

    Args:
        run_id: The run.
    """
    return hashlib.sha256(f"root of {run_id}".encode()).hexdigest()[:16]


def error_of(error: BaseException) -> str:
    """An error as a span may tell of it.

    Args:
        error: The error; only the platform's own tell no value of a row.
    """
    return str(error) if isinstance(error, PlatformError) else type(error).__name__


def _told(partitions: Sequence[str] | None) -> dict[str, Value]:
    """Partitions as attributes, of which a trace must not have hundreds."""
    if not partitions:
        return {}
    if len(partitions) == 1:
        return {"partitions": 1, "partition": partitions[0]}
    return {
        "partitions": len(partitions),
        "first_partition": min(partitions),
        "last_partition": max(partitions),
    }
