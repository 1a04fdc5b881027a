"""A code location: all that an installation has, from its datasets, its connections and no more.

Belongs here: that no part is forgotten. Does not belong here: what is built from datasets
(``build``), and the parts themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from platform_assets import run_log
from platform_assets.assets.build import build_definitions
from platform_assets.assets.freshness import Clock, utc_now
from platform_assets.assets.report import build_status_page
from platform_assets.dataset import Dataset
from platform_assets.datasets import in_reference_order


def build_code_location(
    datasets: Sequence[Dataset],
    resources: Mapping[str, Any],
    *,
    assets: Sequence[dg.AssetsDefinition] = (),
    clock: Clock = utc_now,
) -> dg.Definitions:
    """What a module that Dagster loads has as its ``defs``.

    That is the assets and checks of the datasets; the sensors that see what has arrived, changed,
    is late or was killed; alerts; the jobs on the quarantine; and the status page, made anew by
    its schedule. Sensors and schedules are on by themselves.

    Args:
        datasets: What to build raw, cleaned and quarantine assets from.
        resources: By name; the connections of the sources, and overrides of ``lake``.
        assets: Further assets, such as aggregates.
        clock: Tells what time it is, to hold promises of freshness against.

    Raises:
        ContractError: Datasets refer to others that are not there, or in a circle.
        SettingsError: A setting in the environment is not one.
    """
    run_log.start_json()
    ordered = in_reference_order(list(datasets))
    location = dg.Definitions.merge(
        build_definitions(ordered, resources, assets=assets, clock=clock),
        build_status_page(ordered, lambda: location),
    )
    return location
