"""A lake to do harm to: where it is, how it is filled, and everything that it says of itself.

Belongs here: what workers, readers and tests share. Does not belong here: any killing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from platform_assets.contracts import pii_session_variables
from platform_assets.dataset import Dataset
from platform_assets.datasets.customers import customers
from platform_assets.datasets.orders import orders
from platform_assets.datasets.products import products
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline import BatchReport, Step, clean, load_raw
from platform_assets.warehouse.lake import Connection, LakeConfig, connect
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.tables import LEDGER, QUARANTINE, cleaned_table, raw_table

DATASETS = (customers, products, orders)
PII_KEY = "a key for fault tests only"
# Small, so that a run is many transactions and a kill finds one of them at work.
BATCH_BYTES = 110_000

TABLES = {
    f"{layer}/{dataset.name}": table(dataset.name)
    for dataset in DATASETS
    for layer, table in (("raw", raw_table), ("cleaned", cleaned_table))
}


@dataclass(frozen=True)
class Site:
    """A lake in a folder.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def config(self) -> LakeConfig:
        """Where the lake is; one thread, since the other processor is the reader's."""
        lake = self.root / "lake"
        return LakeConfig(
            catalog=lake / "catalog.sqlite",
            files=lake / "files",
            scratch=self.root / "scratch",
            memory_limit="300MB",
            threads=1,
            variables=pii_session_variables(PII_KEY.encode()),
        )

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """An open lake."""
        with connect(self.config) as connection:
            yield connection


@dataclass(frozen=True)
class Work:
    """What a worker does to a lake: some datasets, from source to cleaned.

    Attributes:
        site: The lake.
        shop: The folder that files are delivered to.
        days: Partitions of the daily datasets.
        datasets: The datasets, those that others refer to first.
        force: Whether to do again what is unchanged.
        batch_bytes: Bytes of source per transaction.
    """

    site: Site
    shop: Path
    days: Sequence[str]
    datasets: Sequence[str] = tuple(dataset.name for dataset in DATASETS)
    force: bool = False
    batch_bytes: int = BATCH_BYTES

    def step(self, dataset: Dataset, connection: Connection) -> Step:
        """The step of a dataset."""
        return Step(
            dataset=dataset,
            lake=connection,
            connections={"shop": self.shop},
            run_id="a run",
            force=self.force,
            batch_bytes=self.batch_bytes,
            key_version="test",
        )

    def do(self) -> list[BatchReport]:
        """Do it, in this process."""
        reports = []
        with self.site.open() as connection:
            for dataset in (each for each in DATASETS if each.name in self.datasets):
                step = self.step(dataset, connection)
                keys = [UNPARTITIONED_KEY] if dataset is products else list(self.days)
                reports += [load_raw(step, keys), clean(step, keys)]
        return reports


@dataclass(frozen=True)
class Rows:
    """Rows of one partition of one table.

    Attributes:
        count: How many.
        digest: A sum over their content that does not depend on their order.
    """

    count: int = 0
    digest: int = 0


@dataclass(frozen=True)
class Attempt:
    """A partition's ledger row, without what differs from run to run."""

    status: str
    extracted: int
    cleaned: int
    quarantined: int
    deduplicated: int
    fingerprint: str
    stopped_by: str


Place = tuple[str, str]
"""An asset's key, such as ``cleaned/orders``, and a partition."""


@dataclass(frozen=True)
class Observation:
    """Everything that a lake says of itself in one snapshot.

    Attributes:
        rows: Rows of each partition that has any.
        published: The publish that each partition stands at.
        last: The newest attempt at each partition, failed ones included.
        quarantined: Rows in quarantine by dataset, partition and status.
    """

    rows: Mapping[Place, Rows]
    published: Mapping[Place, Attempt]
    last: Mapping[Place, Attempt]
    quarantined: Mapping[tuple[str, str, str], int]


def observe(connection: Connection) -> Observation:
    """Look at a lake, of which the tables may not all exist yet, in one transaction."""
    connection.execute("BEGIN TRANSACTION")
    try:
        present = {
            f'"{database}"."{schema}"."{table}"'
            for database, schema, table in connection.execute(
                "SELECT database_name, schema_name, table_name FROM duckdb_tables()"
            ).fetchall()
        }
        rows = {
            (asset, str(partition)): Rows(int(count), int(digest))
            for asset, table in TABLES.items()
            if table in present
            for partition, count, digest in connection.execute(
                f"SELECT _partition, count(*), sum(hash(t)) FROM {table} AS t GROUP BY 1"
            ).fetchall()
        }
        published, last = _attempts(connection) if LEDGER in present else ({}, {})
        quarantined = (
            {
                (str(dataset), str(partition), str(status)): int(count)
                for dataset, partition, status, count in connection.execute(
                    f"SELECT dataset, partition, status, count(*) FROM {QUARANTINE} GROUP BY ALL"
                ).fetchall()
            }
            if QUARANTINE in present
            else {}
        )
    finally:
        connection.execute("ROLLBACK")
    return Observation(rows, published, last, quarantined)


_ATTEMPT = """asset, partition, status, extracted, cleaned, quarantined, deduplicated,
              input_fingerprint, stopped_by"""


def _attempts(connection: Connection) -> tuple[dict[Place, Attempt], dict[Place, Attempt]]:
    published: dict[Place, Attempt] = {}
    last: dict[Place, Attempt] = {}
    for asset, partition, *values in connection.execute(
        f"SELECT {_ATTEMPT} FROM {LEDGER} WHERE status IN ('published', 'failed') "
        "ORDER BY snapshot_id, rowid"
    ).fetchall():
        attempt = Attempt(*values)
        last[asset, partition] = attempt
        if attempt.status == Status.PUBLISHED:
            published[asset, partition] = attempt
    return published, last


def contents(site: Site) -> dict[str, pa.Table]:
    """Every row of every table, in an order of their own; without what tells the run or the time.

    Of the ledger those rows which tell of a publish: each publish is told of exactly once, however
    often its run was killed.
    """
    with site.open() as connection:
        tables = {
            asset: connection.sql(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_table()
            for asset, table in TABLES.items()
        }
        tables["quarantine"] = connection.sql(
            f"SELECT * EXCLUDE (first_seen, run_id) FROM {QUARANTINE} ORDER BY ALL"
        ).to_arrow_table()
        tables["ledger"] = connection.sql(
            f"SELECT {_ATTEMPT}, bytes, broken, contract_version FROM {LEDGER} "
            "WHERE status = 'published' ORDER BY ALL"
        ).to_arrow_table()
    return tables


def assert_equal_contents(
    found: Mapping[str, pa.Table], expected: Mapping[str, pa.Table], *, but: Sequence[str] = ()
) -> None:
    """Hold every table of a lake equal to that of another, row for row."""
    assert found.keys() == expected.keys()
    for name in sorted(expected.keys() - set(but)):
        assert expected[name].num_rows > 0, f"{name} is empty: nothing was compared"
        assert found[name].num_rows == expected[name].num_rows, f"{name} has other rows"
        assert found[name].equals(expected[name]), f"{name} has rows of other content"
