"""An API as a Dagster resource: configured from the environment, no secret shown anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.build import build_definitions
from platform_assets.contracts import Contract, Key
from platform_assets.dataset import Dataset
from platform_assets.errors import SettingsError
from platform_assets.partitions import Daily
from platform_assets.resources import RestApiResource
from platform_assets.sources.connections import (
    ApiKey,
    Basic,
    Bearer,
    ClientCredentials,
    RestApi,
)
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import Cursor
from platform_assets.sources.rest_window import Window
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.rest_server import SECRET, Api, order, serving
from platform_assets_tests.support import D1, D2, START

URL = "https://api.example.com/v1"


class Order(Contract):
    """An order's number."""

    order_id: str = Key(source="id")


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(days={D1: [order(n) for n in range(12)]}) as made:
        made.check = lambda request: request.headers.get("Authorization") == f"Bearer {SECRET}"
        yield made


def test_a_run_reads_an_api_and_shows_no_secret(
    installation: Installation,
    instance: dg.DagsterInstance,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    source = RestEndpoint("cursor", "api", "items", Cursor("meta.next", "after"), window=Window())
    definitions = build_definitions(
        [Dataset("orders", Order, source, Daily(START))],
        resources={
            "api": RestApiResource(base_url=api.url, auth="bearer", token=dg.EnvVar("SHOP_TOKEN"))
        },
    )
    job = definitions.resolve_implicit_global_asset_job_def()

    def run(day: str) -> tuple[dg.ExecuteInProcessResult, str]:
        result = job.execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
        log = instance.all_logs(result.run_id)
        return result, json.dumps([str(entry) for entry in log])

    result, log = run(D1)
    assert result.success
    event = instance.get_latest_materialization_event(dg.AssetKey(["cleaned", "orders"]))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["rows_cleaned"].value == 12
    landed = list((installation.settings.landing / "api").glob(f"cursor-*/{D1}/000001/*.gz"))
    assert len(landed) == 1
    api.check = lambda request: False
    refused, refusal = run(D2)
    assert not refused.success
    assert "HTTP 401" in refusal
    output = capfd.readouterr()
    resources = str(definitions.resources)
    for text in (log, refusal, output.out, output.err, resources):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("options", "auth"),
    [
        ({}, None),
        ({"auth": "bearer", "token": "t"}, Bearer("t")),
        ({"auth": "api_key", "api_key": "k"}, ApiKey("k")),
        (
            {"auth": "api_key", "api_key": "k", "api_key_name": "q", "api_key_in": "query"},
            ApiKey("k", "q", "query"),
        ),
        ({"auth": "basic", "username": "u", "password": "p"}, Basic("u", "p")),
        (
            {
                "auth": "oauth2",
                "token_url": "https://x/t",
                "client_id": "c",
                "client_secret": "s",
                "scope": "read",
            },
            ClientCredentials("https://x/t", "c", "s", "read"),
        ),
    ],
)
def test_what_is_configured_is_what_is_used(
    installation: Installation, options: dict[str, Any], auth: object
) -> None:
    resource = RestApiResource(base_url=URL, headers={"A": "b"}, max_page_mb=2, **options)
    found = resource.connection
    assert found == RestApi(
        URL,
        installation.settings.landing,
        auth,  # type: ignore[arg-type] # one of its kinds, by the parameters above
        {"A": "b"},
        max_page_bytes=2_000_000,
    )


def test_a_resource_s_repr_holds_no_secret() -> None:
    names = ("token", "api_key", "password", "client_secret")
    resource = RestApiResource(
        base_url=URL, headers={"X-Key": SECRET}, **dict.fromkeys(names, SECRET)
    )
    assert SECRET not in f"{resource!r} {resource}"


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"auth": "bearer"}, "token"),
        ({"auth": "api_key"}, "api_key"),
        ({"auth": "basic", "username": "u"}, "password"),
        ({"auth": "oauth2", "token_url": "https://x", "client_id": "c"}, "client_secret"),
    ],
)
def test_a_sign_in_that_lacks_something_is_refused(
    installation: Installation, options: dict[str, Any], missing: str
) -> None:
    with pytest.raises(SettingsError, match="what that needs is missing") as raised:
        _ = RestApiResource(base_url=URL, **options).connection
    assert raised.value.expected == missing


@pytest.mark.parametrize(
    "url", ["api.example.com", "ftp://x/y", f"https://u:{SECRET}@api.example.com", "https://"]
)
def test_an_address_that_is_none_or_holds_a_password_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="address of an API is not one") as raised:
        RestApi(url, tmp_path)
    assert SECRET not in str(raised.value)
