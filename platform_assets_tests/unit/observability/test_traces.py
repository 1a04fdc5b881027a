"""Ids of a trace, what switches traces on, and spans against a real collector and none at all."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.errors import SourceError
from platform_assets.observability import traces
from platform_assets.observability.traces import NOTHING, Recorder, root_span_id, span, trace_id
from platform_assets_tests.collector import Collector, collecting, tracing

RUN, OTHER = str(uuid.UUID(int=0xA1)), str(uuid.UUID(int=0xB2))
VALUE = "anna@example.org"
REFUSED = "http://127.0.0.1:1"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def recorder() -> Recorder:
    made = traces.start()
    assert made is not None
    return made


def end(kept: Recorder, run_id: str = RUN, error: str = "", parent: str = "") -> None:
    kept.leave_run()
    kept.end_run(
        run_id,
        started=1000.0,
        ended=1002.5,
        attributes={"job": "j"},
        error=error,
        parent_run_id=parent,
    )


@given(number=st.integers(min_value=1, max_value=2**128 - 1))
def test_a_runs_trace_is_its_id_without_hyphens(number: int) -> None:
    run_id = str(uuid.UUID(int=number))
    assert trace_id(run_id) == run_id.replace("-", "")
    assert len(root_span_id(run_id)) == 16
    assert int(root_span_id(run_id), 16) > 0


def test_a_run_without_a_uuid_has_a_trace_all_the_same() -> None:
    assert trace_id("run-1") == trace_id("run-1") != trace_id("run-2")
    assert len(trace_id("run-1")) == 32


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": REFUSED}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": REFUSED}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": REFUSED, "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": REFUSED, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": REFUSED, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_the_standard_variables_switch_it_on(environment: dict[str, str], wanted: bool) -> None:
    assert traces.is_wanted(environment) is wanted


def test_where_nobody_collects_a_span_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in traces.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert traces.start() is None
    with span("publish", partitions=["2025-01-01"]) as made:
        made.set(rows=1)
    assert made is NOTHING
    traces.tell(rows=1)
    traces.note_failure("no")
    traces.past("model", datetime.now(UTC), datetime.now(UTC))
    assert traces.ids() is None


def test_spans_arrive_as_a_tree_with_what_was_told(collector: Collector) -> None:
    with tracing(collector.url):
        kept = recorder()
        kept.enter_run(RUN)
        assert traces.ids() == (trace_id(RUN), root_span_id(RUN))
        kept.begin_step("raw_orders", {"asset": "raw/orders"})
        with span("publish", partitions=["b", "a", "c"], table="t"), span("extract") as made:
            made.set(rows=3)
            inner = traces.ids()
        now = datetime.now(UTC)
        traces.past("model", now - timedelta(seconds=2), now, error="fail: 2 rows", kind="test")
        traces.tell(partitions=["a"], rows_extracted=3)
        kept.end_step("")
        end(kept)
    root = collector.root(trace_id(RUN))
    assert (root.name, root.span_id, root["job"]) == ("run", root_span_id(RUN), "j")
    assert (root.started, root.ended) == (1_000_000_000_000, 1_002_500_000_000)
    step = collector.below(root)["raw_orders"]
    assert step.attributes == {
        "platform_assets.asset": "raw/orders",
        "platform_assets.partitions": 1,
        "platform_assets.partition": "a",
        "platform_assets.rows_extracted": 3,
    }
    assert collector.tree(root) == {"raw_orders": {"model": {}, "publish": {"extract": {}}}}
    publish = collector.below(step)["publish"]
    told = (publish["partitions"], publish["first_partition"], publish["last_partition"])
    assert told == (3, "a", "c")
    extract = collector.below(publish)["extract"]
    assert extract["rows"] == 3
    assert inner == (extract.trace_id, extract.span_id)
    model = collector.below(step)["model"]
    assert model.error == "fail: 2 rows"
    assert model.ended - model.started == 2_000_000_000
    assert collector.services == {"platform_assets"}
    assert traces.ids() is None


def test_an_error_is_told_by_its_text_only_where_that_is_ours(collector: Collector) -> None:
    with tracing(collector.url):
        kept = recorder()
        kept.enter_run(RUN)
        kept.begin_step("s", {})
        with pytest.raises(ValueError, match=VALUE), span("compute"):
            raise ValueError(f"cannot read {VALUE!r}")
        with pytest.raises(SourceError), span("look"):
            raise SourceError("The file is gone", where="orders.csv")
        for day in range(30):
            traces.note_failure(f"why {day}", partition=str(day))
        kept.end_step("Failure")
        end(kept, error="Steps failed: ['s']")
    root = collector.root(trace_id(RUN))
    assert root.error == "Steps failed: ['s']"
    step = collector.below(root)["s"]
    assert step.error == "why 0"
    assert len(step.events) == traces.SHOWN_FAILURES
    assert step.events[1] == {
        "name": "failed",
        "platform_assets.partition": "1",
        "platform_assets.message": "why 1",
    }
    stages = collector.below(step)
    assert stages["compute"].error == "ValueError"
    assert stages["compute"].attributes == {"error.type": "ValueError"}
    assert stages["look"].error == "The file is gone\n  where: orders.csv"
    assert not any(VALUE.encode() in body for body in collector.requests)


def test_a_run_within_a_step_has_its_own_trace(collector: Collector) -> None:
    with tracing(collector.url):
        kept = recorder()
        kept.enter_run(RUN)
        kept.begin_step("replay", {})
        kept.enter_run(OTHER)
        kept.begin_step("raw_orders", {})
        kept.end_step("")
        end(kept, OTHER, parent=RUN)
        with span("after"):
            pass
        kept.end_step("")
        end(kept)
    inner = collector.root(trace_id(OTHER))
    assert collector.tree(inner) == {"raw_orders": {}}
    assert inner.links == [(trace_id(RUN), root_span_id(RUN))]
    assert collector.tree(collector.root(trace_id(RUN))) == {"replay": {"after": {}}}


def test_the_process_that_launched_it_is_linked(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    monkeypatch.setenv("TRACEPARENT", f"00-{launcher[0]}-{launcher[1]}-01")
    with tracing(collector.url):
        kept = recorder()
        kept.enter_run(RUN)
        end(kept)
    assert collector.root(trace_id(RUN)).links == [launcher]


def test_who_sends_them_and_what_is_sampled_is_told_by_the_variables(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    kept_run, dropped_run = str(uuid.UUID(int=1)), str(uuid.UUID(int=2**64 - 1))
    with tracing(collector.url):
        kept = recorder()
        for run_id in (kept_run, dropped_run):
            kept.enter_run(run_id)
            kept.begin_step("s", {})
            with span("look"):
                pass
            kept.end_step("")
            end(kept, run_id)
    assert collector.services == {"shop"}
    assert collector.tree(collector.root(trace_id(kept_run))) == {"s": {"look": {}}}
    assert collector.of_run(trace_id(dropped_run)) == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "is grpc, and not http/protobuf"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "max_queue_size must be a positive integer"),
    ],
)
def test_a_wrong_variable_switches_them_off_and_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(name, value)
    with tracing(REFUSED):
        assert traces.start() is None
        assert traces.start() is None
        (line,) = said(caplog)
        assert line.startswith("Traces are off")
        assert told in line
    monkeypatch.delenv(name)
    with tracing(REFUSED):
        assert traces.start() is not None


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of traces, by us or by OpenTelemetry."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("platform_assets", "opentelemetry"))
    ]


def test_a_collector_that_refuses_is_told_of_once_and_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with tracing(REFUSED.replace("http://", "http://me:secret@")), caplog.at_level(logging.WARNING):
        kept = recorder()
        for _ in range(3):
            kept.enter_run(RUN)
            end(kept)
            started = time.perf_counter()
            kept.flush(5)
            assert time.perf_counter() - started < 3
        kept.flush(0)
    (line,) = said(caplog)
    assert "Traces cannot be sent, and this is said only once" in line
    assert "secret" not in line


def test_a_collector_that_never_answers_is_waited_for_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        tracing(f"http://127.0.0.1:{silent.getsockname()[1]}"),
    ):
        kept = recorder()
        kept.enter_run(RUN)
        end(kept)
        waits = []
        for _ in range(3):
            started = time.perf_counter()
            kept.flush(0.3)
            waits.append(time.perf_counter() - started)
        assert 0.3 <= waits[0] < 2
        assert max(waits[1:]) < 0.2
    (line,) = said(caplog)
    assert "did not answer within 0.3 s" in line
