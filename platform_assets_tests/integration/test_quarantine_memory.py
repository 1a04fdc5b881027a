"""An all-bad batch needs no more memory than a small one: what does not fit is spilled."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from platform_assets.warehouse import quarantine, tables
from platform_assets.warehouse.lake import LakeConfig, connect, in_transaction
from platform_assets.warehouse.quarantine import Rejected, RowStatus
from platform_assets.warehouse.quarantine_work import Picked, count, find
from platform_assets_tests.support import D1

ROWS = 400_000
# Kept at once, the rows, or their ids alone, need more; what a thread needs to work with is 40 MB.
LIMIT = "60MB"


def rejected(run: str) -> Rejected:
    return Rejected(
        dataset="things",
        raw_table=tables.raw_table("things"),
        raw_columns=["id", "note"],
        verdicts="_verdicts",
        key="r.id",
        run_id=run,
        contract_version="v",
    )


def test_memory_does_not_grow_with_the_bad_rows(lake_config: LakeConfig) -> None:
    statuses = {D1: RowStatus.BLOCKED}
    with connect(replace(lake_config, threads=1)) as lake:
        tables.ensure_platform_tables(lake)
        raw = tables.raw_table("things")
        lake.execute(
            f"CREATE TABLE {raw} (id VARCHAR, note VARCHAR, _partition VARCHAR, "
            "_source_file VARCHAR)"
        )
        lake.execute(
            f"INSERT INTO {raw} SELECT i, 'note ' || i, '{D1}', 'file.csv' FROM range({ROWS}) t(i)"
        )
        lake.execute(
            "CREATE TEMP TABLE _verdicts AS SELECT rowid AS _rowid, _partition, ['rule'] AS "
            f"_broken, true AS _rejected FROM {raw}"
        )
        lake.execute(f"SET memory_limit = '{LIMIT}'")
        # First they are new; the second time, each is found again and left alone.
        for run in ("first", "second"):
            store = partial(quarantine.store, rejected=rejected(run), statuses=statuses)
            assert in_transaction(lake, store) == quarantine.Stored()
            assert count(lake, Picked()) == {("things", D1): ROWS}
        found = find(lake, Picked(dataset="things"), 2)
        assert [(each.row_number, each.run_id) for each in found] == [(1, "first"), (2, "first")]
