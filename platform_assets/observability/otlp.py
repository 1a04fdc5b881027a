"""Spans kept by OpenTelemetry's SDK and sent by OTLP over HTTP.

Belongs here: all that imports the SDK; it is imported where traces are wanted, and nowhere else.
Does not belong here: what is a span (``traces``), and when a run begins and ends (``run_log``).

Where to and how is told by OpenTelemetry's own variables. A collector that does not answer costs a
run no more than the one bounded wait at its end, fails nothing, and is told of once.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from platform_assets import __version__
from platform_assets.observability.redaction import Redaction
from platform_assets.observability.traces import (
    SHOWN_FAILURES,
    Attributes,
    Value,
    error_of,
    root_span_id,
    trace_id,
)

SERVICE = "platform_assets"
_LOG = logging.getLogger(__name__)
# What says that a batch was not sent, and that spans were dropped as too many wait.
_SDK_LOGS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
_PROTOCOL = "http/protobuf"
_NANOSECONDS = 1_000_000_000


class _Ids(RandomIdGenerator):
    """Random ids, and those of a run where its root is made."""

    def __init__(self) -> None:
        self.root: ContextVar[tuple[int, int] | None] = ContextVar("root", default=None)

    def generate_trace_id(self) -> int:
        """The trace of the run, or a new one."""
        root = self.root.get()
        return root[0] if root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """The span of the run, or a new one."""
        root = self.root.get()
        return root[1] if root else super().generate_span_id()


class _Collector:
    """What is known of the collector.

    Attributes:
        is_down: Whether it did not answer when it was last tried.
        settled: Set where there is nothing to wait for: all was sent, or it is down.
    """

    def __init__(self) -> None:
        self.is_down = False
        self.settled = threading.Event()
        self._told = False

    def note_down(self, reason: str) -> None:
        """It does not answer; the first time, say so."""
        if not self._told:
            self._told = True
            _LOG.warning(
                "Traces cannot be sent, and this is said only once; runs go on without them: %s",
                Redaction.of(os.environ).text(reason),
            )
        # Last: who waits for this may be the end of the process.
        self.is_down = True
        self.settled.set()


class _Exporter(OTLPSpanExporter):
    """The exporter, whose lines of log are kept to one of ours."""

    def __init__(self, collector: _Collector) -> None:
        super().__init__()
        self._collector = collector

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        token = _asked.set(self._collector)
        try:
            result = super().export(spans)
        finally:
            _asked.reset(token)
        if result is SpanExportResult.SUCCESS:
            self._collector.is_down = False
        return result


_newest: _Collector | None = None
_asked: ContextVar[_Collector | None] = ContextVar("asked", default=None)


def _take_line(record: logging.LogRecord) -> bool:
    """What the SDK says, such as that spans are dropped: noted, and never let through."""
    collector = _asked.get() or _newest
    if collector is not None:
        collector.note_down(record.getMessage())
    return False


for _name in _SDK_LOGS:
    logging.getLogger(_name).addFilter(_take_line)


class _Stage:
    """A stage that is going on."""

    __slots__ = ("_made",)

    def __init__(self, made: trace.Span) -> None:
        self._made = made

    def set(self, **attributes: Value) -> None:
        """Add what has become known of it."""
        self._made.set_attributes(named(attributes))


@dataclass
class _At:
    """What a thread works for.

    Attributes:
        run: The run's span, as what is inside of it sees it.
        outer: What the thread worked for before: a step may make a run in its own process.
        before: OpenTelemetry's context of that time.
        step: The step that is going on.
        failures: How many things have failed in it.
    """

    run: Context
    outer: _At | None
    before: Context
    step: trace.Span | None = None
    failures: int = 0


def named(attributes: Attributes) -> dict[str, Value]:
    """Attributes by the names that a collector sees: their own, in the platform's namespace."""
    return {f"platform_assets.{name}": value for name, value in attributes.items()}


class OtlpRecorder:
    """Keeps the spans of this process and sends them in batches, in a thread of its own.

    Raises:
        ValueError: One of OpenTelemetry's variables has a wrong value.
        OSError: One of them names a file that is not there.
    """

    def __init__(self) -> None:
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL"
        )
        if protocol not in (None, "", _PROTOCOL):
            raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and not {_PROTOCOL}")
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=_resource(), id_generator=self._ids, shutdown_on_exit=False
        )
        global _newest  # noqa: PLW0603 # a process has one, but for those of tests
        self._collector = _newest = _Collector()
        # Where nobody takes them, spans beyond its queue are dropped, the oldest first.
        self._sender = BatchSpanProcessor(_Exporter(self._collector))
        self._provider.add_span_processor(self._sender)
        self._tracer = self._provider.get_tracer(SERVICE, __version__)
        self._at: ContextVar[_At | None] = ContextVar("at", default=None)

    def enter_run(self, run_id: str) -> None:
        """From here on, this thread works for a run."""
        inside = trace.set_span_in_context(NonRecordingSpan(self._root(run_id)), Context())
        self._at.set(_At(inside, self._at.get(), otel_context.get_current()))
        otel_context.attach(inside)

    def leave_run(self) -> None:
        """This thread works again for what it worked for before."""
        at = self._at.get()
        if at is not None:
            self._at.set(at.outer)
            otel_context.attach(at.before)

    def _root(self, run_id: str) -> SpanContext:
        """The run's span, as each process knows it; whether it is kept, they decide alike."""
        number = int(trace_id(run_id), 16)
        decision = self._provider.sampler.should_sample(Context(), number, "run").decision
        is_kept = decision is Decision.RECORD_AND_SAMPLE
        return SpanContext(
            trace_id=number,
            span_id=int(root_span_id(run_id), 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED if is_kept else 0),
        )

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
        """Keep the span of a run as a whole, which is the root of its trace."""
        root = self._root(run_id)
        links = [Link(self._root(parent_run_id))] if parent_run_id else []
        token = self._ids.root.set((root.trace_id, root.span_id))
        try:
            made = self._tracer.start_span(
                "run",
                context=Context(),
                links=[*links, *_launcher()],
                attributes=named(attributes),
                start_time=int(started * _NANOSECONDS),
            )
        finally:
            self._ids.root.reset(token)
        _conclude(made, error)
        made.end(int(max(started, ended) * _NANOSECONDS))

    def begin_step(self, name: str, attributes: Attributes) -> None:
        """A step of this thread's run begins."""
        at = self._at.get()
        if at is not None:
            made = self._tracer.start_span(name, context=at.run, attributes=named(attributes))
            at.step, at.failures = made, 0
            otel_context.attach(trace.set_span_in_context(made))

    def end_step(self, error: str) -> None:
        """It is over; of several things that failed in it, the first has said so."""
        at = self._at.get()
        if at is None or at.step is None:
            return
        if not at.failures:
            _conclude(at.step, error)
        at.step.end()
        at.step = None
        otel_context.attach(at.run)

    def tell(self, attributes: Attributes) -> None:
        """Add what has become known of the step."""
        at = self._at.get()
        if at is not None and at.step is not None:
            at.step.set_attributes(named(attributes))

    def note_failure(self, attributes: Attributes, message: str) -> None:
        """Something in the step failed; the first of it is what the step says."""
        at = self._at.get()
        if at is None or at.step is None:
            return
        if not at.failures:
            _conclude(at.step, message)
        if at.failures < SHOWN_FAILURES:
            at.step.add_event("failed", named({**attributes, "message": message}))
        at.failures += 1

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[_Stage]:
        """A stage within the step."""
        # The SDK would record the error's text, and its stack with the values in it.
        with self._tracer.start_as_current_span(
            name,
            attributes=named(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            try:
                yield _Stage(made)
            except BaseException as error:
                made.set_attribute("error.type", type(error).__name__)
                _conclude(made, error_of(error))
                raise

    def past(
        self, name: str, started: datetime, ended: datetime, attributes: Attributes, error: str
    ) -> None:
        """A stage that is over already."""
        made = self._tracer.start_span(
            name,
            attributes=named(attributes),
            start_time=int(started.timestamp() * _NANOSECONDS),
        )
        _conclude(made, error)
        made.end(int(ended.timestamp() * _NANOSECONDS))

    def ids(self) -> tuple[str, str] | None:
        """Trace and span that this thread works for, in hexadecimal."""
        at = trace.get_current_span().get_span_context()
        if not at.is_valid:
            return None
        return trace.format_trace_id(at.trace_id), trace.format_span_id(at.span_id)

    def flush(self, seconds: float) -> None:
        """Send what is kept, and wait for it so long at most."""
        # The SDK's own way waits for the exporter, however long that tries.
        settled = self._collector.settled
        settled.clear()

        def send() -> None:
            self._sender.force_flush()
            settled.set()

        threading.Thread(target=send, name="traces-flush", daemon=True).start()
        if seconds and not self._collector.is_down and not settled.wait(seconds):
            self._collector.note_down(f"the collector did not answer within {seconds:g} s")

    def stop(self, seconds: float) -> None:
        """Send what is kept, wait for it so long at most, and keep nothing more."""
        self.flush(seconds)
        threading.Thread(target=self._provider.shutdown, name="traces-stop", daemon=True).start()


def _conclude(made: trace.Span, error: str) -> None:
    """Say that a span ended in an error; one that did not says nothing, as is the custom."""
    if error:
        made.set_status(Status(StatusCode.ERROR, error))


def _resource() -> Resource:
    """What sends the spans; the standard variables go before."""
    made = Resource.create({"service.version": __version__})
    if str(made.attributes.get("service.name", "")).startswith("unknown_service"):
        return made.merge(Resource({"service.name": SERVICE}))
    return made


def _launcher() -> list[Link]:
    """What started this process, where it says so by the variable TRACEPARENT of W3C."""
    given = {
        name: os.environ[name.upper()]
        for name in ("traceparent", "tracestate")
        if name.upper() in os.environ
    }
    at = trace.get_current_span(
        TraceContextTextMapPropagator().extract(given, Context())
    ).get_span_context()
    return [Link(at)] if at.is_valid else []
