"""Debezium's events from a stream over HTTP: taken in helpings, gone on with by position."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.errors import ContractError
from platform_assets.sources.base import Access
from platform_assets.sources.change_source import Lag
from platform_assets.sources.change_stream import DebeziumStream, HttpLines
from platform_assets.sources.connections import Bearer, RestApi
from platform_assets.warehouse.lake import connect
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.logs import (
    SECOND,
    Event,
    Sync,
    accounted,
    current,
    event,
    lines,
    values,
)
from platform_assets_tests.source_tables import DAYS, sales

TOKEN = "a-secret-token"
PAUSE_SECONDS = 60


class Log:
    """A log that a server streams.

    Attributes:
        events: What it holds, in the order of positions.
        asked: The positions that were asked for.
        breaks_after: Bytes after which the connection breaks; None: it does not.
        pauses: Whether the answer stays open at its end.
        last: What it says after its events.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.asked: list[str | None] = []
        self.breaks_after: int | None = None
        self.pauses = False
        self.last = ""
        self.over = threading.Event()

    def answer(self, request: Request) -> Response:
        after = request.args.get("after")
        self.asked.append(after)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Response(status=401)
        told = [e for e in self.events if after is None or e.position > int(after)]
        body = (lines(told) + self.last).encode()
        if self.breaks_after is not None:
            # More is announced than comes.
            return Response(body[: self.breaks_after], headers={"Content-Length": str(len(body))})
        return Response(self._chunks(body))

    def _chunks(self, body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]
        if self.pauses:
            self.over.wait(PAUSE_SECONDS)


@pytest.fixture
def log(httpserver: HTTPServer) -> Log:
    made = Log()
    httpserver.expect_request("/changes").respond_with_handler(made.answer)
    return made


@pytest.fixture
def sync(httpserver: HTTPServer, log: Log, tmp_path: Path) -> Iterator[Sync]:
    with connect(lake_in(tmp_path)) as lake:
        yield Sync(_dataset(), lake, {"stream": _api(httpserver.url_for(""), TOKEN)})


def _api(url: str, token: str) -> RestApi:
    return RestApi(url, Path(), auth=Bearer(token))


def _dataset(**options: Any) -> Any:
    return sales(DebeziumStream(HttpLines("/changes"), **options), max_bad_share=1.0)


def test_the_stream_is_gone_on_with_from_the_last_position(sync: Sync, log: Log) -> None:
    sync()
    log.events += [event("c", 1, 1), event("c", 2, 2, 2), event("u", 1, 3)]
    loaded, cleaned = sync()
    assert all(control.holds for control in loaded.controls)
    assert accounted(cleaned)
    log.events += [event("d", 2, 4, 2)]
    sync()
    assert sync.cleaned() == values(current(log.events))
    loaded, _ = sync()
    assert {e.status for e in loaded.entries.values()} == {Status.UNCHANGED}
    assert log.asked == [None, None, "3", "4"]


def test_a_load_takes_so_many_events_and_never_cuts_a_position_in_two(sync: Sync, log: Log) -> None:
    sync.dataset = _dataset(max_events=3)
    log.events += [event("c", 1, 1), event("c", 2, 2), event("c", 3, 2), event("c", 4, 2)]
    loaded, _ = sync()
    assert "3 events were taken" in loaded.notes[0]
    assert sorted(sync.cleaned()) == [1, 2, 3]
    # Position 2 is asked for again; what is held of it is left out.
    log.events += [event("c", 5, 3)]
    sync.dataset = _dataset(max_events=4)
    for _ in range(3):
        loaded, cleaned = sync()
        assert all(control.holds for control in loaded.controls)
        assert accounted(cleaned)
    assert sorted(sync.cleaned()) == [1, 2, 3, 4, 5]
    assert len(sync.raw()) == 5


def test_more_events_at_a_position_than_a_load_takes(sync: Sync, log: Log) -> None:
    sync.dataset = _dataset(max_events=2)
    log.events += [event("c", key, 1) for key in (1, 2, 3)]
    loaded, _ = sync()
    assert "More events share one position" in loaded.failed[DAYS[0]].message


def test_a_connection_that_breaks_off_loses_and_doubles_nothing(sync: Sync, log: Log) -> None:
    log.events += [event("c", key, key) for key in range(1, 30)]
    log.breaks_after = 4000
    loaded, _ = sync()
    assert "broke off within an event" in loaded.notes[0]
    taken = len(sync.cleaned())
    assert 0 < taken < 29
    log.breaks_after = None
    loaded, _ = sync()
    assert all(control.holds for control in loaded.controls)
    assert sorted(sync.cleaned()) == list(range(1, 30))
    assert len(sync.raw()) == 29


def test_a_stream_that_stays_open_is_left_when_its_time_is_over(sync: Sync, log: Log) -> None:
    sync.dataset = _dataset(max_seconds=0.5)
    log.pauses = True
    log.events += [event("c", 1, 1), event("c", 2, 2)]
    started = time.monotonic()
    for _ in range(2):
        loaded, _ = sync()
        # That nothing comes for a while is no failure.
        assert not loaded.failed
    assert time.monotonic() - started < PAUSE_SECONDS
    log.over.set()
    assert sorted(sync.cleaned()) == [1, 2]
    assert len(sync.raw()) == 2


def test_a_stream_in_chunks_gives_what_has_come_while_it_stays_open(sync: Sync) -> None:
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for each in (event("c", 1, 1), event("c", 2, 2)):
                body = lines([each]).encode()
                self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
            over.wait(30)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            sync.dataset = _dataset(max_seconds=0.5)
            sync.connections = {"stream": _api(f"http://127.0.0.1:{server.server_port}", TOKEN)}
            sync()
        finally:
            over.set()
            server.shutdown()
            serving.join()
    assert sorted(sync.cleaned()) == [1, 2]


def test_the_schema_takes_nothing_from_the_stream(sync: Sync, log: Log) -> None:
    log.events += [event("c", 1, 1)]
    source = sync.dataset.source
    assert isinstance(source, DebeziumStream)
    found = source.schema(Access(sync.lake, sync.connections))
    assert {"sale_id", "amount"} <= {column.name for column in found}
    sync()
    assert sorted(sync.cleaned()) == [1]


def test_a_stream_that_refuses_or_is_down(sync: Sync, log: Log, httpserver: HTTPServer) -> None:
    sync.connections = {"stream": _api(httpserver.url_for(""), "another")}
    message = sync()[0].failed[DAYS[0]].message
    assert "HTTP 401" in message
    assert "another" not in message
    sync.connections = {"stream": _api("http://127.0.0.1:1", TOKEN)}
    assert "A source does not answer" in sync()[0].failed[DAYS[0]].message
    sync.connections = {}
    assert "RestApiResource" in sync()[0].failed[DAYS[0]].message
    with pytest.raises(ContractError, match="could take nothing"):
        _dataset(max_events=0)


def test_further_events_are_seen_without_taking_them(sync: Sync, log: Log) -> None:
    log.events += [event("c", 1, 1)]
    sync()
    assert sync.touched() == []
    log.events += [event("u", 1, 2)]
    assert sync.touched() == [DAYS[-1]]
    sync()
    assert sync.touched() == []


def at(position: int) -> datetime:
    """When the event of a position happened."""
    return datetime.fromtimestamp(SECOND / 1000 + position, UTC)


def test_how_far_reading_is_behind(sync: Sync, log: Log) -> None:
    log.events += [event("c", 1, 1)]
    sync()
    assert sync.lag() == Lag(None, events=0)
    log.events += [event("u", 1, 2), event("c", 2, 2), event("c", 3, 5)]
    assert sync.lag() == Lag(at(2), events=3)
    # A delete that tells only the key is one more; a tombstone says nothing.
    gone = {"op": "d", "before": None, "source": {"lsn": 6, "ts_ms": SECOND + 6000}}
    log.last = lines([{"key": {"sale_id": "3"}, "value": gone}, "null"])
    assert sync.lag() == Lag(at(2), events=4)
    assert sorted(sync.cleaned()) == [1], "nothing is taken by looking"
    log.last = ""

    # A load takes a part of it, and cannot know whether that is all of its last position.
    log.events += [event("u", 1, 6)]
    sync.dataset = _dataset(max_events=3)
    sync()
    assert sync.lag() == Lag(at(6), events=1)
    sync.dataset = _dataset()
    sync()
    assert sync.lag() == Lag(None, events=0)

    # So far behind that it is not counted to the end.
    log.events += [event("u", 1, position) for position in range(7, 1_107)]
    assert sync.lag() == Lag(at(7), events=1_000, at_least=True)


def test_a_stream_that_stays_open_is_not_behind_for_that(sync: Sync, log: Log) -> None:
    log.pauses = True
    log.events += [event("c", 1, 1), event("c", 2, 2), event("c", 3, 2)]
    sync.dataset = _dataset(max_seconds=0.6)
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        server.expect_request("/changes").respond_with_handler(log.answer)
        sync.connections = {"stream": _api(server.url_for(""), TOKEN)}
        try:
            sync()
            # Position 2 may go on: it is asked for again, and what is kept of it does not wait.
            assert sync.lag() == Lag(None, events=0, at_least=True)
            sync()
            assert sync.lag() == Lag(None, events=0, at_least=True)
            log.events += [event("c", 4, 2), event("c", 5, 3)]
            assert sync.lag() == Lag(at(2), events=2, at_least=True)
            sync()
            assert sync.lag() == Lag(None, events=0, at_least=True)
        finally:
            log.over.set()
    assert sorted(sync.cleaned()) == [1, 2, 3, 4, 5]
    assert len(sync.raw()) == 5
    assert log.asked == [None, *["1"] * 5, "2"], "each was answered"


def test_a_stream_that_is_down_says_nothing_of_how_far(sync: Sync, log: Log) -> None:
    log.events += [event("c", 1, 1)]
    sync()
    sync.connections = {"stream": _api("http://127.0.0.1:1", TOKEN)}
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        sync.lag()
