"""Runs of Dagster with a receiver of lineage: over HTTP, down, and of a process that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from pytest_httpserver import HTTPServer

from platform_assets.assets import datasets
from platform_assets.assets.build import build_definitions
from platform_assets.assets.lineage_events import INTERRUPTED
from platform_assets.errors import PublishError
from platform_assets.observability.openlineage_events import run_id
from platform_assets.resources import FolderResource
from platform_assets.sensors.aborted import MESSAGE, tell_aborted
from platform_assets_tests.conftest import Installation
from platform_assets_tests.openlineage_schema import examine
from platform_assets_tests.support import D1, D2, row, text, things

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
RAW = [dg.AssetKey(["raw", "things"])]
ALL = [*RAW, dg.AssetKey(["cleaned", "things"]), dg.AssetKey(["quarantine", "things"])]
WARNED = "OpenLineage events are not received"


@pytest.fixture
def shop(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """Two days of things, the second with nothing but bad rows; no variable is left behind."""
    folder = installation.root / "in" / "things"
    folder.mkdir(parents=True)
    (folder / f"{D1}.csv").write_text(text(row("a"), row("b")))
    (folder / f"{D2}.csv").write_text(text(row("c", quantity=-1), row("d", price="hunter2")))
    monkeypatch.setattr("os.environ", dict(os.environ))
    return build_definitions(
        [things()], resources={"files": FolderResource(path=str(installation.root / "in"))}
    )


def run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, keys: list[dg.AssetKey] = ALL
) -> dg.ExecuteInProcessResult:
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        tags=dict(zip(RANGE, (D1, D2), strict=True)),
        asset_selection=keys,
        raise_on_error=False,
    )


def warnings_of(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> int:
    return sum(WARNED in entry.user_message for entry in instance.all_logs(result.run_id))


def test_a_receiver_over_http_gets_the_run(
    shop: dg.Definitions, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api/v1/lineage", method="POST").respond_with_data("", 201)
    os.environ["OPENLINEAGE_URL"] = httpserver.url_for("")
    result = run(shop, instance)
    events = [json.loads(request.get_data()) for request, _ in httpserver.log]
    for event in events:
        examine(event)
    assert [(e["job"]["name"], e["eventType"]) for e in events] == [
        ("raw_things", "START"),
        ("raw_things", "COMPLETE"),
        ("cleaned_things", "START"),
        ("cleaned_things", "COMPLETE"),
        ("cleaned_things", "START"),
        ("cleaned_things", "FAIL"),
    ]
    assert "hunter2" not in json.dumps(events)
    assert warnings_of(instance, result) == 0


def test_a_receiver_that_is_down_fails_nothing_and_is_said_once(
    shop: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    # Nobody listens on a port that was never bound by this process; port 9 is "discard".
    os.environ["OPENLINEAGE_URL"] = "http://127.0.0.1:9"
    result = run(shop, instance, RAW)
    assert result.success
    assert warnings_of(instance, result) == 1


def test_a_fault_of_lineage_is_said_and_fails_nothing(
    shop: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    os.environ["OPENLINEAGE__TRANSPORT__TYPE"] = "no such transport"
    result = run(shop, instance, RAW)
    assert result.success
    told = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert any("OpenLineage events could not be made" in each for each in told)


def told(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("error", "state", "expected"),
    [
        (PublishError("What it is", fix="correct it"), "FAIL", "What it is\n  fix: correct it"),
        (ValueError("hunter2"), "FAIL", "its text is withheld"),
        (DagsterExecutionInterruptedError(), "ABORT", INTERRUPTED),
    ],
)
def test_a_step_that_ends_early_says_how(
    error: BaseException,
    state: str,
    expected: str,
    shop: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    os.environ["OPENLINEAGE__TRANSPORT__TYPE"] = "file"
    os.environ["OPENLINEAGE__TRANSPORT__LOG_FILE_PATH"] = str(tmp_path / "events")
    os.environ["OPENLINEAGE__TRANSPORT__APPEND"] = "true"

    def load(*_: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_raw", load)
    with suppress(DagsterExecutionInterruptedError):
        run(shop, instance, RAW)
    start, end = told(tmp_path / "events")
    examine(end)
    assert (start["eventType"], end["eventType"]) == ("START", state)
    assert start["run"]["runId"] == end["run"]["runId"]
    message = end["run"]["facets"]["errorMessage"]["message"]
    assert expected in message
    assert "hunter2" not in message


# A run whose step begins and waits to be killed.
WAITING = """
import sys, time
import dagster as dg

@dg.multi_asset(name="raw_things", specs=[dg.AssetSpec(["raw", "things"])])
def waiting(context):
    print(context.run.run_id, flush=True)
    time.sleep(600)

@dg.multi_asset(name="dbt", specs=[dg.AssetSpec([*each.split("/")]) for each in ("s/x", "a/y")])
def models(context):
    print(context.run.run_id, flush=True)
    time.sleep(600)

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    dg.materialize([{"raw": waiting, "dbt": models}[sys.argv[2]]], instance=instance)
"""


@pytest.mark.parametrize(
    ("step", "jobs"),
    [("raw", ["raw_things"]), ("dbt", ["dbt.a.y", "dbt.s.x"])],
)
def test_what_a_killed_process_had_begun_is_aborted(
    step: str, jobs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path), step],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    dagster_run = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        found = instance.get_run_by_id(dagster_run)
        assert found is not None
        assert tell_aborted(instance, found) == []  # nobody listens
        monkeypatch.setattr("os.environ", dict(os.environ))
        os.environ["OPENLINEAGE__TRANSPORT__TYPE"] = "file"
        os.environ["OPENLINEAGE__TRANSPORT__LOG_FILE_PATH"] = str(tmp_path / "events")
        os.environ["OPENLINEAGE__TRANSPORT__APPEND"] = "true"
        assert tell_aborted(instance, found) == jobs
    events = told(tmp_path / "events")
    for event in events:
        examine(event)
    assert [(e["job"]["name"], e["eventType"]) for e in events] == [(job, "ABORT") for job in jobs]
    assert events[0]["run"]["runId"] == run_id(dagster_run, jobs[0])
    assert events[0]["run"]["facets"]["errorMessage"]["message"] == MESSAGE
