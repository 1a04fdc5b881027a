"""The raw, cleaned, quarantine and history assets of a dataset.

Belongs here: the Dagster definitions made from a ``Dataset``. Does not belong here: what they do
(``pipeline``), how they report it (``reporting``, ``describe``).
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from platform_assets import run_log
from platform_assets.assets import (
    describe,
    drift,
    evaluations,
    lineage_steps,
    reporting,
    statistics,
)
from platform_assets.assets.evaluations import Checked, Verdict
from platform_assets.assets.freshness import made_from, with_promise
from platform_assets.assets.lineage_events import emitting
from platform_assets.assets.partitions import requested, to_dagster
from platform_assets.dataset import Dataset
from platform_assets.errors import SettingsError
from platform_assets.pipeline import BatchReport, Step, clean, load_raw
from platform_assets.resources import ConnectionResource, LakeResource, shared_guard
from platform_assets.settings import load_settings
from platform_assets.warehouse import ledger, schemas
from platform_assets.warehouse.lake import Connection
from platform_assets.workers import worker_tags

LAKE_KEY = "lake"
Results = Iterator[dg.MaterializeResult[Any] | dg.Output[None] | dg.AssetCheckResult]


def build_dataset_assets(
    dataset: Dataset,
    lineage: drift.Lineage,
) -> tuple[list[dg.AssetsDefinition], list[dg.AssetChecksDefinition]]:
    """The assets and checks of one dataset.

    Args:
        dataset: What to build from.
        lineage: Which assets are made from which, once that is known.

    Returns:
        The raw asset with a check on its schema; the cleaned and quarantine assets, and the history
        where it is asked for, with their checks; and for both steps the check that fails a run
        which left partitions unpublished.
    """
    return (
        [_raw_asset(dataset, lineage), _cleaned_assets(dataset)],
        [
            _published_check(dataset, describe.raw_key(dataset.name)),
            _published_check(dataset, describe.cleaned_key(dataset.name)),
        ],
    )


def _spec(dataset: Dataset, layer: str, key: dg.AssetKey, **options: Any) -> dg.AssetSpec:  # noqa: ANN401
    texts = {
        "raw": f"{dataset.name} as delivered: nothing judged.",
        "cleaned": f"{dataset.name} that keep their contract: typed, deduplicated, reconciled.",
        "quarantine": f"{dataset.name} that break a rule: whole, with every rule they break.",
        "history": f"{dataset.name} in every good version, with the time that it held.",
    }
    made = {
        "raw": made_from(connection=dataset.source.connection),
        "cleaned": made_from(f"raw/{dataset.name}"),
    }
    spec = dg.AssetSpec(
        key,
        group_name=layer,
        description=" ".join(part for part in (dataset.description, texts[layer]) if part),
        owners=list(dataset.owners) or None,
        tags={"layer": layer, "dataset": dataset.name, **dataset.tags},
        metadata={**describe.definition_metadata(dataset, layer), **made.get(layer, {})},
        partitions_def=to_dagster(dataset.partitions),
        code_version=dataset.compiled.version,
        **options,
    )
    return with_promise(spec, dataset.freshness if layer == "cleaned" else None)


def _backfill_policy(dataset: Dataset) -> dg.BackfillPolicy | None:
    return dg.BackfillPolicy.single_run() if to_dagster(dataset.partitions) else None


def _raw_asset(dataset: Dataset, lineage: drift.Lineage) -> dg.AssetsDefinition:
    key = describe.raw_key(dataset.name)

    @dg.multi_asset(
        name=f"raw_{dataset.name}",
        specs=[_spec(dataset, "raw", key, kinds={"duckdb", dataset.source.kind})],
        check_specs=[drift.check_spec(dataset), *describe.raw_check_specs(dataset)],
        backfill_policy=_backfill_policy(dataset),
        required_resource_keys={LAKE_KEY, dataset.source.connection},
        pool=f"raw_{dataset.name}",
    )
    @emitting(lambda _: [lineage_steps.of_raw(dataset)])
    def raw(context: dg.AssetExecutionContext) -> Results:
        with _lake(context).get_connection() as connection:
            step = _step(context, dataset, connection)
            report = load_raw(step, requested(context, dataset.partitions))
            met = schemas.drifts_in(connection, dataset.name, step.run_id)
        context.log.info(_summary(report))
        checks = [
            drift.report(context, dataset, met, lineage, report),
            *describe.raw_check_results(dataset, report),
        ]
        if not report.good:
            # The checks are told first: they say why the step fails.
            yield from evaluations.tell(context, checks)
            raise reporting.failure(report.failed)
        for partition, entry in report.also.items():
            metadata = describe.partition_metadata(entry, "raw")
            context.log_event(dg.AssetMaterialization(key, partition=partition, metadata=metadata))
        yield from reporting.materialize(
            context,
            key,
            {k: describe.partition_metadata(e, "raw") for k, e in report.good.items()},
            complete=not report.failed,
        )
        yield from evaluations.tell(context, checks)

    return raw


def _cleaned_assets(dataset: Dataset) -> dg.AssetsDefinition:
    cleaned, rejected = describe.cleaned_key(dataset.name), describe.quarantine_key(dataset.name)
    raw = describe.raw_key(dataset.name)
    # A day's rows refer to what was delivered up to that day, so same-day wiring is enough.
    upstream = [raw, *(describe.cleaned_key(name) for name in dataset.references)]
    versions = describe.history_key(dataset.name)
    history = _spec(dataset, "history", versions, kinds={"duckdb"}, deps=upstream)

    @dg.multi_asset(
        name=f"cleaned_{dataset.name}",
        specs=[
            _spec(dataset, "cleaned", cleaned, kinds={"duckdb", "pandera"}, deps=upstream),
            # Orphans are judged by the references too; and the UI refuses a backfill of a step
            # whose assets have different upstreams.
            _spec(dataset, "quarantine", rejected, kinds={"duckdb"}, deps=upstream),
            *([history] if dataset.history else []),
        ],
        check_specs=[*describe.check_specs(dataset), *statistics.check_specs(dataset)],
        backfill_policy=_backfill_policy(dataset),
        required_resource_keys={LAKE_KEY},
        pool=f"cleaned_{dataset.name}",
    )
    @emitting(lambda _: [lineage_steps.of_cleaned(dataset)])
    def clean_and_quarantine(context: dg.AssetExecutionContext) -> Results:
        with _lake(context).get_connection() as connection:
            step = _step(context, dataset, connection)
            report = clean(step, requested(context, dataset.partitions))
            kept = ledger.published(connection, f"history/{dataset.name}", list(report.good))
            noticed = statistics.Statistics.of(connection, dataset, report)
        checks = [*describe.check_results(dataset, report.entries), *noticed.check_results()]
        context.log.info(_summary(report))
        if not report.good:
            # The checks are told first: they say why the step fails.
            yield from evaluations.tell(context, checks)
            raise reporting.failure(report.failed)
        complete = not report.failed
        for layer, key in (("cleaned", cleaned), ("quarantine", rejected)):
            good = {k: describe.partition_metadata(e, layer) for k, e in report.good.items()}
            if layer == "cleaned":
                good = statistics.with_scores(good, noticed)
            yield from reporting.materialize(context, key, good, complete=complete)
        if dataset.history:
            good = {k: describe.history_metadata(e, kept.get(k)) for k, e in report.good.items()}
            yield from reporting.materialize(context, versions, good, complete=complete)
        yield from evaluations.tell(context, checks)

    return clean_and_quarantine


def _published_check(dataset: Dataset, key: dg.AssetKey) -> dg.AssetChecksDefinition:
    """The check that makes a run fail which left some of its partitions unpublished."""
    cut = to_dagster(dataset.partitions)
    spec = dg.AssetCheckSpec(
        describe.PUBLISHED,
        asset=key,
        description="every partition that the run asked for was published",
    )

    @dg.multi_asset_check(
        name=f"{key.to_python_identifier()}_{describe.PUBLISHED}",
        specs=evaluations.partitioned([spec], cut),
        required_resource_keys={LAKE_KEY},
    )
    def partitions_published(
        context: dg.AssetCheckExecutionContext,
    ) -> Iterator[dg.AssetCheckResult]:
        with context.resources.lake.get_connection() as connection:
            failed = ledger.failed_in(connection, context.run.run_id, key.to_user_string())
        result = dg.AssetCheckResult(
            asset_key=key,
            check_name=describe.PUBLISHED,
            passed=not failed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=reporting.partition_list(list(failed)) or None,
            metadata={
                "failed_partitions": len(failed),
                "partitions": dg.MetadataValue.table(reporting.failure_records(failed.values())),
            }
            if failed
            else {"failed_partitions": 0},
        )
        keys = context.op_execution_context.partition_keys if cut else []
        verdicts = {
            partition: Verdict(
                partition not in failed,
                dg.AssetCheckSeverity.ERROR,
                failed[partition].message if partition in failed else None,
            )
            for partition in keys
        }
        yield from evaluations.tell(context, [Checked(result, verdicts)])
        if failed:
            raise reporting.failure(failed)

    return partitions_published


def _lake(context: dg.AssetExecutionContext) -> LakeResource:
    lake: LakeResource = context.resources.lake
    return lake


def _step(context: dg.AssetExecutionContext, dataset: Dataset, connection: Connection) -> Step:
    settings = load_settings()
    # Whoever finds this run's process gone can tell that the run is.
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, {**worker_tags(), **run_log.trace_tags(run_id)})
    return Step(
        dataset=dataset,
        lake=connection,
        connections=_connections(context, dataset),
        guard=shared_guard(),
        run_id=run_id,
        force=reporting.is_forced(context),
        batch_bytes=settings.batch_bytes,
        key_version=key_version(dataset, settings.pii_key_bytes),
    )


def _connections(context: dg.AssetExecutionContext, dataset: Dataset) -> dict[str, object]:
    name = dataset.source.connection
    resource = getattr(context.resources, name, None)
    return {name: resource.connection} if isinstance(resource, ConnectionResource) else {}


def key_version(dataset: Dataset, key: bytes | None) -> str:
    """What changes with the key of the keyed hash, for a dataset that needs one.

    Args:
        dataset: The dataset.
        key: The secret.

    Raises:
        SettingsError: A column is to be hashed and there is no key.
    """
    hashed = [column.name for column in dataset.compiled.columns if column.pii == "hash"]
    if not hashed:
        return ""
    if key is None:
        raise SettingsError(
            "There is no key to hash personal data with",
            where=f"dataset {dataset.name}, column {hashed[0]}",
            expected="the environment variable PLATFORM_ASSETS_PII_KEY, or a line of .env",
            found="nothing",
            fix="make one: platform-assets setup",
        )
    return hmac.new(key, b"key version", hashlib.sha256).hexdigest()[:8]


def _summary(report: BatchReport) -> str:
    counts = Counter(str(entry.status) for entry in report.entries.values())
    rows = sum(entry.extracted for entry in report.entries.values())
    listed = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    told = f"{report.asset}: {rows:,} rows in {len(report.entries)} partitions: {listed}"
    return "\n".join([told, *report.notes])
