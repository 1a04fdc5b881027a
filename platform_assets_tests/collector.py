"""A collector of traces: a real HTTP server that takes OTLP, and the tree of what it took.

Belongs here: receiving and reading spans. Does not belong here: an assertion.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from platform_assets.observability import traces

PREFIX = "platform_assets."
STOP_SECONDS = 10.0


@dataclass
class Received:
    """A span as it arrived."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    attributes: dict[str, Any]
    started: int
    ended: int
    error: str | None
    events: list[dict[str, Any]]
    links: list[tuple[str, str]]

    @classmethod
    def of(cls, message: Message) -> Received:
        return cls(
            trace_id=message.trace_id.hex(),
            span_id=message.span_id.hex(),
            parent_id=message.parent_span_id.hex(),
            name=message.name,
            attributes=values(message.attributes),
            started=message.start_time_unix_nano,
            ended=message.end_time_unix_nano,
            error=message.status.message
            if message.status.code == Status.STATUS_CODE_ERROR
            else None,
            events=[{"name": e.name, **values(e.attributes)} for e in message.events],
            links=[(link.trace_id.hex(), link.span_id.hex()) for link in message.links],
        )

    def __getitem__(self, name: str) -> Any:
        """One of the platform's attributes."""
        return self.attributes[PREFIX + name]


def values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@dataclass
class Collector:
    """What a server took.

    Attributes:
        url: Where it listens.
        spans: The spans, in the order of arrival.
        services: What sent them.
        requests: How many requests came.
    """

    url: str
    spans: list[Received] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    requests: list[bytes] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.requests.append(body)
        for resource in request.resource_spans:
            self.services.add(str(values(resource.resource.attributes)["service.name"]))
            for scope in resource.scope_spans:
                self.spans += [Received.of(span) for span in scope.spans]

    def of_run(self, trace_id: str) -> list[Received]:
        """The spans of one trace, in the order in which they began."""
        return sorted((s for s in self.spans if s.trace_id == trace_id), key=lambda s: s.started)

    def root(self, trace_id: str) -> Received:
        """The span of a run as a whole: there is exactly one."""
        (root,) = [span for span in self.of_run(trace_id) if not span.parent_id]
        return root

    def below(self, span: Received) -> dict[str, Received]:
        """What is directly inside of a span, by name."""
        return {each.name: each for each in self.of_run(span.trace_id) if is_in(each, span)}

    def tree(self, span: Received) -> dict[str, Any]:
        """Names of all that is inside of a span; what is there several times is there once."""
        found: dict[str, Any] = {}
        for each in self.of_run(span.trace_id):
            if is_in(each, span):
                found.setdefault(each.name, {}).update(self.tree(each))
        return found


def is_in(span: Received, outer: Received) -> bool:
    return span.parent_id == outer.span_id


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


@contextmanager
def tracing(endpoint: str) -> Iterator[None]:
    """Runs of this process are traced, until the block ends and all spans are sent."""
    traces.stop(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        try:
            yield
        finally:
            traces.stop(STOP_SECONDS)


@contextmanager
def traced() -> Iterator[Collector]:
    """Runs of this process are traced, and their spans collected."""
    with collecting() as collector, tracing(collector.url):
        yield collector
