"""Tables of real databases: after every sync the cleaned table is what the source is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.contracts import DriftPolicy
from platform_assets.dataset import Dataset
from platform_assets.pipeline import BatchReport, Step, clean, load_raw
from platform_assets.sources.connections import Database
from platform_assets.sources.retrying import Guard, RetryPolicy
from platform_assets.sources.tables import FullTable, SnapshotTable, WatermarkTable
from platform_assets.warehouse import schemas, tables
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.servers import mariadb_executable, mariadb_server, postgres_server
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, Row, SourceTable, row, sales

KINDS = (
    "sqlite",
    "postgres",
    pytest.param(
        "mysql",
        marks=pytest.mark.skipif(
            mariadb_executable() is None, reason="MariaDB is not installed: apt-get mariadb-server"
        ),
    ),
)
# What differs between the kinds is how they are asked, not what follows from the answer.
EXAMPLES = {"sqlite": 3, "postgres": 1, "mysql": 1}
READERS: dict[str, Callable[[], Any]] = {
    "watermark": lambda: WatermarkTable("sales"),
    "snapshot": lambda: SnapshotTable("sales"),
    "full": lambda: FullTable("sales"),
}


@pytest.fixture(scope="module", params=KINDS)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of each kind."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("source") / "shop.sqlite"
        sqlite3.connect(path).close()
        yield Database("sqlite", path=path)
        return
    with {"postgres": postgres_server, "mysql": mariadb_server}[request.param]() as found:
        yield found


@dataclass
class Shop:
    """A source table, a lake, and syncs between them."""

    table: SourceTable
    lake: Connection
    dataset: Dataset
    runs: int = 0
    last_good: dict[int, Row] = field(default_factory=dict)

    def step(self, **options: Any) -> Step:
        """A step of a run of its own."""
        self.runs += 1
        connections = {"database": self.table.database}
        values = {"run_id": f"run-{self.runs}", "connections": connections}
        return Step(dataset=self.dataset, lake=self.lake, **{**values, **options})

    def sync(self, days: tuple[str, ...] = DAYS, **options: Any) -> tuple[BatchReport, BatchReport]:
        """Load what has changed, and clean all partitions that it touched."""
        step = self.step(**options)
        loaded = load_raw(step, days)
        return loaded, clean(step, [*loaded.good, *loaded.also])

    def cleaned(self) -> dict[int, tuple[Any, ...]]:
        """The cleaned rows by key."""
        found = self.lake.execute(
            f"SELECT * EXCLUDE (_partition, _source_file) FROM {tables.cleaned_table('sales')}"
        ).fetchall()
        assert len({key for key, *_ in found}) == len(found)
        return {values[0]: values for values in found}

    def quarantine(self) -> list[tuple[Any, ...]]:
        """The open rows of the quarantine."""
        return self.lake.execute(
            f"SELECT row_key, partition, rules FROM {tables.QUARANTINE} WHERE status = 'open' "
            "ORDER BY ALL"
        ).fetchall()

    def note(self) -> None:
        """Note what the source holds that is good: a bad version leaves the last good one."""
        for key, each in self.table.rows.items():
            if each.status != BAD:
                self.last_good[key] = each


@pytest.fixture
def shop_of(database: Database, tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes shops; each with an empty table and a lake of its own."""
    with ExitStack() as stack:
        made = 0

        def make(reader: str, **options: Any) -> Shop:
            nonlocal made
            made += 1
            lake = stack.enter_context(connect(lake_in(tmp_path / str(made))))
            table = stack.enter_context(SourceTable(database).opened())
            dataset = sales(READERS[reader](), **{"max_bad_share": 1.0, **options})
            return Shop(table, lake, dataset)

        yield make


# What happens at a source between two syncs: (what, row, day, status).
ACTIONS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "put", "delete"]),
            st.integers(1, 6),
            st.integers(1, 3),
            st.sampled_from([GOOD, GOOD, GOOD, BAD]),
        ),
        max_size=6,
    ),
    min_size=2,
    max_size=4,
)


@pytest.mark.parametrize("reader", READERS)
def test_after_every_sync_the_cleaned_table_is_what_the_source_is(
    shop_of: Callable[..., Shop], database: Database, reader: str
) -> None:
    @settings(
        max_examples=EXAMPLES[database.kind],
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(history=ACTIONS)
    def check(history: list[list[tuple[str, int, int, str]]]) -> None:
        shop = shop_of(reader)
        table = shop.table
        for batch in history:
            # Between two syncs only the last state can be seen.
            for what, key, day, status in batch:
                if what == "put":
                    amount = Decimal(table.clock.minute) / 100
                    table.put(row(key, day, status=status, amount=amount))
                elif key in table.rows and reader != "watermark":
                    table.delete(key)
                    shop.last_good.pop(key, None)
            shop.note()
            loaded, cleaned = shop.sync()
            assert not loaded.failed
            assert not cleaned.failed
            assert all(control.holds for control in loaded.controls)
            good = (
                {k: r for k, r in table.rows.items() if r.status != BAD}
                if reader == "full"
                else shop.last_good
            )
            assert shop.cleaned() == {key: each.values for key, each in good.items()}
            for entry in cleaned.entries.values():
                accounted = entry.cleaned + entry.quarantined + entry.deduplicated
                assert entry.extracted == accounted
            bad = {str(k) for k, each in table.rows.items() if each.status == BAD}
            assert {key for key, *_ in shop.quarantine()} == bad
        before = shop.cleaned(), shop.quarantine()
        _, again = shop.sync()
        if reader != "full":
            assert {e.status for e in again.entries.values()} == {Status.UNCHANGED}
        clean(shop.step(force=True), DAYS)
        assert (shop.cleaned(), shop.quarantine()) == before

    check()


@pytest.mark.parametrize("reader", ["watermark", "snapshot"])
def test_a_change_opens_again_exactly_the_partitions_that_it_touches(
    shop_of: Callable[..., Shop], reader: str
) -> None:
    shop = shop_of(reader)
    for key in (1, 2, 3):
        shop.table.put(row(key, key))
    shop.sync()
    shop.table.put(row(1, 1, note="changed"))  # in its day
    shop.table.put(row(2, 3))  # from one day to another
    loaded, cleaned = shop.sync((DAYS[0],))
    assert list(loaded.entries) == [DAYS[0]]
    assert sorted(loaded.also) == [DAYS[1], DAYS[2]]
    assert {k: e.status for k, e in cleaned.entries.items()} == dict.fromkeys(
        DAYS[:3], Status.PUBLISHED
    )
    notes = {key: values[3] for key, values in shop.cleaned().items()}
    assert notes == {1: "changed", 2: None, 3: None}
    loaded, _ = shop.sync()
    assert {e.status for e in loaded.entries.values()} == {Status.UNCHANGED}


def test_a_change_of_a_day_that_was_never_loaded_waits_for_its_load(
    shop_of: Callable[..., Shop],
) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1, 1))
    shop.sync((DAYS[0],))
    shop.table.put(row(2, 2))
    loaded, _ = shop.sync((DAYS[0],))
    assert not loaded.also
    assert list(shop.cleaned()) == [1]
    shop.sync(DAYS[:2])
    assert sorted(shop.cleaned()) == [1, 2]


def test_a_transaction_that_was_committed_late_is_seen_by_the_overlap(
    shop_of: Callable[..., Shop],
) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1))
    shop.table.clock = shop.table.clock.replace(minute=30)
    shop.table.put(row(2))
    shop.sync()
    shop.table.clock = shop.table.clock.replace(minute=27)  # before the newest that was seen
    shop.table.put(row(3))
    loaded, _ = shop.sync()
    assert loaded.entries[DAYS[0]].extracted == 3
    assert sorted(shop.cleaned()) == [1, 2, 3]


def test_a_watermark_of_the_future_hides_nothing(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of("watermark")
    shop.table.clock = datetime(2037, 1, 1)
    shop.table.put(row(1))
    shop.sync()
    shop.table.clock = datetime(2025, 1, 1, 12)
    shop.table.put(row(2))
    shop.sync()
    assert sorted(shop.cleaned()) == [1, 2]


def test_a_forced_sync_by_watermark_sees_deletes(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1))
    shop.table.put(row(2, 2))
    shop.sync()
    shop.table.delete(2)
    shop.sync()
    assert sorted(shop.cleaned()) == [1, 2]
    _, cleaned = shop.sync(force=True)
    assert sorted(shop.cleaned()) == [1]
    assert (cleaned.entries[DAYS[1]].extracted, cleaned.entries[DAYS[1]].deduplicated) == (2, 2)


def test_exact_values_arrive(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of("watermark")
    values = [Decimal("0.10"), Decimal("99999999.99"), Decimal("0.30"), Decimal("1234567.89")]
    for key, amount in enumerate(values, start=1):
        shop.table.put(row(key, amount=amount, note="naïve 'quoted' \\ \"text\" 日本"))
    loaded, _ = shop.sync()
    assert [values[1] for values in shop.cleaned().values()] == values
    assert {values[3] for values in shop.cleaned().values()} == {"naïve 'quoted' \\ \"text\" 日本"}
    total = next(c for c in loaded.controls if "amount" in c.name)
    assert total.at_source == total.arrived == str(sum(values))


def test_a_source_that_is_down_leaves_what_it_gave(
    shop_of: Callable[..., Shop], tmp_path: Path
) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1))
    shop.sync()
    down = replace(shop.table.database, port=1, path=tmp_path / "nothing.sqlite")
    at_once = Guard(policy=RetryPolicy(wait_initial=0, wait_max=0, jitter=0))
    loaded = load_raw(shop.step(connections={"database": down}, guard=at_once), DAYS)
    assert set(loaded.failed) == set(DAYS)
    message = loaded.failed[DAYS[0]].message
    assert "A source does not answer" in message or "is not there" in message
    assert "a-secret" not in message
    state = at_once.breakers.state("database")
    assert state.failures == 3, state
    assert sorted(shop.cleaned()) == [1]
    shop.table.put(row(2))
    shop.sync()
    assert sorted(shop.cleaned()) == [1, 2]


def test_a_table_that_is_not_there_or_lacks_a_column(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of("watermark")
    shop.dataset = sales(WatermarkTable("nowhere"))
    loaded, _ = shop.sync()
    assert "expected: a table nowhere" in loaded.failed[DAYS[0]].message
    shop.dataset = sales(WatermarkTable("sales", watermark="touched_at"))
    loaded, _ = shop.sync()
    assert "A table lacks a column: touched_at" in loaded.failed[DAYS[0]].message
    shop.dataset = sales(WatermarkTable("sales", columns=("sale_id", "amount", "updated_at")))
    loaded, _ = shop.sync()
    assert "The source has no column sold_at" in loaded.failed[DAYS[0]].message


@pytest.mark.parametrize("column", ["sale_id", "sold_at", "updated_at"])
def test_a_column_that_rows_are_found_by_is_missed_as_any_other(
    shop_of: Callable[..., Shop], column: str
) -> None:
    shop = shop_of("watermark")
    shop.table.put(row(1))
    shop.sync((DAYS[0],))
    before = shop.cleaned()
    shop.table.execute(f"ALTER TABLE sales RENAME COLUMN {column} TO gone")
    loaded, _ = shop.sync((DAYS[0],))
    assert loaded.failed[DAYS[0]].stopped_by == "schema"
    assert f"The source has no column {column}" in loaded.failed[DAYS[0]].message
    events = schemas.drifts_in(shop.lake, "sales", f"run-{shop.runs}")
    assert column in {each.column_name for each in events if each.decision == "blocked"}
    assert shop.cleaned() == before


@pytest.mark.parametrize("reader", READERS)
def test_a_column_that_is_gone_gets_the_value_that_the_policy_gives(
    shop_of: Callable[..., Shop], reader: str
) -> None:
    shop = shop_of(reader, drift=DriftPolicy(not_null={"status": "placed"}))
    shop.table.put(row(1))
    shop.sync((DAYS[0],))
    shop.table.execute("ALTER TABLE sales DROP COLUMN status")
    shop.table.without.add("status")
    shop.table.put(row(2, 2))
    loaded, _ = shop.sync((DAYS[1],))
    assert not loaded.failed, loaded.failed[DAYS[1]].message
    assert {key: values[2] for key, values in shop.cleaned().items()} == {1: GOOD, 2: "placed"}
    # Without one, nothing is loaded, and the error says which column and what helps.
    shop.dataset = sales(READERS[reader]())
    loaded, _ = shop.sync((DAYS[1],))
    assert loaded.failed[DAYS[1]].stopped_by == "schema"
    assert "The source has no column status" in loaded.failed[DAYS[1]].message


def test_rows_that_do_not_arrive_are_missed(
    shop_of: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    from platform_assets.sources.table_reading import TableReading

    shop = shop_of("full")
    shop.table.put(row(1))
    shop.table.put(row(2))
    source = TableReading.source
    monkeypatch.setattr(
        TableReading, "source", lambda self, where: f"(FROM {source(self, where)} LIMIT 1)"
    )
    loaded, _ = shop.sync()
    assert {e.stopped_by for e in loaded.failed.values()} == {"control_total"}
    assert "rows: 2" in loaded.failed[DAYS[0]].message
    assert "rows: 1" in loaded.failed[DAYS[0]].message
    assert not shop.lake.execute(f"FROM {tables.raw_table('sales')}").fetchall()


def test_a_key_that_is_not_unique_is_refused_where_rows_are_compared(
    shop_of: Callable[..., Shop],
) -> None:
    shop = shop_of("snapshot")
    shop.table.put(row(1))
    shop.table.put(row(2))
    duplicated = "SELECT 7 AS sale_id, amount, status, note, sold_at, updated_at FROM sales"
    shop.table.execute(f"CREATE VIEW doubled AS {duplicated}")
    shop.dataset = sales(SnapshotTable("doubled"))
    loaded, _ = shop.sync()
    assert "is not unique" in loaded.failed[DAYS[0]].message
    assert "1 keys that several rows have" in loaded.failed[DAYS[0]].message


def test_only_a_range_of_keys_is_compared(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of("snapshot")
    for key in (1, 2, 3):
        shop.table.put(row(key))
    shop.sync()
    shop.dataset = sales(SnapshotTable("sales", key_range=("2", "3")))
    shop.table.delete(1)
    shop.table.delete(2)
    shop.table.put(row(3, note="changed"))
    shop.sync()
    assert {key: values[3] for key, values in shop.cleaned().items()} == {1: None, 3: "changed"}


def test_a_table_that_is_as_it_was_is_not_published_again(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of("full")
    shop.table.put(row(1))
    shop.table.put(row(2, 2, status=BAD))
    shop.sync()
    tables_of = ("raw", "cleaned")
    before = [shop.lake.execute(f"FROM lake.{each}.sales").fetchall() for each in tables_of]
    for _ in range(2):
        loaded, cleaned = shop.sync()
        for report in (loaded, cleaned):
            assert {entry.status for entry in report.entries.values()} == {Status.UNCHANGED}
    after = [shop.lake.execute(f"FROM lake.{each}.sales").fetchall() for each in tables_of]
    assert after == before
    quarantine = "SELECT status, count(*) FROM lake.platform.quarantine GROUP BY ALL"
    assert shop.lake.execute(quarantine).fetchall() == [("open", 1)]
    # As many rows, of which one is another.
    shop.table.put(row(1, note="changed"))
    loaded, _ = shop.sync()
    assert Status.PUBLISHED in {entry.status for entry in loaded.entries.values()}
