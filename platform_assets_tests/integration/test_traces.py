"""A run of two datasets and an aggregate, seen by a real collector and in its own lines of JSON.

Guards the one place of Dagster's that ``run_log`` takes over: where an upgrade changes it, no span
and no line of JSON arrives.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from opentelemetry import trace

from platform_assets.assets.build import build_definitions
from platform_assets.assets.frame_asset import frame_asset
from platform_assets.assets.runs import run_assets
from platform_assets.contracts import Contract, Key
from platform_assets.observability import logs, traces
from platform_assets.observability.logs import FIELDS
from platform_assets.observability.traces import root_span_id, trace_id
from platform_assets.partitions import Daily
from platform_assets.pipeline.frames import Frame
from platform_assets.resources import FolderResource
from platform_assets.run_log import TRACE_ID, TRACE_TAG
from platform_assets.sensors.dead_runs import KILLED, end_dead_runs
from platform_assets.settings import PREFIX, load_settings
from platform_assets.warehouse.lake import Connection
from platform_assets.workers import worker_tags
from platform_assets_tests.collector import Collector, traced, tracing
from platform_assets_tests.conftest import Installation
from platform_assets_tests.stepwise import two_steps
from platform_assets_tests.support import D1, D2, D3, PII_KEY, row, text, things

VALUE = "a value of a row"
GOOD, BAD = (
    text(row("a"), row("b", quantity=-1), *map(row, "cdefghijklm")),
    text(row("a", quantity=VALUE)),
)
CUT = Daily(date(2025, 1, 1), date(2025, 1, 3))
REFUSED = "http://127.0.0.1:1"


class Counted(Contract):
    """How many things there are."""

    name: str = Key()
    things: int


def count(lake: Connection, _: str) -> pd.DataFrame:
    return lake.execute("SELECT 'things' AS name, count(*) AS things FROM lake.cleaned.things").df()


@dataclass
class World:
    """Two datasets of three days, of which one has a bad one, and what counts them."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def run(self, *, names: tuple[str, ...] = (), **options: Any) -> dg.ExecuteInProcessResult:
        keys = {dg.AssetKey(name.split("/")) for name in names}
        chosen = keys or self.definitions.resolve_asset_graph().get_all_asset_keys()
        return run_assets(self.definitions, self.instance, chosen, [D1, D2, D3], **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("traces")
    for name in ("things", "others"):
        (root / name).mkdir()
        for day in (D1, D2, D3):
            spoiled = (name, day) == ("things", D2)
            (root / name / f"{day}.csv").write_text(BAD if spoiled else GOOD)
    counted = Frame("counted", Counted, count, upstream=("cleaned/others",))
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.chdir(root)
        patch.setenv(f"{PREFIX}DATA_DIR", str(root / "data"))
        patch.setenv(f"{PREFIX}PII_KEY", PII_KEY)
        load_settings.cache_clear()
        definitions = build_definitions(
            [things(partitions=CUT), things("others", partitions=CUT)],
            resources={"files": FolderResource(path=str(root))},
            assets=[frame_asset(counted)],
        )
        yield World(definitions, instance)
    load_settings.cache_clear()


@dataclass
class Seen:
    """A run, as others see it."""

    result: dg.ExecuteInProcessResult
    collector: Collector
    output: str
    tags: dict[str, str]

    @property
    def trace(self) -> str:
        return trace_id(self.result.run_id)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]


@pytest.fixture(scope="module")
def seen(world: World) -> Seen:
    """The first run, with both traces and JSON."""
    written: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"{PREFIX}LOG_FORMAT", "json")
        load_settings.cache_clear()
        patch.setattr(sys, "stdout", _Output(written))
        with traced() as collector:
            result = world.run()
        logs.reset()
    load_settings.cache_clear()
    run = world.instance.get_run_by_id(result.run_id)
    assert run is not None
    return Seen(result, collector, "".join(written), dict(run.tags))


class _Output:
    """A standard output that keeps what is written."""

    def __init__(self, written: list[str]) -> None:
        self._written = written

    def write(self, text: str) -> int:
        self._written.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def test_the_tree_is_run_asset_stage(seen: Seen) -> None:
    root = seen.collector.root(seen.trace)
    assert (root.name, root.span_id) == ("run", root_span_id(seen.result.run_id))
    raw = {
        "look": {},
        "inspect": {},
        "publish": {"extract": {}, "audit": {}},
        "compact": {},
    }
    cleaned = {"judge": {}, "publish": {"stage": {}, "audit": {"notice": {}}}, "compact": {}}
    counted = {"compute": {}, "audit": {}, "publish": {"stage": {}, "audit": {}}}
    assert seen.collector.tree(root) == {
        "raw_things": raw,
        "raw_others": raw,
        "cleaned_things": cleaned,
        "cleaned_others": cleaned,
        "counted": counted,
        **{
            f"{layer}__{name}_partitions_published": {}
            for layer in ("raw", "cleaned")
            for name in ("things", "others")
        },
    }
    spans = seen.collector.of_run(seen.trace)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans) == len(seen.collector.spans)
    for span in spans:
        if span.parent_id:
            outer = by_id[span.parent_id]
            assert outer.started <= span.started <= span.ended <= outer.ended


def test_spans_say_what_was_done(seen: Seen) -> None:
    root = seen.collector.root(seen.trace)
    assert (root["run_id"], root["first_partition"], root["last_partition"]) == (
        seen.result.run_id,
        D1,
        D3,
    )
    steps = seen.collector.below(root)
    told = steps["cleaned_others"].attributes
    assert {name.removeprefix("platform_assets."): value for name, value in told.items()} == {
        "asset": "cleaned/others",
        "dataset": "others",
        "step": "cleaned_others",
        "run_id": seen.result.run_id,
        "partitions": 3,
        "first_partition": D1,
        "last_partition": D3,
        "rows_extracted": 39,
        "rows_cleaned": 36,
        "rows_quarantined": 3,
        "rows_deduplicated": 0,
        "bytes": len(GOOD) * 3,
        "unchanged_partitions": 0,
        "failed_partitions": 0,
    }
    publish = seen.collector.below(steps["raw_others"])["publish"]
    assert publish["table"] == "lake.raw.others"
    assert seen.collector.below(publish)["extract"]["rows"] == 39
    assert steps["counted"]["rows_cleaned"] == 1
    assert "platform_assets.first_partition" not in steps["counted"].attributes


def test_a_failed_partition_is_an_error_without_a_rows_value(seen: Seen) -> None:
    assert not seen.result.success
    root = seen.collector.root(seen.trace)
    assert root.error is not None
    assert "cleaned__things_partitions_published" in root.error
    steps = seen.collector.below(root)
    assert steps["cleaned_others"].error is None
    failed = steps["cleaned_things"]
    assert failed.error is not None
    assert failed.error.startswith("Too many rows break a rule: quantity__castable")
    (event,) = failed.events
    assert event["platform_assets.partition"] == D2
    assert event["platform_assets.stopped_by"] == "quantity__castable"
    assert steps["cleaned__things_partitions_published"].error == "Failure"
    assert not any(VALUE.encode() in body for body in seen.collector.requests)


def test_every_line_of_the_run_is_json_with_its_fields(seen: Seen) -> None:
    lines = seen.lines()
    run_id, spans = seen.result.run_id, {s.span_id for s in seen.collector.spans}
    for line in lines:
        assert tuple(line)[: len(FIELDS)] == FIELDS
        assert (line["run_id"], line["trace_id"]) == (run_id, seen.trace)
        assert line["span_id"] in spans
        if "step" in line:
            assert line["asset"]
            assert line["partition"] == (None if line["step"] == "counted" else f"{D1}...{D3}")
    events = {line.get("event_type") for line in lines}
    assert {"PIPELINE_START", "STEP_START", "STEP_FAILURE", "PIPELINE_FAILURE"} <= events
    (summary,) = [line for line in lines if line["message"].startswith("cleaned/things: ")]
    step = seen.collector.below(seen.collector.root(seen.trace))["cleaned_things"]
    assert summary["span_id"] == step.span_id
    assert summary["asset"] == "cleaned/things, quarantine/things"
    (failure,) = [line for line in lines if line.get("event_type") == "STEP_FAILURE"]
    assert "1 partition(s) of cleaned/things were not published" in failure["exception"]
    assert VALUE not in seen.output


def test_the_ui_leads_to_the_trace(seen: Seen) -> None:
    assert seen.tags[TRACE_TAG] == seen.trace
    made = [
        event.step_materialization_data.materialization
        for event in seen.result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
    ]
    assert made
    assert {each.metadata[TRACE_ID].value for each in made} == {seen.trace}


def test_a_killed_run_has_a_root_all_the_same(world: World, seen: Seen) -> None:
    gone = {**worker_tags(), "platform_assets/worker_created": "1.0"}
    run = world.instance.create_run_for_job(
        world.definitions.resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        tags={**gone, "dagster/partition": D1, "dagster/parent_run_id": seen.result.run_id},
    )
    with traced() as collector:
        assert end_dead_runs(world.instance) == [run.run_id]
        assert end_dead_runs(world.instance) == []
    root = collector.root(trace_id(run.run_id))
    assert root.span_id == root_span_id(run.run_id)
    assert root.error == KILLED
    assert root["partition"] == D1
    assert root.links == [(seen.trace, root_span_id(seen.result.run_id))]
    assert len(collector.spans) == 1


def test_an_unreachable_collector_neither_fails_nor_slows_a_run(
    world: World, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    with tracing(REFUSED):
        started = time.perf_counter()
        for _ in range(2):
            assert world.run(names=("raw/others",)).success
        assert time.perf_counter() - started < 20
    told = [each for each in caplog.records if each.name.startswith("platform_assets.observ")]
    assert len(told) == 1


def test_what_is_wrong_with_a_span_fails_no_run(
    world: World, seen: Seen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with traced() as collector:
        recorder = traces.start()

        def refuse(*_: object) -> None:
            raise RuntimeError("no step today")

        monkeypatch.setattr(recorder, "begin_step", refuse)
        result = world.run(names=("raw/others",))
        assert result.success
    assert "RuntimeError: no step today" in capsys.readouterr().err
    assert collector.root(trace_id(result.run_id)).error is None


@pytest.fixture
def steps_in_processes(
    instance: dg.DagsterInstance,
) -> Iterator[tuple[dg.JobExecutionResult, Collector]]:
    """A run whose steps have a process each, of which one is killed."""
    with (
        traced() as collector,
        dg.execute_job(dg.reconstructable(two_steps), instance) as result,
    ):
        yield result, collector


def test_steps_of_other_processes_and_killed_ones_are_in_the_runs_trace(
    steps_in_processes: tuple[dg.JobExecutionResult, Collector],
) -> None:
    result, collector = steps_in_processes
    assert not result.success
    root = collector.root(trace_id(result.run_id))
    steps = collector.below(root)
    assert collector.tree(root) == {"lives": {"compute": {}}, "dies": {}}
    assert (steps["lives"].error, steps["dies"].error) == (None, "ChildProcessCrashException")
    assert len(collector.spans) == 4


OFF = """
import json, sys
calls = []
sys.addaudithook(lambda name, args: name == "socket.connect" and calls.append(str(args)))
import dagster as dg
from platform_assets.assets.build import build_definitions
from platform_assets.resources import FolderResource
from platform_assets_tests.support import things

definitions = build_definitions([things()], resources={"files": FolderResource(path=sys.argv[1])})
result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
    asset_selection=[dg.AssetKey(["raw", "things"])], partition_key="2025-01-01"
)
ours = ("platform_assets.observability.otlp", "platform_assets.observability.logs")
loaded = [name for name in sys.modules if name.startswith(("opentelemetry", *ours))]
print(json.dumps({"success": result.success, "loaded": loaded, "calls": calls}))
"""


def test_off_nothing_is_imported_and_nobody_is_called(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / f"{D1}.csv").write_text(GOOD)
    done = subprocess.run(
        [sys.executable, "-c", OFF, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout) == {"success": True, "loaded": [], "calls": []}
    # Dagster's own log, in its own format.
    assert " - dagster - DEBUG - __ASSET_JOB - " in done.stderr


def test_traces_are_off_again(world: World) -> None:
    assert traces.recorder() is None
    assert not trace.get_current_span().get_span_context().is_valid
    assert not logs.is_json()
