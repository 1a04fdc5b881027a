"""Aggregates in pandas as Dagster assets: one call from a declaration.

Belongs here: what Dagster is told of a frame. Does not belong here: its gate, its rules and its
publish (``pipeline.frames``), and any particular frame.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from platform_assets.assets import reporting
from platform_assets.assets.column_lineage import LOOKUPS_KEY, lineage_metadata
from platform_assets.assets.datasets import LAKE_KEY
from platform_assets.assets.freshness import made_from, with_promise
from platform_assets.assets.lineage_events import emitting
from platform_assets.assets.lineage_steps import of_frame
from platform_assets.assets.partitions import requested, to_dagster
from platform_assets.contracts.frames import SHAPE
from platform_assets.observability.column_lineage import (
    ColumnOf,
    How,
    Input,
    Inputs,
    TableLineage,
)
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline.frames import Frame, build_frame
from platform_assets.pipeline.steps import BatchReport
from platform_assets.quality.sla import SLA_METADATA
from platform_assets.warehouse.ledger import LedgerEntry, Status

FRAME_KEY = "platform_assets/key"
"""Metadata of a frame's asset: the columns that tell its rows apart."""

Results = Iterator[dg.MaterializeResult[Any] | dg.Output[None] | dg.AssetCheckResult]


def frame_asset(frame: Frame) -> dg.AssetsDefinition:
    """The asset of a frame, with a check for each rule of its contract.

    Args:
        frame: The declaration.
    """
    key = _key(frame.asset)
    is_daily = frame.is_cut

    @dg.multi_asset(
        name=frame.name,
        specs=[_spec(frame)],
        check_specs=[
            dg.AssetCheckSpec(SHAPE, asset=key, description="the contract's columns and types"),
            *(
                dg.AssetCheckSpec(rule.name, asset=key, description=rule.description)
                for rule in frame.rules
            ),
        ],
        backfill_policy=dg.BackfillPolicy.single_run() if is_daily else None,
        required_resource_keys={LAKE_KEY},
        pool=f"aggregated_{frame.name}",
    )
    @emitting(lambda _: [of_frame(frame, _lineage(frame))])
    def computed(context: dg.AssetExecutionContext) -> Results:
        with context.resources.lake.get_connection() as connection:
            report = build_frame(
                frame,
                connection,
                requested(context, frame.partitions),
                run_id=context.run.run_id,
                force=reporting.is_forced(context),
            )
            total = _total(connection.execute(f"SELECT count(*) FROM {frame.table}").fetchone())
        yield from _check_results(frame, report)
        if report.good:
            yield from reporting.materialize(
                context,
                key,
                {k: _metadata(entry, total) for k, entry in report.good.items()},
                complete=not report.failed,
            )
        if report.failed:
            raise reporting.failure(report.failed)

    return computed


def _spec(frame: Frame) -> dg.AssetSpec:
    compiled = frame.compiled
    spec = dg.AssetSpec(
        _key(frame.asset),
        group_name="aggregated",
        description=frame.description or None,
        deps=[_key(asset) for asset in (*frame.upstream, *frame.lookups)],
        kinds={"duckdb", "pandas", "pandera"},
        owners=list(frame.owners) or None,
        tags={"layer": "aggregated"},
        partitions_def=to_dagster(frame.partitions),
        code_version=f"{compiled.version}-{frame.version}",
        metadata={
            "dagster/table_name": frame.table.replace('"', ""),
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(
                        name,
                        kind,
                        compiled.column(name).description or None,
                        constraints=dg.TableColumnConstraints(
                            nullable=compiled.column(name).nullable
                        ),
                    )
                    for name, kind in compiled.published_columns
                ]
            ),
            **lineage_metadata(_lineage(frame)),
            FRAME_KEY: list(compiled.key),
            **({LOOKUPS_KEY: list(frame.lookups)} if frame.lookups else {}),
            "contract": dg.MetadataValue.md(compiled.markdown()),
            **made_from(*frame.upstream),
            **({SLA_METADATA: frame.sla.total_seconds()} if frame.sla is not None else {}),
        },
    )
    return with_promise(spec, frame.freshness)


def _lineage(frame: Frame) -> TableLineage:
    """What it is made from, as far as it is declared."""
    columns: dict[str, Inputs | None] = {name: None for name, _ in frame.compiled.published_columns}
    for name, sources in frame.columns_from.items():
        parts = (source.rpartition(".") for source in sources)
        columns[name] = frozenset(
            Input(ColumnOf(asset, column), How.TRANSFORMATION) for asset, _, column in parts
        )
    return TableLineage(frame.asset, columns, is_known=False)


def _check_results(frame: Frame, report: BatchReport) -> Iterator[dg.AssetCheckResult]:
    """What each rule came to over the run's partitions; a refused partition was not judged."""
    key = _key(frame.asset)
    judged = sum(entry.extracted for entry in report.entries.values())
    severities = {rule.name: rule.severity for rule in frame.rules}
    for name in (SHAPE, *severities):
        broken = {
            partition: entry.broken[name]
            for partition, entry in report.entries.items()
            if entry.broken.get(name)
        }
        metadata: dict[str, Any] = {"rows_broken": sum(broken.values()), "rows_judged": judged}
        if broken and frame.is_cut:
            metadata["partitions"] = reporting.partition_list(list(broken))
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=not broken,
            severity=dg.AssetCheckSeverity.ERROR
            if severities.get(name, "error") == "error"
            else dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )


def _metadata(entry: LedgerEntry, total: int) -> dict[str, Any]:
    counts = {"dagster/row_count": total}
    if entry.partition != UNPARTITIONED_KEY:
        counts["dagster/partition_row_count"] = entry.cleaned
    return {
        **counts,
        **reporting.row_changes(entry),
        "seconds": entry.seconds,
        "unchanged": entry.status is Status.UNCHANGED,
    }


def _total(row: tuple[Any, ...] | None) -> int:
    return int(row[0]) if row else 0


def _key(asset: str) -> dg.AssetKey:
    return dg.AssetKey(asset.split("/"))
