"""Data diff: what it says of two states is what Python counts, however the states came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from platform_assets.errors import PartitionError, SettingsError
from platform_assets.warehouse import compaction
from platform_assets.warehouse import leftovers as leftovers_module
from platform_assets.warehouse.diff import MASK, Diff, compare
from platform_assets.warehouse.lake import Connection, current_snapshot
from platform_assets.warehouse.leftovers import PLACE, Compared, leftovers
from platform_assets.warehouse.tables import cleaned_table, ensure_platform_tables
from platform_assets.warehouse.tally import RowChanges
from platform_assets_tests.support import D1, D2, D3, Site

COMPARED = Compared("cleaned/pairs", "cleaned", "pairs", key=("k",))
TABLE = cleaned_table("pairs")
Row = tuple[int, str | None, str]


@pytest.fixture(scope="module")
def lake(shared_site: Site) -> Connection:
    ensure_platform_tables(shared_site.lake)
    return shared_site.lake


@pytest.fixture
def table(lake: Connection) -> Iterator[Connection]:
    create(lake)
    yield lake
    lake.execute(f"DROP TABLE {TABLE}")


def create(lake: Connection) -> None:
    lake.execute(f"CREATE OR REPLACE TABLE {TABLE} (k BIGINT, v VARCHAR, _partition VARCHAR)")


def put(lake: Connection, rows: Sequence[Row], days: Sequence[str] = (D1, D2, D3)) -> int:
    """Replace partitions, as a publish does; the snapshot of it."""
    listed = ", ".join(f"'{day}'" for day in days)
    lake.execute("BEGIN")
    lake.execute(f"DELETE FROM {TABLE} WHERE _partition IN ({listed})")
    if rows:
        lake.executemany(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", rows)
    lake.execute("COMMIT")
    return current_snapshot(lake)


def expected(old: Sequence[Row], new: Sequence[Row], *, keyed: bool) -> dict[str, RowChanges]:
    """Rows that differ by partition: of what is not alike, one by one key on either side is one."""
    gone = list((Counter(old) - Counter(new)).elements())
    come = list((Counter(new) - Counter(old)).elements())
    lost, found = Counter(k for k, *_ in gone), Counter(k for k, *_ in come)
    pairs = {k for k in lost if keyed and lost[k] == found[k] == 1}
    counts: dict[str, list[int]] = {}
    for number, rows in enumerate((come, gone)):
        for key, _, day in rows:
            if key not in pairs:
                counts.setdefault(day, [0, 0, 0])[number] += 1
            elif number == 0:
                counts.setdefault(day, [0, 0, 0])[2] += 1
    return {day: RowChanges(*each) for day, each in counts.items()}


ROWS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["a", "b", "", None]), st.sampled_from([D1, D2])),
    max_size=8,
)
KEYED = ROWS.map(lambda rows: list({row[0]: row for row in rows}.values()))


@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(states=st.lists(KEYED | ROWS, min_size=3, max_size=3), merge=st.booleans())
def test_the_difference_is_what_python_counts_and_leads_from_one_to_the_other(
    lake: Connection, monkeypatch: pytest.MonkeyPatch, states: list[list[Row]], merge: bool
) -> None:
    create(lake)
    made = [(put(lake, rows), rows) for rows in states]
    if merge:
        with monkeypatch.context() as patch:
            patch.setattr(compaction, "SMALL_FILES", 1)
            compaction.compact(lake, "cleaned/pairs")
    first, last = made[0], made[-1]
    for (start, old), (end, new) in (made[:2], made[1:], [first, last]):
        found = compare(lake, COMPARED, start, end)
        assert found.partitions == expected(old, new, keyed=True)
        assert not found.whole
    (start, old), (end, new) = first, last
    assert Counter(applied(lake, old, start, end)) == Counter(new)
    alike = compare(lake, replace(COMPARED, key=()), start, end)
    assert alike.partitions == expected(old, new, keyed=False)
    of_one = [r for r in old if r[2] == D1], [r for r in new if r[2] == D1]
    found = compare(lake, COMPARED, start, end, partitions=[D1])
    assert found.partitions == expected(*of_one, keyed=True)
    # A table that was written anew has no list of changes: both states are read.
    lake.execute(f"CREATE OR REPLACE TABLE {TABLE} AS FROM {TABLE}")
    found = compare(lake, COMPARED, start, current_snapshot(lake))
    assert found.whole
    assert found.partitions == expected(old, new, keyed=True)


def applied(lake: Connection, old: Sequence[Row], start: int, end: int) -> list[Row]:
    """The old rows without those that went, and with those that came."""
    with leftovers(lake, COMPARED, start, end) as left:
        gone, come = (
            lake.execute(f"SELECT * EXCLUDE ({PLACE}) FROM {name}").fetchall()
            for name in (left.old, left.new)
        )
    rest = Counter(old)
    rest.subtract(gone)
    assert min(rest.values(), default=0) >= 0
    return [*rest.elements(), *come]


def test_columns_tell_what_changed_with_samples(table: Connection) -> None:
    start = put(table, [(1, "a", D1), (2, "b", D1), (3, "c", D1), (4, None, D2)])
    end = put(table, [(1, "A", D1), (2, "b", D2), (3, "c", D1), (4, "d", D2), (5, "e", D2)])
    found = compare(table, COMPARED, start, end)
    assert found.total == RowChanges(added=1, removed=0, changed=3)
    told = [(each.column, each.rows, round(each.share, 2), each.samples) for each in found.columns]
    assert told == [
        ("v", 2, 0.67, [("1", "a", "A"), ("4", None, "d")]),
        ("_partition", 1, 0.33, [("2", D1, D2)]),
    ]
    masked = compare(table, replace(COMPARED, personal=frozenset({"k", "v"})), start, end)
    assert masked.columns[0].samples == [(MASK, MASK, MASK), (MASK, None, MASK)]
    raw = compare(table, replace(COMPARED, shown=frozenset()), start, end)
    assert raw.columns[0].samples == masked.columns[0].samples
    # What the platform itself adds is not personal.
    assert raw.columns[1].samples == [(MASK, D1, D2)]
    assert compare(table, COMPARED, start, end, samples=1).columns[0].samples == [("1", "a", "A")]
    of_one = compare(table, COMPARED, start, end, column="_partition")
    assert of_one.total == RowChanges(added=1, removed=0, changed=1)
    assert [each.column for each in of_one.columns] == ["_partition"]


def test_nothing_differs_from_itself(table: Connection) -> None:
    end = put(table, [(1, "a", D1)])
    found = compare(table, COMPARED, end, end)
    assert not found.any
    assert found.partitions == {}


def test_only_what_was_written_in_between_is_read(table: Connection) -> None:
    put(table, [(n, "x", D1) for n in range(5)])
    start = put(table, [(n, "x", D2) for n in range(5, 9)], [D2])
    end = put(table, [(9, "x", D3)], [D3])
    # The file of the first day is gone, and nobody misses it.
    (path,) = table.execute(
        "SELECT s.path || t.path || f.path FROM __ducklake_metadata_lake.ducklake_data_file AS f "
        "JOIN __ducklake_metadata_lake.ducklake_table AS t USING (table_id) "
        "JOIN __ducklake_metadata_lake.ducklake_schema AS s USING (schema_id) "
        f"WHERE t.table_name = 'pairs' AND f.begin_snapshot = {start} AND t.end_snapshot IS NULL"
    ).fetchone()  # type: ignore[misc]  # there is one
    files = table.execute(
        "SELECT value FROM __ducklake_metadata_lake.ducklake_metadata WHERE key = 'data_path'"
    ).fetchone()
    assert files is not None
    Path(str(files[0]), path).rename(Path(str(files[0]), path + ".away"))
    found = compare(table, COMPARED, start, end)
    assert found.partitions == {D3: RowChanges(added=1)}


def test_what_was_written_over_and_over_is_not_listed_each_time(
    table: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = put(table, [(1, "a", D1)])
    for value in "bcd":
        end = put(table, [(1, value, D1)])
    assert not compare(table, COMPARED, start, end).whole, "few rows are listed as they are"
    monkeypatch.setattr(leftovers_module, "MANY_ROWS", 0)
    found = compare(table, COMPARED, start, end)
    assert found.whole
    assert found.total == RowChanges(changed=1)


def test_the_schema_is_compared_too(table: Connection) -> None:
    start = put(table, [(1, "7", D1), (2, "8", D1)])
    table.execute(f"ALTER TABLE {TABLE} ADD COLUMN w INTEGER")
    added = compare(table, COMPARED, start, current_snapshot(table))
    assert [(s.column, s.before, s.after) for s in added.schema] == [("w", "", "INTEGER")]
    assert added.any
    assert not added.total.any, "a new column is no change of a row"
    table.execute(
        f"CREATE OR REPLACE TABLE {TABLE} AS "
        f"SELECT k, CAST(v AS INTEGER) + k // 2 AS v, _partition FROM {TABLE}"
    )
    found = compare(table, COMPARED, start, current_snapshot(table))
    assert [(s.column, s.before, s.after) for s in found.schema] == [("v", "VARCHAR", "BIGINT")]
    # What is written alike is equal, whatever the type.
    assert found.total == RowChanges(changed=1)
    assert found.columns[0].samples == [("2", "8", "9")]
    back = compare(table, COMPARED, start, start)
    assert not back.any


def test_a_table_that_was_not_there_had_no_rows(table: Connection) -> None:
    end = put(table, [(1, "a", D1), (2, "b", D2)])
    found = compare(table, COMPARED, 0, end)
    assert found.partitions == {D1: RowChanges(added=1), D2: RowChanges(added=1)}
    assert found.schema == []
    # Whatever the key is.
    dated = "SELECT DATE '2025-01-01' AS k, '' AS _partition"
    table.execute(f"CREATE OR REPLACE TABLE {TABLE} AS {dated}")
    assert compare(table, COMPARED, 0, current_snapshot(table)).total == RowChanges(added=1)
    with pytest.raises(PartitionError, match="no such table at either snapshot") as raised:
        compare(table, replace(COMPARED, name="others"), 0, end)
    assert raised.value.found == f"none at snapshot 0, none at snapshot {end}"


def test_wrong_ends_and_columns_are_refused(table: Connection) -> None:
    end = put(table, [(1, "a", D1)])
    with pytest.raises(PartitionError, match="comes before its start") as raised:
        compare(table, COMPARED, end, end - 1)
    assert raised.value.found == f"from snapshot {end} to snapshot {end - 1}"
    with pytest.raises(SettingsError, match="no such column") as caught:
        compare(table, COMPARED, end - 1, end, column="w")
    assert caught.value.expected == "one of k, v, _partition"


def test_a_comparison_leaves_no_table_behind(table: Connection) -> None:
    end = put(table, [(1, "a", D1)])
    found: Diff = compare(table, COMPARED, end - 1, end)
    assert found.total.added == 1
    left: list[tuple[Any, ...]] = table.execute(
        "SELECT table_name FROM duckdb_tables() WHERE temporary"
    ).fetchall()
    assert left == []
