"""Metrics of promises, change logs and alerts, held against a real lake and a real book."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.heartbeats import beat
from platform_assets.alerts.policy import default_policy
from platform_assets.alerts.routing import Means, Target
from platform_assets.alerts.signals import Kind, Severity, Signal
from platform_assets.errors import SourceError
from platform_assets.observability.metrics.alerts import AlertCollector
from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.freshness import FreshnessCollector
from platform_assets.observability.metrics.streams import StreamCollector, Streams
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.pipeline.freshness import Promised
from platform_assets.quality.promise import Freshness
from platform_assets.sources.base import Access
from platform_assets.sources.change_source import Lag
from platform_assets.sources.retrying import Guard
from platform_assets.warehouse import cursors
from platform_assets.warehouse.lake import LakeConfig, connect, in_transaction
from platform_assets.warehouse.reader import LakeReader
from platform_assets.warehouse.tables import ensure_platform_tables
from platform_assets_tests.scraped import Scrape
from platform_assets_tests.support import D1, D2, D3, Site, row, text, things
from platform_assets_tests.told_source import ToldChanges

NOW = datetime(2025, 1, 4, 9, tzinfo=UTC)
CLEANED = {"asset": "cleaned/things", "layer": "cleaned"}


@contextmanager
def telling(collector: FreshnessCollector | StreamCollector | AlertCollector) -> Iterator[Exporter]:
    exporter = Exporter([collector], budget=60)
    yield exporter
    exporter.close()


def test_a_promise_is_told_with_its_deadline_and_who_is_late(
    site: Site, lake_config: LakeConfig
) -> None:
    cut = Daily(date(2025, 1, 1), date(2025, 4, 30))
    clock = [NOW]
    promised = [
        Promised("cleaned/things", Freshness(by="08:00"), cut, ("raw/things",)),
        Promised("cleaned/never", Freshness(by="10:00"), cut),
    ]
    collector = FreshnessCollector(LakeReader(lake_config), lambda: promised, lambda: clock[0])
    for day in (D1, D2):
        site.deliver(day, text(row("a")))
    site.run(things(), [D1, D2])
    with telling(collector) as exporter:
        told = Scrape.of(exporter)
        # The day that was over at 08:00 is missing; the other one's deadline was yesterday.
        assert told.get("freshness_state", **CLEANED, level="late") == 1
        assert told.get("freshness_state", **CLEANED, level="fresh") == 0
        deadline = datetime(2025, 1, 4, 8, tzinfo=UTC).timestamp()
        assert told.get("freshness_deadline_timestamp_seconds", **CLEANED) == deadline
        assert told.get("freshness_late_since_timestamp_seconds", **CLEANED) == deadline
        assert told.get("freshness_cause_state", **CLEANED, cause="upstream") in {0, 1}
        never = {**CLEANED, "asset": "cleaned/never"}
        assert told.get("freshness_state", **never, level="late") == 1
        site.deliver(D3, text(row("a")))
        site.run(things(), [D3])
        told = Scrape.of(exporter)
        assert told.get("freshness_state", **CLEANED, level="fresh") == 1
        assert told.get("freshness_late_since_timestamp_seconds", **CLEANED) is None
        assert told.get("freshness_cause_state", **CLEANED, cause="own") is None
        clock[0] = NOW + timedelta(days=1)
        assert Scrape.of(exporter).get("freshness_state", **CLEANED, level="late") == 1


@dataclass(frozen=True)
class Behind(ToldChanges):
    """A change log that is so far behind, or does not answer."""

    told: tuple[Lag, ...] = ()

    def lag(self, access: Access, cursor: str) -> Lag:
        """How far."""
        del access, cursor
        if not self.told:
            raise SourceError("It is down", where="", expected="", found="", fix="")
        return self.told[0]


def test_a_change_log_is_told_by_its_oldest_unread_change(lake_config: LakeConfig) -> None:
    logs = {
        "behind": Behind(told=(Lag(NOW, 1_000),)),
        "read": Behind(told=(Lag(None, 0),)),
        "stream": Behind(told=(Lag(NOW, events=1_000, at_least=True),)),
        "down": Behind(connection="other"),
        "new": Behind(told=(Lag(NOW),)),
    }

    @contextmanager
    def open_nothing(name: str) -> Iterator[None]:
        assert name in {"database", "other"}
        yield None

    streams = Streams(
        [replace_source(name, source) for name, source in logs.items()], open_nothing, Guard()
    )
    with connect(lake_config) as lake:
        ensure_platform_tables(lake)
        collector = StreamCollector(LakeReader(lake_config), lambda: streams)
        with telling(collector) as exporter:
            assert Scrape.of(exporter).get("collector_success", collector="streams") == 1
            for name in ("behind", "read", "stream", "down"):
                at = cursors.Cursor(1, "x")
                in_transaction(lake, lambda con, n=name, at=at: cursors.record(con, n, at, "r"))
            told = Scrape.of(exporter)
    assert told.all("stream_success", "dataset") == {
        "behind": 1, "read": 1, "stream": 1, "down": 0,
    }  # fmt: skip
    oldest = told.all("stream_oldest_unread_timestamp_seconds", "dataset")
    assert oldest == {"behind": NOW.timestamp(), "stream": NOW.timestamp()}
    assert told.all("stream_unread_bytes", "dataset") == {"behind": 1_000, "read": 0}
    assert told.all("stream_unread_events", "dataset") == {"stream": 1_000}
    read = told.all("source_read_timestamp_seconds", "dataset")
    assert set(read) == {"behind", "read", "stream", "down"}
    assert all(abs(at - datetime.now(UTC).timestamp()) < 60 for at in read.values())


def replace_source(name: str, source: Behind) -> object:
    return things(name, source=source, partitions=Unpartitioned())


@pytest.fixture
def watch(tmp_path: Path) -> Path:
    return tmp_path / "watch.sqlite"


def test_alerts_are_told_by_kind_and_by_what_waits(watch: Path, tmp_path: Path) -> None:
    with telling(AlertCollector(watch)) as exporter:
        told = Scrape.of(exporter)
        assert told.get("collector_success", collector="alerts") == 1
        assert told.get("open_problems", kind="freshness") is None
        # It is not made by who only looks.
        assert not watch.exists()
        database = Database(watch)
        book = Book(database)
        assert Scrape.of(exporter).get("open_problems", kind="freshness") == 0
        # A route that leads nowhere, so that what is said waits.
        policy = default_policy(tmp_path)
        (route, *_) = policy.routes
        nowhere = Target(Means.WEBHOOK, "http://127.0.0.1:9/", shown="nowhere")
        routes = (replace(route, name="nowhere", target=nowhere, group_wait=timedelta(0)),)
        policy = replace(policy, routes=routes)
        now = datetime.now(UTC)
        signals = [
            Signal(Kind.FRESHNESS, "cleaned/things", now, severity=Severity.ERROR, title="late"),
            Signal(Kind.RUN_FAILED, "run/1", now, severity=Severity.WARN, title="failed"),
        ]
        book.take(signals, policy, now)
        beat(database, "alerts", timedelta(seconds=30), now)
        told = Scrape.of(exporter)
        figures = book.figures(now)
        assert figures.unsent >= 1
        assert told.get("open_problems", kind="freshness") == 1
        assert told.get("open_problems", kind="heartbeat") == 0
        assert told.get("open_incidents", severity="error") == figures.incidents["error"] == 1
        assert told.get("unsent_messages", status="due") == figures.unsent
        assert told.get("unsent_messages", status="stuck") == 0
        waiting = told.get("oldest_unsent_message_timestamp_seconds")
        assert waiting == pytest.approx(figures.oldest_unsent_at.timestamp(), abs=0.001)
        assert told.get("alert_loop_timestamp_seconds") == pytest.approx(now.timestamp(), abs=0.001)
        assert told.get("newest_signal_timestamp_seconds") == pytest.approx(
            now.timestamp(), abs=0.001
        )
        assert told.get("heartbeat_timestamp_seconds", beat="alerts") == pytest.approx(
            now.timestamp(), abs=0.001
        )
        assert told.get("heartbeat_tolerated_seconds", beat="alerts") == 120
        book.deliver(policy, now)
        told = Scrape.of(exporter)
        figures = book.figures(now)
        assert told.get("unsent_messages", status="stuck") == figures.stuck
        failed = told.get("sent_messages", route="nowhere", outcome="failed")
        assert failed == figures.failures["nowhere"] >= 1
        assert told.get("sent_messages", route="nowhere", outcome="sent") == 0
        # Who looks neither waits for a writer nor holds one up.
        with database.transaction():
            assert Scrape.of(exporter).get("collector_success", collector="alerts") == 1
        watch.write_bytes(b"no database" * 1000)
        assert Scrape.of(exporter).get("collector_success", collector="alerts") == 0
