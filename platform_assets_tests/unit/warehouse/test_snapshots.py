"""A snapshot by number, time or run, and what is said where there is none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from platform_assets.errors import PartitionError
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection, current_snapshot, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.snapshots import (
    NOW,
    Asked,
    find,
    table_id,
    told_at,
    written_since,
)
from platform_assets.warehouse.tables import QUARANTINE, ensure_platform_tables
from platform_assets_tests.support import D1, D2, Site

ASSET = "cleaned/things"


@pytest.fixture(scope="module")
def lake(shared_site: Site) -> Connection:
    """Two publishes of one run, one of another, one of a run of another asset."""
    lake = shared_site.lake
    ensure_platform_tables(lake)
    for asset, day, run in (
        (ASSET, D1, "3f2a-one"),
        (ASSET, D2, "3f2a-one"),
        (ASSET, D1, "77b1-two"),
        ("cleaned/others", D1, "3f2c-three"),
    ):
        entry = LedgerEntry(asset, day, run, Status.PUBLISHED)
        in_transaction(lake, lambda con, entry=entry: ledger.record(con, [entry]))
    failed = LedgerEntry(ASSET, D2, "9999-failed", Status.FAILED)
    in_transaction(lake, lambda con: ledger.record(con, [failed]))
    return lake


def asked(text: str, *, begins: bool = False) -> Asked:
    return Asked(text, f"option --from {text}", begins=begins)


def test_what_a_person_means(lake: Connection) -> None:
    first, second = (each.snapshot or 0 for each in ledger.publishes(lake, ASSET, D1))
    between = ledger.publishes(lake, ASSET, D2)[0].snapshot
    newest = current_snapshot(lake)
    assert find(lake, ASSET, asked(NOW)) == newest
    assert find(lake, ASSET, asked(str(first))) == first
    # Before its first publish, after its last.
    assert find(lake, ASSET, asked("3f2a-one", begins=True)) == first - 1
    assert find(lake, ASSET, asked("3f2a-one")) == between
    assert find(lake, ASSET, asked("77b1")) == second
    at = told_at(lake, second)
    assert at is not None
    assert find(lake, ASSET, asked(at.isoformat())) == second
    assert find(lake, ASSET, asked(str(at.replace(tzinfo=None)))) == second
    assert find(lake, ASSET, asked(str(at - timedelta(microseconds=1)))) == second - 1
    assert find(lake, ASSET, asked("2999-01-01")) == newest


@pytest.mark.parametrize(
    ("text", "what", "found"),
    [
        ("9000", "A snapshot was never there", "9000"),
        ("1999-12-31", "no snapshot that is so old", "1999-12-31 00:00:00+00:00"),
        ("3f2", "Several runs begin so", "3f2: 2 runs"),
        ("77b", "Several runs begin so", "77b: 1 runs"),
        ("3f2c-three", "A run has published nothing of the asset", "3f2c-three"),
        ("9999-failed", "Nothing is known by this name", "9999-failed"),
        ("yesterday", "Nothing is known by this name", "yesterday"),
    ],
)
def test_what_is_not_there_is_told(lake: Connection, text: str, what: str, found: str) -> None:
    with pytest.raises(PartitionError, match=what) as raised:
        find(lake, ASSET, asked(text))
    assert raised.value.where == f"option --from {text}"
    assert raised.value.found == found
    assert raised.value.fix


def test_an_expired_snapshot_is_gone(site: Site) -> None:
    ensure_platform_tables(site.lake)
    site.lake.execute("CALL ducklake_expire_snapshots('lake', versions => [1])")
    with pytest.raises(PartitionError, match="is there no longer") as raised:
        find(site.lake, ASSET, asked("1"))
    assert raised.value.found == "1"
    assert told_at(site.lake, 1) is None


def test_whether_a_table_was_written_to_since(lake: Connection) -> None:
    before = current_snapshot(lake)
    book, quarantine = (
        table_id(lake, "platform", name, before) for name in ("ledger", "quarantine")
    )
    assert book is not None
    assert quarantine is not None
    assert not written_since(lake, book, before)
    entry = LedgerEntry("cleaned/more", D1, "r", Status.PUBLISHED)
    in_transaction(lake, lambda con: ledger.record(con, [entry]))
    assert written_since(lake, book, before)
    assert not written_since(lake, quarantine, before)
    lake.execute(f"INSERT INTO {QUARANTINE} (dataset) VALUES ('more')")
    filled = current_snapshot(lake)
    assert written_since(lake, quarantine, before)
    assert not written_since(lake, quarantine, filled)
    lake.execute(f"DELETE FROM {QUARANTINE} WHERE dataset = 'more'")
    assert written_since(lake, quarantine, filled)
    # Where what tells of it was expired, it may have been written to.
    in_transaction(lake, lambda con: ledger.record(con, [entry]))
    in_transaction(lake, lambda con: ledger.record(con, [entry]))
    newest = current_snapshot(lake)
    assert not written_since(lake, quarantine, newest - 2)
    lake.execute(f"CALL ducklake_expire_snapshots('lake', versions => [{newest - 1}])")
    assert written_since(lake, quarantine, newest - 2)
