"""A year of an installation, written in bulk: what a scrape of the metrics has to read.

Belongs here: making the ledger, the quarantine, the catalog's files and Dagster's runs. Does not
belong here: measuring (``metrics_run``).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from platform_assets.warehouse.lake import Connection, LakeConfig, in_transaction
from platform_assets.warehouse.tables import LEDGER, QUARANTINE, ensure_platform_tables

# Of five assets two are raw, two cleaned and one aggregated.
ASSET = (
    "CASE WHEN a % 5 < 2 THEN 'raw/d' || (a // 5 * 2 + a % 5) "
    "WHEN a % 5 < 4 THEN 'cleaned/d' || (a // 5 * 2 + a % 5 - 2) ELSE 'aggregated/g' || a // 5 END"
)
# One attempt in 20 fails and is made again; another one in 20 finds nothing to do.
ATTEMPTS = 2
SINGLE_DAYS = 3
FILES_A_TABLE = 20
QUARANTINED = 200_000
RUNS_A_DAY, EVENTS_A_RUN = 50, 12


def first_day(days: int) -> date:
    """The first of so many days, of which yesterday is the last."""
    return datetime.now(UTC).date() - timedelta(days=days)


def fill_ledger(lake: Connection, assets: int, days: int) -> int:
    """All days' attempts: most of them at once, the last few each by itself; how many there are."""
    ensure_platform_tables(lake)
    for first, last in [
        (0, days - SINGLE_DAYS),
        *((n, n + 1) for n in range(days - SINGLE_DAYS, days)),
    ]:
        publish_days(lake, assets, days, first, last)
    row = lake.execute(f"SELECT count(*) FROM {LEDGER}").fetchone()
    return int(row[0]) if row else 0


def publish_days(lake: Connection, assets: int, days: int, first: int, last: int) -> None:
    """Attempts at some days of all assets, in one transaction."""
    begin = first_day(days)
    chance = "hash(a * 100003 + d) % 20"
    in_transaction(
        lake,
        lambda con: con.execute(
            f"""
            INSERT INTO {LEDGER} BY NAME
            SELECT {ASSET} AS asset,
                strftime(DATE '{begin}' + CAST(d AS INTEGER), '%Y-%m-%d') AS partition,
                CAST(uuid() AS VARCHAR) AS run_id,
                CASE WHEN n = 0 AND {chance} = 0 THEN 'failed'
                     WHEN n = 1 AND {chance} = 1 THEN 'unchanged' ELSE 'published' END AS status,
                1000 AS extracted, 990 AS cleaned, 7 AS quarantined, 3 AS deduplicated,
                100000 AS bytes, 0.5 AS seconds, '0.1.0' AS code_version, 'v1' AS contract_version,
                md5(a || 'x' || d) AS input_fingerprint, '{{"quantity__ge": 7}}' AS broken,
                '' AS stopped_by, '' AS message,
                TIMESTAMPTZ '{begin} 06:00:00Z' + to_days(CAST(d + 1 AS INTEGER)) AS recorded_at,
                CAST(10 AS BIGINT) AS rows_added, CAST(0 AS BIGINT) AS rows_removed,
                CAST(0 AS BIGINT) AS rows_changed,
                TIMESTAMP '{begin} 23:00:00' + to_days(CAST(d AS INTEGER)) AS newest_event
            FROM range({first}, {last}) AS t(d), range({assets}) AS u(a), range({ATTEMPTS}) AS v(n)
            WHERE n = 0 OR {chance} < 2 ORDER BY d, a, n
            """
        ),
    )


def fill_quarantine(lake: Connection, assets: int) -> None:
    """Open rows of many datasets and rules."""
    lake.execute(
        f"""
        INSERT INTO {QUARANTINE} BY NAME
        SELECT md5(CAST(i AS VARCHAR)) AS quarantine_id, 'd' || i % {max(1, assets * 2 // 5)}
            AS dataset, '2026-01-01' AS partition, 'r' AS run_id, 'open' AS status,
            ['rule_' || i % 7] AS rules, '{{"some": "row", "with": "text"}}' AS original_row,
            now() AS first_seen
        FROM range({QUARANTINED}) AS t(i)
        """
    )


def fill_catalog(lake: Connection, config: LakeConfig, assets: int) -> int:
    """A table for each asset, and entries of files that nobody reads; how many entries."""

    def create(con: Connection) -> None:
        for n in range(assets):
            con.execute(f"CREATE TABLE lake.cleaned.t{n} (a INTEGER)")

    in_transaction(lake, create)
    lake.execute("INSERT INTO lake.cleaned.t0 VALUES (1)")
    with closing(sqlite3.connect(config.catalog, timeout=60)) as catalog:
        names = [str(row[1]) for row in catalog.execute("PRAGMA table_info(ducklake_data_file)")]
        tables = [
            int(table)
            for (table,) in catalog.execute(
                "SELECT table_id FROM ducklake_table WHERE table_name GLOB 't[1-9]*'"
            )
        ]
        model = dict(zip(names, catalog.execute(
            "SELECT * FROM ducklake_data_file WHERE table_id = "
            "(SELECT min(table_id) FROM ducklake_table WHERE table_name = 't0')"
        ).fetchone(), strict=True))  # fmt: skip
        rows = [
            {**model, "data_file_id": 10_000_000 + n, "table_id": table}
            for n, table in enumerate(t for t in tables for _ in range(FILES_A_TABLE))
        ]
        marks = ", ".join(f":{name}" for name in names)
        catalog.executemany(f"INSERT INTO ducklake_data_file VALUES ({marks})", rows)
        catalog.commit()
    return len(rows)


def fill_instance(instance: dg.DagsterInstance, days: int) -> int:
    """Runs that succeeded, with their events; how many runs."""
    run_storage, events = instance.run_storage, instance.event_log_storage
    assert isinstance(run_storage, SqlRunStorage)
    assert isinstance(events, SqlEventLogStorage)
    at, runs = datetime.now(UTC).replace(tzinfo=None), days * RUNS_A_DAY
    body = dg.serialize_value(dg.DagsterRun("job", status=dg.DagsterRunStatus.SUCCESS))
    kinds = [*["STEP_OUTPUT"] * (EVENTS_A_RUN - 1), dg.DagsterEventType.RUN_SUCCESS.value]
    with run_storage.connect() as connection:
        connection.execute(
            RunsTable.insert(),
            [
                {"run_id": f"run-{n}", "pipeline_name": "job", "status": "SUCCESS",
                 "run_body": body, "create_timestamp": at, "update_timestamp": at}
                for n in range(runs)
            ],
        )  # fmt: skip
    with events.index_connection() as connection:
        connection.execute(
            SqlEventLogStorageTable.insert(),
            [
                {"run_id": f"run-{n}", "event": "{}", "dagster_event_type": kind, "timestamp": at}
                for n in range(runs)
                for kind in kinds
            ],
        )
    return runs
