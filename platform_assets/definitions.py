"""The code location: assembles the shop's definitions and nothing else."""

from __future__ import annotations

import dagster as dg

from platform_assets import run_log
from platform_assets.assets.aggregates import build_aggregates
from platform_assets.assets.build import build_definitions
from platform_assets.assets.customer_metrics import customer_metrics
from platform_assets.assets.report import build_status_page
from platform_assets.datasets import in_reference_order
from platform_assets.datasets.orders import orders
from platform_assets.declared.catalogue import catalogue, declared_sources
from platform_assets.resources.declared import all_connections

run_log.start_json()

_declared = declared_sources()

_datasets = in_reference_order([listed.dataset for listed in catalogue(_declared.entries)])

defs: dg.Definitions = dg.Definitions.merge(
    build_definitions(
        _datasets,
        resources=all_connections(_declared),
        assets=[build_aggregates(orders.partitions), customer_metrics],
    ),
    build_status_page(_datasets, lambda: defs),
)
