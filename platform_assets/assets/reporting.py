"""What a batch did, told to Dagster partition by partition.

Belongs here: materializations, and how a run shows that some partitions of it failed. Does not
belong here: deciding which failed (``pipeline``).

A run over a range has one step for all its partitions, and Dagster knows a step as good or bad.
Where only some partitions are bad, the step still succeeds, so that the good ones' downstream is
built in the same run; it materializes exactly the good ones; and a check of its own
(``partitions_published``) fails the run, which is what makes Dagster show the others as failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

# The only private name of Dagster in use. An output with this metadata key makes no events of its
# own, which is how materializations of exactly the good partitions replace those of the range.
# test_partial_failure.py fails where an upgrade changes that.
from dagster._core.definitions.source_asset import (
    SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION as NO_EVENTS_OF_ITS_OWN,
)

from platform_assets import run_log
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.warehouse.ledger import LedgerEntry

FORCE_TAG = "platform_assets/force"
SHOWN_PARTITIONS = 20

Metadata = Mapping[str, Any]


def is_forced(context: dg.AssetExecutionContext) -> bool:
    """Whether the run was told to do again what is unchanged."""
    return context.run.tags.get(FORCE_TAG, "").lower() == "true"


def materialize(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    good: Mapping[str, Metadata],
    *,
    complete: bool,
) -> Iterator[dg.MaterializeResult[Any] | dg.Output[None]]:
    """Materialize an asset's good partitions, each with its own metadata.

    Args:
        context: Of the step.
        key: The asset.
        good: Metadata of each good partition.
        complete: Whether all requested partitions are good.

    Yields:
        What the step has to yield for the asset.
    """
    trace = run_log.trace_metadata(context.run.run_id)
    good = {partition: {**metadata, **trace} for partition, metadata in good.items()}
    if complete:
        for partition, metadata in good.items():
            if partition == UNPARTITIONED_KEY:
                yield dg.MaterializeResult(asset_key=key, metadata=metadata)
                return
            context.add_asset_metadata(metadata, asset_key=key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=key)
        return
    for partition, metadata in good.items():
        context.log_event(dg.AssetMaterialization(key, partition=partition, metadata=metadata))
    yield dg.Output(
        None,
        output_name=context.op_execution_context.output_for_asset_key(key),
        metadata={NO_EVENTS_OF_ITS_OWN: True},
    )


def row_changes(entry: LedgerEntry) -> dict[str, int]:
    """What a publish did to the rows that were there, as metadata; empty: nobody counted."""
    if entry.rows_added is None:
        return {}
    return {
        "rows_added": entry.rows_added,
        "rows_removed": entry.rows_removed or 0,
        "rows_changed": entry.rows_changed or 0,
    }


def failure(failed: Mapping[str, LedgerEntry]) -> dg.Failure:
    """The failure that names partitions and what stopped each."""
    shown = list(failed.values())[:SHOWN_PARTITIONS]
    lines = [f"{entry.partition}: stopped by {entry.stopped_by}" for entry in shown]
    if len(failed) > len(shown):
        lines.append(f"and {len(failed) - len(shown)} more")
    first = shown[0]
    return dg.Failure(
        description=(
            f"{len(failed)} partition(s) of {first.asset} were not published; "
            "they keep what they had.\n" + "\n".join(lines) + f"\n\n{first.message}"
        ),
        metadata={"partitions": dg.MetadataValue.table(failure_records(failed.values()))},
        allow_retries=False,
    )


def failure_records(failed: Iterable[LedgerEntry]) -> list[dg.TableRecord]:
    """Failed partitions as rows for the UI."""
    return [
        dg.TableRecord(
            {
                "partition": entry.partition,
                "stopped_by": entry.stopped_by,
                "rows": entry.extracted,
                "rejected": entry.quarantined,
                "error": entry.message,
            }
        )
        for entry in list(failed)[:SHOWN_PARTITIONS]
    ]


def partition_list(partitions: Sequence[str]) -> str:
    """Partitions as a short text."""
    shown = ", ".join(partitions[:SHOWN_PARTITIONS])
    rest = len(partitions) - SHOWN_PARTITIONS
    return f"{shown} and {rest} more" if rest > 0 else shown
