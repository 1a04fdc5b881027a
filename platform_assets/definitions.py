"""The code location: assembles the shop's definitions and nothing else."""

from __future__ import annotations

import dagster as dg

from platform_assets.assets.aggregates import build_aggregates
from platform_assets.assets.build import build_definitions
from platform_assets.assets.customer_metrics import customer_metrics
from platform_assets.datasets import all_datasets
from platform_assets.datasets.orders import orders
from platform_assets.resources import FolderResource
from platform_assets.settings import load_settings

defs: dg.Definitions = build_definitions(
    all_datasets(),
    resources={"shop": FolderResource(path=str(load_settings().shop))},
    assets=[build_aggregates(orders.partitions), customer_metrics],
)
