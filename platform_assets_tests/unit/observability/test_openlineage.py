"""Names, ids, sending: what OpenLineage is told, and what a receiver that is down costs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.serde import Serde
from pydantic import SecretStr
from pytest_httpserver import HTTPServer

from platform_assets.observability import openlineage_sending as sending
from platform_assets.observability.column_lineage import ColumnOf, How, Input, TableLineage
from platform_assets.observability.openlineage_events import (
    Asserted,
    Table,
    Work,
    ended,
    failed_beside,
    run_id,
    started,
)
from platform_assets.observability.openlineage_names import (
    Named,
    job_namespace,
    lake_namespace,
    lake_table,
    source_of,
)
from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.sources.change_stream import DebeziumStream, HttpLines
from platform_assets.sources.connections import Bucket, Database, RestApi
from platform_assets.sources.files import CsvFiles
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.tables import FullTable
from platform_assets_tests.openlineage_schema import examine

DAGSTER = "5f9f5a3e-0a4b-4f4d-9d0a-2f1b7c9d8e11"
SECRET = SecretStr("hunter2")
LAKE = "ducklake:///data/lake/catalog.sqlite"
WORK = Work(
    DAGSTER,
    "__ASSET_JOB",
    "platform_assets",
    "cleaned_orders",
    inputs=(
        Table(
            Named(LAKE, "raw.orders"),
            rows=3,
            bytes=100,
            asserted=(Asserted("status__isin", 1, "status", "error", "one of"),),
        ),
    ),
    outputs=(
        Table(
            Named(LAKE, "cleaned.orders"),
            columns=(("status", "VARCHAR", "Where it stands."),),
            rows=2,
            standing=2,
            lineage=TableLineage(
                "cleaned/orders",
                {
                    "status": frozenset({Input(ColumnOf("raw/orders", "status"), How.IDENTITY)}),
                    "unknown": None,
                },
                frozenset({Input(ColumnOf("nowhere/else", "x"), How.FILTER)}),
            ),
        ),
    ),
    partitions=("2025-01-02", "2025-01-01"),
    owners=("team:sales",),
    names={"raw/orders": Named(LAKE, "raw.orders")},
    message="2025-01-03: stopped by status__isin",
)


def as_json(event: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Serde.to_json(event))
    return found


@pytest.mark.parametrize(
    ("source", "connection", "expected"),
    [
        (CsvFiles("in/{partition}/*.csv"), Path("/shop"), ("file", "/shop/in")),
        (CsvFiles("one.csv"), Path("/shop"), ("file", "/shop/one.csv")),
        (DebeziumFiles("log/*.ndjson"), Path("/shop"), ("file", "/shop/log")),
        (
            CsvFiles("in/{partition}.csv"),
            Bucket("b", "id", "secret", prefix="p/"),
            ("s3://b", "p/in"),
        ),
        (CsvFiles("{partition}.csv"), Bucket("b", "id", "secret"), ("s3://b", "/")),
        (
            FullTable("orders"),
            Database("postgres", host="db", database="shop", user="u", password=SECRET),
            ("postgres://db:5432", "shop.public.orders"),
        ),
        (
            FullTable("sales.orders"),
            Database("postgres", host="db", port=6000, database="shop"),
            ("postgres://db:6000", "shop.sales.orders"),
        ),
        (
            FullTable("orders"),
            Database("mysql", host="db", database="shop"),
            ("mysql://db:3306", "shop.orders"),
        ),
        (
            FullTable("other.orders"),
            Database("mysql", host="db", database="shop"),
            ("mysql://db:3306", "other.orders"),
        ),
        (
            FullTable("orders"),
            Database("sqlite", path=Path("/shop.db")),
            ("sqlite:///shop.db", "orders"),
        ),
        (
            RestEndpoint("/orders", "api"),
            RestApi("https://api.example.com/v1/", Path("/landing")),
            ("https://api.example.com", "/v1/orders"),
        ),
        (
            DebeziumStream(HttpLines("/changes")),
            RestApi("http://stream:8080", Path("/landing")),
            ("http://stream:8080", "/changes"),
        ),
        (FullTable("orders"), None, ("connection://database", "orders")),
    ],
)
def test_sources_are_named_by_the_naming_rules(
    source: object, connection: object, expected: tuple[str, str]
) -> None:
    found = source_of(source, connection)
    assert (found.namespace, found.name) == expected
    assert "hunter2" not in found.namespace + found.name


def test_the_lake_and_jobs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lake_namespace(Path("/data/lake/catalog.sqlite")) == LAKE
    assert lake_table(LAKE, "cleaned/orders") == Named(LAKE, "cleaned.orders")
    assert job_namespace() == "platform_assets"
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "shop")
    assert job_namespace() == "shop"


def test_ids_are_the_same_whoever_asks_and_differ_by_attempt() -> None:
    assert run_id(DAGSTER, "raw_orders") == run_id(DAGSTER, "raw_orders")
    others = {
        run_id(DAGSTER, "raw_orders"),
        run_id(DAGSTER, "raw_orders", attempt=1),
        run_id(DAGSTER, "raw_orders", failed=True),
        run_id(DAGSTER, "cleaned_orders"),
        run_id("00000000-0a4b-4f4d-9d0a-2f1b7c9d8e11", "raw_orders"),
    }
    assert len(others) == 5


def test_events_say_what_was_given_and_no_more() -> None:
    at = datetime(2025, 1, 3, 8, tzinfo=UTC)
    start, end = as_json(started(WORK, at)), as_json(ended(WORK, "FAIL", at))
    for event in (start, end, *map(as_json, failed_beside(WORK))):
        examine(event)
    assert start["run"]["runId"] == end["run"]["runId"] == run_id(DAGSTER, "cleaned_orders")
    assert "errorMessage" not in start["run"]["facets"]
    assert end["run"]["facets"]["errorMessage"]["message"] == WORK.message
    times = end["run"]["facets"]["nominalTime"]
    assert (times["nominalStartTime"][:10], times["nominalEndTime"][:10]) == (
        "2025-01-01",
        "2025-01-03",
    )
    assert not start["inputs"][0]["inputFacets"]
    (table,) = end["outputs"]
    lineage = table["facets"]["columnLineage"]
    assert set(lineage["fields"]) == {"status"}
    assert lineage["dataset"] == []  # of what has no name, nothing is told
    beside = as_json(failed_beside(WORK)[1])
    assert (beside["eventType"], beside["run"]["runId"]) == (
        "FAIL",
        run_id(DAGSTER, "cleaned_orders", failed=True),
    )


def test_the_specification_refuses_what_is_wrong() -> None:
    event = as_json(started(WORK))
    for path, value in (
        (("run", "runId"), "no uuid"),
        (("eventTime",), "yesterday"),
        (("eventType",), "BEGUN"),
        (("job", "name"), None),
        (("run", "facets", "parent", "run"), {}),
        (("outputs", 0, "facets", "schema", "fields"), [{"type": "VARCHAR"}]),
    ):
        wrong = json.loads(json.dumps(event))
        place = wrong
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with pytest.raises(jsonschema.ValidationError):
            examine(wrong)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OPENLINEAGE_URL": "http://x"}, True),
        ({"OPENLINEAGE_URL": "http://x", "OPENLINEAGE_DISABLED": "true"}, False),
        ({"OPENLINEAGE_URL": ""}, False),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_CONFIG": "lineage.yml"}, True),
        ({"OPENLINEAGE_NAMESPACE": "shop"}, False),
    ],
)
def test_it_is_off_until_somebody_says_where_to(
    environment: dict[str, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sending.is_on(environment) is expected
    Path("openlineage.yml").write_text("transport: {type: console}\n")
    assert sending.is_on(environment) is (environment.get("OPENLINEAGE_DISABLED") != "true")


def test_off_it_is_not_even_loaded() -> None:
    code = (
        "import sys, platform_assets.assets.datasets, platform_assets.sensors.dead_runs;"
        "sys.exit('openlineage' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1") as server:
        yield server


def http_client(url: str, monkeypatch: pytest.MonkeyPatch) -> OpenLineageClient:
    # The client writes variables of its own beside this one.
    monkeypatch.setattr("os.environ", {"OPENLINEAGE_URL": url})
    return OpenLineageClient()


def test_a_receiver_gets_events_in_order(
    receiver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.expect_request("/api/v1/lineage", method="POST").respond_with_data("", 201)
    sender = sending.Sender(http_client(receiver.url_for(""), monkeypatch), patience=30)
    sender.send([started(WORK), ended(WORK, "COMPLETE")])
    assert sender.settle() == ""
    got = [json.loads(request.get_data()) for request, _ in receiver.log]
    assert [event["eventType"] for event in got] == ["START", "COMPLETE"]
    for event in got:
        examine(event)


class Client:
    """A receiver that is up or not, or slow."""

    def __init__(self) -> None:
        self.is_up = True
        self.go_on = threading.Event()
        self.go_on.set()
        self.got: list[Any] = []

    def emit(self, event: Any) -> None:
        self.go_on.wait(30)
        if not self.is_up:
            raise ConnectionError("http://user:hunter2@receiver")
        self.got.append(event)


def test_a_receiver_that_is_down_is_said_once_and_tried_again_later() -> None:
    client = Client()
    client.is_up = False
    sender = sending.Sender(client, patience=30, pause=0.2)
    sender.send([started(WORK), ended(WORK, "COMPLETE")])
    said = sender.settle()
    assert "ConnectionError" in said
    assert "hunter2" not in said
    sender.send([started(WORK)])
    assert sender.settle() == ""
    client.is_up = True
    deadline = time.monotonic() + 30
    while not client.got and time.monotonic() < deadline:
        sender.send([started(WORK)])
        sender.settle()
    assert client.got
    assert sender.lost >= 2
    # Up again: the next time that it goes down is said again.
    sender.settle()
    client.is_up = False
    sender.send([started(WORK)])
    assert "ConnectionError" in sender.settle()


def test_a_slow_receiver_holds_nothing_up() -> None:
    client = Client()
    client.go_on.clear()
    sender = sending.Sender(client, patience=0.05)
    sender.send([started(WORK)])
    assert "does not answer in time" in sender.settle()
    begun = time.monotonic()
    sender.send([ended(WORK, "COMPLETE")] * (sending.QUEUED + 5))
    assert sender.settle() == ""
    assert time.monotonic() - begun < 10
    assert sender.lost >= 4
    client.go_on.set()
