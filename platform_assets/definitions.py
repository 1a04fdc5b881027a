"""The code location: assembles the shop's definitions and nothing else."""

from __future__ import annotations

import dagster as dg

from platform_assets.assets.aggregates import build_aggregates
from platform_assets.assets.customer_metrics import customer_metrics
from platform_assets.assets.location import build_code_location
from platform_assets.datasets.orders import orders
from platform_assets.declared.catalogue import catalogue, declared_sources
from platform_assets.resources.declared import all_connections

_declared = declared_sources()

defs: dg.Definitions = build_code_location(
    [listed.dataset for listed in catalogue(_declared.entries)],
    resources=all_connections(_declared),
    assets=[build_aggregates(orders.partitions), customer_metrics],
)
