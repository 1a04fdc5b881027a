"""Opening the lake, its transactions, and what they do where another writer comes first."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import stamina

from platform_assets.errors import PublishError, SettingsError
from platform_assets.extensions import extension_file
from platform_assets.warehouse import lake as module
from platform_assets.warehouse.lake import (
    Connection,
    LakeConfig,
    connect,
    in_transaction,
    is_contention,
    one_state,
)
from platform_assets.warehouse.tables import ensure_platform_tables
from platform_assets_tests.support import Site

LOCKED = duckdb.IOException('Failed to commit: "database is locked"')


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without waiting; give up after five attempts."""
    monkeypatch.setattr(module, "CONTENTION_ATTEMPTS", 5)
    wait = {"wait_initial": 0.0, "wait_max": 0.0, "wait_jitter": 0.0}
    retry = stamina.retry_context
    monkeypatch.setattr(
        module.stamina, "retry_context", lambda **options: retry(**{**options, **wait})
    )


@pytest.fixture
def lake(site: Site) -> Connection:
    site.lake.execute("CREATE TABLE lake.counted (n INTEGER)")
    return site.lake


def count(lake: Connection) -> list[int]:
    return [n for (n,) in lake.execute("SELECT n FROM lake.counted ORDER BY 1").fetchall()]


def test_the_catalog_lets_readers_read_while_a_writer_writes(
    lake: Connection, lake_config: LakeConfig
) -> None:
    with sqlite3.connect(lake_config.catalog) as catalog:
        assert catalog.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    lake.execute("BEGIN TRANSACTION")
    lake.execute("INSERT INTO lake.counted VALUES (1)")
    with connect(lake_config) as reader:
        assert count(reader) == []
    lake.execute("COMMIT")
    with connect(lake_config) as reader:
        assert count(reader) == [1]


def test_the_engine_never_downloads_and_keeps_to_its_limits(lake: Connection) -> None:
    found = dict(
        lake.execute(
            "SELECT name, value FROM duckdb_settings() WHERE name IN "
            "('allow_unsigned_extensions', 'autoinstall_known_extensions', "
            "'autoload_known_extensions', 'threads')"
        ).fetchall()
    )
    assert found == {
        "allow_unsigned_extensions": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "threads": "1",
    }


def test_a_missing_extension_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert extension_file("ducklake").is_file()
    with pytest.raises(SettingsError, match="extension nothing_such is not installed") as caught:
        extension_file("nothing_such")
    assert caught.value.where == "package duckdb-extension-nothing-such"
    assert "make install" in caught.value.fix
    monkeypatch.setattr(duckdb, "__version__", "0.0.1")
    with pytest.raises(SettingsError) as caught:
        extension_file("ducklake")
    assert caught.value.found == "a wheel for another version"


def test_a_lake_that_is_none_cannot_be_opened(lake_config: LakeConfig, tmp_path: Path) -> None:
    wrong = tmp_path / "text.sqlite"
    wrong.write_text("only text\n" * 100)
    with (
        pytest.raises(SettingsError, match="The lake cannot be opened") as caught,
        connect(replace(lake_config, catalog=wrong)),
    ):
        pytest.fail("it was opened")
    assert str(wrong) in caught.value.where
    assert "PLATFORM_ASSETS_LAKE_CATALOG" in caught.value.fix


def test_it_is_closed_also_after_an_error(lake_config: LakeConfig) -> None:
    with pytest.raises(ZeroDivisionError), connect(lake_config) as opened:
        raise ZeroDivisionError
    with pytest.raises(duckdb.ConnectionException):
        opened.execute("SELECT 1")


@pytest.mark.parametrize(
    ("error", "contention"),
    [
        (LOCKED, True),
        (duckdb.TransactionException("Transaction conflict - attempting to ..."), True),
        (duckdb.IOException("database table is locked"), True),
        (duckdb.IOException("No space left on device"), False),
        (ValueError("database is locked"), False),
    ],
)
def test_what_says_that_another_writer_came_first(error: Exception, contention: bool) -> None:
    assert is_contention(error) is contention


def test_questions_that_are_asked_together_see_one_state(
    lake: Connection, lake_config: LakeConfig
) -> None:
    with connect(lake_config) as other, one_state(lake):
        assert count(lake) == []
        other.execute("INSERT INTO lake.counted VALUES (1)")
        assert count(lake) == []
    assert count(lake) == [1]


def test_a_question_that_fails_is_told_and_ends_the_state(lake: Connection) -> None:
    def ask() -> None:
        with one_state(lake):
            lake.execute("CREATE TEMP TABLE laid_out AS SELECT 1 AS n")
            lake.execute("SELECT CAST('x' AS INTEGER)")

    with pytest.raises(duckdb.ConversionException):
        ask()
    with one_state(lake), pytest.raises(duckdb.CatalogException):
        lake.execute("FROM laid_out")


def test_a_transaction_is_run_again_as_a_whole(lake: Connection) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> str:
        attempts.append(len(attempts))
        connection.execute(f"INSERT INTO lake.counted VALUES ({len(attempts)})")
        if len(attempts) < 4:
            raise LOCKED
        return "done"

    assert in_transaction(lake, work) == "done"
    assert attempts == [0, 1, 2, 3]
    assert count(lake) == [4]


def test_a_writer_that_never_gets_a_turn_gives_up_and_says_so(lake: Connection) -> None:
    def work(connection: Connection) -> None:
        connection.execute("INSERT INTO lake.counted VALUES (1)")
        raise LOCKED

    with pytest.raises(PublishError, match="stayed locked by other writers") as caught:
        in_transaction(lake, work)
    assert "nothing was published" in caught.value.fix
    assert count(lake) == []


def test_any_other_error_ends_it_at_once(lake: Connection) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        connection.execute("INSERT INTO lake.counted VALUES (1)")
        connection.execute("SELECT no_such_column FROM lake.counted")

    with pytest.raises(duckdb.BinderException):
        in_transaction(lake, work)
    assert attempts == [1]
    assert count(lake) == []
    # The connection is not left in a transaction.
    assert in_transaction(lake, lambda con: con.execute("SELECT 1").fetchone()) == (1,)


def test_two_writers_of_one_table_both_get_their_turn(
    lake: Connection, lake_config: LakeConfig
) -> None:
    """A real conflict: both delete the same row, and the second is run again on what is left."""
    lake.execute("INSERT INTO lake.counted VALUES (1)")
    attempts: list[list[int]] = []

    with connect(lake_config) as other:

        def work(connection: Connection) -> None:
            attempts.append(count(connection))
            connection.execute("DELETE FROM lake.counted")
            if len(attempts) == 1:
                # Not through in_transaction: a writer that does not wait for its turn, as dbt.
                other.execute("DELETE FROM lake.counted")
                other.execute("INSERT INTO lake.counted VALUES (2)")
            connection.execute("INSERT INTO lake.counted VALUES (3)")

        in_transaction(lake, work)
    assert attempts == [[1], [2]]
    assert count(lake) == [3]


def test_files_are_compressed_as_decided(site: Site) -> None:
    ensure_platform_tables(site.lake)
    site.lake.execute("CREATE TABLE lake.raw.numbers AS SELECT range AS n FROM range(5000)")
    files = site.lake.execute("FROM ducklake_list_files('lake', 'numbers', schema => 'raw')")
    (path, *_), *_ = files.fetchall()
    codecs = site.lake.execute("SELECT DISTINCT compression FROM parquet_metadata(?)", [path])
    assert codecs.fetchall() == [("ZSTD",)]


def test_a_new_catalog_that_is_locked_for_a_moment_is_opened_all_the_same(
    lake_config: LakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake_config.catalog.unlink()
    holder = sqlite3.connect(lake_config.catalog)
    holder.execute("BEGIN EXCLUSIVE")
    attempts: list[int] = []
    prepare = module._prepare_catalog

    def prepared(catalog: Path) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise sqlite3.OperationalError("database is locked")
        holder.rollback()
        prepare(catalog)

    monkeypatch.setattr(module, "_prepare_catalog", prepared)
    with connect(lake_config) as lake:
        assert lake.execute("FROM lake.current_snapshot()").fetchone() is not None
    holder.close()
    assert len(attempts) == 2


def test_a_catalog_that_stays_locked_is_said_to_be(
    lake_config: LakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: Path) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(module, "_prepare_catalog", locked)
    with pytest.raises(SettingsError, match="cannot be opened") as caught, connect(lake_config):
        pass
    assert caught.value.found == "database is locked"
