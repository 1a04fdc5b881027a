"""Lines of JSON: every logger's, on one line each, with the same fields, and without secrets."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from platform_assets.observability import logs, output, traces
from platform_assets.observability.logs import FIELDS

SECRET = "a key for tests only"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def as_json() -> Iterator[None]:
    logs.configure([SECRET])
    yield
    logs.reset()


def fail(error: Exception) -> None:
    raise error


def lines(capsys: Capture) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.err == ""
    return [json.loads(line) for line in captured.out.splitlines()]


@pytest.mark.usefixtures("as_json")
def test_a_librarys_line_has_every_field_in_order(capsys: Capture) -> None:
    logging.getLogger("some.library").warning("%s of %d\nrows", "two", 3)
    (line,) = lines(capsys)
    assert tuple(line) == FIELDS
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "some.library",
        "message": "two of 3\nrows",
        **dict.fromkeys(("run_id", "asset", "partition", "trace_id", "span_id")),
    }


@pytest.mark.usefixtures("as_json")
def test_what_is_bound_is_on_every_line_until_it_is_not(capsys: Capture) -> None:
    log = logging.getLogger("x")
    run = logs.RunFields("r1")
    run.begin_step({"asset": "raw/orders", "partition": "2025-01-01...2025-01-03"})
    with traces.span("compute", partitions=["2025-01-02"]):
        log.error("within")
    log.error("after")
    structlog.get_logger("own").info("said", rows=3)
    run.end_step()
    log.error("between")
    run.leave()
    log.error("outside")
    within, after, own, between, outside = lines(capsys)
    assert (within["stage"], within["partition"]) == ("compute", "2025-01-02")
    assert (after["run_id"], after["asset"]) == ("r1", "raw/orders")
    assert after["partition"] == "2025-01-01...2025-01-03"
    assert "stage" not in after
    told = (own["logger"], own["message"], own["rows"], own["asset"])
    assert told == ("own", "said", 3, "raw/orders")
    assert (between["run_id"], between["asset"]) == ("r1", None)
    assert outside["run_id"] is None


@pytest.mark.usefixtures("as_json")
def test_a_thread_that_the_run_started_is_of_the_run(capsys: Capture) -> None:
    run = logs.RunFields("r1")
    run.begin_step({"asset": "dbt"})
    thread = threading.Thread(target=lambda: logging.getLogger("dbt").info("1 of 5 START"))
    thread.start()
    thread.join()
    run.leave()
    logging.getLogger("dbt").info("idle")
    started, idle = lines(capsys)
    assert (started["run_id"], started["asset"]) == ("r1", "dbt")
    assert idle["run_id"] is None


@pytest.mark.usefixtures("as_json")
def test_an_error_is_one_line_with_its_stack_in_a_field(capsys: Capture) -> None:
    try:
        fail(ValueError("no\nsuch thing"))
    except ValueError:
        logging.getLogger("x").exception("It failed")
    (line,) = lines(capsys)
    assert line["message"] == "It failed"
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert line["exception"].endswith("ValueError: no\nsuch thing")


@pytest.mark.usefixtures("as_json")
def test_a_secret_is_in_no_field(capsys: Capture) -> None:
    try:
        fail(ValueError(f"cannot connect to postgresql://shop:hunter2@db/x with {SECRET}"))
    except ValueError:
        logging.getLogger("x").exception("tried https://me:pw@host/ and %s", SECRET)
    structlog.get_logger("own").info("said", settings={"password": SECRET, "list": [SECRET]})
    captured = capsys.readouterr().out
    assert len(captured.splitlines()) == 2
    for secret in (SECRET, "hunter2", "me:pw"):
        assert secret not in captured


@pytest.mark.usefixtures("as_json")
def test_warnings_and_what_ends_the_process_are_lines(capsys: Capture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    try:
        fail(RuntimeError("the end"))
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    warned, ended = lines(capsys)
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")
    assert "DeprecationWarning: old" in warned["message"]
    assert ended["level"] == "critical"
    assert "RuntimeError: the end" in ended["exception"]


def test_no_other_handler_writes_to_the_console_meanwhile(capsys: Capture) -> None:
    library = logging.getLogger("chatty.library")
    handler = logging.StreamHandler(sys.stderr)
    library.addHandler(handler)
    library.propagate = False
    try:
        before = (sys.excepthook, logging.getLogger().level)
        logs.configure([])
        assert logs.configure([]) is logs.configure([])
        library.warning("once")
        assert [line["message"] for line in lines(capsys)] == ["once"]
        logs.reset()
        assert library.handlers == [handler]
        assert (sys.excepthook, logging.getLogger().level) == before
        assert not logs.is_json()
    finally:
        library.removeHandler(handler)


@pytest.mark.usefixtures("as_json")
def test_a_command_writes_its_log_beside_its_answer(capsys: Capture) -> None:
    output.log_to("stderr")
    try:
        logging.getLogger("x").warning("aside")
    finally:
        output.log_to("stdout")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "aside"
