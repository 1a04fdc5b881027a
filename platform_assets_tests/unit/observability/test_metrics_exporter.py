"""The exporter and its server: a broken source costs its own metrics, and nothing else."""

from __future__ import annotations

import gc
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from platform_assets.errors import SettingsError
from platform_assets.observability.metrics import COLLECTORS, declared_metrics
from platform_assets.observability.metrics.declared import (
    COUNTED,
    PREFIX,
    UNITS,
    Kind,
    Metric,
    Reading,
    largest,
)
from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.server import bind, registry_of
from platform_assets_tests.scraped import Scrape

DECLARED = [metric for told in declared_metrics().values() for metric in told]
# What a label may be: declared by people, or of a known list. No partition, no run, no text.
LABELS = {
    "asset", "layer", "outcome", "status", "cause", "dataset", "rule", "check", "severity",
    "table", "state", "connection", "collector", "version", "reason", "daemon",
    "level", "kind", "route", "beat",
}  # fmt: skip
HEIGHT = Metric("platform_assets_height_bytes", "How high.", ("of",))
COUNT = Metric("platform_assets_seen_runs_total", "How many.", kind=Kind.COUNTER)


@dataclass
class Told:
    """A collector that says what it is given, or fails, or hangs until it is let go."""

    name: str = "told"
    source: str = "here"
    metrics: tuple[Metric, ...] = (HEIGHT, COUNT)
    readings: Sequence[Reading] = (HEIGHT.at(3, 'a "b"\n'), COUNT.at(2))
    error: Exception | None = None
    hold: threading.Event | None = None
    asked: int = 0
    threads: set[str] = field(default_factory=set)

    def read(self) -> Sequence[Reading]:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if self.hold is not None:
            self.hold.wait(30)
        if self.error is not None:
            raise self.error
        return self.readings


def other(**values: object) -> Told:
    metric = Metric("platform_assets_width_bytes", "How wide.")
    return Told(**{
        "name": "other", "source": "there", "metrics": (metric,), "readings": (metric.at(1),),
        **values,
    })  # fmt: skip


@contextmanager
def exporting(*collectors: Told, budget: float = 20.0) -> Iterator[Exporter]:
    exporter = Exporter(collectors, budget=budget)
    try:
        yield exporter
    finally:
        for each in collectors:
            if each.hold is not None:
                each.hold.set()
        exporter.close()


@pytest.mark.parametrize("metric", DECLARED, ids=lambda metric: metric.name)
def test_a_metric_follows_the_conventions(metric: Metric) -> None:
    assert metric.name.startswith(PREFIX)
    assert metric.name == metric.name.lower()
    assert metric.unit, f"{metric.name} does not end in its unit"
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert set(metric.labels) <= LABELS
    # Ages are no good: they stand still with the exporter. Moments do not.
    assert "_age_" not in metric.name


def test_names_are_told_once_and_units_apart() -> None:
    names = [metric.name for metric in DECLARED]
    assert len(names) == len(set(names))
    assert all(each.name in declared_metrics() for each in COLLECTORS)
    assert Metric("platform_assets_x_timestamp_seconds", "A moment.").unit.startswith(
        "seconds since"
    )
    assert Metric("platform_assets_x_seconds", "A time.").unit == "seconds"
    assert Metric("platform_assets_x_rows", "Rows.", kind=Kind.COUNTER).unit == ""
    assert Metric("platform_assets_x_age", "Old.").unit == ""
    assert all(ending.endswith("_total") for ending in COUNTED)
    assert not any(ending.endswith("_total") for ending in UNITS)


def test_a_reading_has_a_value_for_each_label() -> None:
    with pytest.raises(ValueError, match=r"has the labels \('of',\), not 2"):
        HEIGHT.at(1, "a", "b")


def test_the_largest_are_told_one_by_one() -> None:
    counts = [((name,), float(value)) for name, value in (("a", 1), ("b", 5), ("c", 1), ("d", 9))]
    assert largest(counts, 2) == [(("d",), 9), (("b",), 5), (("other",), 2)]
    assert largest(counts, 4) == [(("d",), 9), (("b",), 5), (("a",), 1), (("c",), 1)]
    assert largest([], 4) == []


def test_what_collectors_say_is_told_with_how_it_went() -> None:
    with exporting(Told(), other()) as exporter:
        told = Scrape.of(exporter)
        text = generate_latest(registry_of(exporter)).decode()
    assert told.get("height_bytes", of='a "b"\n') == 3
    assert told.get("seen_runs_total") == 2
    assert told.get("width_bytes") == 1
    assert told.all("collector_success", "collector") == {"told": 1, "other": 1}
    assert all(v >= 0 for v in told.all("collector_duration_seconds", "collector").values())
    assert told.get("scrape_duration_seconds") >= 0
    assert "# HELP platform_assets_height_bytes How high.\n" in text
    assert "# TYPE platform_assets_seen_runs_total counter\n" in text


@given(st.lists(st.tuples(st.text(), st.floats()), max_size=5, unique_by=lambda each: each[0]))
def test_the_text_is_that_of_prometheus_client(told: list[tuple[str, float]]) -> None:
    readings = [HEIGHT.at(value, label) for label, value in told]
    with exporting(Told(readings=readings)) as exporter:
        ours = exporter.text()
        theirs = generate_latest(registry_of(exporter))

    def steady(page: bytes) -> list[bytes]:
        # But for how long it took.
        return [line for line in page.split(b"\n") if b"duration_seconds" not in line]

    assert steady(ours) == steady(theirs)


def test_what_is_there_before_the_first_scrape_is_no_garbage_to_look_for() -> None:
    collector, before = Told(), gc.get_freeze_count()
    with exporting(collector) as exporter:
        try:
            exporter.warm_up()
            assert collector.asked > 0
            assert gc.get_freeze_count() > before
        finally:
            gc.unfreeze()


def test_registering_asks_for_nothing() -> None:
    collector = Told()
    with exporting(collector) as exporter:
        registry_of(exporter)
        assert {family.name for family in exporter.describe()} > {"platform_assets_height_bytes"}
    assert collector.asked == 0


def test_a_broken_collector_costs_its_own_metrics(caplog: pytest.LogCaptureFixture) -> None:
    broken, same = Told(error=RuntimeError("no\nlake")), other(source="here")
    with exporting(broken, same) as exporter, caplog.at_level(logging.WARNING):
        first, _ = Scrape.of(exporter), Scrape.of(exporter)
        assert first.all("collector_success", "collector") == {"told": 0, "other": 1}
        assert first.get("seen_runs_total") is None
        assert first.get("width_bytes") == 1
        assert [each.getMessage() for each in caplog.records] == [
            "metrics of told cannot be read: RuntimeError: no"
        ]
        broken.error = None
        again, _ = Scrape.of(exporter), Scrape.of(exporter)
        assert again.get("seen_runs_total") == 2
        assert [each.getMessage() for each in caplog.records][1:] == [
            "metrics of told can be read again"
        ]
    # Of one source one after another, on one thread.
    assert broken.threads == same.threads


def test_a_source_that_hangs_does_not_hold_up_the_others() -> None:
    hanging = Told(hold=threading.Event())
    with exporting(hanging, other(), budget=0.2) as exporter:
        told = Scrape.of(exporter)
        assert told.all("collector_success", "collector") == {"told": 0, "other": 1}
        assert told.get("width_bytes") == 1
        Scrape.of(exporter)
        # It is not asked again while it is at it.
        assert hanging.asked == 1
        hanging.hold.set()
    with exporting(hanging, budget=20) as exporter:
        assert Scrape.of(exporter).all("collector_success", "collector") == {"told": 1}


def test_the_server_has_two_pages_and_answers_during_a_scrape() -> None:
    hanging = Told(hold=threading.Event())
    with exporting(hanging) as exporter, bind(exporter, "127.0.0.1", 0) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}"
        pages: list[str] = []
        scrape = threading.Thread(target=lambda: pages.append(get(f"{url}/metrics")))
        scrape.start()
        try:
            assert get(f"{url}/healthz") == "ok\n"
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(f"{url}/")
            assert pages == []
            hanging.hold.set()
            scrape.join(20)
            assert Scrape.of_text(pages[0]).get("seen_runs_total") == 2
            with pytest.raises(SettingsError, match="cannot be served there") as refused:
                bind(exporter, "127.0.0.1", server.server_port)
            assert str(server.server_port) in str(refused.value)
        finally:
            hanging.hold.set()
            server.shutdown()
            serving.join(20)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as response:
        return str(response.read().decode())
