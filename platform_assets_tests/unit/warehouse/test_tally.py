"""Rows added, removed and changed by a publish, as the ledger and the UI tell them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import Publish, publish
from platform_assets.warehouse.tables import aggregated_table, ensure_platform_tables
from platform_assets.warehouse.tally import RowChanges, Tally
from platform_assets_tests.support import D1, D2, D3, Site

TABLE = aggregated_table("tallied")
COLUMNS = ["k", "v", "_source_file", "_partition"]
Row = tuple[int, str, str]


@pytest.fixture(scope="module")
def made(shared_site: Site) -> Connection:
    ensure_platform_tables(shared_site.lake)
    return shared_site.lake


@pytest.fixture
def lake(made: Connection) -> Connection:
    made.execute(
        f"CREATE OR REPLACE TABLE {TABLE} "
        "(k INTEGER, v VARCHAR, _source_file VARCHAR, _partition VARCHAR)"
    )
    return made


def put(
    lake: Connection,
    days: Sequence[str],
    rows: Sequence[Row],
    *,
    key: Sequence[str] = ("k",),
    within: str = "",
    file: str = "f",
) -> dict[str, RowChanges]:
    listed = ", ".join(f"({k}, '{v}', '{file}', '{day}')" for k, v, day in rows)
    nothing = "(NULL, '', '', 'none')"
    tally = Tally(key)
    select = (
        f"SELECT * FROM (VALUES {listed or nothing}) AS told({', '.join(COLUMNS)}) "
        "WHERE _partition <> 'none'"
    )
    publish(
        lake,
        Publish(TABLE, days, select, COLUMNS, within, tally),
        audit=lambda *_: None,
        commit_with=lambda _: None,
    )
    return dict(tally.changes)


def test_a_publish_tells_what_it_changed(lake: Connection) -> None:
    first = put(lake, [D1, D2], [(1, "a", D1), (2, "b", D1), (3, "c", D2)])
    assert first == {D1: RowChanges(added=2), D2: RowChanges(added=1)}
    # Where a row came from is no change of it.
    assert put(lake, [D2], [(3, "c", D2)], file="g") == {D2: RowChanges()}
    second = put(lake, [D1, D3], [(2, "B", D1), (4, "d", D1), (5, "e", D3)])
    assert second == {D1: RowChanges(1, 1, 1), D3: RowChanges(added=1)}
    assert put(lake, [D1], []) == {D1: RowChanges(removed=2)}


def test_without_a_key_whole_rows_are_counted(lake: Connection) -> None:
    put(lake, [D1], [(1, "a", D1), (1, "a", D1), (2, "b", D1)], key=())
    found = put(lake, [D1], [(1, "a", D1), (2, "B", D1)], key=())
    assert found == {D1: RowChanges(added=1, removed=2)}


@pytest.mark.parametrize("days", [[D1], [D1, D2]])
def test_rows_put_on_top_are_told_by_their_keys(lake: Connection, days: list[str]) -> None:
    put(lake, [D1, D2], [(1, "a", D1), (2, "b", D1), (3, "c", D1), (9, "z", D2)])
    found = put(lake, days, [(1, "A", D1), (4, "d", D1)], within="k IN (1, 2, 4)")
    assert found[D1] == RowChanges(added=1, removed=1, changed=1)
    assert all(each == RowChanges() for day, each in found.items() if day != D1)
    rows = lake.execute(f"SELECT k, v FROM {TABLE} ORDER BY k").fetchall()
    assert rows == [(1, "A"), (3, "c"), (4, "d"), (9, "z")]


def test_a_first_publish_is_not_looked_at_again(
    lake: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, [D1], [(1, "a", D1)])
    looked: list[str] = []
    whole = Tally.whole

    def noting(self: Tally, table: str, columns: Sequence[str], where: str) -> str:
        looked.append(where)
        return whole(self, table, columns, where)

    monkeypatch.setattr(Tally, "whole", noting)
    put(lake, [D1, D2], [(1, "b", D1), (2, "c", D2)])
    # What is there before, of all that are replaced; what is there after, only of what had rows.
    assert [D2 in where for where in looked] == [True, False]
