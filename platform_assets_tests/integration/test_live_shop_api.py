"""The living shop's API over HTTP: its pages, who may read them, and its bad days."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from platform_assets.demo.live import ApiServer, LiveShop, serving
from platform_assets.demo.live import database as database_module
from platform_assets.demo.live import server as server_module
from platform_assets.errors import SettingsError, SourceError

TOKEN = "a token that nobody may see"
START = date(2025, 1, 1)
TIMEOUT = 30
Get = Callable[..., requests.Response]


def encoded(text: str) -> str:
    """A text as cursors are written."""
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.fixture
def shop(tmp_path: Path) -> LiveShop:
    """A shop that lived three days."""
    shop = LiveShop.open(tmp_path / "shop", start=START)
    shop.advance(3)
    return shop


@pytest.fixture
def server(shop: LiveShop) -> Iterator[ApiServer]:
    """The API of the shop."""
    with serving(shop, token=TOKEN) as server:
        yield server


@pytest.fixture
def get(server: ApiServer) -> Get:
    """A request with the token."""

    def send(path: str = "/products", **params: Any) -> requests.Response:
        url = path if path.startswith("http") else server.base_url + path
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return requests.get(url, params=params, headers=headers, timeout=TIMEOUT)

    return send


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["product_id"] for item in items]


def by_page(get: Get, **params: Any) -> list[dict[str, Any]]:
    """All products, by the next page's URL in the body."""
    answer = get(page_size=30, **params)
    items = []
    while True:
        assert answer.status_code == 200
        body = answer.json()
        items += body["items"]
        if body["next"] is None:
            return items
        answer = get(body["next"])


def by_link(get: Get) -> list[dict[str, Any]]:
    """All products, by the `Link` header."""
    answer = get(page_size=30)
    items = answer.json()["items"]
    while "next" in answer.links:
        answer = get(answer.links["next"]["url"])
        items += answer.json()["items"]
    return items


def by_offset(get: Get) -> list[dict[str, Any]]:
    """All products, by offset."""
    items: list[dict[str, Any]] = []
    offset, total = 0, 1
    while offset < total:
        body = get("/products/by-offset", offset=offset, limit=30).json()
        items += body["items"]
        total, offset = body["total"], offset + 30
    return items


def by_cursor(get: Get, **params: Any) -> list[dict[str, Any]]:
    """All products, by cursor."""
    items = []
    cursor: str | None = ""
    while cursor is not None:
        body = get("/products/by-cursor", limit=30, cursor=cursor, **params).json()
        items += body["items"]
        cursor = body["next_cursor"]
    return items


def test_every_pagination_gives_every_product_once(shop: LiveShop, get: Get) -> None:
    products = by_page(get)
    assert len(products) == shop.truth().products > 100
    assert ids(products) == sorted(set(ids(products)))
    assert by_link(get) == by_offset(get) == by_cursor(get) == products
    body = get(page_size=30).json()
    assert (body["page"], body["page_size"], body["total"]) == (1, 30, len(products))
    assert body["pages"] == -(-len(products) // 30)
    assert get(page=body["pages"] + 1, page_size=30).json()["items"] == []


def test_a_product_is_nested(get: Get) -> None:
    products = by_page(get)
    for product in products:
        assert product["price"]["amount"].lstrip("-").replace(".", "").isdecimal()
        assert product["price"]["currency"] == "GBP"
        assert set(product["dimensions"]) == {"width_mm", "height_mm", "depth_mm", "weight_g"}
        assert all(isinstance(each, int) for each in product["dimensions"].values())
        assert isinstance(product["tags"], list)
        assert isinstance(product["active"], bool)
    assert [product["name"] for product in products].count(None) == 1
    assert sum(product["price"]["amount"].startswith("-") for product in products) == 1
    assert len({tuple(product["tags"]) for product in products}) > 10


def test_what_changed_since_is_given(shop: LiveShop, get: Get) -> None:
    before = {item["product_id"]: item for item in by_page(get)}
    (report,) = shop.advance()
    after = {item["product_id"]: item for item in by_page(get)}
    changed = {key for key, item in after.items() if before.get(key) != item}
    assert len(changed) == report.products > 0
    for since in ("2025-01-04T00:00:00Z", "2025-01-04 00:00:00", "2025-01-04T01:00:00+01:00"):
        assert set(ids(by_page(get, updated_since=since))) == changed
        assert set(ids(by_cursor(get, updated_since=since))) == changed
    assert by_page(get, updated_since="2025-01-05T00:00:00Z") == []


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}]
)
def test_who_has_no_token_is_refused(server: ApiServer, headers: dict[str, str]) -> None:
    for path in ("/products", "/products/by-cursor", "/products/by-offset"):
        answer = requests.get(server.base_url + path, headers=headers, timeout=TIMEOUT)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in answer.text
    assert TOKEN not in repr(server)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/products", {"page": 0}),
        ("/products", {"page": "one"}),
        ("/products", {"page": "9" * 5_000}),
        ("/products", {"page_size": 101}),
        ("/products", {"updated_since": "yesterday"}),
        ("/products", {"updated_since": "0001-01-01T00:00:00+14:00"}),
        ("/products/by-offset", {"offset": -1}),
        ("/products/by-cursor", {"limit": 0}),
        ("/products/by-cursor", {"cursor": "?"}),
        ("/products/by-cursor", {"cursor": "bm9uc2Vuc2U="}),
        ("/products/by-cursor", {"cursor": encoded("after -1")}),
        ("/products/by-cursor", {"cursor": encoded(f"after {10**20}")}),
    ],
)
def test_a_wrong_query_is_refused(get: Get, path: str, params: dict[str, Any]) -> None:
    answer = get(path, **params)
    assert answer.status_code == 400
    assert next(iter(params)) in answer.json()["error"]


def test_answers_are_zipped_where_asked_for(server: ApiServer) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "gzip"}
    with requests.get(
        f"{server.base_url}/products", headers=headers, timeout=TIMEOUT, stream=True
    ) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        body = json.loads(gzip.decompress(answer.raw.read(decode_content=False)))
    headers["Accept-Encoding"] = "identity"
    plain = requests.get(f"{server.base_url}/products", headers=headers, timeout=TIMEOUT)
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == body


def test_too_many_requests_are_turned_away(server: ApiServer, get: Get) -> None:
    server.throttle.turn_away(2, retry_after=7)
    answers = [get() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["7", "7", None]


def test_slow_turns_some_requests_away(shop: LiveShop, get: Get) -> None:
    shop.inject("slow", milliseconds=0, turn_away_every=3)
    answers = [get() for _ in range(6)]
    assert [answer.status_code for answer in answers].count(429) == 2
    assert {answer.headers.get("Retry-After") for answer in answers} == {None, "1"}
    shop.stop("slow")
    assert [get().status_code for _ in range(3)] == [200] * 3


def test_down_answers_503(shop: LiveShop, get: Get) -> None:
    shop.inject("down", days=1)
    assert get().status_code == 503
    assert get("/products/by-cursor").status_code == 503
    shop.advance()
    assert get().status_code == 200
    shop.inject("down", api="up")
    assert get().status_code == 200


def test_down_refuses_connections(shop: LiveShop, server: ApiServer, get: Get) -> None:
    url = server.base_url
    shop.inject("down", days=1, api="refused", database="up")
    assert not server.listening
    with pytest.raises(requests.ConnectionError):
        get()
    shop.advance()
    assert (server.listening, server.base_url) == (True, url)
    assert get().status_code == 200


def test_slow_takes_its_time(shop: LiveShop, get: Get) -> None:
    shop.inject("slow", milliseconds=600)
    begun = time.monotonic()
    assert get().status_code == 200
    assert time.monotonic() - begun >= 0.6
    # Others do not wait in line: one after the other would take 3.6 seconds.
    begun = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        assert [answer.status_code for answer in pool.map(lambda _: get(), range(6))] == [200] * 6
    assert time.monotonic() - begun < 2.4


def test_garbage_breaks_the_last_page(shop: LiveShop, get: Get) -> None:
    pages = get(page_size=30).json()["pages"]
    shop.inject("garbage", days=1)
    assert get(page_size=30).json()["page"] == 1
    broken = get(page_size=30, page=pages)
    assert broken.status_code == 200
    for answer in (broken, get("/products/by-offset", offset=150, limit=100)):
        with pytest.raises(requests.exceptions.JSONDecodeError):
            answer.json()
    shop.stop("garbage")
    assert get(page_size=30, page=pages).json()["page"] == pages


def test_dup_repeats_products_on_the_next_page(shop: LiveShop, get: Get) -> None:
    products = by_page(get)
    shop.inject("dup")
    pages = -(-len(products) // 30)
    for read in (by_page, by_link, by_offset, by_cursor):
        found = read(get)
        assert len(found) == len(products) + pages - 1, read.__name__
        assert sorted(set(ids(found))) == ids(products)
        assert found[29] == found[30]


def test_drift_turns_a_number_into_a_string(shop: LiveShop, get: Get) -> None:
    before = by_page(get)
    shop.inject("drift")
    after = by_page(get)
    for old, new in zip(before, after, strict=True):
        assert new["dimensions"].pop("weight_g") == str(old["dimensions"].pop("weight_g"))
        assert old == new


def test_a_locked_database_makes_the_api_busy(
    shop: LiveShop, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.05)
    with shop.locked():
        assert get().status_code == 503
    assert get().status_code == 200


def test_nothing_is_left_behind(shop: LiveShop) -> None:
    before = set(threading.enumerate())
    with serving(shop, token=TOKEN) as server:
        port = server.port
        assert requests.get(f"{server.base_url}/nothing", timeout=TIMEOUT).status_code == 404
    assert set(threading.enumerate()) == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    # The shop no longer knows of the server.
    shop.inject("down", api="refused")
    shop.advance()


def test_the_port_can_be_chosen_but_not_taken(shop: LiveShop, server: ApiServer) -> None:
    with pytest.raises(SettingsError, match="cannot be had") as caught:
        serving(shop, server.port, token=TOKEN).__enter__()
    assert caught.value.where == f"port {server.port}"
    port = server.port
    server.stop()
    with serving(shop, port, token=TOKEN) as other:
        assert other.port == port


def test_a_server_that_does_not_come_up_is_told_of(
    shop: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    # It listens, but never says so.
    monkeypatch.setattr(server_module._Server, "startup", uvicorn.Server.startup)
    monkeypatch.setattr(server_module, "_START_SECONDS", 2.0)
    with pytest.raises(SourceError, match="did not come up"):
        serving(shop, token=TOKEN).__enter__()
    assert set(threading.enumerate()) == before


def test_a_server_starts_and_stops_once(server: ApiServer, get: Get) -> None:
    server.start()
    assert get().status_code == 200
    server.stop()
    server.stop()
    assert not server.listening
