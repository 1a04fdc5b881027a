"""The gate of a partition: closed by its newest failure, open again by its newest pass."""

from __future__ import annotations

import pytest

from platform_assets.warehouse import gate, ledger
from platform_assets.warehouse.gate import GateClosedError
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.tables import LEDGER, ensure_platform_tables
from platform_assets_tests.support import D1, D2, D3, Site

ASSET = "cleaned/things"
PASSED, SAME, FAILED = Status.PUBLISHED, Status.UNCHANGED, Status.FAILED


@pytest.fixture
def lake(site: Site) -> Connection:
    ensure_platform_tables(site.lake)
    return site.lake


def told(
    lake: Connection, partition: str, *statuses: Status, stopped_by: str = "price__ge"
) -> None:
    for status in statuses:
        entry = LedgerEntry(
            ASSET,
            partition,
            "a run",
            status,
            stopped_by=stopped_by if status is FAILED else "",
            message="What\n  found: three rows" if status is FAILED else "",
        )
        in_transaction(lake, lambda con, entry=entry: ledger.record(con, [entry]))


@pytest.mark.parametrize(
    ("statuses", "is_closed", "stands"),
    [
        ([PASSED], False, True),
        ([PASSED, SAME], False, True),
        ([PASSED, FAILED], True, True),
        ([PASSED, SAME, FAILED, FAILED], True, True),
        ([FAILED], True, False),
        ([FAILED, PASSED], False, True),
        ([PASSED, FAILED, SAME], False, True),
        ([], True, False),
    ],
)
def test_the_newest_attempt_decides(
    lake: Connection, statuses: list[Status], is_closed: bool, stands: bool
) -> None:
    told(lake, D1, *statuses)
    told(lake, D2, PASSED)
    found = gate.closed(lake, ASSET, [D1, D2])
    assert list(found) == ([D1] if is_closed else [])
    if is_closed:
        assert found[D1].stands == stands
        assert found[D1].stopped_by == ("price__ge" if statuses else "")
    assert set(gate.whole_table(lake, ASSET)) == ({D1} if is_closed and stands else set())


def test_it_is_closed_since_the_first_failure_after_it_passed(lake: Connection) -> None:
    told(lake, D1, FAILED, PASSED, FAILED, FAILED)
    told_at = lake.execute(
        f"SELECT epoch(recorded_at) FROM {LEDGER} ORDER BY snapshot_id, rowid"
    ).fetchall()
    since = gate.closed(lake, ASSET, [D1])[D1].since
    assert since is not None
    assert since.timestamp() == pytest.approx(told_at[2][0], abs=1e-5)
    assert len(set(told_at)) == 4


def test_of_all_partitions_of_a_long_list_the_closed_are_found(lake: Connection) -> None:
    keys = [f"2025-{month:02}-{day:02}" for month in range(1, 12, 2) for day in range(1, 28, 3)]
    for key in keys[::5]:
        told(lake, key, PASSED, FAILED)
    assert [k for k, g in gate.closed(lake, ASSET, keys).items() if g.stands] == keys[::5]
    assert len(gate.closed(lake, ASSET, keys)) == len(keys)


def test_an_asset_of_ones_own_is_refused_by_name(lake: Connection) -> None:
    told(lake, D1, PASSED, FAILED)
    told(lake, D2, PASSED)
    gate.require_open(lake, ASSET, [D2])
    with pytest.raises(GateClosedError) as refused:
        gate.require_open(lake, ASSET, [D1, D2, D3])
    text = str(refused.value)
    assert f"{ASSET} {D1} is stopped by price__ge since 20" in text
    assert "rows of an earlier publish stand" in text
    assert f"{ASSET} {D3} was never published" in text
    assert D2 not in text
    assert "use_last_good" not in text, "there are no rows to make do with of the third"
    told(lake, D1, SAME)
    gate.require_open(lake, ASSET, [D1])


def test_a_whole_table_is_refused_for_what_stands_and_not_for_gaps(lake: Connection) -> None:
    with pytest.raises(GateClosedError, match="never published"):
        gate.require_open(lake, ASSET)
    told(lake, D1, FAILED)
    with pytest.raises(GateClosedError, match="never published"):
        gate.require_open(lake, ASSET)
    told(lake, D2, PASSED)
    gate.require_open(lake, ASSET)
    told(lake, D2, FAILED)
    with pytest.raises(GateClosedError, match=D2):
        gate.require_open(lake, ASSET)


def test_a_refusal_tells_where_the_trouble_began(lake: Connection) -> None:
    told(lake, D1, PASSED, FAILED, stopped_by=ledger.UPSTREAM)
    assert "(three rows)" in gate.closed(lake, ASSET, [D1])[D1].told()


def test_a_long_list_is_cut(lake: Connection) -> None:
    shut = [gate.ClosedGate(ASSET, f"p{number}") for number in range(gate.SHOWN + 5)]
    text = str(gate.refusal(shut))
    assert "and 5 more" in text
    assert f"p{gate.SHOWN + 1}" not in text


def test_making_do_needs_rows_that_stand(lake: Connection) -> None:
    told(lake, D1, PASSED, FAILED)
    told(lake, D2, FAILED)
    shut = gate.closed(lake, ASSET, [D1, D2])
    assert set(gate.refused_by(shut, "refuse")) == {D1, D2}
    assert set(gate.refused_by(shut, "use_last_good")) == {D2}
