"""What follows from a partition in Dagster's asset graph, told and done again.

Belongs here: the graph, and events that no run makes. Does not belong here: what changed the
partition (``rollback``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from platform_assets.assets.column_lineage import wiring_of
from platform_assets.cli import ROOT
from platform_assets.cli.backfill import days_of, run_backfill
from platform_assets.cli.instance import ensure_home
from platform_assets.partitions import UNPARTITIONED_KEY


def report_rollback(assets: Sequence[str], partition: str, metadata: Mapping[str, Any]) -> None:
    """Report a materialization that no run has made, so that what is downstream shows as stale.

    Args:
        assets: The keys of the assets that were changed together; the first one is told of rows.
        partition: The partition's key.
        metadata: What is to be seen there.
    """
    ensure_home(ROOT / "dagster.yaml")
    own = {k: v for k, v in metadata.items() if "row" not in k}
    with dg.DagsterInstance.get() as instance:
        for number, asset in enumerate(assets):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    dg.AssetKey(asset.split("/")),
                    partition=None if partition == UNPARTITIONED_KEY else partition,
                    metadata=own if number else metadata,
                )
            )


def out_of_date(assets: Sequence[str], partition: str) -> list[tuple[str, str]]:
    """Assets that are made from some others, and the partition of each, upstream first.

    Args:
        assets: The keys of the assets that were changed.
        partition: The partition's key.
    """
    ensure_home(ROOT / "dagster.yaml")
    # A code location reads the instance's environment, which is there only now.
    from platform_assets.definitions import defs

    wiring = wiring_of(defs)
    return [
        (asset, partition if asset in wiring.cut else UNPARTITIONED_KEY)
        for asset in wiring.graph.below(assets)
    ]


def redo_downstream(assets: Sequence[str], partition: str) -> bool:
    """Materialize what follows from a partition, and nothing else; whether all of it succeeded.

    Args:
        assets: The keys of the assets that were changed.
        partition: The partition's key.
    """
    kept = [*assets, *made_together(assets, partition)]
    below = [asset for asset, _ in out_of_date(assets, partition) if asset not in kept]
    if not below:
        return True
    first, last = days_of((partition, partition))
    return run_backfill(first, last, select=" or ".join(f'key:"{asset}"' for asset in below))


def made_together(assets: Sequence[str], partition: str) -> list[str]:
    """What follows from a dbt model and is a dbt model itself.

    dbt computes them from one input at once: making one again would make the other again, too. They
    are rolled back each by itself.

    Args:
        assets: The keys of the assets that were changed.
        partition: The partition's key.
    """
    from platform_assets.definitions import defs

    graph = defs.resolve_asset_graph()

    def is_model(asset: str) -> bool:
        return "dbt" in graph.get(dg.AssetKey(asset.split("/"))).kinds

    if not is_model(assets[0]):
        return []
    return [asset for asset, _ in out_of_date(assets, partition) if is_model(asset)]
