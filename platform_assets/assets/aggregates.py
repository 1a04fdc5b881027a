"""The dbt models as Dagster assets, built partition by partition.

Belongs here: how the models are cut, which partitions a run builds, and what is told of them. Does
not belong here: what they are called in Dagster (``dbt_translation``), starting dbt (``dbt``), the
plan (``aggregate_plan``), the transaction (``aggregate_build``), and what is computed (``dbt/``).

Facts about customers and products are joined where they are read, so only a change of the orders
makes a partition stale. A change of the project itself makes everything stale.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from platform_assets.assets import reporting
from platform_assets.assets.aggregate_build import Built, build
from platform_assets.assets.aggregate_names import TABLES, table_of
from platform_assets.assets.aggregate_plan import CLEANED_ORDERS, VIEWS, Plan, plan
from platform_assets.assets.column_lineage import lineage_metadata, model_lineage
from platform_assets.assets.datasets import LAKE_KEY
from platform_assets.assets.dbt_project import compiled_models, load_manifest, load_translation
from platform_assets.assets.dbt_specs import read_specs
from platform_assets.assets.dbt_tests import DbtOutcome
from platform_assets.assets.freshness import PROMISE, made_from, with_promise
from platform_assets.assets.lineage_events import emitting
from platform_assets.assets.lineage_steps import Told, of_models
from platform_assets.assets.partitions import to_dagster
from platform_assets.errors import ContractError
from platform_assets.observability.openlineage_names import DBT_STEP
from platform_assets.partitions import UNPARTITIONED_KEY, Partitions
from platform_assets.quality.promise_values import read
from platform_assets.resources import LakeResource
from platform_assets.settings import load_settings
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.ledger import LedgerEntry, Status

DBT_POOL = "dbt"

Results = Iterator[dg.MaterializeResult[Any] | dg.Output[None] | dg.AssetCheckResult]


def build_aggregates(partitions: Partitions) -> dg.AssetsDefinition:
    """The dbt models as assets, and their tests as checks.

    Args:
        partitions: How the orders are cut.

    Raises:
        SettingsError: The manifest was not made.
    """
    days = to_dagster(partitions)
    # Customers and products are looked up as a whole.
    specs = read_specs(load_translation(), lambda asset: days if VIEWS.get(asset, True) else None)
    lineage = {table.asset: table for table in model_lineage(load_manifest())}

    @dg.multi_asset(
        name=DBT_STEP,
        specs=[
            _promised(spec, partitions).merge_attributes(
                metadata=lineage_metadata(lineage[spec.key.to_user_string()])
            )
            for spec in specs.assets
        ],
        check_specs=specs.checks,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={LAKE_KEY},
        pool=DBT_POOL,
    )
    @emitting(_told)
    def aggregates(context: dg.AssetExecutionContext) -> Results:
        yield from _build(context)

    return aggregates


def _promised(spec: dg.AssetSpec, partitions: Partitions) -> dg.AssetSpec:
    """A model's spec with what it is made from, and what its ``meta`` promises of its freshness.

    Raises:
        ContractError: That cannot be promised, or of no view.
    """
    asset = spec.key.to_user_string()
    declared = spec.metadata.get(PROMISE)
    promise = None if declared is None else read(json.loads(declared), f"dbt model {asset}")
    if asset in TABLES:
        if promise is not None:
            promise.examine(f"dbt model {asset}", partitions)
        return with_promise(spec.merge_attributes(metadata=made_from(CLEANED_ORDERS)), promise)
    if promise is not None:
        raise ContractError(
            "A freshness is promised of what has no rows of its own",
            where=f"dbt model {asset}, meta, freshness",
            expected="a table: " + ", ".join(TABLES),
            found="a view",
            fix="promise it of what the view shows, or of a table that is made from it",
        )
    return spec


def _told(context: dg.AssetExecutionContext) -> list[Told]:
    """The models that a run makes; both tables, whichever of them is asked for."""
    selected = {key.to_user_string() for key in context.selected_asset_keys}
    if selected & set(TABLES):
        selected |= set(TABLES)
    # As the run compiled them, where it has built any; else as a first build would.
    compiled = {**compiled_models(), **compiled_models(_target(context))}
    return of_models(load_manifest(), compiled, selected, set(VIEWS))


def _target(context: dg.AssetExecutionContext) -> Path:
    """The folder of a run of dbt."""
    return load_settings().data_dir / "dbt" / f"{context.run.run_id[:8]}-{os.getpid()}"


def _build(context: dg.AssetExecutionContext) -> Results:
    lake: LakeResource = context.resources.lake

    def ask(connection: Connection, left_out: frozenset[str] = frozenset()) -> Plan:
        return plan(
            connection,
            run_id=context.run.run_id,
            requested=_requested(context),
            selected={key.to_user_string() for key in context.selected_asset_keys},
            force=reporting.is_forced(context),
            left_out=left_out,
        )

    def run(connection: Connection, work: Plan) -> DbtOutcome:
        # It loads dbt, which a process that builds nothing does without.
        from platform_assets.assets.dbt import run_dbt

        return run_dbt(
            connection,
            work.built,
            work.held,
            ["--select", *work.nodes, *(["--full-refresh"] if work.everything else [])],
            manifest=load_manifest(),
            target=_target(context),
        )

    with lake.get_connection() as connection:
        is_dbt_needed = ask(connection).is_dbt_needed
    if is_dbt_needed:
        lake.release()
    with _connection(lake, is_dbt_needed) as connection:
        built = build(connection, ask, run)
        # Of a first build that was stopped there is no table yet.
        tables = [asset for asset, entries in built.entries.items() if entries]
        compact(connection, *tables)
        totals = {asset: _total(connection, asset) for asset in tables}
    work = built.work
    context.log.info(work.summary())
    yield from _checks(context, built)
    # Both tables of a partition share its fate.
    failed = {entry.partition: entry for entry in built.stopped}
    if failed and not built.entries:
        raise reporting.failure(failed)
    # Dagster wants what is upstream first.
    yield from _materialize_views(context, work)
    for asset, by_partition in built.entries.items():
        shown = {key: by_partition[key] for key in work.requested if key in by_partition}
        told = {key: _metadata(entry, totals[asset]) for key, entry in shown.items()}
        key = dg.AssetKey(asset.split("/"))
        if key in context.selected_asset_keys:
            complete = len(shown) == len(work.requested)
            yield from reporting.materialize(context, key, told, complete=complete)
        else:
            # Built together with the one that was asked for.
            for partition, metadata in told.items():
                context.log_event(
                    dg.AssetMaterialization(key, partition=partition, metadata=metadata)
                )
    # What another step of the run has told is its to fail for.
    failed |= {
        key: entry
        for key, entry in work.refused.items()
        if key in work.requested and key not in work.known
    }
    if failed:
        raise reporting.failure(failed)


def _connection(lake: LakeResource, is_dbt_needed: bool) -> AbstractContextManager[Connection]:
    """The lake; for dbt in an engine of its own, as models are not told the platform's secrets."""
    return connect(replace(lake.config, variables={})) if is_dbt_needed else lake.get_connection()


def _requested(context: dg.AssetExecutionContext) -> tuple[str, ...]:
    """The run's days; none where it asks only for what is not cut into days."""
    has_days = context.has_partition_key or context.has_partition_key_range
    return tuple(context.partition_keys) if has_days else ()


def _checks(context: dg.AssetExecutionContext, built: Built) -> Iterator[dg.AssetCheckResult]:
    """What tests came to; where nothing was built, what is published has passed them."""
    for key in sorted(context.selected_asset_check_keys, key=str):
        if key in built.checks:
            yield built.checks[key]
        elif (
            not built.work.is_dbt_needed and context.assets_def.get_spec_for_check_key(key).blocking
        ):
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=True,
                description="Nothing was built; what is published has passed.",
                metadata={"unchanged": True},
            )


def _total(connection: Connection, asset: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table_of(asset)}").fetchone()
    return int(row[0]) if row else 0


def _metadata(entry: LedgerEntry, total: int) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": entry.cleaned,
        "dagster/row_count": total,
        **reporting.row_changes(entry),
        "seconds": entry.seconds,
        "unchanged": entry.status is Status.UNCHANGED,
    }


def _materialize_views(context: dg.AssetExecutionContext, work: Plan) -> Results:
    for view, fresh in work.views.items():
        key = dg.AssetKey(view.split("/"))
        metadata = {"unchanged": fresh}
        if VIEWS[view]:
            good = [key for key in work.requested if key not in work.refused]
        else:
            good = [UNPARTITIONED_KEY]
        yield from reporting.materialize(
            context,
            key,
            dict.fromkeys(good, metadata),
            complete=not VIEWS[view] or len(good) == len(work.requested),
        )
