"""A real HTTP server that pages orders out in every way, and misbehaves when it is told to.

Belongs here: the server, and what it was asked. Does not belong here: an assertion.
"""

from __future__ import annotations

import gzip
import json
import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

SECRET = "hunter2-secret"
PER_PAGE = 10
Special = Callable[[Request], Response | None]


def order(number: int, day: str = "2025-01-01") -> str:
    """An order as the API writes it: numbers that a careless reader spoils."""
    return (
        f'{{"id": "o{number}", "price": {{"amount": {number}.10, "currency": "GBP"}},\n'
        f' "quantity": {number}, "ratio": 1e5, "tags": ["a", 1.50], "updated_at": "{day} 08:00:00",'
        f' "note": null, "extra": {{"big": 12345678901234567.89}}}}'
    )


def as_json(text: str, status: int = 200, **headers: str) -> Response:
    return Response(text, status, {k.replace("_", "-"): v for k, v in headers.items()},
                    mimetype="application/json")  # fmt: skip


@dataclass
class Api:
    """What the server has, how it is to be signed in to, and what it was asked.

    Attributes:
        server: The server itself.
        days: Orders by day.
        special: Asked first; an answer of its own, or None for the usual one.
        zipped: Whether answers are gzip.
        check: Whether a request is signed in.
        tokens: Tokens that were given out.
        expires_in: Seconds that a token is good for.
        asked: Path and query of every request, in order.
        headers: Headers of every request.
    """

    server: HTTPServer
    days: dict[str, list[str]] = field(default_factory=dict)
    special: Special = lambda request: None
    zipped: bool = False
    check: Callable[[Request], bool] = lambda request: True
    tokens: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    expires_in: int = 3600
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url_for("/v1")

    def pages(self, path: str) -> list[str]:
        """The queries that a path was asked with."""
        return [each.partition("?")[2] for each in self.asked if each.partition("?")[0] == path]

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        self.asked.append(request.full_path.rstrip("?"))
        self.headers.append(dict(request.headers))
        response = self.special(request) or self.usual(request)
        if self.zipped and "gzip" in request.headers.get("Accept-Encoding", ""):
            response.set_data(gzip.compress(response.get_data()))
            response.headers["Content-Encoding"] = "gzip"
        return response

    def usual(self, request: Request) -> Response:
        if request.path == "/token":
            return self.token(request)
        if not self.check(request):
            return as_json(f'{{"error": "no {SECRET}"}}', 401)
        rows = self.rows(request)
        kind = request.path.rpartition("/")[2]
        answers = {
            "numbered": self.numbered, "offset": self.offset, "cursor": self.cursor,
            "linked": self.linked, "next": self.next_url,
        }  # fmt: skip
        if kind in answers:
            return answers[kind](request, rows)
        return as_json(f'{{"data": {{"items": {joined(rows)}}}, "total": {len(rows)}}}')

    def rows(self, request: Request) -> list[str]:
        day = request.args.get("from", "")[:10]
        if day:
            return self.days.get(day, [])
        return [each for rows in self.days.values() for each in rows]

    def token(self, request: Request) -> Response:
        if request.form.get("client_secret") != SECRET:
            return as_json(json.dumps({"error": SECRET}), 401)
        self.tokens.append(f"{SECRET}-{len(self.tokens)}")
        return as_json(json.dumps({"access_token": self.tokens[-1], "expires_in": self.expires_in}))

    def numbered(self, request: Request, rows: list[str]) -> Response:
        page = int(request.args.get("page", "1"))
        count = -(-len(rows) // PER_PAGE)
        return as_json(f'{{"items": {joined(cut(rows, (page - 1) * PER_PAGE))}, "pages": {count}}}')

    def offset(self, request: Request, rows: list[str]) -> Response:
        at, limit = int(request.args["offset"]), int(request.args["limit"])
        return as_json(f'{{"items": {joined(rows[at : at + limit])}, "total": {len(rows)}}}')

    def cursor(self, request: Request, rows: list[str]) -> Response:
        at = int(request.args.get("after", "c0")[1:])
        following = f'"c{at + PER_PAGE}"' if at + PER_PAGE < len(rows) else "null"
        return as_json(
            f'{{"items": {joined(cut(rows, at))}, "meta": {{"next": {following}}}, '
            f'"total": {len(rows)}}}'
        )

    def linked(self, request: Request, rows: list[str]) -> Response:
        at = int(request.args.get("at", "0"))
        response = as_json(joined(cut(rows, at)))
        if at + PER_PAGE < len(rows):
            following = self.following(request, at)
            response.headers["Link"] = f'<{following}>; rel="next", <{request.url}>; rel="self"'
        return response

    def next_url(self, request: Request, rows: list[str]) -> Response:
        at = int(request.args.get("at", "0"))
        more = at + PER_PAGE < len(rows)
        following = json.dumps(self.following(request, at) if more else None)
        return as_json(f'{{"items": {joined(cut(rows, at))}, "next": {following}}}')

    def following(self, request: Request, at: int) -> str:
        """The next page's address, with all that this one was asked with, as some APIs do."""
        kept = {**request.args, "at": str(at + PER_PAGE)}
        return f"{request.base_url}?" + "&".join(f"{k}={v}" for k, v in kept.items())


def joined(rows: list[str]) -> str:
    return "[" + ",\n ".join(rows) + "]"


def cut(rows: list[str], at: int) -> list[str]:
    return rows[at : at + PER_PAGE]


def basic(username: str) -> str:
    return "Basic " + b64encode(f"{username}:{SECRET}".encode()).decode()


def counted(answers: dict[int, Callable[[], Response]], path: str = "") -> Special:
    """Special answers to requests by their number, counted from 1."""
    seen = {"requests": 0}

    def special(request: Request) -> Response | None:
        if path and request.path != path:
            return None
        seen["requests"] += 1
        make = answers.get(seen["requests"])
        return make() if make else None

    return special


@contextmanager
def serving(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[Api]:
    """A server on loopback, on a free port."""
    server = HTTPServer(host="127.0.0.1", port=0, ssl_context=tls, threaded=True)
    api = Api(server, **options)
    server.expect_request(re.compile(".*")).respond_with_handler(api.handle)
    server.start()
    try:
        yield api
    finally:
        server.clear()
        server.stop()
