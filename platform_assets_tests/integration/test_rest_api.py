"""An API as a source, end to end against a real HTTP server: every way of paging, every sign-in."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Request

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.errors import SourceError
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.sources.base import Access
from platform_assets.sources.connections import (
    ApiKey,
    Auth,
    Basic,
    Bearer,
    ClientCredentials,
    RestApi,
)
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import (
    Cursor,
    LinkHeader,
    NextUrl,
    Offset,
    PageNumber,
    Paginator,
)
from platform_assets.sources.rest_window import Window
from platform_assets_tests.integration.rest_server import SECRET, Api, basic, order, serving
from platform_assets_tests.support import D1, D2, D3, Site


class Order(Contract):
    """An order: names of the API, and paths into it."""

    order_id: str = Key(source="id")
    amount: Decimal = Field(source="price.amount", decimal=(18, 2), ge=0)
    currency: str = Field(source="price.currency")
    first_tag: str = Field(source="tags[0]", nullable=True)
    big: Decimal = Field(source="extra.big", decimal=(19, 2))
    quantity: int = Field(ge=0)
    changed_at: datetime = Field(source="updated_at", cursor=True)


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        made.days = {
            day: [order(n + 100 * number, day) for n in range(25)]
            for number, day in enumerate((D1, D2))
        }
        yield made


@pytest.fixture
def rest_site(site: Site, api: Api, tmp_path: Path) -> Site:
    site.connections = {"api": RestApi(api.url, tmp_path / "landing")}
    return site


def daily(path: str = "orders", **options: Any) -> Dataset:
    values: dict[str, Any] = {"records": "data.items", "window": Window()}
    if path != "orders":
        values["records"] = "" if path == "linked" else "items"
    source = RestEndpoint(path, "api", **{**values, **options})
    return Dataset("orders", Order, source, Daily(date(2025, 1, 1)))


def signed_in(site: Site, auth: Auth, **options: Any) -> None:
    held = site.connections["api"]
    assert isinstance(held, RestApi)
    site.connections = {"api": replace(held, auth=auth, **options)}


def test_nested_json_becomes_columns_by_the_contract(rest_site: Site) -> None:
    loaded, cleaned = rest_site.run(daily(), [D1, D2, D3])
    assert set(loaded.good) == {D1, D2, D3}
    assert {day: entry.extracted for day, entry in loaded.good.items()} == {D1: 25, D2: 25, D3: 0}
    assert not cleaned.failed
    columns = "order_id, amount, currency, first_tag, big, quantity"
    assert rest_site.cleaned("orders", columns)[4] == (
        "o101", Decimal("101.10"), "GBP", "a", Decimal("12345678901234567.89"), 101,
    )  # fmt: skip
    raw = rest_site.raw("orders", 'id, "price.amount", price, ratio, tags, note, _partition')
    assert raw[0] == (
        "o0", "0.10", '{"amount":0.10,"currency":"GBP"}', "1e5", '["a",1.50]', None, D1,
    )  # fmt: skip


def test_the_same_answers_change_nothing_and_others_only_their_day(
    rest_site: Site, api: Api
) -> None:
    rest_site.run(daily(), [D1, D2])
    before = rest_site.contents("orders")
    asked = len(api.asked)
    again, _ = rest_site.run(daily(), [D1, D2])
    assert len(api.asked) == asked + 2  # it was asked: it may have changed
    assert {str(entry.status) for entry in again.entries.values()} == {"unchanged"}
    assert rest_site.contents("orders") == before
    api.days[D2] = [order(7, D2)]
    changed, _ = rest_site.run(daily(), [D1, D2])
    assert str(changed.entries[D1].status) == "unchanged"
    assert changed.entries[D2].extracted == 1
    api.days[D2] = []
    rest_site.run(daily(), [D2])
    assert {row[0] for row in rest_site.cleaned("orders", "_partition")} == {D1}


def test_old_answers_are_cleared_and_the_last_stay(
    rest_site: Site, api: Api, tmp_path: Path
) -> None:
    for number in range(4):
        api.days[D1] = [order(number)]
        rest_site.run(daily(), [D1])
    folders = sorted(tmp_path.glob(f"landing/api/orders-*/{D1}/0*"))
    assert [each.name for each in folders] == ["000003", "000004"]
    (file,) = folders[-1].glob("*.gz")
    assert gzip.decompress(file.read_bytes()).decode() == order(3).replace("\n", " ") + "\n"


@pytest.mark.parametrize(
    ("path", "paginator", "requests", "zipped"),
    [
        ("numbered", PageNumber(), 4, False),
        ("numbered", PageNumber(pages="pages"), 3, True),
        ("offset", Offset(10), 4, False),
        ("cursor", Cursor("meta.next", "after"), 3, True),
        ("linked", LinkHeader(), 3, False),
        ("next", NextUrl(), 3, True),
    ],
)
def test_every_way_of_paging(
    rest_site: Site, api: Api, path: str, paginator: Paginator, requests: int, zipped: bool
) -> None:
    api.zipped = zipped
    loaded, _ = rest_site.run(daily(path, paginator=paginator), [D1])
    assert loaded.good[D1].extracted == 25
    assert len(rest_site.cleaned("orders")) == 25
    assert len(api.asked) == requests
    assert all("from=2025-01-01T00:00:00Z" in each.replace("%3A", ":") for each in api.asked)


@pytest.mark.parametrize("path", ["offset", "cursor"])
def test_a_total_is_held_against_what_arrived(rest_site: Site, api: Api, path: str) -> None:
    paginator = Offset(10) if path == "offset" else Cursor("meta.next", "after")
    dataset = daily(path, paginator=paginator, total="total")
    assert not rest_site.run(dataset, [D1])[0].failed
    usual = api.cursor if path == "cursor" else api.offset

    def lossy(request: Request) -> Any:
        if request.args["from"].startswith(D2):
            response = usual(request, api.days[D2])
            text = response.get_data(as_text=True)
            response.set_data(text.replace('"total": 25', '"total": 26'))
            return response
        return None

    api.special = lossy
    loaded, _ = rest_site.run(dataset, [D1, D2])
    assert set(loaded.failed) == {D2}
    message = loaded.failed[D2].message
    assert "expected: 26 records" in message
    assert "found: 25" in message
    assert f"GET /v1/{path}, partition {D2}, page" in message


def test_an_unpartitioned_dataset_and_a_day_in_the_path(rest_site: Site, api: Api) -> None:
    whole = Dataset(
        "orders", Order, RestEndpoint("orders", "api", records="data.items"), Unpartitioned()
    )
    loaded, _ = rest_site.run(whole, ["all"])
    assert loaded.good["all"].extracted == 50
    assert api.asked == ["/v1/orders"]
    daily_path = replace(daily(), name="by_path", source=RestEndpoint(
        "days/{partition}", "api", records="data.items", params={"status": "open"}))  # fmt: skip
    loaded, _ = rest_site.run(daily_path, [D1])
    assert loaded.good[D1].extracted == 50
    assert api.asked[-1] == f"/v1/days/{D1}?status=open"


def test_a_search_by_post_is_sent_once(rest_site: Site, api: Api) -> None:
    bodies = []

    def special(request: Request) -> None:
        bodies.append((request.method, request.get_json(silent=True)))

    api.special = special
    dataset = daily(method="POST", body={"query": {"open": True}})
    assert rest_site.run(dataset, [D1])[0].good[D1].extracted == 25
    assert bodies == [("POST", {"query": {"open": True}})]


def test_the_schema_is_the_names_of_the_newest_records(rest_site: Site, api: Api) -> None:
    api.days[D2] = ['{"id": "x", "new": 1, "_id": 2, "ID": 3, "a\\"b": 4}']
    source = daily().source
    assert isinstance(source, RestEndpoint)
    access = Access(rest_site.lake, rest_site.connections)
    inputs = source.inputs(access, [D1, D2])
    # Names that differ by case are one to the engine; an underscore is the platform's own.
    assert [column.name for column in source.schema(access, inputs)] == ["ID", "new"]
    assert {column.sql_type for column in source.schema(access, inputs)} == {"VARCHAR"}


def test_names_that_are_data_are_refused(rest_site: Site, api: Api) -> None:
    api.days[D1] = [json.dumps({f"customer-{n}": n for n in range(1001)})]
    loaded, _ = rest_site.run(daily(), [D1, D2])
    assert set(loaded.failed) == {D1}
    assert "are data, not columns" in loaded.failed[D1].message


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (Bearer(SECRET), "Authorization", f"Bearer {SECRET}"),
        (ApiKey(SECRET), "X-Api-Key", SECRET),
        (ApiKey(SECRET, "Token"), "Token", SECRET),
        (Basic("etl", SECRET), "Authorization", basic("etl")),
    ],
)
def test_every_way_to_sign_in(
    rest_site: Site, api: Api, auth: Auth, header: str, value: str
) -> None:
    api.check = lambda request: request.headers.get(header) == value
    signed_in(rest_site, auth)
    assert not rest_site.run(daily(), [D1])[0].failed
    signed_in(rest_site, None)
    failed = rest_site.run(daily(), [D1])[0].failed[D1]
    assert "refuses, and would refuse again" in failed.message
    assert "HTTP 401: sign-in refused" in failed.message


def test_a_key_in_the_query_is_on_every_page_and_nowhere_else(
    rest_site: Site, api: Api, tmp_path: Path
) -> None:
    api.check = lambda request: request.args.getlist("key") == [SECRET]
    signed_in(rest_site, ApiKey(SECRET, "key", "query"))
    for path, paginator in (("next", NextUrl()), ("linked", LinkHeader()), ("offset", Offset(10))):
        dataset = replace(daily(path, paginator=paginator), name=path)
        assert rest_site.run(dataset, [D1])[0].good[D1].extracted == 25
    for file in tmp_path.glob("landing/**/*.json"):
        assert SECRET not in file.read_text()


def credentials(api: Api, secret: str = SECRET) -> ClientCredentials:
    return ClientCredentials(api.server.url_for("/token"), "etl", secret, "read")


def test_a_token_is_asked_for_and_asked_for_again(rest_site: Site, api: Api) -> None:
    api.check = lambda request: (
        bool(api.tokens)
        and request.headers.get("Authorization") == f"Bearer {api.tokens[-1]}"
        and api.tokens[-1] not in api.revoked
    )
    signed_in(rest_site, credentials(api))
    dataset = daily("cursor", paginator=Cursor("meta.next", "after"))
    assert not rest_site.run(dataset, [D1, D2])[0].failed
    assert len(api.tokens) == 1

    # Taken back in the middle: a new one is asked for, and the page again.
    def revoking(request: Request) -> None:
        if request.args.get("after") == "c10":
            api.revoked.add(api.tokens[0])
            api.revoked.add(api.tokens[1])

    api.special = revoking
    assert not rest_site.run(dataset, [D1])[0].failed
    assert len(api.tokens) == 3
    # Each is good for no time at all: one for each request.
    api.special, api.expires_in, api.tokens = (lambda request: None), 0, []
    api.revoked.clear()
    assert not rest_site.run(dataset, [D1])[0].failed
    assert len(api.tokens) == 3


def test_a_token_that_is_refused_or_is_none(rest_site: Site, api: Api) -> None:
    signed_in(rest_site, credentials(api, "wrong"))
    message = rest_site.run(daily(), [D1])[0].failed[D1].message
    assert "HTTP 401: sign-in refused" in message
    auth = replace(credentials(api), token_url=f"{api.url}/orders")
    signed_in(rest_site, auth)
    message = rest_site.run(daily(), [D1])[0].failed[D1].message
    assert "The token of an API was not given out" in message
    assert "POST /v1/orders" in message
    assert SECRET not in message


def test_no_secret_is_in_what_is_kept_or_told(
    rest_site: Site,
    api: Api,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    # Dagster's migrations switch off the loggers that are there when they run.
    monkeypatch.setattr(logging.getLogger("urllib3.connectionpool"), "disabled", False)
    told = []
    for auth in (
        Bearer(SECRET), ApiKey(SECRET), ApiKey(SECRET, "key", "query"), Basic("etl", SECRET),
        credentials(api),
    ):  # fmt: skip
        signed_in(rest_site, auth, headers={"X-Secret": SECRET})
        told += [repr(auth), repr(rest_site.connections), repr(daily().source)]
        api.check = lambda request: False
        failed = rest_site.run(daily("next", paginator=NextUrl()), [D1])[0].failed
        told.append(failed[D1].message)
        api.check = lambda request: True
        assert not rest_site.run(daily("next", paginator=NextUrl()), [D1])[0].failed
        api.special = _cut_off
        told.append(rest_site.run(daily("next", paginator=NextUrl()), [D1])[0].failed[D1].message)
        api.special = lambda request: None
    output = capsys.readouterr()
    # The server's own log tells what it was asked; that is not ours.
    told += [r.getMessage() for r in caplog.records if r.name != "werkzeug"]
    assert any("GET /v1/next?…" in text for text in told)
    told += [output.out, output.err.replace(caplog.text, "")]
    told += [p.read_bytes().decode(errors="replace") for p in tmp_path.glob("landing/**/*.json")]
    assert not [text for text in told if SECRET in text]


def _cut_off(request: Request) -> Any:
    from werkzeug import Response

    return Response(f'{{"items": [{{"a": "{SECRET}"', mimetype="application/json")


def test_a_connection_that_is_not_configured(site: Site) -> None:
    source = daily().source
    assert isinstance(source, RestEndpoint)
    with pytest.raises(SourceError, match="RestApiResource"):
        source.inputs(Access(site.lake, {}), [D1])


def test_an_endpoint_that_would_hold_everything_each_day(rest_site: Site) -> None:
    failed = rest_site.run(daily(window=None), [D1])[0].failed
    assert "every day would hold everything" in failed[D1].message
