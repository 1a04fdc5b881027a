"""The living shop's REST API: its products, page by page, for who has the token.

Belongs here: the endpoints, their answers, how the misbehaviours look in them. Does not belong
here: what a product is (`catalogue.py`), listening on a port (`server.py`).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from platform_assets.demo.live import catalogue
from platform_assets.demo.live.shop import LiveShop, acting_now
from platform_assets.demo.live.today import iso
from platform_assets.errors import SourceError

LARGEST_PAGE = 100
"""The most products on a page."""

_PAGE_SIZE = 50
_SMALLEST_GZIP = 500
_RETRY_AFTER_SECONDS = 1
_FARTHEST = 10**9
_MOST_DIGITS = 10


class _Refused(Exception):  # noqa: N818 -- an answer, no error of the program
    """A request that gets an answer other than products."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.response = Response(
            json.dumps({"error": reason}), status, headers, media_type="application/json"
        )


class Throttle:
    """Turns away as many of the next requests as it is told to."""

    def __init__(self) -> None:
        """Let everything through."""
        self._lock = threading.Lock()
        self._left = 0
        self._retry_after = 0
        self._counted = 0

    def turn_away(self, requests: int, *, retry_after: int) -> None:
        """Answer the next requests with 429.

        Args:
            requests: Their number; 0 to let everything through again.
            retry_after: What `Retry-After` says, in seconds.
        """
        with self._lock:
            self._left, self._retry_after = requests, retry_after

    def check(self, every: int) -> None:
        """Count a request, and refuse it where it is one of those.

        Args:
            every: Of so many requests one is refused besides; 0 for none.
        """
        with self._lock:
            self._counted += 1
            if self._left > 0:
                self._left -= 1
                retry_after = self._retry_after
            elif every and self._counted % every == 0:
                retry_after = _RETRY_AFTER_SECONDS
            else:
                return
        raise _Refused(429, "too many requests", {"Retry-After": str(retry_after)})


@dataclass(frozen=True)
class _Page:
    """Products of a page, and where the others are.

    Args:
        items: The products.
        fields: What stands beside the products in the body.
        links: By relation the query of other pages.
        more: Whether a page follows.
    """

    items: list[dict[str, Any]]
    fields: Mapping[str, Any]
    links: Mapping[str, Mapping[str, Any]]
    more: bool


class Api:
    """The endpoints over a shop.

    * `/products?page=&page_size=&updated_since=`: numbered pages, with the next page's URL in the
      body (`next`) and in the `Link` header.
    * `/products/by-offset?offset=&limit=&updated_since=`: with `total` in the body.
    * `/products/by-cursor?cursor=&limit=&updated_since=`: with `next_cursor` in the body.

    All in the order of `product_id`; `updated_since` gives what changed at or after that time.

    Args:
        shop: The shop.
        token: The bearer token that every request has to show.
    """

    def __init__(self, shop: LiveShop, token: str) -> None:
        """Put the endpoints up."""
        self._shop = shop
        self._token = token
        self.throttle = Throttle()
        self.app = Starlette(
            routes=[
                Route("/products", self._endpoint(_by_page)),
                Route("/products/by-offset", self._endpoint(_by_offset)),
                Route("/products/by-cursor", self._endpoint(_by_cursor)),
            ],
            middleware=[Middleware(GZipMiddleware, minimum_size=_SMALLEST_GZIP)],
        )

    def _endpoint(self, page: Callable[[_Products], _Page]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return self._answer(request, page)
            except _Refused as refused:
                return refused.response
            except SourceError:
                return _Refused(503, "the shop's database is busy").response

        return answer

    def _answer(self, request: Request, page: Callable[[_Products], _Page]) -> Response:
        self._check_token(request)
        with self._shop.reading() as connection:
            acting = acting_now(connection)
            if acting.get("down", {}).get("api", "up") != "up":
                raise _Refused(503, "down for maintenance")
            slow = acting.get("slow", {})
            self.throttle.check(int(slow.get("turn_away_every", 0)))
            found = page(_Products(request, connection, acting))
        # Starlette runs this in a thread of its own, so other requests go on meanwhile.
        time.sleep(int(slow.get("milliseconds", 0)) / 1_000)
        body = json.dumps({"items": found.items, **found.fields}, ensure_ascii=False).encode()
        if "garbage" in acting and not found.more:
            body = body[: len(body) // 2]
        links = ", ".join(
            f'<{request.url.include_query_params(**query)}>; rel="{relation}"'
            for relation, query in found.links.items()
        )
        headers = {"Link": links} if links else {}
        return Response(body, media_type="application/json", headers=headers)

    def _check_token(self, request: Request) -> None:
        shown = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
            raise _Refused(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})


class _Products:
    """The products that a request asks for.

    Args:
        request: The request.
        connection: A connection of the shop.
        acting: The misbehaviours that act.
    """

    def __init__(
        self, request: Request, connection: sqlite3.Connection, acting: Mapping[str, Any]
    ) -> None:
        self.request = request
        self._connection = connection
        self._drifted = "drift" in acting
        self._repeats = "dup" in acting
        self._since = _moment(request.query_params.get("updated_since", ""))

    def number(self, name: str, default: int, least: int, most: int = _FARTHEST) -> int:
        """A parameter of the query."""
        text = self.request.query_params.get(name, str(default))
        short = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
        if not (short and least <= int(text) <= most):
            raise _Refused(400, f"{name} is a whole number from {least} to {most}")
        return int(text)

    def at(self, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        """The products at an offset, and how many there are in all."""
        # A page of `dup` begins with the last product of the page before.
        repeated = 1 if self._repeats and offset > 0 else 0
        rows, total = catalogue.read(
            self._connection,
            updated_since=self._since,
            offset=offset - repeated,
            limit=limit + repeated,
            drifted=self._drifted,
        )
        return [document for _, document in rows], total

    def behind(self, position: int, limit: int) -> tuple[list[tuple[int, dict[str, Any]]], bool]:
        """The products behind a position, and whether there are more."""
        rows, total = catalogue.read(
            self._connection,
            updated_since=self._since,
            after=position,
            limit=limit,
            drifted=self._drifted,
        )
        if self._repeats and position >= 0:
            before, _ = catalogue.read(
                self._connection, after=position - 1, limit=1, drifted=self._drifted
            )
            rows = before + rows
            total += len(before)
        return rows, total > len(rows)


def _by_page(products: _Products) -> _Page:
    page = products.number("page", 1, 1)
    size = products.number("page_size", _PAGE_SIZE, 1, LARGEST_PAGE)
    items, total = products.at((page - 1) * size, size)
    pages = -(-total // size)
    links = {"first": {"page": 1}, "last": {"page": max(pages, 1)}}
    if page > 1:
        links["prev"] = {"page": page - 1}
    if page < pages:
        links["next"] = {"page": page + 1}
    follows = links.get("next")
    url = products.request.url
    fields = {
        "page": page,
        "page_size": size,
        "pages": pages,
        "total": total,
        "next": str(url.include_query_params(**follows)) if follows else None,
    }
    return _Page(items, fields, links, more=page < pages)


def _by_offset(products: _Products) -> _Page:
    offset = products.number("offset", 0, 0)
    limit = products.number("limit", _PAGE_SIZE, 1, LARGEST_PAGE)
    items, total = products.at(offset, limit)
    fields = {"offset": offset, "limit": limit, "total": total}
    return _Page(items, fields, {}, more=offset + limit < total)


def _by_cursor(products: _Products) -> _Page:
    limit = products.number("limit", _PAGE_SIZE, 1, LARGEST_PAGE)
    after = _position(products.request.query_params.get("cursor", ""))
    rows, more = products.behind(after, limit)
    cursor = _cursor(rows[-1][0]) if more else None
    links = {"next": {"cursor": cursor}} if more else {}
    return _Page([document for _, document in rows], {"next_cursor": cursor}, links, more=more)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"after {position}".encode()).decode()


def _position(cursor: str) -> int:
    if not cursor:
        return -1
    try:
        word, _, position = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        if word == "after" and 0 <= int(position) <= _FARTHEST:
            return int(position)
    except (binascii.Error, ValueError):
        pass  # It is refused below, as a cursor of another form is.
    raise _Refused(400, "cursor is none that this API gave")


def _moment(text: str) -> str:
    """A time of a query as the catalogue has it; empty for none."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
        # Without an offset it is UTC.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return iso(int(moment.timestamp()))
    except (ValueError, OverflowError):
        raise _Refused(400, "updated_since is a time such as 2025-01-01T10:00:00Z") from None
