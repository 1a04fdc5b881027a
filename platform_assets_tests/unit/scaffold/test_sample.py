"""Samples: bounded in rows and bytes, spread over all files, honest about what was not read."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from platform_assets.errors import SourceError
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.scaffold import propose, sampled
from platform_assets.sources.base import Access
from platform_assets.sources.files import CsvFiles
from platform_assets_tests.support import DAYS, START
from platform_assets_tests.unit.scaffold.support import sample_of, write_csv


def deliver(folder: Path, days: int = 10, rows: int = 100) -> None:
    for number, day in enumerate(DAYS[:days]):
        values = [str(number * rows + n) for n in range(rows)]
        write_csv(folder / "sales" / f"{day}.csv", {"id": values, "day": [day] * rows})


def test_rows_are_bounded_and_of_everywhere(tmp_path: Path) -> None:
    deliver(tmp_path)
    with sample_of(tmp_path, "sales/{partition}.csv", rows=200) as sample:
        assert (sample.rows, sample.total, sample.inputs) == (200, 1000, 10)
        assert sample.told == "200 rows, sampled from 1,000 of 10 of 10 files"
        days = sample.engine.execute(f"SELECT count(DISTINCT day) FROM {sample.table}").fetchone()
        # A day is missed by 200 of 1000 rows about once in 10^9 samples.
        assert days == (10,)
        assert sample.partitions == Daily(START)
        table = sample.table.rpartition(".")[2].strip('"')
        held = f"SELECT count(*) FROM duckdb_tables() WHERE table_name = '{table}'"
        assert sample.engine.execute(held).fetchone() == (1,)


def test_the_sample_is_gone_afterwards(tmp_path: Path) -> None:
    deliver(tmp_path, days=1)
    with duckdb.connect() as engine:
        access = Access(engine, {"files": tmp_path})
        with sampled(access, CsvFiles("sales/*.csv"), "sales") as sample:
            assert sample.rows == sample.total == 100
        left = (
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '\\_sample%' ESCAPE '\\'"
        )
        assert engine.execute(left).fetchall() == []


def test_files_are_bounded_and_the_newest_is_among_them(tmp_path: Path) -> None:
    deliver(tmp_path)
    size = (tmp_path / "sales" / f"{DAYS[9]}.csv").stat().st_size
    with duckdb.connect() as engine:
        access = Access(engine, {"files": tmp_path})
        source = CsvFiles("sales/{partition}.csv")
        with sampled(access, source, "sales", max_bytes=size * 3) as sample:
            days = engine.execute(f"SELECT DISTINCT day FROM {sample.table} ORDER BY 1").fetchall()
            assert (sample.inputs, sample.of_inputs, sample.rows) == (3, 10, 300)
        assert [day for (day,) in days] == [DAYS[2], DAYS[5], DAYS[9]]
        with sampled(access, source, "sales", max_bytes=1) as sample:
            newest = engine.execute(f"SELECT DISTINCT day FROM {sample.table}").fetchall()
        assert newest == [(DAYS[9],)]


def test_a_file_that_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    deliver(tmp_path, days=2)
    (tmp_path / "sales" / f"{DAYS[2]}.csv").write_bytes(b"")
    with sample_of(tmp_path, "sales/{partition}.csv") as sample:
        assert sample.told == "200 rows of 2 of 3 files (1 unreadable)"
    for day in DAYS[:2]:
        (tmp_path / "sales" / f"{day}.csv").write_bytes(b"")
    with (
        pytest.raises(SourceError, match="A file is empty"),
        sample_of(tmp_path, "sales/{partition}.csv"),
    ):
        pytest.fail("a sample of nothing")


def test_a_column_that_only_older_files_have_may_be_null(tmp_path: Path) -> None:
    write_csv(tmp_path / "sales" / f"{DAYS[0]}.csv", {"id": ["1"], "old": ["x"]})
    write_csv(tmp_path / "sales" / f"{DAYS[1]}.csv", {"id": ["2"], "new": ["y"]})
    with sample_of(tmp_path, "sales/{partition}.csv") as sample:
        columns = propose(sample, "sales").columns
    nullable = {column.name: column.nullable for column in columns}
    assert nullable == {"id": False, "new": True, "old": True}


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError, match="nothing to take a sample of") as caught,
        sample_of(tmp_path, "missing.csv"),
    ):
        pytest.fail("a sample of nothing")
    assert "missing.csv" in caught.value.expected


def test_a_source_of_changes_alone_is_refused() -> None:
    with (
        duckdb.connect() as engine,
        pytest.raises(SourceError, match="changes only") as caught,
        sampled(Access(engine), object(), "things"),
    ):
        pytest.fail("a sample of nothing")
    assert caught.value.where == "dataset things"


def test_how_it_is_cut_may_be_known(tmp_path: Path) -> None:
    deliver(tmp_path, days=1)
    for known in (Unpartitioned(), Daily(START)):
        with duckdb.connect() as engine:
            access = Access(engine, {"files": tmp_path})
            with sampled(access, CsvFiles("sales/{partition}.csv"), "sales", known) as sample:
                assert sample.partitions == known


def test_columns_of_the_platform_are_left_out(tmp_path: Path) -> None:
    from contextlib import contextmanager

    from platform_assets.sources.base import SourceColumn
    from platform_assets.sources.looking import Look

    class Looked:
        """A relation of the engine itself."""

        @contextmanager
        def look(self, access: Access):  # type: ignore[no-untyped-def] # a test's own
            columns = (SourceColumn("id", "INTEGER", False), SourceColumn("_op", "VARCHAR", None))
            yield Look(columns, "(SELECT 1 AS id, 'r' AS _op)", ("id",))

    with duckdb.connect() as engine, sampled(Access(engine), Looked(), "things") as sample:
        proposal = propose(sample, "things")
    assert [(column.name, column.role) for column in proposal.columns] == [("id", "key")]
    assert list(proposal.left_out) == ["_op"]
