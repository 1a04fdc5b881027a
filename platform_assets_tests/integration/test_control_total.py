"""Reconciliation against the source: another count of what it holds stops a load, and says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import dagster as dg
import duckdb

from platform_assets.assets.build import build_definitions
from platform_assets.errors import CountError, SourceError
from platform_assets.partitions import Daily
from platform_assets.resources import FolderResource
from platform_assets.sources.base import Access, Extract, SourceInput
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, Site, row, text, things


@dataclass(frozen=True)
class LosesARow(CsvFiles):
    """A reader that passes over the last row of one day's file, as a broken one might."""

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """The rows, but for one."""
        extract = super().extract(access, dataset, inputs, columns)
        asked = extract.verify

        def verify(
            connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
        ) -> Mapping[str, SourceError]:
            return asked(connection, {k: n - (D2 in k) for k, n in rows.items()})

        return replace(extract, verify=verify)


def test_a_row_that_was_not_read_stops_its_partition(site: Site) -> None:
    for day in (D1, D2):
        site.deliver(day, text(row("a"), row("b")))
    loaded, _ = site.run(things(source=LosesARow("things/{partition}.csv")), [D1, D2])
    assert loaded.entries[D1].status is Status.PUBLISHED
    off = loaded.entries[D2]
    assert (off.status, off.stopped_by) == (Status.FAILED, "control_total")
    assert "another number of records" in off.message
    assert isinstance(CountError("a"), SourceError)


def test_the_check_says_which_partition_is_off(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    folder = installation.root / "delivered"
    (folder / "things").mkdir(parents=True)
    for day in (D1, D2):
        (folder / "things" / f"{day}.csv").write_text(text(row("a"), row("b")))

    def checked(source: CsvFiles) -> dg.AssetCheckEvaluation:
        dataset = things(source=source, partitions=Daily(date(2025, 1, 1), date(2025, 1, 2)))
        definitions = build_definitions([dataset], {"files": FolderResource(path=str(folder))})
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": D1,
                "dagster/asset_partition_range_end": D2,
            },
            raise_on_error=False,
        )
        found = {
            (each.asset_key.path[0], each.check_name): each
            for each in result.get_asset_check_evaluations()
        }
        return found["raw", "control_total"]

    off = checked(LosesARow("things/{partition}.csv"))
    assert (off.passed, off.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert off.metadata["partitions_off"].value == 1
    assert off.metadata["rows_loaded"].value == 2
    right = checked(CsvFiles("things/{partition}.csv"))
    assert right.passed
    assert right.metadata["rows_loaded"].value == 4
