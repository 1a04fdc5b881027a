"""Partitions as Dagster knows them.

Belongs here: the translation of the declaring types and of a run's partition range. Does not
belong here: what a partition holds.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from platform_assets.partitions import UNPARTITIONED_KEY, Daily, Partitions


def to_dagster(partitions: Partitions) -> dg.PartitionsDefinition[str] | None:
    """Dagster's definition of how a dataset is cut; None where it is not."""
    if isinstance(partitions, Daily):
        end = str(partitions.end + timedelta(days=1)) if partitions.end else None
        return dg.DailyPartitionsDefinition(start_date=str(partitions.start), end_date=end)
    return None


def requested(context: dg.AssetExecutionContext, partitions: Partitions) -> list[str]:
    """The partitions that a run asks of an asset cut like this.

    A run over a range may also hold unpartitioned assets; the range says nothing to those.
    """
    if isinstance(partitions, Daily):
        return list(context.partition_keys)
    return [UNPARTITIONED_KEY]
