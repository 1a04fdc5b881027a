"""From datasets to ``Definitions``: the test seam, and the most of a code location (``location``).

Belongs here: assembling. Does not belong here: any asset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from platform_assets import run_log
from platform_assets.assets.datasets import LAKE_KEY, build_dataset_assets
from platform_assets.assets.drift import Lineage
from platform_assets.assets.freshness import (
    Clock,
    build_freshness_checks,
    promised_of,
    tell,
    utc_now,
)
from platform_assets.assets.quarantine_jobs import build_quarantine_jobs, build_retention_schedule
from platform_assets.dataset import Dataset
from platform_assets.datasets import in_reference_order
from platform_assets.resources import LakeResource
from platform_assets.sensors.alerting.sensor import build_alerts_sensor
from platform_assets.sensors.arrival import build_arrival_sensor
from platform_assets.sensors.changes import build_changes_sensor
from platform_assets.sensors.dead_runs import dead_runs
from platform_assets.sensors.freshness import build_freshness_sensor


def build_definitions(
    datasets: Sequence[Dataset],
    resources: Mapping[str, Any],
    *,
    assets: Sequence[dg.AssetsDefinition] = (),
    clock: Clock = utc_now,
) -> dg.Definitions:
    """Dagster definitions of datasets and of what is aggregated from them.

    What Dagster is to load is built by ``location.build_code_location``, which adds what tells of
    the code location as a whole.

    Args:
        datasets: What to build raw, cleaned and quarantine assets from.
        resources: By name; the connections of the sources, and overrides of ``lake``.
        assets: Further assets, such as aggregates.
        clock: Tells what time it is, to hold promises of freshness against.

    Raises:
        ContractError: Datasets refer to others that are not there, or in a circle.
    """
    run_log.install()
    built, checks, lineage = [], [], Lineage()
    for dataset in in_reference_order(list(datasets)):
        own_assets, own_checks = build_dataset_assets(dataset, lineage)
        built += own_assets
        checks += own_checks
    promised = promised_of([*built, *assets])
    sensors = [
        build_freshness_sensor(promised, tell, LAKE_KEY, clock),
        dead_runs,
        build_arrival_sensor(datasets),
        build_changes_sensor(datasets, LAKE_KEY),
        build_alerts_sensor(datasets, LAKE_KEY, promised, clock),
    ]
    lineage.note([*built, *assets])
    # A replay makes runs of the assets that are defined with it.
    jobs = build_quarantine_jobs(datasets, lambda: definitions)
    retention = build_retention_schedule(datasets, jobs)
    definitions = dg.Definitions(
        assets=[*built, *assets],
        asset_checks=[*checks, *build_freshness_checks(promised, LAKE_KEY, clock)],
        jobs=jobs,
        schedules=[retention] if retention else [],
        sensors=[each for each in sensors if each is not None],
        resources={LAKE_KEY: LakeResource(), **resources},
        # The engine uses every core by itself; a process a step would cost three seconds each.
        executor=dg.in_process_executor,
    )
    return definitions
