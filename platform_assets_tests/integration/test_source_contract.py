"""What every kind of source must come to: the same tests, whatever rows come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from platform_assets.contracts import DriftPolicy
from platform_assets.pipeline import BatchReport
from platform_assets.sources.base import Access, SourceColumn, WindowSource
from platform_assets.sources.change_source import ChangeSource
from platform_assets.sources.retrying import Guard, RetryPolicy
from platform_assets.warehouse import ledger, schemas, tables
from platform_assets.warehouse.lake import connect
from platform_assets.warehouse.ledger import Status
from platform_assets_tests import event_kinds, file_kinds, table_kinds
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.faults.processes import KILLED, PATIENCE_SECONDS, worker
from platform_assets_tests.killed_load import KilledLoad
from platform_assets_tests.logs import Sync, accounted, values
from platform_assets_tests.servers import mariadb_executable
from platform_assets_tests.source_kinds import COLOUR, COLUMNS, Servers, SourceKind
from platform_assets_tests.source_tables import BAD, DAYS, row, sales

D1, D2, D3 = DAYS[:3]
AT_ONCE = RetryPolicy(wait_initial=0, wait_max=0, jitter=0)
ODD = "it's \"quoted\", a comma;\na \\ and a line, '' naïve 日本 🎉"
ALL_KINDS = {**file_kinds.KINDS, **event_kinds.KINDS, **table_kinds.KINDS}
PARAMS = {
    name: pytest.param(
        name,
        marks=pytest.mark.skipif(
            "mariadb" in name and mariadb_executable() is None,
            reason="MariaDB is not installed: apt-get mariadb-server",
        ),
    )
    for name in ALL_KINDS
}
# What tells of a load, and not of a row: another load of the same rows has others.
OF_A_LOAD = {"_source_file", "_position", "_load", "_changed_at"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Servers that the kinds share."""
    with ExitStack() as stack:
        yield Servers(stack)


@dataclass
class Case:
    """A source of a kind, a lake, and syncs between them."""

    kind: SourceKind
    sync: Sync
    root: Path
    policy: DriftPolicy = field(default_factory=DriftPolicy)

    def run(self, *days: str, **options: Any) -> tuple[BatchReport, BatchReport]:
        """Load and clean days as things are now."""
        self.sync.dataset = sales(self.kind.source, max_bad_share=1.0, drift=self.policy)
        self.sync.connections = self.kind.connections
        return self.sync(days, guard=Guard(policy=AT_ONCE), **options)

    def load(self, *days: str, **options: Any) -> tuple[BatchReport, BatchReport]:
        """Load and clean days; nothing fails, and the cleaned table is what the source is."""
        loaded, cleaned = self.run(*days, **options)
        assert not loaded.failed, next(iter(loaded.failed.values())).message
        assert not cleaned.failed, next(iter(cleaned.failed.values())).message
        assert all(control.holds for control in loaded.controls)
        self.check()
        return loaded, cleaned

    def refused(self, *days: str) -> str:
        """Load days that all fail; what is said, of which nothing is secret."""
        before = self.contents()
        loaded, _ = self.run(*days)
        assert set(loaded.failed) == set(days)
        messages = [entry.message for entry in loaded.failed.values()]
        assert all(messages)
        kept = self.sync.select(f"SELECT message FROM {tables.LEDGER} WHERE status = 'failed'")
        for each in (*messages, *(text for (text,) in kept)):
            assert not [secret for secret in self.kind.secrets if secret in each], each
        # The last good data are untouched.
        assert self.contents() == before
        return messages[0]

    def check(self) -> None:
        """Hold the cleaned table to the source row for row, and the ledger to its sum."""
        assert self.sync.cleaned() == self.good()
        entries = self.entries("cleaned")
        assert entries
        for key, entry in entries.items():
            assert entry.extracted == entry.cleaned + entry.quarantined + entry.deduplicated, key
        counted = self.sync.select(
            f"SELECT _partition, count(*) FROM {tables.cleaned_table('sales')} GROUP BY 1"
        )
        assert dict(counted) == {k: e.cleaned for k, e in entries.items() if e.cleaned}

    def good(self) -> dict[int, tuple[Any, ...]]:
        """What the source holds that keeps the contract."""
        return values({k: each for k, each in self.kind.rows.items() if each.status != BAD})

    def entries(self, layer: str) -> dict[str, ledger.LedgerEntry]:
        """The publish that each partition stands at."""
        return ledger.published(self.sync.lake, f"{layer}/sales")

    def rows(self, table: str, *but: str) -> list[tuple[Any, ...]]:
        """Rows of a table, less some columns."""
        found = self.sync.lake.execute(f"DESCRIBE {table}").fetchall()
        names = ", ".join(f'"{name}"' for name, *_ in found if name not in but)
        return self.sync.select(f"SELECT {names} FROM {table} ORDER BY ALL")

    def contents(self, *, of_loads: bool = True) -> dict[str, list[tuple[Any, ...]]]:
        """All tables of the dataset: what running again must not change.

        Without what tells of a load, of the quarantine only rows that are still in it.
        """
        but = () if of_loads else OF_A_LOAD
        of_rows = "row_key, partition, rules, original_row"
        quarantine = "* EXCLUDE (first_seen, run_id)" if of_loads else of_rows
        where = "" if of_loads else " WHERE status = 'open'"
        return {
            "raw": self.rows(tables.raw_table("sales"), *but),
            "cleaned": self.rows(tables.cleaned_table("sales"), *but),
            "quarantine": self.sync.select(
                f"SELECT {quarantine} FROM {tables.QUARANTINE}{where} ORDER BY ALL"
            ),
        }

    def of_day(self, day: str) -> dict[str, list[tuple[Any, ...]]]:
        """Raw and cleaned rows of a day."""
        return {
            table: self.sync.select(f"FROM {table} WHERE _partition = '{day}' ORDER BY ALL")
            for table in (tables.raw_table("sales"), tables.cleaned_table("sales"))
        }

    def schema(self) -> dict[str, SourceColumn]:
        """The columns as the source tells them now, by name."""
        source = self.kind.source
        access = Access(self.sync.lake, self.kind.connections, Guard(policy=AT_ONCE))
        if isinstance(source, ChangeSource):
            found = source.schema(access)
        else:
            assert isinstance(source, WindowSource)
            inputs = [each for each in source.inputs(access, DAYS) if each.items]
            assert not source.inspect(access, "sales", inputs, COLUMNS)
            found = source.schema(access, inputs)
        assert len({column.name for column in found}) == len(found)
        return {column.name: column for column in found}

    def stopped_by(self) -> set[str]:
        """What has stopped loads so far."""
        query = f"SELECT DISTINCT stopped_by FROM {tables.LEDGER} WHERE status = 'failed'"
        return {str(each) for (each,) in self.sync.select(query)}

    def told(self) -> set[tuple[str, str, str]]:
        """What the last run tells of the schema: what happened to which column, and its end."""
        found = schemas.drifts_in(self.sync.lake, "sales", f"run-{self.sync.runs}")
        return {(each.kind, each.column_name, each.decision) for each in found}


@pytest.fixture(params=PARAMS.values())
def case(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Case]:
    """An empty source of each kind, and an empty lake."""
    folder, root = tmp_path / tmp_path.name, tmp_path / "site"
    folder.mkdir()
    with ALL_KINDS[request.param](folder, servers) as kind, connect(lake_in(root)) as lake:
        yield Case(kind, Sync(sales(kind.source), lake, kind.connections), root)


def of(*kinds: str) -> pytest.MarkDecorator:
    """Only the kinds with code of their own for a property; beside it is where the rest is."""
    return pytest.mark.parametrize("case", [PARAMS[kind] for kind in kinds], indirect=True)


def all_but(*kinds: str) -> pytest.MarkDecorator:
    """Without the kinds that share all of their code in this with another."""
    return of(*(kind for kind in ALL_KINDS if kind not in kinds))


def test_smoke(case: Case) -> None:
    """Rows arrive as they are, and so does what comes in a column that is new."""
    case.kind.put(
        row(1, amount=Decimal("0.10"), note=ODD, sold_at=datetime(2025, 1, 1, 23, 59, 59)),
        row(2, amount=Decimal("99999999.99"), note=None, sold_at=datetime(2025, 1, 1)),
        row(3, day=2, amount=Decimal("1234567.80"), note="plain"),
    )
    told = case.schema()
    assert set(told) == set(COLUMNS)
    assert told["amount"].sql_type == case.kind.amount_type
    loaded, cleaned = case.load(D1, D2)
    found = case.sync.cleaned()
    assert found[1][1:5] == (Decimal("0.10"), "paid", ODD, datetime(2025, 1, 1, 23, 59, 59))
    assert found[2][1:4] == (Decimal("99999999.99"), "paid", None)
    assert str(found[3][1]) == "1234567.80"
    for report in (loaded, cleaned):
        assert {key: entry.extracted for key, entry in report.entries.items()} == {D1: 2, D2: 1}
    assert {entry.cleaned for entry in cleaned.entries.values()} == {2, 1}
    assert case.told() == set()
    case.kind.add_column()
    case.kind.put(row(4, day=3, note="z"))
    assert set(case.schema()) == {*COLUMNS, "colour"}
    # Asking took nothing away.
    case.load(D1, D2, D3)
    assert sorted(case.sync.cleaned()) == [1, 2, 3, 4]
    assert case.told() == {("added", "colour", "kept")}
    colours = dict(case.sync.raw("CAST(sale_id AS INTEGER), colour"))
    assert colours[4] == COLOUR
    assert set(colours) == {1, 2, 3, 4}


# JSON files are told apart as those of NDJSON. That one in a bucket has changed is in test_buckets;
# what changes in MariaDB is in test_table_kinds, seen by the reader that Postgres has here.
@all_but("json", "bucket", "mariadb_watermark")
def test_incremental(case: Case) -> None:
    """What has changed is read and nothing else; read again, also by force, it is the same."""
    case.kind.put(row(1, note="first"), row(2, note=ODD), row(3, day=2), row(4, status=BAD))
    case.load(D1, D2)
    before = case.of_day(D2)
    case.kind.put(row(1, note="second", amount=Decimal("7.70")), row(5, day=3))
    if case.kind.sees_deletes:
        case.kind.delete(2)
    loaded, cleaned = case.load(D1, D2, D3)
    assert case.sync.cleaned()[1][1:4] == (Decimal("7.70"), "paid", "second")
    assert sorted(case.sync.cleaned()) == ([1, 3, 5] if case.kind.sees_deletes else [1, 2, 3, 5])
    same = Status.PUBLISHED if case.kind.rereads else Status.UNCHANGED
    for report in (loaded, cleaned):
        assert {key: entry.status for key, entry in report.entries.items()} == {
            D1: Status.PUBLISHED,
            D2: same,
            D3: Status.PUBLISHED,
        }
    if not case.kind.rereads:
        # Not even what tells the load: it was not read again.
        assert case.of_day(D2) == before
    bad = case.sync.select(f"SELECT row_key FROM {tables.QUARANTINE} WHERE status = 'open'")
    assert bad == [("4",)]
    held, of_rows = case.contents(), case.contents(of_loads=False)
    for report in case.load(D1, D2, D3):
        if not case.kind.rereads:
            assert {entry.status for entry in report.entries.values()} == {Status.UNCHANGED}
    assert case.contents(of_loads=False) == of_rows
    assert case.kind.rereads or case.contents() == held
    _, cleaned = case.load(D1, D2, D3, force=True)
    assert {entry.status for entry in cleaned.entries.values()} == {Status.PUBLISHED}
    assert accounted(cleaned)
    assert case.contents(of_loads=False) == of_rows
    assert case.kind.lands_anew or case.contents() == held


# All files are loaded as CSV is, and test_copies shows that what a format lays out is swept; tables
# that are read by what has changed are killed in test_change_kills, slots in test_postgres_changes.
@of("csv", "rest", "sqlite_full", "debezium_files", "debezium_stream")
@pytest.mark.faults
def test_kill_and_resume(case: Case, tmp_path: Path) -> None:
    case.kind.put(row(1, note="first"), row(2), row(3, day=2))
    case.load(D1, D2)
    good = case.sync.cleaned()
    held = case.contents()["raw"]
    case.kind.put(row(1, note="second"), row(4, day=3), row(5, day=2, status=BAD))
    if case.kind.sees_deletes:
        case.kind.delete(2)
    for asset in ("raw/sales", "cleaned/sales"):
        load = KilledLoad(case.root, case.kind.source, case.kind.connections, asset)
        with worker(load.do, tmp_path / "errors.txt") as process:
            process.process.join(PATIENCE_SECONDS)
            errors = tmp_path / "errors.txt"
            said = errors.read_text() if errors.exists() else "it ended by itself"
            assert process.process.exitcode == KILLED, said
        # What it wrote and did not commit is not there; what it committed is.
        assert (case.contents()["raw"] == held) == (asset == "raw/sales")
        assert case.sync.cleaned() == good
    case.load(D1, D2, D3)
    assert sorted(case.sync.cleaned()) == ([1, 3, 4] if case.kind.sees_deletes else [1, 2, 3, 4])
    versions = case.rows(tables.raw_table("sales"), *OF_A_LOAD)
    assert len(set(versions)) == len(versions)
    held_of = dict(
        case.sync.select(f"SELECT _partition, count(*) FROM {tables.raw_table('sales')} GROUP BY 1")
    )
    for day, entry in case.entries("raw").items():
        assert held_of.get(day, 0) == entry.extracted


# A column is missed by a file's format, wherever the file is, and by JSON as by NDJSON; each reader
# of a table misses it in test_tables; events are the same in files and in a stream.
@of(
    "csv", "ndjson", "parquet", "excel", "rest",
    "postgres_watermark", "postgres_changes", "debezium_files",
)  # fmt: skip
def test_drift_dropped(case: Case) -> None:
    case.kind.put(row(1, note="x"))
    case.load(D1)
    case.kind.drop_column()
    case.kind.put(row(2, day=2))
    if case.kind.absent_is_null:
        # Writers of records leave null out, so its absence alone is no change.
        case.load(D2)
        assert case.told() <= {("removed", "note", "filled")}
    else:
        message = case.refused(D2)
        assert "The source lacks a column: note" in message
        assert case.told() == {("removed", "note", "blocked")}
        assert case.stopped_by() == {"schema"}
        case.policy = DriftPolicy(removed="fill")
        loaded, cleaned = case.run(D2)
        assert not loaded.failed, loaded.failed[D2].message
        assert accounted(cleaned)
        assert case.told() == {("removed", "note", "filled")}
    assert {key: each[3] for key, each in case.sync.cleaned().items()} == {1: "x", 2: None}


# A folder that is gone is gone for every format; buckets that do not answer are in test_buckets,
# databases in test_table_kinds.
@of("csv", "rest", "postgres_changes", "debezium_files", "debezium_stream")
def test_down(case: Case) -> None:
    case.kind.put(row(1, note="x"))
    case.load(D1, D2)
    case.kind.put(row(2, day=2))
    case.kind.go_down()
    message = case.refused(D1, D2)
    assert repr(case.kind.source.connection) in message
    assert case.stopped_by() == {"source"}
    case.kind.come_up()
    loaded, _ = case.load(D1, D2)
    assert loaded.entries[D2].status is Status.PUBLISHED
    assert sorted(case.sync.cleaned()) == [1, 2]
