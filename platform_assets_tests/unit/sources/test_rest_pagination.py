"""The way through pages: circles found, gaps found, gone on with where it stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.errors import ContractError, SourceError
from platform_assets.sources.json_pages import Page
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import (
    Circle,
    Cursor,
    LinkHeader,
    NextUrl,
    Offset,
    PageNumber,
    Paginator,
    Walk,
    total_of,
)
from platform_assets.sources.rest_window import Window

URL = "https://api.example.com/v1/orders"


def answer(document: Any = None, **headers: str) -> tuple[requests.Response, Page]:
    response = requests.Response()
    response._content = json.dumps(document).encode()
    response.headers.update(headers)
    records = document.get("items", []) if isinstance(document, dict) else document
    return response, Page(document, tuple(json.dumps(r) for r in records), frozenset())


def walk(declared: Paginator, **options: Any) -> Walk:
    return Walk(declared, URL, {"status": "open"}, **options)


def rows(count: int, first: int = 0) -> list[dict[str, int]]:
    return [{"id": first + n} for n in range(count)]


@given(st.integers(0, 40), st.integers(1, 40))
def test_a_circle_of_any_length_is_found_soon(before: int, length: int) -> None:
    circle = Circle()
    for step in range(before):
        assert not circle.closes(f"before {step}")
    steps = 0
    while not circle.closes(f"in {steps % length}"):
        steps += 1
        assert steps <= 3 * (before + length)


@given(st.integers(0, 500))
def test_what_does_not_repeat_is_no_circle(count: int) -> None:
    circle = Circle()
    assert not any(circle.closes(str(n)) for n in range(count))


@pytest.mark.parametrize(
    ("declared", "params", "following"),
    [
        (PageNumber("p", 0, "size", 50), {"p": 1, "size": 50}, {"value": 1}),
        (Offset(2), {"offset": 2, "limit": 2}, {"value": 2}),
        (Cursor("next", "after"), {"after": "abc"}, {"cursor": "abc"}),
    ],
)
def test_the_next_page_is_asked_for_and_gone_on_with(
    declared: Paginator, params: dict[str, Any], following: dict[str, Any]
) -> None:
    going = walk(declared)
    going.advance(*answer({"items": rows(2), "next": "abc"}), "here")
    assert going.request.url == URL
    assert going.request.params == {"status": "open", **params}
    assert going.following == following
    resumed = walk(declared, following=json.loads(json.dumps(following)))
    assert resumed.request.params == going.request.params


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ("/v1/orders?page=2", "https://api.example.com/v1/orders?page=2"),
        ("?page=2&key=hunter2&x=", "https://api.example.com/v1/orders?page=2&x="),
        ("https://api.example.com/other?a=%2C", "https://api.example.com/other?a=%2C"),
    ],
)
@pytest.mark.parametrize("kind", [LinkHeader, NextUrl])
def test_an_address_is_followed_without_the_key(kind: type, told: str, url: str) -> None:
    going = walk(kind(), secret_param="key")
    going.advance(*answer({"items": rows(1), "next": told}, Link=f'<{told}>; rel="next"'), "here")
    assert going.following == {"url": url}
    assert (going.request.url, going.request.params) == (url, {})
    resumed = walk(kind(), following=going.following)
    assert (resumed.request.url, resumed.request.params) == (url, {})


@pytest.mark.parametrize(
    ("declared", "document"),
    [
        (PageNumber(), []),
        (PageNumber(pages="pages"), {"items": rows(3), "pages": 1}),
        (PageNumber(first=0, pages="pages"), {"items": rows(3), "pages": 1}),
        (Offset(), []),
        (Cursor("next"), {"items": rows(3), "next": None}),
        (Cursor("next"), {"items": rows(3)}),
        (Cursor("next", more="more"), {"items": rows(3), "next": "abc", "more": False}),
        (LinkHeader(), rows(3)),
        (NextUrl(), {"items": rows(3), "next": None}),
    ],
)
def test_the_last_page_is_the_last(declared: Paginator, document: Any) -> None:
    going = walk(declared)
    going.advance(*answer(document), "here")
    assert going.done
    assert going.following is None


@pytest.mark.parametrize(
    ("declared", "document"),
    [
        (PageNumber(pages="pages"), {"items": rows(3), "private": "hunter2"}),
        (PageNumber(pages="pages"), {"items": rows(3), "pages": "hunter2"}),
        (Cursor("next", more="more"), {"items": rows(3), "next": "hunter2"}),
    ],
)
def test_a_page_that_does_not_tell_is_refused(declared: Paginator, document: Any) -> None:
    with pytest.raises(SourceError, match="does not tell whether there is a next one") as raised:
        walk(declared).advance(*answer(document), "GET /orders, page 1")
    assert "hunter2" not in f"{raised.value}{raised.value.__cause__}"
    assert "page 1" in raised.value.where


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        (PageNumber(), "records that it gave before"),
        (Offset(3), "records that it gave before"),
        (Cursor("next"), "records that it gave before"),
    ],
)
def test_the_same_page_for_ever_is_refused(declared: Paginator, what: str) -> None:
    going = walk(declared)
    page = answer({"items": rows(3), "next": "abc"})
    going.advance(*page, "here")
    with pytest.raises(SourceError, match="the same page again and again") as raised:
        going.advance(*page, "here")
    assert raised.value.found == what


@pytest.mark.parametrize("declared", [Cursor("next"), NextUrl()])
def test_the_same_cursor_for_ever_is_refused_also_after_a_kill(declared: Paginator) -> None:
    """With pages that differ, or are empty."""

    def run() -> None:
        going = walk(declared)
        for number in range(5):
            document = {"items": rows(number % 2, number), "next": ["/a", "/b"][number % 2]}
            going.advance(*answer(document), "here")
            watch = json.loads(json.dumps(going.remembered()))
            going = walk(declared, following=going.following, watch=watch)

    with pytest.raises(SourceError, match="again and again") as raised:
        run()
    assert "a place of the next page" in raised.value.found


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([100, 50, 50], "50 records in this page, after one that was not full"),
        ([150], "150 records in this page"),
    ],
)
def test_offsets_that_would_pass_over_records_are_refused(counts: list[int], found: str) -> None:
    def run() -> None:
        going = walk(Offset(100))
        for number, count in enumerate(counts):
            going.advance(*answer(rows(count, 1000 * number)), "here")
            going = walk(Offset(100), following=going.following, watch=going.remembered())

    with pytest.raises(SourceError, match="pages of another size") as raised:
        run()
    assert raised.value.found == found


def test_a_total_is_a_number() -> None:
    assert total_of(answer({"meta": {"total": 7}})[1], "meta.total", "") == 7
    assert total_of(answer({"meta": {"total": "7"}})[1], "meta.total", "") == 7
    assert total_of(answer({})[1], "", "") is None
    for wrong in (None, True, "hunter2", 1.5):
        with pytest.raises(SourceError, match="does not tell how many") as raised:
            total_of(answer({"total": wrong})[1], "total", "here")
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("window", "params"),
    [
        (Window(), {"from": "2025-03-01T00:00:00Z", "to": "2025-03-02T00:00:00Z"}),
        (Window("since", "", "%Y-%m-%d"), {"since": "2025-03-01"}),
        (
            Window("a", "b", "%Y-%m-%d", inclusive=True),
            {"a": "2025-03-01", "b": "2025-03-01"},
        ),
        (Window("a", "b", "unix"), {"a": "1740787200", "b": "1740873600"}),
    ],
)
def test_a_window_is_written_as_the_api_wants_it(window: Window, params: dict[str, str]) -> None:
    assert window.params("2025-03-01") == params


def test_a_get_with_a_body_is_refused() -> None:
    with pytest.raises(ContractError, match="A GET has no body"):
        RestEndpoint("orders", "api", body={"a": 1})
