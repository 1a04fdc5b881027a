"""What is in the lake, in a few lines: counted in the tables, not remembered.

Belongs here: the summary's figures and their table. Does not belong here: commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from platform_assets.dataset import Dataset
from platform_assets.sql import quote_literal
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.ledger import Status


@dataclass(frozen=True)
class DatasetSummary:
    """One dataset's figures, over all its published partitions.

    Attributes:
        dataset: Its name.
        partitions: Partitions that are published.
        failed: Partitions whose newest attempt failed.
        extracted: Rows by the ledger.
        cleaned: Rows counted in the cleaned table.
        quarantined: Open rows counted in the quarantine.
        deduplicated: Rows by the ledger.
    """

    dataset: str
    partitions: int
    failed: int
    extracted: int
    cleaned: int
    quarantined: int
    deduplicated: int

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.extracted == self.cleaned + self.quarantined + self.deduplicated


def summarise(connection: Connection, datasets: Sequence[Dataset]) -> list[DatasetSummary]:
    """Count what each dataset has."""
    tables.ensure_platform_tables(connection)
    held = {
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = ? "
            "AND schema_name = 'cleaned'",
            [LAKE],
        ).fetchall()
    }
    found = []
    for dataset in datasets:
        asset = f"cleaned/{dataset.name}"
        published = ledger.published(connection, asset).values()
        newest = ledger.latest(connection, asset)
        raw = ledger.latest(connection, f"raw/{dataset.name}")
        failed = {
            key for key, entry in (*newest.items(), *raw.items()) if entry.status is Status.FAILED
        }
        found.append(
            DatasetSummary(
                dataset=dataset.name,
                partitions=len(published),
                failed=len(failed),
                extracted=sum(entry.extracted for entry in published),
                cleaned=_count(connection, tables.cleaned_table(dataset.name))
                if dataset.name in held
                else 0,
                quarantined=_count(
                    connection,
                    f"{tables.QUARANTINE} WHERE dataset = {quote_literal(dataset.name)} "
                    "AND status = 'open'",
                ),
                deduplicated=sum(entry.deduplicated for entry in published),
            )
        )
    return found


def _count(connection: Connection, source: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {source}").fetchone()
    return int(row[0]) if row else 0


def as_table(summaries: Sequence[DatasetSummary]) -> Table:
    """The figures as a table for the terminal."""
    # Without borders all headings fit into the 80 columns of a plain terminal.
    table = Table(
        title="Every row accounted for", title_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    for name in ("dataset", "partitions", "failed", "extracted", "cleaned", "quarantined"):
        table.add_column(name, justify="left" if name == "dataset" else "right")
    table.add_column("deduplicated", justify="right")
    table.add_column("adds up")
    for each in summaries:
        table.add_row(
            each.dataset,
            *(
                f"{value:,}"
                for value in (
                    each.partitions,
                    each.failed,
                    each.extracted,
                    each.cleaned,
                    each.quarantined,
                    each.deduplicated,
                )
            ),
            "yes" if each.adds_up else "NO",
        )
    return table


def as_json(summaries: Sequence[DatasetSummary]) -> list[dict[str, Any]]:
    """The figures as plain data."""
    return [{**asdict(each), "adds_up": each.adds_up} for each in summaries]


def failures(connection: Connection, datasets: Sequence[Dataset]) -> list[ledger.LedgerEntry]:
    """The newest attempt of each partition that is failed now, aggregates last."""
    assets = [f"{layer}/{dataset.name}" for dataset in datasets for layer in ("raw", "cleaned")]
    return [
        entry
        for asset in [*assets, *ledger.assets(connection, "aggregated")]
        for entry in ledger.latest(connection, asset).values()
        if entry.status is Status.FAILED
    ]
