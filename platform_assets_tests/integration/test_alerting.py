"""Each kind of problem, from what happens to a real HTTP server: told once, and when it is over."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._daemon.types import DaemonHeartbeat
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.alerts.heartbeats import beat
from platform_assets.alerts.signals import Kind
from platform_assets.contracts import RulePolicy
from platform_assets.partitions import Daily
from platform_assets.quality import findings
from platform_assets.quality.promise import Freshness
from platform_assets.resources import RestApiResource
from platform_assets.resources.lake import lake_config
from platform_assets.sensors.alerting import lag
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.sources.change_stream import DebeziumStream, HttpLines
from platform_assets.warehouse.lake import connect
from platform_assets.workers import BACKFILL, COMMAND_TAG
from platform_assets_tests.alert_world import AlertWorld, begun, counted, recovered
from platform_assets_tests.conftest import Installation
from platform_assets_tests.logs import event, lines
from platform_assets_tests.source_tables import DAYS as SALES_DAYS
from platform_assets_tests.source_tables import sales
from platform_assets_tests.support import D1, D2, D3, row, rows_named, text, things

RAW, CLEANED, QUARANTINE = (
    dg.AssetKey([layer, "things"]) for layer in ("raw", "cleaned", "quarantine")
)
LAYERS = (RAW, CLEANED, QUARANTINE)
SOON = timedelta(minutes=2)
SPOILED = text(row("a"), row("b", quantity=-1))
GOOD = text(*rows_named("a", "b"))


@pytest.fixture
def world(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> AlertWorld:
    """An installation that was looked at once, when nothing was wrong."""
    made = AlertWorld(installation, instance, httpserver)
    made.tick()
    assert made.messages() == []
    return made


def test_a_partition_that_fails_is_one_alert_with_all_that_follows(world: AlertWorld) -> None:
    for day in (D1, D3):
        world.site.deliver(day, GOOD)
    world.site.deliver(D2, SPOILED)
    assert not world.run([D1, D2, D3], *LAYERS).success
    world.tick()
    (message,) = world.messages()
    assert message["title"].startswith(f"ERROR cleaned/things {D2}: stopped by quantity__ge: Too")
    assert "expected: at most 10.0% of rows rejected" in message["detail"]
    assert message["owners"] == ["team:tests"]
    assert message["command"] == (
        f"platform-assets quarantine list --dataset things --partition {D2}"
    )
    assert message["run_url"].startswith("http://localhost:3000/runs/")
    # The failed run and the failed check follow from it.
    assert {(e.kind, e.subject, e.part) for e in world.open()} == {
        (Kind.PARTITION_FAILED, "cleaned/things", ""),
        (Kind.CHECK_FAILED, "cleaned/things", "quantity__ge"),
    }
    assert world.said() == []
    # A row of twenty still breaks the rule: it is published, so the problem is over all the same.
    world.site.deliver(D2, text(*rows_named(*"abcdefghijklmnopqrs"), row("t", quantity=-1)))
    assert world.run([D2], *LAYERS).success
    assert world.said() == recovered(Kind.PARTITION_FAILED, "cleaned/things")
    assert world.open() == []


def test_what_is_stopped_upstream_is_told_by_its_root(world: AlertWorld) -> None:
    for day in (D1, D2):
        world.site.deliver(day, GOOD)
    assert world.run([D1, D2], *LAYERS).success
    assert world.said() == []
    world.site.deliver(D1, text("x"))
    assert not world.run([D1], RAW).success
    assert not world.run([D1], CLEANED, QUARANTINE).success
    assert world.said() == begun(Kind.PARTITION_FAILED, "raw/things")
    assert {(e.kind, e.subject) for e in world.open()} == {
        (Kind.PARTITION_FAILED, "raw/things"),
        (Kind.PARTITION_FAILED, "cleaned/things"),
    }
    world.site.deliver(D1, text(*rows_named("c")))
    assert world.run([D1], *LAYERS).success
    assert world.said() == recovered(Kind.PARTITION_FAILED, "raw/things")


def test_a_full_quarantine_is_told_until_it_is_not(world: AlertWorld) -> None:
    good = [row(name) for name in "abcdefghijklmnopqrs"]
    world.site.deliver(D1, text(*good, row("t", quantity=-1)))
    assert world.run([D1], *LAYERS).success
    # Five per cent are as many as may be; the rule's check has failed, and that is no news.
    assert world.said() == []
    world.site.deliver(D1, text(*good[1:], row("t", quantity=-1)))
    assert world.run([D1], *LAYERS).success
    assert world.said() == begun(Kind.QUARANTINE_SHARE, "cleaned/things")
    # Run again, nothing has changed and nothing is said.
    assert world.run([D1], *LAYERS).success
    assert world.said() == []
    world.site.deliver(D1, text(*good))
    assert world.run([D1], *LAYERS).success
    assert world.said() == recovered(Kind.QUARANTINE_SHARE, "cleaned/things")


def test_a_change_of_columns_that_stops_partitions_is_told_instead_of_them(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    world = AlertWorld(installation, instance, httpserver, datasets=[things()])
    world.tick()
    for day in (D1, D2):
        world.site.deliver(day, GOOD)
    assert world.run([D1], *LAYERS).success
    assert world.said() == []
    narrow = text("a,1,1.00,n", header="thing_id,quantity,price,note")
    wide = text(row("a") + ",1", header="thing_id,quantity,price,note,changed_at,colour")
    world.site.deliver(D2, narrow)
    world.site.deliver(D3, narrow)
    assert not world.run([D2, D3], *LAYERS).success
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["subject"]) == (Kind.SCHEMA_DRIFT, "raw/things")
    assert "changed_at" in message["title"]
    assert message["command"] == "platform-assets contracts diff things"
    assert len(world.open(Kind.PARTITION_FAILED)) == 2
    # A change that is taken in is told once, and has no end.
    world.site.deliver(D2, GOOD)
    world.site.deliver(D3, wide)
    assert world.run([D2, D3], *LAYERS).success
    told = world.said()
    assert sorted(told) == [
        ("happened", Kind.SCHEMA_DRIFT, "raw/things"),
        *recovered(Kind.SCHEMA_DRIFT, "raw/things"),
    ]
    assert world.said() == []


def test_odd_data_are_told_until_somebody_says_that_they_are_fine(world: AlertWorld) -> None:
    days = [f"2025-01-{day:02}" for day in range(1, 16)]
    for day in days[:-1]:
        world.site.deliver(day, text(*rows_named(*(f"{day}{n}" for n in range(100)))))
    assert world.run(days[:-1], *LAYERS).success
    assert world.said() == []
    world.site.deliver(days[-1], text(row("one")))
    assert world.run(days[-1:], *LAYERS).success
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["subject"]) == (Kind.FINDING, "cleaned/things")
    assert message["severity"] == "warn"
    assert message["partitions"] == days[-1:]
    with connect(lake_config(world.installation.settings)) as lake:
        for each in findings.find(lake):
            findings.accept(lake, [each.finding_id], reason="a holiday", author="ada")
    assert world.said() == recovered(Kind.FINDING, "cleaned/things")


def test_a_source_that_is_down_is_one_alert_with_what_waits_for_it(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    promise = Freshness(by="08:00", timezone="UTC")
    daily = Daily(date(2025, 1, 1), datetime.now(UTC).date() + timedelta(days=2))
    world = AlertWorld(
        installation,
        instance,
        httpserver,
        datasets=[
            counted(freshness=promise, partitions=daily),
            counted("others", freshness=promise, partitions=daily, owners=("team:others",)),
        ],
    )
    # Never published is late, and the first round tells of what stands.
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["subject"]) == (Kind.FRESHNESS, "source/files")
    assert message["title"].startswith("ERROR source/files: the source is late: 2 assets wait")
    assert set(message["owners"]) == {"team:tests", "team:others"}
    assert {e.subject for e in world.open()} == {"source/files", "cleaned/things", "cleaned/others"}
    assert world.said() == []

    store = BreakerStore(installation.settings.breakers)
    for _ in range(store.failures):
        store.failed(store.admit("files"), "connection refused")
    assert world.said()[:1] == begun(Kind.BREAKER_OPEN, "source/files")
    store.reset("files")
    assert recovered(Kind.BREAKER_OPEN, "source/files")[0] in world.said()

    newest = max(daily.keys(None, str(datetime.now(UTC).date() - timedelta(days=1))))
    for name in ("things", "others"):
        world.site.deliver(newest, GOOD, name)
        assert world.run(
            [newest],
            dg.AssetKey(["raw", name]),
            dg.AssetKey(["cleaned", name]),
            dg.AssetKey(["quarantine", name]),
        ).success
    assert ("recovered", Kind.FRESHNESS, "source/files") in world.said()
    assert world.open() == []


def test_a_change_log_that_is_read_too_slowly(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    made = sales(DebeziumFiles("sales/*.ndjson"))
    world = AlertWorld(installation, instance, httpserver, datasets=[made])
    world.tick()
    folder = world.folder / "sales"
    folder.mkdir()
    (folder / "1.ndjson").write_text(lines([event("c", 1, 1)]))
    keys = [dg.AssetKey([layer, made.name]) for layer in ("raw", "cleaned", "quarantine")]
    assert world.run([SALES_DAYS[0]], *keys).success
    assert world.said(SOON) == []
    (folder / "2.ndjson").write_text(lines([event("u", 1, 2)]))
    assert world.said(timedelta(minutes=10)) == []
    assert world.said(timedelta(minutes=10)) == begun(Kind.STREAM_LAG, f"raw/{made.name}")
    assert world.run([SALES_DAYS[0]], *keys).success
    assert world.said(SOON) == recovered(Kind.STREAM_LAG, f"raw/{made.name}")


def test_a_stream_that_is_read_too_slowly(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    events = [event("c", 1, 1)]

    def answer(request: Request) -> Response:
        after = int(request.args.get("after", 0))
        return Response(lines([each for each in events if each.position > after]))

    httpserver.expect_request("/changes").respond_with_handler(answer)
    made = sales(DebeziumStream(HttpLines("/changes")))
    api = RestApiResource(base_url=httpserver.url_for(""))
    world = AlertWorld(
        installation, instance, httpserver, datasets=[made], resources={"stream": api}
    )
    world.tick()
    keys = [dg.AssetKey([layer, made.name]) for layer in ("raw", "cleaned", "quarantine")]
    assert world.run([SALES_DAYS[0]], *keys).success
    assert told_by(world, SOON) == []
    events += [event("u", 1, 2), event("u", 1, 3)]
    (message,) = told_by(world, SOON)
    assert (message["what"], message["kind"]) == ("begun", Kind.STREAM_LAG)
    assert "not read is of 2025-01-01 00:00 UTC; 2 events wait" in message["detail"]
    assert world.run([SALES_DAYS[0]], *keys).success
    (message,) = told_by(world, SOON)
    assert (message["what"], message["kind"]) == ("recovered", Kind.STREAM_LAG)


def told_by(world: AlertWorld, after: timedelta) -> list[dict[str, Any]]:
    """What is sent after a round, of a server that is asked for more than to be told."""
    before = len(world.server.log)
    world.tick(after)
    sent = [request for request, _ in world.server.log[before:] if request.method == "POST"]
    return [json.loads(request.get_data()) for request in sent]


def test_change_logs_that_take_their_time_are_asked_in_turn(
    installation: Installation,
    instance: dg.DagsterInstance,
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lag, "SECONDS", -1.0)
    made = [replace(sales(DebeziumFiles(f"{name}/*.ndjson")), name=name) for name in ("one", "two")]
    world = AlertWorld(installation, instance, httpserver, datasets=made)
    world.tick()
    for each in made:
        folder = world.folder / each.name
        folder.mkdir()
        (folder / "1.ndjson").write_text(lines([event("c", 1, 1)]))
        keys = [dg.AssetKey([layer, each.name]) for layer in ("raw", "cleaned", "quarantine")]
        assert world.run([SALES_DAYS[0]], *keys).success
        (folder / "2.ndjson").write_text(lines([event("u", 1, 2)]))
    # The time is over after each: a round asks one, and what the other said last stands.
    told = [world.said(timedelta(hours=1)) for _ in range(3)]
    assert sorted(told[:2]) == [
        begun(Kind.STREAM_LAG, "raw/one"),
        begun(Kind.STREAM_LAG, "raw/two"),
    ]
    assert told[2] == []


def test_a_rule_is_told_where_its_policy_says_so(
    installation: Installation, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    rules = {"quantity__ge": RulePolicy(alert_above=1)}
    world = AlertWorld(installation, instance, httpserver, datasets=[counted(rules=rules)])
    world.tick()
    good = [row(f"g{n}") for n in range(50)]
    world.site.deliver(D1, text(*good, row("a", quantity=-1)))
    assert world.run([D1], *LAYERS).success
    assert world.said() == []
    world.site.deliver(D1, text(*good, row("a", quantity=-1), row("b", quantity=-1)))
    assert world.run([D1], *LAYERS).success
    world.tick()
    (message,) = world.messages()
    assert (message["kind"], message["part"]) == (Kind.CHECK_FAILED, "quantity__ge")
    assert (message["severity"], message["partitions"]) == ("warn", [D1])
    world.site.deliver(D1, text(*good))
    assert world.run([D1], *LAYERS).success
    assert world.said() == recovered(Kind.CHECK_FAILED, "cleaned/things")


def test_what_no_longer_ticks_or_beats(world: AlertWorld) -> None:
    instance, now = world.instance, world.now
    old = (now - timedelta(minutes=4)).timestamp()
    instance.add_daemon_heartbeat(DaemonHeartbeat(now.timestamp(), "SENSOR", "one", []))
    instance.add_daemon_heartbeat(DaemonHeartbeat(old, "BACKFILL", "one", []))
    beat(world.book.database, "watchdog", timedelta(seconds=30), now - timedelta(minutes=5))
    assert sorted(subject for _, _, subject in world.said()) == [
        "daemon/BACKFILL",
        "process/watchdog",
    ]
    instance.add_daemon_heartbeat(DaemonHeartbeat(world.now.timestamp(), "BACKFILL", "one", []))
    beat(world.book.database, "watchdog", timedelta(seconds=30), world.now)
    instance.add_daemon_heartbeat(DaemonHeartbeat(world.now.timestamp(), "SENSOR", "one", []))
    assert {what for what, _, _ in world.said()} == {"recovered"}
    assert world.open() == []


def test_a_backfill_that_is_over_is_told_once_with_its_counts(world: AlertWorld) -> None:
    for day in (D1, D3):
        world.site.deliver(day, GOOD)
    world.site.deliver(D2, SPOILED)
    begun_at = datetime.now(UTC).timestamp()
    backfill = PartitionBackfill(
        "nightly", BulkActionStatus.REQUESTED, False, {}, begun_at, asset_selection=[CLEANED]
    )
    world.instance.add_backfill(backfill)
    assert not world.run([D1, D2, D3], *LAYERS, **{"dagster/backfill": "nightly"}).success
    assert world.said() == begun(Kind.PARTITION_FAILED, "cleaned/things")
    world.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED))
    world.tick()
    (message,) = world.messages()
    assert (message["what"], message["subject"]) == ("happened", "backfill/nightly")
    assert "partitions 2 good, 1 failed" in message["title"]
    assert f"failed: {D2}" in message["detail"]
    # A range that somebody filled by the command is told likewise; one of a sensor is not.
    world.site.deliver(D2, GOOD)
    assert world.run([D2, D3], *LAYERS).success
    assert world.run([D2, D3], *LAYERS, **{COMMAND_TAG: BACKFILL}).success
    told = world.said()
    assert [what for what, kind, _ in told if kind == Kind.BACKFILL_FINISHED] == ["happened"]
    assert world.said() == []
