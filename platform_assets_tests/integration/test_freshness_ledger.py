"""Freshness on a real lake: what the ledger tells, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.assets.aggregate_plan import CLEANED_MISSING as PLANNED_MISSING
from platform_assets.partitions import UNPARTITIONED_KEY, Daily, Unpartitioned
from platform_assets.pipeline.freshness import Promised, evaluate
from platform_assets.pipeline.lateness import CLEANED_MISSING, Made
from platform_assets.quality.freshness import FreshnessState, Level
from platform_assets.quality.promise import Freshness
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.newest import newest_events
from platform_assets.warehouse.tables import LEDGER
from platform_assets_tests.integration.visits import EIGHT, HEADER, moment, visits
from platform_assets_tests.support import DAYS, Site


@dataclass
class Told:
    """A ledger that is written to by hand."""

    lake: Connection
    names: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    def record(self, asset: str, partition: str, status: Status, **options: Any) -> None:
        values = {"extracted": 5, "cleaned": 5, **options}
        entry = LedgerEntry(asset, partition, "run", status, **values)
        in_transaction(self.lake, lambda con: ledger.record(con, [entry]))

    def dataset(self) -> str:
        return f"d{next(self.names)}"

    def state(
        self, name: str, now: str, promise: Freshness = EIGHT, *, cut: bool = True
    ) -> FreshnessState:
        partitions = Daily(date(2025, 1, 1)) if cut else Unpartitioned()
        raw = Made(f"raw/{name}", (), "shop", cut)
        promised = Promised(
            f"cleaned/{name}", promise, partitions, (f"raw/{name}",), ancestors=(raw,)
        )
        return evaluate(self.lake, [promised], moment(now))[promised.asset]


@pytest.fixture(scope="module")
def told(shared_site: Site) -> Told:
    tables.ensure_platform_tables(shared_site.lake)
    return Told(shared_site.lake)


def test_the_newest_partition_counts_whatever_was_published_last(told: Told) -> None:
    name = told.dataset()
    for layer in ("raw", "cleaned"):
        for day in ("2025-01-08", "2025-01-03", "2025-01-05"):
            told.record(f"{layer}/{name}", day, Status.PUBLISHED)
    found = told.state(name, "2025-01-10T09:00")
    assert (found.newest, found.level) == ("2025-01-08", Level.LATE)
    assert found.late_because == ("source/shop",)
    assert found.message.endswith("Because of source/shop.")


def test_what_failed_is_not_there_and_what_stands_of_it_is(told: Told) -> None:
    name = told.dataset()
    asset = f"cleaned/{name}"
    told.record(f"raw/{name}", "2025-01-09", Status.PUBLISHED)
    told.record(asset, "2025-01-08", Status.PUBLISHED)
    told.record(asset, "2025-01-09", Status.FAILED, stopped_by="pages__ge")
    found = told.state(name, "2025-01-10T09:00")
    assert (found.level, found.newest, found.late_because) == (Level.LATE, "2025-01-08", ())
    assert found.message.endswith("It was stopped by pages__ge.")
    # It was published as that partition once: what stands is that day's, whatever failed since.
    told.record(asset, "2025-01-09", Status.PUBLISHED)
    told.record(asset, "2025-01-09", Status.FAILED, stopped_by="pages__ge")
    assert told.state(name, "2025-01-10T09:00").level is Level.FRESH


def test_a_refusal_leads_to_the_source(told: Told) -> None:
    name = told.dataset()
    told.record(f"raw/{name}", "2025-01-09", Status.FAILED, stopped_by="source")
    told.record(f"cleaned/{name}", "2025-01-09", Status.FAILED, stopped_by="raw_missing")
    assert told.state(name, "2025-01-10T09:00").late_because == ("source/shop",)
    told.record(f"raw/{name}", "2025-01-09", Status.FAILED, stopped_by="schema_drift")
    assert told.state(name, "2025-01-10T09:00").late_because == (f"raw/{name}",)
    assert PLANNED_MISSING == CLEANED_MISSING


def test_an_asset_that_was_cut_otherwise_before_is_judged_by_what_it_is(told: Told) -> None:
    name = told.dataset()
    told.record(f"cleaned/{name}", UNPARTITIONED_KEY, Status.PUBLISHED)
    told.record(f"cleaned/{name}", "2025-01-09", Status.PUBLISHED)
    assert told.state(name, "2025-01-10T09:00").newest == "2025-01-09"
    assert told.state(name, "2025-01-10T09:00", cut=False).newest is None


def test_a_look_that_found_nothing_changed_counts(told: Told) -> None:
    name = told.dataset()
    for layer in ("raw", "cleaned"):
        told.record(f"{layer}/{name}", UNPARTITIONED_KEY, Status.PUBLISHED)
    tomorrow = str((datetime.now(UTC) + timedelta(hours=60)).isoformat())[:19]
    assert told.state(name, tomorrow, cut=False).level is Level.LATE
    told.lake.execute(
        f"UPDATE {LEDGER} SET recorded_at = recorded_at - INTERVAL 9 DAY WHERE asset LIKE '%{name}'"
    )
    today = str(datetime.now(UTC).isoformat())[:19]
    promise = Freshness(within=timedelta(hours=2))
    assert told.state(name, today, promise, cut=False).level is Level.LATE
    told.record(f"cleaned/{name}", UNPARTITIONED_KEY, Status.UNCHANGED)
    # Cleaned again, from what was loaded nine days ago.
    assert told.state(name, today, promise, cut=False).late_because == ("source/shop",)
    told.record(f"raw/{name}", UNPARTITIONED_KEY, Status.UNCHANGED)
    assert told.state(name, today, promise, cut=False).level is Level.FRESH


def test_events_of_publishes_by_an_earlier_version_are_not_known(told: Told) -> None:
    name = told.dataset()
    asset = f"cleaned/{name}"
    told.record(asset, "2025-01-09", Status.PUBLISHED)
    told.record(asset, "2025-01-02", Status.PUBLISHED, newest_event=moment("2025-01-02T20:00"))
    assert told.state(name, "2025-01-10T09:00").newest_event is None
    told.record(asset, "2025-01-09", Status.PUBLISHED, newest_event=moment("2025-01-09T21:00"))
    assert told.state(name, "2025-01-10T09:00").newest_event == moment("2025-01-09T21:00")
    told.record(asset, "2025-01-10", Status.PUBLISHED, cleaned=0)
    empty = told.state(name, "2025-01-11T09:00")
    assert (empty.level, empty.late_because) == (Level.WARN, ("source/shop",))
    assert empty.message.startswith("Nothing new since 2025-01-11 08:00 UTC")


KEYS = st.integers(1, 20).map(lambda n: f"2025-01-{n:02}")


@given(st.lists(st.tuples(KEYS, st.sampled_from(Status)), max_size=8), KEYS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_publishing_what_is_older_never_makes_it_fresher(
    told: Told, history: Sequence[tuple[str, Status]], older: str
) -> None:
    name = told.dataset()
    for day, status in history:
        told.record(f"cleaned/{name}", day, status)
    now = "2025-01-20T09:00"
    before = told.state(name, now)
    published = [day for day, status in history if status is Status.PUBLISHED]
    assert before.newest == max(published, default=None)
    told.record(f"cleaned/{name}", older, Status.PUBLISHED)
    after = told.state(name, now)
    if older <= (before.newest or ""):
        told_of = (before.level, before.since, before.newest)
        assert (after.level, after.since, after.newest) == told_of
    else:
        assert after.newest == older
    told.record(f"cleaned/{name}", "2025-01-19", Status.PUBLISHED)
    assert told.state(name, now).level is Level.FRESH


def test_the_ledger_has_the_newest_event_that_is_not_in_the_future(site: Site) -> None:
    dataset = visits()
    rows = ["a,1,2025-01-01 09:00:00", "b,1,2025-01-01 21:30:00", "c,1,9999-12-31 00:00:00"]
    site.deliver(DAYS[0], HEADER + "\n".join(rows) + "\n", "visits")
    site.deliver(DAYS[1], HEADER, "visits")
    site.run(dataset, DAYS[:2])
    entries = site.published("cleaned", "visits")
    assert entries[DAYS[0]].newest_event == moment("2025-01-01T21:30")
    assert entries[DAYS[1]].newest_event is None
    # What is unchanged keeps it.
    site.run(dataset, DAYS[:1])
    newest = ledger.latest(site.lake, "cleaned/visits", [DAYS[0]])[DAYS[0]]
    assert (newest.status, newest.newest_event) == (
        Status.UNCHANGED, moment("2025-01-01T21:30"),
    )  # fmt: skip


def test_an_event_that_is_a_day_may_be_of_its_last_moment(site: Site) -> None:
    table = "days_of_events"
    site.lake.execute(
        f"CREATE TEMP TABLE {table} AS SELECT * FROM (VALUES ('p', DATE '2025-01-01'), "
        "('p', DATE 'infinity'), ('q', current_date), ('r', NULL)) AS t(_partition, day)"
    )
    before = datetime.now(UTC)
    found = newest_events(site.lake, table, "day", ["p", "q", "r"])
    assert found["p"] == moment("2025-01-01T23:59:59.999999")
    assert found.keys() == {"p", "q"}
    assert before - timedelta(seconds=1) <= found["q"] <= datetime.now(UTC)
    assert newest_events(site.lake, table, "day", []) == {}


def test_a_ledger_of_an_earlier_version_gets_the_column(site: Site) -> None:
    tables.ensure_platform_tables(site.lake)
    site.lake.execute(f"ALTER TABLE {LEDGER} DROP COLUMN newest_event")
    tables.ensure_platform_tables(site.lake)
    site.deliver(DAYS[0], HEADER + "a,1,2025-01-01 09:00:00\n", "visits")
    site.run(visits(), DAYS[:1])
    assert site.published("cleaned", "visits")[DAYS[0]].newest_event == moment("2025-01-01T09:00")


def test_an_open_breaker_is_told_of(told: Told) -> None:
    name = told.dataset()
    raw = Made(f"raw/{name}", (), "shop", True)
    promised = Promised(
        f"cleaned/{name}", EIGHT, Daily(date(2025, 1, 1)), (raw.asset,), ancestors=(raw,)
    )
    now = moment("2025-01-10T09:00")
    alone = {"shop": "left alone after 5 failures in a row, the last one: timeout", "erp": "x"}
    found = evaluate(told.lake, [promised], now, left_alone=alone)[promised.asset]
    assert found.message.endswith(
        "Because of source/shop. source/shop: left alone after 5 failures in a row, the last one: "
        "timeout."
    )
    assert evaluate(told.lake, [], now) == {}
