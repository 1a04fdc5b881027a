"""The support desk's API: a day's tickets, page by page, and the ways in which it fails.

Belongs here: one server on loopback, its answers, its faults. Does not belong here: which tickets
there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_UNAVAILABLE, _UNAUTHORISED = 503, 401


class Fault(Enum):
    """What is wrong with the API."""

    NONE = "nothing"
    DOWN = "it answers 503"
    LOCKED_OUT = "it answers 401: the token was withdrawn"
    SILENT = "it does not answer in time"
    SLUGGISH = "it answers late, and in time"
    SHORT_PAGE = "the first page has fewer tickets than the total says"
    LOST_PAGES = "it says that the first page is the last"
    HIDDEN = "it gives the first page, and a total that says that this is all"
    CUT_OFF = "the last answer ends in the middle"


class TicketServer(ThreadingHTTPServer):
    """The API over a folder of ``<day>.ndjson``; ``serving`` starts it.

    Args:
        folder: Where the tickets of each day are.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        """Take a free port; nothing is answered yet."""
        self.folder = folder
        self.fault = Fault.NONE
        self.pause = 0.0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.server_port}"

    def page(self, day: str, number: int, size: int) -> bytes:
        """The body of an answer.

        Args:
            day: The day that is asked for.
            number: Of the page, from 1.
            size: Tickets of a page.
        """
        file = self.folder / f"{day}.ndjson"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        total, pages = len(lines), max(1, -(-len(lines) // size))
        items = lines[(number - 1) * size : number * size]
        if self.fault is Fault.SHORT_PAGE and number == 1:
            items = items[: len(items) // 2]
        elif self.fault is Fault.LOST_PAGES:
            pages = 1
        elif self.fault is Fault.HIDDEN:
            pages, total = 1, min(total, size)
        facts = f'"page": {number}, "pages": {pages}, "total": {total}'
        body = f'{{"items": [{", ".join(items)}], {facts}}}'.encode()
        return body[: len(body) // 2] if self.fault is Fault.CUT_OFF and number == pages else body


class _Handler(BaseHTTPRequestHandler):
    """Answers one request after the other of a connection."""

    server: TicketServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: otherwise each answer waits for an acknowledge

    def do_GET(self) -> None:
        """Answer with a page, or as the fault says."""
        fault = self.server.fault
        if fault in {Fault.SILENT, Fault.SLUGGISH}:
            time.sleep(self.server.pause)
        if fault is Fault.DOWN:
            self._answer(_UNAVAILABLE, b'{"error": "down for maintenance"}')
        elif fault is Fault.LOCKED_OUT:
            self._answer(_UNAUTHORISED, b'{"error": "unknown token"}')
        else:
            asked = parse_qs(urlsplit(self.path).query)
            page, size = int(asked["page"][0]), int(asked["page_size"][0])
            self._answer(200, self.server.page(asked["from"][0], page, size))

    def _answer(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True  # whoever asked did not wait

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error is the drill's."""


@contextmanager
def serving(folder: Path) -> Iterator[TicketServer]:
    """Serve the tickets of a folder while the block lasts.

    Args:
        folder: Where the tickets of each day are.
    """
    with TicketServer(folder) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
