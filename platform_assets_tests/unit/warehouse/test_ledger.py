"""The ledger: what is asked of it is answered from the newest entry that counts."""

from __future__ import annotations

import pytest

from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.tables import LEDGER, ensure_platform_tables
from platform_assets_tests.support import D1, D2, D3, Site

RAW, CLEANED = "raw/things", "cleaned/things"


def told(lake: Connection, *entries: LedgerEntry) -> None:
    in_transaction(lake, lambda con: ledger.record(con, entries))


def entry(
    partition: str, run: str, status: Status, asset: str = RAW, **values: object
) -> LedgerEntry:
    return LedgerEntry(asset, partition, run, status, **values)  # type: ignore[arg-type]


@pytest.fixture
def lake(site: Site) -> Connection:
    ensure_platform_tables(site.lake)
    return site.lake


def test_an_entry_comes_back_as_it_was_with_its_snapshot(lake: Connection) -> None:
    given = entry(
        D1, "r1", Status.PUBLISHED, extracted=3, cleaned=2, quarantined=1, broken={"a__b": 1},
        bytes=9, seconds=0.5, code_version="1", contract_version="2", input_fingerprint="3",
        stopped_by="", message="it's",
    )  # fmt: skip
    told(lake, given)
    (found,) = ledger.latest(lake, RAW).values()
    assert found.snapshot is not None
    assert LedgerEntry(**{**vars(found), "snapshot": None}) == given
    told(lake)
    assert lake.execute(f"SELECT count(*) FROM {LEDGER}").fetchone() == (1,)


def test_a_failure_does_not_hide_what_is_published(lake: Connection) -> None:
    told(lake, entry(D1, "r1", Status.PUBLISHED), entry(D2, "r1", Status.FAILED))
    told(lake, entry(D1, "r2", Status.FAILED), entry(D2, "r2", Status.PUBLISHED))
    told(lake, entry(D1, "r3", Status.UNCHANGED, asset=CLEANED))
    assert {k: e.run_id for k, e in ledger.published(lake, RAW).items()} == {D1: "r1", D2: "r2"}
    newest = ledger.latest(lake, RAW)
    assert {k: e.status for k, e in newest.items()} == {D1: Status.FAILED, D2: Status.PUBLISHED}
    assert list(ledger.latest(lake, RAW, [D2, D3])) == [D2]
    assert ledger.latest(lake, RAW, []) == {}


def test_of_two_entries_of_one_commit_the_later_is_the_newer(lake: Connection) -> None:
    told(lake, entry(D1, "r1", Status.FAILED), entry(D1, "r1", Status.PUBLISHED))
    assert ledger.latest(lake, RAW)[D1].status is Status.PUBLISHED


def test_what_a_run_left_unpublished(lake: Connection) -> None:
    told(lake, entry(D1, "r1", Status.FAILED), entry(D2, "r1", Status.FAILED))
    told(lake, entry(D2, "r1", Status.PUBLISHED), entry(D3, "r2", Status.FAILED))
    assert list(ledger.failed_in(lake, "r1", RAW)) == [D1]
    assert ledger.failed_in(lake, "r1", CLEANED) == {}


def test_the_newest_snapshot_of_an_asset(lake: Connection) -> None:
    assert ledger.last_snapshot(lake, RAW) == -1
    told(lake, entry(D1, "r1", Status.FAILED))
    assert ledger.last_snapshot(lake, RAW) == -1
    told(lake, entry(D1, "r1", Status.PUBLISHED))
    first = ledger.last_snapshot(lake, RAW)
    told(lake, entry(D2, "r1", Status.UNCHANGED))
    assert ledger.last_snapshot(lake, RAW) == first
    told(lake, entry(D2, "r2", Status.PUBLISHED))
    assert ledger.last_snapshot(lake, RAW) > first


def test_a_refusal_is_an_attempt_and_no_judgement(lake: Connection) -> None:
    told(lake, entry(D1, "r1", Status.PUBLISHED), entry(D2, "r1", Status.PUBLISHED))
    told(
        lake,
        entry(D1, "r2", Status.FAILED, stopped_by=ledger.UPSTREAM),
        entry(D2, "r2", Status.FAILED, stopped_by="a__ge"),
    )
    assert {k: e.run_id for k, e in ledger.latest(lake, RAW).items()} == {D1: "r2", D2: "r2"}
    assert {k: e.run_id for k, e in ledger.judged(lake, RAW).items()} == {D1: "r1", D2: "r2"}
    assert list(ledger.judged(lake, RAW, [D2])) == [D2]


def test_the_assets_of_a_layer(lake: Connection) -> None:
    told(lake, entry(D1, "r1", Status.FAILED, asset="aggregated/b"))
    told(lake, entry(D1, "r1", Status.FAILED, asset="aggregated/a"), entry(D1, "r1", Status.FAILED))
    assert ledger.assets(lake, "aggregated") == ["aggregated/a", "aggregated/b"]
