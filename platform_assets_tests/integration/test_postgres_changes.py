"""Postgres's own change log: after every load the cleaned table is what the source is."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.extensions import load_extension
from platform_assets.sources.connections import Database
from platform_assets.sources.dialects import DIALECTS
from platform_assets.sources.postgres_changes import PostgresChanges
from platform_assets.warehouse import stage
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.faults.processes import KILLED, PATIENCE_SECONDS, worker
from platform_assets_tests.logs import Sync, accounted, values
from platform_assets_tests.postgres_shop import SLOT, Shop, shops
from platform_assets_tests.servers import postgres_server
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, row, sales

LARGE = "".join(chr(33 + (n * n * 31 + n // 7) % 90) for n in range(20_000))
ODD = "it's \\ \n a \"quote\" [x]:'y' null unchanged-toast-datum new-tuple: 日本"


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


def test_the_table_first_and_then_its_changes(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of()
    shop.table.put(row(1))
    shop.table.put(row(2, 2, note=ODD))
    shop.check()
    assert {op for (op,) in shop.sync.raw("_op")} == {"r"}
    # What the snapshot has seen is not told a second time.
    shop.check()
    assert len(shop.sync.raw()) == 2
    assert shop.sync.touched() == []
    shop.table.put(row(1, 3, note=ODD))
    shop.table.put(row(3, note=""))
    shop.table.delete(2)
    assert shop.sync.touched() == [DAYS[-1]]
    behind = shop.sync.lag()
    assert behind.bytes
    assert behind.since is not None
    assert abs(datetime.now(UTC) - behind.since) < timedelta(minutes=1)
    shop.check()
    assert shop.sync.touched() == []
    assert shop.sync.lag().since is None
    shop.check()
    assert shop.sync.select("SELECT count(*) FROM lake.raw.sales WHERE _op = 'd'") == [(2,)]


def test_a_value_that_is_left_out_is_that_of_the_version_before(
    shop_of: Callable[..., Shop],
) -> None:
    shop = shop_of()
    for key in (1, 2, 3):
        shop.table.put(row(key, note=LARGE + str(key)))
    shop.check()
    shop.update(1, amount=Decimal("3.00"))
    shop.update(1, amount=Decimal("4.00"))
    shop.update(2, sale_id=12)
    shop.update(12, sale_id=13, amount=Decimal("5.00"))
    shop.table.delete(3)
    shop.table.put(row(3, note="short"))
    shop.update(13, sale_id=2)
    shop.check()
    shop.execute("ALTER TABLE sales REPLICA IDENTITY FULL")
    shop.update(2, amount=Decimal("6.00"))
    shop.check()
    assert shop.sync.cleaned()[2][3] == LARGE + "2"


def test_changes_from_before_and_after_a_change_of_columns(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of()
    shop.execute('ALTER TABLE sales ADD COLUMN "Old [one]" text')
    shop.check()
    shop.execute("INSERT INTO sales VALUES (1, 1, 'paid', NULL, '2025-01-01', now(), 'kept')")
    shop.execute('ALTER TABLE sales DROP COLUMN "Old [one]"')
    shop.execute("ALTER TABLE sales ADD COLUMN flags bit(3), ADD COLUMN listed int[]")
    shop.execute(
        "INSERT INTO sales VALUES (2, 2, 'paid', NULL, '2025-01-01', now(), B'101', '{1,NULL}')"
    )
    loaded, _ = shop.sync()
    assert not loaded.failed
    assert shop.sync.raw('sale_id, "Old [one]", flags, listed') == [
        ("1", "kept", None, None),
        ("2", None, "101", "{1,NULL}"),
    ]


def test_truncate_and_what_is_rolled_back(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of()
    shop.execute("DROP TABLE IF EXISTS aside; CREATE TABLE aside (note text)")
    shop.table.put(row(1))
    shop.check()
    shop.table.put(row(2, 2))
    engine = shop.table._engine
    engine.execute("BEGIN")
    shop.execute("DELETE FROM sales")
    engine.execute("ROLLBACK")
    shop.execute("INSERT INTO aside VALUES ('table public.sales: TRUNCATE: (no-flags)')")
    shop.execute("BEGIN; UPDATE sales SET amount = 1; SAVEPOINT s; DELETE FROM sales; "
                 "ROLLBACK TO s; COMMIT")  # fmt: skip
    shop.table.rows = {
        key: replace(each, amount=Decimal("1.00")) for key, each in shop.table.rows.items()
    }
    shop.check()
    shop.execute("TRUNCATE aside, sales")
    shop.table.rows.clear()
    shop.table.put(row(7))
    shop.check()


def test_a_transaction_that_was_open_at_the_snapshot_is_not_lost(
    shop_of: Callable[..., Shop], database: Database
) -> None:
    shop = shop_of()
    shop.table.put(row(1))
    with duckdb.connect() as other:
        load_extension(other, "postgres_scanner")
        for statement in DIALECTS["postgres"].attach(database):
            other.execute(statement.replace(", READ_ONLY", ""))
        other.execute("BEGIN")
        other.execute(
            "CALL postgres_execute('_source', 'UPDATE sales SET amount = 9 WHERE sale_id = 1')"
        )
        shop.table.put(row(2))
        shop.check()
        other.execute("COMMIT")
    shop.table.rows[1] = replace(shop.table.rows[1], amount=Decimal("9.00"))
    shop.check()


def test_a_load_is_bounded_and_a_transaction_is_not_cut(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(max_changes=10)
    shop.check()
    shop.execute(
        "INSERT INTO sales SELECT g, 1.10, 'paid', NULL, '2025-01-02', now() "
        "FROM generate_series(1, 5000) AS g"
    )
    shop.execute("UPDATE sales SET amount = 2 WHERE sale_id = 1")
    loaded, _ = shop.sync()
    assert loaded.entries[DAYS[1]].extracted == 5000
    shop.sync()
    assert shop.sync.cleaned()[1][1] == Decimal("2.00")


def test_what_is_kept_but_not_acknowledged_is_left_out(
    shop_of: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop_of()
    shop.table.put(row(1))
    shop.check()
    shop.table.put(row(2))
    down = replace(shop.sync.connections["database"], port=1)  # type: ignore[type-var] # a Database
    advance = PostgresChanges._advance
    with monkeypatch.context() as patched:
        patched.setattr(
            PostgresChanges,
            "_advance",
            lambda self, access, cursor: advance(
                self, replace(access, connections={"database": down}), cursor
            ),
        )
        loaded, _ = shop.sync()
        assert "was not told that its changes are kept" in loaded.notes[0]
    held = shop.sync.raw()
    before = shop.asked("SELECT confirmed_flush_lsn::text AS l FROM pg_replication_slots")
    shop.check()
    assert shop.sync.raw() == held
    assert shop.asked("SELECT confirmed_flush_lsn::text AS l FROM pg_replication_slots") != before


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sync_and_die(root: Path, database: Database, where: str) -> None:
    """Sync in this process, and kill it in the middle."""
    if where == "before the slot moves on":
        PostgresChanges._advance = _die  # type: ignore[method-assign] # it ends here
    else:
        write = stage.write
        stage.write = lambda *args: _die(write(*args))  # type: ignore[assignment,misc] # it ends
    with connect(lake_in(root)) as lake:
        dataset = sales(PostgresChanges("sales", SLOT), max_bad_share=1.0)
        Sync(dataset, lake, {"database": database})()


@pytest.mark.faults
@pytest.mark.parametrize("where", ["before the slot moves on", "with rows staged"])
def test_a_killed_load_is_gone_on_with(
    shop_of: Callable[..., Shop], tmp_path: Path, database: Database, where: str
) -> None:
    shop = shop_of()
    shop.table.put(row(1))
    shop.check()
    shop.table.put(row(2))
    shop.table.delete(1)
    work = functools.partial(_sync_and_die, tmp_path / "1", database, where)
    with worker(work, tmp_path / "errors.txt") as process:
        process.process.join(PATIENCE_SECONDS)
        assert process.process.exitcode == KILLED
    committed = where == "before the slot moves on"
    assert len(shop.sync.raw()) == (3 if committed else 1)
    shop.table.put(row(3))
    shop.check()
    assert len(shop.sync.raw()) == 4


# What happens between two loads: (what, row, day, status).
ACTIONS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "delete", "rename"]),
            st.integers(1, 5),
            st.integers(1, 3),
            st.sampled_from([GOOD, GOOD, BAD]),
        ),
        max_size=5,
    ),
    min_size=2,
    max_size=3,
)


def test_after_every_load_the_cleaned_table_is_what_the_source_is(
    shop_of: Callable[..., Shop],
) -> None:
    @settings(
        max_examples=3,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(history=ACTIONS)
    def check(history: list[list[tuple[str, int, int, str]]]) -> None:
        shop = shop_of()
        rows, good = shop.table.rows, shop.last_good
        for batch in history:
            for what, key, day, status in batch:
                if what == "put":
                    # It deletes the row first: what is bad leaves nothing of its key.
                    good.pop(key, None)
                    put = shop.table.put(row(key, day, status=status, note=ODD))
                    if status == GOOD:
                        good[key] = put
                elif key in rows and what == "delete":
                    shop.table.delete(key)
                    good.pop(key, None)
                elif key in rows and key + 10 not in rows:
                    shop.update(key, sale_id=key + 10)
                    good.pop(key, None)
                    if rows[key + 10].status == GOOD:
                        good[key + 10] = rows[key + 10]
            loaded, cleaned = shop.sync()
            assert not loaded.failed
            assert accounted(cleaned)
            assert shop.sync.cleaned() == values(good)

    check()
