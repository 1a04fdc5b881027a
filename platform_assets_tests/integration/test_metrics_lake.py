"""Metrics of the lake are right: held against a real lake, whatever is written between scrapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.errors import SettingsError
from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.ledger import LedgerCollector
from platform_assets.observability.metrics.ledger_book import LedgerBook
from platform_assets.observability.metrics.quality import MOST_RULES, QualityCollector
from platform_assets.observability.metrics.storage import StorageCollector
from platform_assets.quality.findings import Finding
from platform_assets.quality.findings import record as record_findings
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import (
    Connection,
    LakeConfig,
    connect,
    current_snapshot,
    in_transaction,
)
from platform_assets.warehouse.ledger import UPSTREAM, LedgerEntry, Status
from platform_assets.warehouse.reader import LakeReader, View
from platform_assets.warehouse.tables import LEDGER, QUARANTINE, ensure_platform_tables
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.scraped import Scrape
from platform_assets_tests.support import D1, D2, D3, Site, row, text, things

RAW, CLEANED = {"asset": "raw/things", "layer": "raw"}, {
    "asset": "cleaned/things", "layer": "cleaned",
}  # fmt: skip


def exporter_over(config: LakeConfig) -> Exporter:
    reader, book = LakeReader(config), LedgerBook()
    severities = {"things": {"note__str_length": "warn"}}
    return Exporter(
        [
            LedgerCollector(reader, book),
            QualityCollector(reader, book, lambda: severities),
            StorageCollector(reader, config.catalog),
        ],
        budget=60,
    )


@pytest.fixture
def exporter(lake_config: LakeConfig) -> Iterator[Exporter]:
    made = exporter_over(lake_config)
    yield made
    made.close()


def test_the_figures_are_those_of_the_lake(site: Site, exporter: Exporter) -> None:
    dataset = things(max_bad_share=0.5)
    good = [row(name) for name in "abcdefgh"]
    long_note = row("i", note="x" * 30)
    before = datetime.now(UTC).timestamp()
    site.deliver(D1, text(*good, long_note, row("a"), row("bad", quantity=-1)))
    site.deliver(D2, text(*good))
    site.run(dataset, [D1, D2])
    told = Scrape.of(exporter)

    (entry,) = [e for k, e in site.published("cleaned").items() if k == D1]
    assert (entry.extracted, entry.cleaned, entry.quarantined, entry.deduplicated) == (11, 9, 1, 1)
    rows = {outcome: told.get("published_rows", **CLEANED, outcome=outcome) for outcome in (
        "extracted", "cleaned", "quarantined", "deduplicated"
    )}  # fmt: skip
    assert rows == {"extracted": 19, "cleaned": 17, "quarantined": 1, "deduplicated": 1}
    assert told.get("processed_rows_total", **RAW, outcome="extracted") == 19
    assert told.get("published_partitions", **CLEANED) == 2
    assert told.get("partition_attempts_total", **CLEANED, status="published") == 2
    assert told.get("quarantine_rows", dataset="things", status="open") == 1
    assert told.get("quarantine_rows", dataset="things", status="blocked") == 0
    assert told.all("quarantine_rule_rows", "rule") == {"quantity__ge": 1}
    seconds = site.published("cleaned")[D2].seconds
    spent = sum(e.seconds for e in site.published("cleaned").values())
    assert told.get("processed_seconds_total", **CLEANED) == pytest.approx(spent)
    assert told.get("newest_partition_publish_duration_seconds", **CLEANED) == seconds
    size = sum(e.bytes for e in site.published("raw").values())
    assert told.get("processed_bytes_total", **RAW) == size > 0
    day = datetime.combine(date.fromisoformat(D2), datetime.min.time(), UTC).timestamp()
    assert told.get("newest_partition_timestamp_seconds", **CLEANED) == day
    # D2 has no odd row; D1, which is not the newest, has.
    assert told.get("quality_score_ratio", **CLEANED) == 1
    newest = told.get("newest_partition_publish_timestamp_seconds", **CLEANED)
    assert before <= newest <= datetime.now(UTC).timestamp()
    assert told.get("last_failure_timestamp_seconds", **CLEANED) is None

    # An old day done again moves the last publish and not that of the newest partition.
    site.deliver(D1, text(*good, row("worse", quantity=-1), row("bad", quantity=-1)))
    site.run(dataset, [D1])
    site.run(dataset, [D2])
    site.deliver(D3, text(row("a"), row("b", quantity=-1), row("c", quantity=-1)))
    site.run(dataset, [D3])
    told = Scrape.of(exporter)
    assert told.get("newest_partition_publish_timestamp_seconds", **CLEANED) == newest
    assert told.get("last_publish_timestamp_seconds", **CLEANED) > newest
    assert told.get("published_rows", **CLEANED, outcome="extracted") == 18
    assert told.get("processed_rows_total", **CLEANED, outcome="extracted") == 29
    assert told.get("partition_attempts_total", **CLEANED, status="unchanged") == 1
    assert told.get("failed_partitions", **CLEANED, cause="own") == 1
    assert told.get("failed_partitions", **CLEANED, cause="upstream") == 0
    assert told.get("last_failure_timestamp_seconds", **CLEANED) >= newest
    assert told.get("quarantine_rows", dataset="things", status="open") == 2
    assert told.get("quarantine_rows", dataset="things", status="blocked") == 2


def test_storage_is_that_of_the_files(
    site: Site, exporter: Exporter, lake_config: LakeConfig
) -> None:
    for rows in ("ab", "abc", "ad"):
        site.deliver(D1, text(*(row(name) for name in rows)))
        site.run(things(), [D1])
    told = Scrape.of(exporter)
    of_table = told.samples["platform_assets_table_bytes"]
    on_disk = [path.stat().st_size for path in lake_config.files.rglob("*.parquet")]
    assert sum(of_table.values()) == sum(on_disk)
    assert sum(told.samples["platform_assets_table_files"].values()) == len(on_disk)
    listed = site.select(
        "SELECT sum(data_file_size_bytes) + coalesce(sum(delete_file_size_bytes), 0), count(*) "
        "FROM ducklake_list_files('lake', 'things', schema => 'cleaned')"
    )
    own = {"table": "cleaned/things", "layer": "cleaned"}
    assert told.get("table_bytes", **own, state="current") == listed[0][0]
    assert told.get("table_bytes", **own, state="historic") > 0
    assert {dict(key)["state"] for key in of_table} == {"current", "historic"}
    count = site.select(
        "SELECT count(*), epoch(max(snapshot_time)) FROM ducklake_snapshots('lake')"
    )
    assert (told.get("lake_snapshots"), told.get("lake_newest_snapshot_timestamp_seconds")) == (
        count[0][0], pytest.approx(count[0][1], abs=0.001)
    )  # fmt: skip
    assert told.get("lake_catalog_bytes") > 0
    assert set(told.all("collector_success", "collector").values()) == {1}


def test_the_score_and_the_findings_are_those_of_the_newest_partition(
    site: Site, exporter: Exporter
) -> None:
    dataset = things(max_bad_share=0.5)
    site.deliver(D1, text(*(row(name) for name in "abcd")))
    site.deliver(D2, text(*(row(n) for n in "abc"), row("d", note="x" * 30), row("e", quantity=-1)))
    site.run(dataset, [D1, D2])
    asset = "cleaned/things"
    about = Finding("things", asset, D2, "r", "volume", "rows", "warn", 1, 2, 3, 9, 0.99, "odd")
    found = [about, replace(about, check_name="null_share"), replace(about, partition=D1)]
    shown = replace(about, check_name="mean", severity="info")
    in_transaction(
        site.lake, lambda con: record_findings(con, asset, [D1, D2], [*found, shown], [])
    )
    told = Scrape.of(exporter)
    # validity 4/5, conformity 1 - 0.5/4, two odd checks that count
    assert told.get("quality_score_ratio", **CLEANED) == pytest.approx(0.8 * 0.875 * 0.8)
    own = {**CLEANED, "check": "volume", "severity": "warn"}
    assert told.get("open_findings", **own) == 2
    assert told.get("open_findings", **{**own, "check": "mean", "severity": "info"}) == 1
    assert told.get("quality_score_ratio", **RAW) is None


ASSETS = ("cleaned/a", "raw/a", "aggregated/b")
EVENT = datetime(2025, 1, 2, 23, tzinfo=UTC)


def commits() -> st.SearchStrategy[list[list[LedgerEntry]]]:
    """Commits of a few assets' entries, of a few partitions, with everything that can come."""
    one = st.builds(
        LedgerEntry,
        asset=st.sampled_from(ASSETS),
        partition=st.sampled_from([D1, D2, D3]),
        run_id=st.just("r"),
        status=st.sampled_from(Status),
        extracted=st.integers(0, 9),
        cleaned=st.integers(0, 9),
        bytes=st.integers(0, 9),
        seconds=st.integers(0, 9).map(float),
        stopped_by=st.sampled_from(["", UPSTREAM]),
        newest_event=st.none() | st.sampled_from([EVENT, EVENT + timedelta(hours=1)]),
    )
    return st.lists(st.lists(one, min_size=1, max_size=4), min_size=1, max_size=4)


@dataclass
class Watched:
    """A lake, and a book that looks at it after each commit of all examples."""

    lake: Connection
    config: LakeConfig
    reader: LakeReader
    book: LedgerBook
    examples: int = 0


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    config = lake_in(tmp_path_factory.mktemp("watched"))
    reader = LakeReader(config)
    with connect(config) as lake:
        ensure_platform_tables(lake)
        yield Watched(lake, config, reader, LedgerBook())
    reader.close()


@settings(max_examples=15)
@given(told=commits())
def test_adding_up_as_it_comes_is_adding_up_at_once(
    watched: Watched, told: list[list[LedgerEntry]]
) -> None:
    watched.examples += 1
    lake, step, at_once = watched.lake, watched.book, LedgerBook()
    for commit in told:
        # Assets of the example's own: its lake has those of the others.
        own = [replace(each, asset=f"{each.asset}{watched.examples}") for each in commit]
        in_transaction(lake, lambda con, own=own: ledger.record(con, own))
        with watched.reader.look() as view:
            step.catch_up(view)
    with connect(watched.config, read_only=True) as other:
        at_once.catch_up(View(other, current_snapshot(other), 1))
    assert (step.totals, step.standing) == (at_once.totals, at_once.standing)
    for asset in [name for name in step.standing if name.endswith(str(watched.examples))]:
        newest, published = ledger.latest(lake, asset), ledger.published(lake, asset)
        standing = step.standing[asset]
        assert standing.published == len(published)
        assert standing.rows.extracted == sum(e.extracted for e in published.values())
        assert standing.newest == max(published, default=None)
        if standing.newest is not None:
            assert standing.newest_rows.cleaned == published[standing.newest].cleaned
            assert standing.newest_seconds == published[standing.newest].seconds
        events = [e.newest_event.timestamp() for e in published.values() if e.newest_event]
        assert standing.newest_event == max(events, default=None)
        failed = [e.stopped_by for e in newest.values() if e.status is Status.FAILED]
        assert standing.failed == len(failed) - failed.count(UPSTREAM)
        assert standing.refused == failed.count(UPSTREAM)


def test_what_was_merged_is_not_counted_again(watched: Watched) -> None:
    entry = LedgerEntry("raw/merged", D1, "r", Status.PUBLISHED, extracted=1)
    for _ in range(3):
        in_transaction(watched.lake, lambda con: ledger.record(con, [entry] * 400))
    with watched.reader.look() as view:
        watched.book.catch_up(view)
    before = watched.book.totals["raw/merged"].rows.extracted
    in_transaction(watched.lake, lambda con: ledger.record(con, [entry]))
    watched.lake.execute(
        "CALL ducklake_flush_inlined_data('lake', schema_name => 'platform', "
        "table_name => 'ledger')"
    )
    watched.lake.execute(
        "CALL ducklake_merge_adjacent_files('lake', 'ledger', schema => 'platform')"
    )
    with watched.reader.look() as view:
        watched.book.catch_up(view)
    assert watched.book.totals["raw/merged"].rows.extracted == before + 1 == 1201


def test_the_newest_event_is_that_of_all_publishes_that_stand(
    lake_config: LakeConfig, exporter: Exporter
) -> None:
    told = [
        LedgerEntry("cleaned/things", D1, "r", Status.PUBLISHED, newest_event=EVENT),
        LedgerEntry("cleaned/things", D2, "r", Status.PUBLISHED, newest_event=None),
    ]
    with connect(lake_config) as lake:
        ensure_platform_tables(lake)
        in_transaction(lake, lambda con: ledger.record(con, told))
        found = Scrape.of(exporter)
        assert found.get("newest_event_timestamp_seconds", **CLEANED) == EVENT.timestamp()
        # The day is published again without an event, by a machine whose clock is slow.
        lake.execute(
            f"INSERT INTO {LEDGER} BY NAME SELECT * REPLACE (NULL AS newest_event, "
            f"recorded_at - INTERVAL 1 HOUR AS recorded_at) FROM {LEDGER}"
        )
        again = Scrape.of(exporter)
    assert again.get("newest_event_timestamp_seconds", **CLEANED) is None
    moved = [each.get("last_publish_timestamp_seconds", **CLEANED) for each in (found, again)]
    assert moved[0] - moved[1] == pytest.approx(3600)


def test_a_ledger_of_an_earlier_version_has_no_events(
    lake_config: LakeConfig, exporter: Exporter
) -> None:
    with connect(lake_config) as lake:
        ensure_platform_tables(lake)
        told = [LedgerEntry("cleaned/things", D1, "r", Status.PUBLISHED, extracted=3)]
        in_transaction(lake, lambda con: ledger.record(con, told))
        # Only who writes widens it; who looks takes it as it is.
        lake.execute(f"ALTER TABLE {LEDGER} DROP COLUMN newest_event")
        found = Scrape.of(exporter)
    assert found.get("published_rows", **CLEANED, outcome="extracted") == 3
    assert found.get("newest_event_timestamp_seconds", **CLEANED) is None


def test_a_lake_that_is_not_there_is_told_and_not_made(
    lake_config: LakeConfig, tmp_path: Path
) -> None:
    lake_config = replace(lake_config, catalog=tmp_path / "none" / "catalog.sqlite")
    exporter = exporter_over(lake_config)
    told = Scrape.of(exporter)
    assert set(told.all("collector_success", "collector").values()) == {0}
    assert told.get("lake_snapshots") is None
    assert not lake_config.catalog.parent.exists()
    with pytest.raises(SettingsError, match="There is no lake"), LakeReader(lake_config).look():
        pytest.fail("there is nothing to look at")
    with connect(lake_config):
        told = Scrape.of(exporter)
        assert set(told.all("collector_success", "collector").values()) == {1}
        assert told.get("lake_snapshots") == 1
    exporter.close()


def test_a_lake_that_was_replaced_is_looked_at_anew(
    lake_config: LakeConfig, exporter: Exporter, tmp_path: Path
) -> None:
    def filled(config: LakeConfig, partitions: list[str]) -> None:
        with connect(config) as lake:
            ensure_platform_tables(lake)
            told = [LedgerEntry("raw/things", p, "r", Status.PUBLISHED) for p in partitions]
            in_transaction(lake, lambda con: ledger.record(con, told))

    filled(lake_config, [D1, D2, D3])
    assert Scrape.of(exporter).get("published_partitions", **RAW) == 3
    restored = lake_in(tmp_path / "restored")
    filled(restored, [D1])
    for end in ("-wal", "-shm"):
        lake_config.catalog.with_name(lake_config.catalog.name + end).unlink(missing_ok=True)
    restored.catalog.replace(lake_config.catalog)
    assert Scrape.of(exporter).get("published_partitions", **RAW) == 1


def test_looking_neither_writes_nor_waits_for_writers(lake_config: LakeConfig) -> None:
    reader = LakeReader(replace(lake_config, threads=2))
    with connect(lake_config) as lake:
        ensure_platform_tables(lake)
        with reader.look() as view:
            # Nor does it take more than one processor from runs.
            threads = view.connection.execute("SELECT current_setting('threads')").fetchone()
            assert threads == (1,)
            # A writer commits in the middle of a look, and the look stays at its state.
            told = [LedgerEntry("raw/things", D1, "r", Status.PUBLISHED)]
            in_transaction(lake, lambda con: ledger.record(con, told))
            count = f"SELECT count(*) FROM {LEDGER}"
            assert view.connection.execute(count).fetchone() == (0,)
        with reader.look() as later:
            assert later.snapshot == view.snapshot + 1
            assert later.connection.execute(count).fetchone() == (1,)
        lake.execute("BEGIN TRANSACTION")
        ledger.record(lake, told)
        with reader.look() as during:
            assert during.connection.execute(count).fetchone() == (1,)
        lake.execute("ROLLBACK")
        with pytest.raises(duckdb.Error, match="read-only"), reader.look() as refused:
            refused.connection.execute(f"DELETE FROM {LEDGER}")
    reader.close()


def test_rules_beyond_the_most_broken_are_told_as_one(
    lake_config: LakeConfig, exporter: Exporter
) -> None:
    with connect(lake_config) as lake:
        ensure_platform_tables(lake)
        many = MOST_RULES + 20
        lake.execute(
            f"INSERT INTO {QUARANTINE} (dataset, status, rules, partition) "
            f"SELECT 'd' || n % 3, 'open', ['rule' || n], 'p' || n FROM range({many}) AS t(n)"
        )
        lake.execute(
            f"INSERT INTO {QUARANTINE} (dataset, status, rules) VALUES ('d0', 'open', ['worst']),"
            "('d0', 'open', ['worst']), ('d0', 'resolved', ['gone'])"
        )
    told = Scrape.of(exporter)
    by_rule = told.all("quarantine_rule_rows", "rule")
    assert len(by_rule) == MOST_RULES + 1
    assert by_rule["worst"] == 2
    assert by_rule["other"] == 21
    assert sum(by_rule.values()) == many + 2
    assert told.values_of("dataset") <= {"d0", "d1", "d2", "other"}
    # What was counted is told as long as it stands, and counted again when it does not.
    entry = LedgerEntry("raw/things", D1, "r", Status.PUBLISHED)
    with connect(lake_config) as lake:
        in_transaction(lake, lambda con: ledger.record(con, [entry]))
        assert Scrape.of(exporter).all("quarantine_rule_rows", "rule") == by_rule
        lake.execute(f"UPDATE {QUARANTINE} SET status = 'resolved' WHERE rules = ['worst']")
        assert "worst" not in Scrape.of(exporter).all("quarantine_rule_rows", "rule")
