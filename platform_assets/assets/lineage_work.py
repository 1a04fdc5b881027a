"""One run of a job for OpenLineage: what is declared, and what the ledger says became of it.

Belongs here: putting the two together. Does not belong here: what is declared (``lineage_steps``),
and when an event is sent (``lineage_events``).

This module is loaded only where somebody listens: it loads openlineage-python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import dagster as dg

from platform_assets.assets.lineage_steps import Told, Written, schema_of, source_asset
from platform_assets.observability.openlineage_events import Asserted, Table, Work
from platform_assets.observability.openlineage_names import (
    Named,
    job_namespace,
    lake_namespace,
    lake_table,
    source_of,
)
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.quality.profiles import Observed
from platform_assets.settings import load_settings
from platform_assets.warehouse.ledger import LedgerEntry, Status

# dbt's own description is followed by the model's code, which is told as SQL.
_CODE = "\n#### Raw SQL"

Entries = Mapping[str, Mapping[str, LedgerEntry]]
"""By asset and partition what became of it in a run."""


def nulls_of(observed: Mapping[str, Observed], own: Mapping[str, LedgerEntry]) -> dict[str, int]:
    """Rows without a value by column, where every partition that is good was profiled in the run.

    Args:
        observed: The profiles that the run made, by partition.
        own: What became of each partition.
    """
    good = [key for key, entry in own.items() if entry.status is not Status.FAILED]
    if not good or any(key not in observed for key in good):
        return {}
    counted: Counter[str] = Counter()
    for key in good:
        counted.update({n: c.nulls for n, c in observed[key].profile.columns.items()})
    return dict(counted)


def work_of(
    context: dg.AssetExecutionContext,
    told: Told,
    entries: Entries,
    nulls: Mapping[str, Mapping[str, int]] | None = None,
) -> Work:
    """One run of a job.

    Args:
        context: Of the step.
        told: The job, as it is declared.
        entries: What became of its assets; empty: the run begins.
        nulls: By asset and column the rows without a value.
    """
    names = _names(context, told)
    own = entries.get(told.ledger, {})
    spec = _spec(context, told.written[0].asset)
    is_cut = spec is not None and spec.partitions_def is not None
    return Work(
        dagster_run=context.run.run_id,
        dagster_job=context.run.job_name,
        namespace=job_namespace(),
        job=told.job,
        attempt=context.op_execution_context.retry_number,
        inputs=tuple(_read(told, names, entries)),
        outputs=tuple(
            replace(
                _output(context, told, each, names, entries),
                nulls=(nulls or {}).get(each.asset, {}),
            )
            for each in told.written
        ),
        partitions=tuple(key for key in own if key != UNPARTITIONED_KEY)
        or (_asked(context) if is_cut else ()),
        description=_described(spec),
        owners=tuple(spec.owners) if spec else (),
        sql=told.sql,
        path=told.path,
        kind=told.kind,
        names=names,
    )


def _names(context: dg.AssetExecutionContext, told: Told) -> dict[str, Named]:
    """What assets are called, those too that only a column comes from."""
    lake = lake_namespace(load_settings().catalog)
    columns = [
        inputs
        for written in told.written
        if written.lineage is not None
        for inputs in (*written.lineage.columns.values(), written.lineage.rows)
    ]
    assets = {each.source.asset for inputs in columns for each in inputs or ()}
    assets |= {*told.reads, *(written.asset for written in told.written)}
    names = {asset: lake_table(lake, asset) for asset in assets}
    if told.source is not None:
        source = told.source.source
        resource = getattr(context.resources, source.connection, None)
        connection = getattr(resource, "connection", None)
        names[source_asset(told.source)] = source_of(source, connection)
    return names


def _read(told: Told, names: Mapping[str, Named], entries: Entries) -> Iterator[Table]:
    """What is read; rows and bytes where the step has counted them."""
    own = entries.get(told.ledger, {})
    done = [entry for entry in own.values() if entry.status is not Status.UNCHANGED]
    rows = sum(entry.extracted for entry in done) if own else None
    if told.source is not None:
        size = sum(entry.bytes for entry in done) if own else None
        yield Table(names[source_asset(told.source)], rows=rows, bytes=size)
    for number, asset in enumerate(told.reads):
        if told.judges_inputs and number == 0:
            yield Table(names[asset], rows=rows, asserted=_asserted(told, entries))
        else:
            yield Table(names[asset])


def _output(
    context: dg.AssetExecutionContext,
    told: Told,
    written: Written,
    names: Mapping[str, Named],
    entries: Entries,
) -> Table:
    spec = _spec(context, written.asset)
    # A quarantine has no entries of its own: those of the cleaned rows tell of it.
    own = entries.get(written.asset) or entries.get(told.ledger, {})
    good = [entry for entry in own.values() if entry.status is not Status.FAILED]
    new = [entry for entry in good if entry.status is Status.PUBLISHED]
    return Table(
        names[written.asset],
        columns=schema_of(spec),
        description=_described(spec),
        owners=tuple(spec.owners) if spec else (),
        rows=sum(map(written.rows, new)) if own and written.rows else None,
        # A partition that failed has what it had, which is not counted again.
        standing=sum(map(written.rows, good)) if good and written.rows else None,
        asserted=() if told.judges_inputs else _asserted(told, entries),
        lineage=written.lineage,
    )


def _asserted(told: Told, entries: Entries) -> tuple[Asserted, ...]:
    """What each rule came to, over the partitions in which rows were judged."""
    own = entries.get(told.ledger, {}).values()
    judged = [e for e in own if e.status is not Status.UNCHANGED and e.extracted]
    if not judged:
        return ()
    return tuple(
        Asserted(
            each.name,
            sum(entry.broken.get(each.name, 0) for entry in judged),
            each.column,
            each.severity,
            each.description,
        )
        for each in told.judged
    )


def _spec(context: dg.AssetExecutionContext, asset: str) -> dg.AssetSpec | None:
    specs: Mapping[dg.AssetKey, dg.AssetSpec] = context.assets_def.specs_by_key
    return specs.get(dg.AssetKey(asset.split("/")))


def _described(spec: dg.AssetSpec | None) -> str:
    return (spec.description or "").partition(_CODE)[0].strip() if spec else ""


def _asked(context: dg.AssetExecutionContext) -> tuple[str, ...]:
    is_asked = context.has_partition_key or context.has_partition_key_range
    return tuple(context.partition_keys) if is_asked else ()
