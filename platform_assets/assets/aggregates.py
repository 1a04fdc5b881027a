"""The dbt models as Dagster assets, built partition by partition.

Belongs here: what the models are called in Dagster, which partitions a run builds, and what is
told of them. Does not belong here: starting dbt (``dbt``), the plan (``aggregate_plan``), and what
is computed (``dbt/``).

Facts about customers and products are joined where they are read, so only a change of the orders
makes a partition stale. A change of the project itself makes everything stale.
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context

from platform_assets.assets import dbt, reporting
from platform_assets.assets.aggregate_plan import DAILY_SALES, FCT_ORDERS, VIEWS, Plan, plan
from platform_assets.assets.datasets import LAKE_KEY
from platform_assets.assets.partitions import to_dagster
from platform_assets.partitions import UNPARTITIONED_KEY, Partitions
from platform_assets.pipeline.steps import with_seconds
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.settings import load_settings
from platform_assets.sql import quote_name
from platform_assets.warehouse import ledger
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import (
    LAKE,
    Connection,
    LakeConfig,
    in_transaction,
    is_contention,
)
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.publish import in_partitions

DBT_POOL = "dbt"
# A run that lost a race against another writer has changed nothing and starts again.
CONTENTION_ATTEMPTS = 5

Results = Iterator[dg.MaterializeResult[Any] | dg.Output[None] | dg.AssetCheckResult]


class LakeTranslator(DagsterDbtTranslator):
    """What dbt's models are called, and how they are cut, in Dagster."""

    def __init__(self, partitions: Partitions) -> None:
        super().__init__()
        self._partitions = to_dagster(partitions)

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Schema and table, which for a source is the cleaned asset's key."""
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The layer."""
        return str(dbt_resource_props["schema"])

    def get_partitions_def(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.PartitionsDefinition[str] | None:
        """The orders' days; customers and products are looked up as a whole."""
        if dbt_resource_props["name"] in ("stg_customers", "stg_products"):
            return None
        return self._partitions

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """The layer as a tag too, as on the other assets."""
        return {"layer": str(dbt_resource_props["schema"])}

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """Table name, columns with types and descriptions, as the project declares them."""
        props = dbt_resource_props
        return {
            **super().get_metadata(props),
            "dagster/table_name": f"{LAKE}.{props['schema']}.{props['name']}",
        }


def build_aggregates(partitions: Partitions) -> dg.AssetsDefinition:
    """The dbt models as assets, and their tests as checks.

    Args:
        partitions: How the orders are cut.

    Raises:
        SettingsError: The manifest was not made.
    """
    manifest = dbt.load_manifest()
    translator = LakeTranslator(partitions)

    @dbt_assets(
        manifest=manifest,
        dagster_dbt_translator=translator,
        name="dbt",
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={LAKE_KEY},
        pool=DBT_POOL,
    )
    def aggregates(context: dg.AssetExecutionContext) -> Results:
        yield from _build(context, manifest, translator)

    return aggregates


def _build(
    context: dg.AssetExecutionContext, manifest: Mapping[str, Any], translator: LakeTranslator
) -> Results:
    lake = context.resources.lake
    started = time.perf_counter()
    with lake.get_connection() as connection:
        work = plan(
            connection,
            run_id=context.run.run_id,
            requested=_requested(context),
            selected={key.to_user_string() for key in context.selected_asset_keys},
            force=reporting.is_forced(context),
        )
    context.log.info(work.summary())
    if work.is_dbt_needed:
        # dbt opens an engine of its own, within the same limits.
        lake.release()
        outcome = _run_dbt(context, lake.config, work, manifest, translator)
        selected = context.selected_asset_check_keys
        yield from (result for key, result in outcome.checks.items() if key in selected)
        if outcome.stopped_by:
            with lake.get_connection() as connection:
                failed = _record_failure(connection, work, outcome)
            raise reporting.failure(failed)
    else:
        yield from _standing_checks(context)
    with lake.get_connection() as connection:
        entries = _record(connection, work, started)
        compact(connection, *entries)
        totals = {asset: _total(connection, asset) for asset in entries}
    # Dagster wants what is upstream first.
    yield from _materialize_views(context, work)
    for asset, by_partition in entries.items():
        shown = {key: by_partition[key] for key in work.requested if key in by_partition}
        yield from reporting.materialize(
            context,
            dg.AssetKey(asset.split("/")),
            {key: _metadata(entry, totals[asset]) for key, entry in shown.items()},
            complete=len(shown) == len(work.requested),
        )
    if work.missing:
        raise reporting.failure(work.missing)


def _requested(context: dg.AssetExecutionContext) -> tuple[str, ...]:
    """The run's days; none where it asks only for what is not cut into days."""
    has_days = context.has_partition_key or context.has_partition_key_range
    return tuple(context.partition_keys) if has_days else ()


def _standing_checks(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Blocking tests, where nothing is built: what is published has passed them."""
    for key in sorted(context.selected_asset_check_keys, key=str):
        if context.assets_def.get_spec_for_check_key(key).blocking:
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=True,
                description="Nothing was built; what is published has passed.",
                metadata={"unchanged": True},
            )


def _run_dbt(
    context: dg.AssetExecutionContext,
    lake: LakeConfig,
    work: Plan,
    manifest: Mapping[str, Any],
    translator: LakeTranslator,
) -> dbt.DbtOutcome:
    """One run of dbt; again where another writer came first."""
    selection = get_updated_cli_invocation_params_for_context(
        context=context, manifest=manifest, dagster_dbt_translator=translator
    )
    arguments = [*selection.selection_args]
    if work.fresh_views:
        arguments += ["--exclude", *work.fresh_views]
    if work.everything:
        arguments.append("--full-refresh")
    target = load_settings().data_dir / "dbt" / f"{context.run.run_id[:8]}-{os.getpid()}"
    for attempt in range(1, CONTENTION_ATTEMPTS + 1):
        outcome = dbt.run_dbt(
            lake, work.stale, arguments, manifest=manifest, translator=translator, target=target
        )
        if not is_contention(duckdb.Error(outcome.message)):
            break
        context.log.warning(f"another writer came first; attempt {attempt} of dbt changed nothing")
    return outcome


def _record(
    connection: Connection, work: Plan, started: float
) -> dict[str, dict[str, LedgerEntry]]:
    """Write what became of each partition; entries by asset and partition."""
    found: dict[str, dict[str, LedgerEntry]] = {}
    for asset in work.tables:
        built = [
            replace(
                work.entry(asset, key, Status.PUBLISHED),
                extracted=work.inputs[key].cleaned,
                cleaned=rows,
                input_fingerprint=work.fingerprint(key),
            )
            for key, rows in _rows(connection, asset, work.built).items()
        ]
        idle = [
            replace(entry, run_id=work.run_id, status=Status.UNCHANGED)
            for entry in work.unchanged[asset].values()
        ]
        built = with_seconds(built, started) if built else []
        found[asset] = {entry.partition: entry for entry in [*idle, *built]}
    views = [
        replace(
            work.entry(view, UNPARTITIONED_KEY, Status.PUBLISHED), input_fingerprint=work.version
        )
        for view in work.stale_views
    ]
    entries = [*views, *work.missing.values()]
    for by_partition in found.values():
        entries += by_partition.values()
    if entries:
        in_transaction(connection, lambda con: ledger.record(con, entries))
    return found


def _record_failure(
    connection: Connection, work: Plan, outcome: dbt.DbtOutcome
) -> dict[str, LedgerEntry]:
    """Write that nothing of the run counts: the next one does all of it again."""
    entries = [
        replace(
            work.entry(asset, key, Status.FAILED),
            extracted=work.inputs[key].cleaned if key in work.inputs else 0,
            stopped_by=outcome.stopped_by,
            message=outcome.message,
        )
        for asset in work.tables or work.stale_views
        for key in (work.stale if work.tables else (UNPARTITIONED_KEY,))
    ]
    in_transaction(connection, lambda con: ledger.record(con, entries))
    return {f"{entry.asset} {entry.partition}": entry for entry in entries}


def _rows(connection: Connection, asset: str, partitions: tuple[str, ...]) -> dict[str, int]:
    """Rows of each partition: by the partition that came with an order, by the day of a sale."""
    column = {FCT_ORDERS: PARTITION_COLUMN, DAILY_SALES: "CAST(order_date AS VARCHAR)"}[asset]
    if not partitions:
        return {}
    counted = connection.execute(
        f"SELECT {column}, count(*) FROM {_table(asset)} "
        f"WHERE {in_partitions(partitions, column)} GROUP BY 1"
    ).fetchall()
    return dict.fromkeys(partitions, 0) | {str(key): int(rows) for key, rows in counted}


def _total(connection: Connection, asset: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {_table(asset)}").fetchone()
    return int(row[0]) if row else 0


def _table(asset: str) -> str:
    return quote_name(LAKE, *asset.split("/"))


def _metadata(entry: LedgerEntry, total: int) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": entry.cleaned,
        "dagster/row_count": total,
        "seconds": entry.seconds,
        "unchanged": entry.status is Status.UNCHANGED,
    }


def _materialize_views(context: dg.AssetExecutionContext, work: Plan) -> Results:
    for view, fresh in work.views.items():
        key = dg.AssetKey(view.split("/"))
        metadata = {"unchanged": fresh}
        if VIEWS[view]:
            good = [key for key in work.requested if key not in work.unavailable]
        else:
            good = [UNPARTITIONED_KEY]
        yield from reporting.materialize(
            context,
            key,
            dict.fromkeys(good, metadata),
            complete=not VIEWS[view] or len(good) == len(work.requested),
        )
