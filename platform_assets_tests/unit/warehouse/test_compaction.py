"""Compaction: small publishes are merged, and nobody can tell from the rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.warehouse import compaction, cursors, ledger
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.tables import ensure_platform_tables
from platform_assets_tests.support import DAYS, Site, rows_named, text, things

PUBLISHES = 6
ROWS = "SELECT *, rowid, snapshot_id FROM lake.cleaned.things ORDER BY ALL"
LEDGER = "SELECT *, rowid, snapshot_id FROM lake.platform.ledger ORDER BY ALL"


@pytest.fixture
def lake(site: Site, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A table of many small publishes, and limits that it has just reached."""
    monkeypatch.setattr(compaction, "SMALL_FILES", PUBLISHES)
    monkeypatch.setattr(compaction, "INLINED_ROWS", PUBLISHES)
    ensure_platform_tables(site.lake)
    site.lake.execute("CREATE TABLE lake.cleaned.things (n BIGINT, _partition VARCHAR)")
    for number in range(PUBLISHES):
        publish(site.lake, number)
    return site.lake


def publish(lake: Connection, number: int) -> None:
    def work(connection: Connection) -> None:
        connection.execute(
            f"INSERT INTO lake.cleaned.things SELECT range, '{number}' FROM range(20)"
        )
        entry = LedgerEntry("cleaned/things", str(number), "run", Status.PUBLISHED, extracted=20)
        ledger.record(connection, [entry])

    in_transaction(lake, work)


def files(lake: Connection, table: str = "things", schema: str = "cleaned") -> list[Path]:
    listed = lake.execute(f"FROM ducklake_list_files('lake', '{table}', schema => '{schema}')")
    return [Path(row[0]) for row in listed.fetchall()]


def test_files_become_one_and_every_row_keeps_its_id_and_snapshot(lake: Connection) -> None:
    before, told = lake.execute(ROWS).fetchall(), lake.execute(LEDGER).fetchall()
    (snapshot,) = lake.execute("SELECT id FROM lake.current_snapshot()").fetchone() or (None,)
    assert len(files(lake)) == PUBLISHES
    assert compact(lake, "cleaned/things") == ["platform/ledger", "cleaned/things"]
    assert len(files(lake)) == 1
    assert lake.execute(ROWS).fetchall() == before
    assert lake.execute(LEDGER).fetchall() == told
    assert lake.execute(f"FROM lake.cleaned.things AT (VERSION => {snapshot})").fetchall()
    assert compact(lake, "cleaned/things") == []


def test_below_the_limit_nothing_is_touched(
    lake: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SMALL_FILES", PUBLISHES + 1)
    monkeypatch.setattr(compaction, "INLINED_ROWS", PUBLISHES + 1)
    before = files(lake)
    assert compact(lake, "cleaned/things") == []
    assert files(lake) == before


def test_large_files_are_left_alone(lake: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SMALL_BYTES", 1)
    assert compact(lake, "cleaned/things") == ["platform/ledger"]
    assert len(files(lake)) == PUBLISHES


def test_files_with_deletions_are_written_anew(lake: Connection) -> None:
    for number in range(PUBLISHES):
        lake.execute(f"DELETE FROM lake.cleaned.things WHERE n = 7 AND _partition = '{number}'")
    before = lake.execute(ROWS).fetchall()
    assert len(before) == PUBLISHES * 19
    assert compact(lake, "cleaned/things") == ["platform/ledger", "cleaned/things"]
    assert len(files(lake)) == 1
    assert [row[:3] for row in lake.execute(ROWS).fetchall()] == [row[:3] for row in before]


def test_merged_files_are_deleted_once_nobody_can_be_reading_them(
    lake: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = files(lake)
    compact(lake, "cleaned/things")
    assert all(file.exists() for file in old)
    monkeypatch.setattr(compaction, "KEPT_HOURS", 0)
    for number in range(PUBLISHES):
        publish(lake, number)
    before = lake.execute(ROWS).fetchall()
    assert compact(lake, "cleaned/things")
    assert not any(file.exists() for file in old)
    assert lake.execute(ROWS).fetchall() == before


def test_what_the_ledger_says_is_found_before_and_after(lake: Connection) -> None:
    before = ledger.published(lake, "cleaned/things")
    assert compact(lake) == ["platform/ledger"]
    assert ledger.published(lake, "cleaned/things") == before
    assert ledger.published(lake, "cleaned/things", ["2", "4"]).keys() == {"2", "4"}
    publish(lake, 2)
    after = ledger.published(lake, "cleaned/things", ["2"])["2"]
    assert (after.snapshot or 0) > (before["2"].snapshot or 0)


def test_daily_work_does_not_pile_up_files(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SMALL_FILES", 3)
    for number, day in enumerate(DAYS):
        site.deliver(day, text(*rows_named(f"t{number}")))
        site.run(things(), [day])
        for schema in ("raw", "cleaned"):
            assert len(files(site.lake, "things", schema)) < 3
    assert [name for (name,) in site.cleaned(columns="thing_id")] == [
        f"t{number}" for number in range(len(DAYS))
    ]


def test_cursors_stay_few_files_too(lake: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "INLINED_ROWS", 20)
    compact(lake)
    assert cursors.current(lake, "things") == cursors.Cursor()
    assert cursors.last_load(lake, "things") == 0
    for load in range(1, compaction.INLINED_ROWS + 1):
        cursor = cursors.Cursor(load, str(load))
        cursors.record(lake, "things", cursor, "a run")
    assert "platform/cursors" in compact(lake)
    assert cursors.current(lake, "things") == cursors.Cursor(
        compaction.INLINED_ROWS, str(compaction.INLINED_ROWS)
    )
    assert cursors.last_load(lake, "things") == compaction.INLINED_ROWS
    assert "platform/cursors" not in compact(lake)
