"""Metrics for Prometheus, read at each scrape from the lake, Dagster, and the platform's databases.

Belongs here: collectors, one for each source, and serving what they read. Does not belong here:
thresholds and alerts (``deploy/prometheus/rules.yml``, ``alerts``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from platform_assets.observability.metrics import exporter as _exporter
from platform_assets.observability.metrics.backfills import BackfillCollector
from platform_assets.observability.metrics.breakers import BreakerCollector
from platform_assets.observability.metrics.collector import Collector
from platform_assets.observability.metrics.declared import Metric
from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.ledger import LedgerCollector
from platform_assets.observability.metrics.ledger_book import LedgerBook
from platform_assets.observability.metrics.quality import QualityCollector, Severities
from platform_assets.observability.metrics.runs import RunCollector
from platform_assets.observability.metrics.storage import StorageCollector
from platform_assets.sources.breaker import BreakerStore
from platform_assets.warehouse.lake import LakeConfig
from platform_assets.warehouse.reader import LakeReader

__all__ = ["COLLECTORS", "Exporter", "declared_metrics", "exporter_of"]

COLLECTORS = (
    LedgerCollector,
    QualityCollector,
    StorageCollector,
    RunCollector,
    BackfillCollector,
    BreakerCollector,
)
"""All collectors, in the order in which their metrics are told."""


def declared_metrics() -> dict[str, tuple[Metric, ...]]:
    """Every metric, by the name of the collector that reads it."""
    found = {each.name: each.metrics for each in COLLECTORS}
    return {**found, "collectors": _exporter.OWN}


def exporter_of(
    lake: LakeConfig,
    instance: dg.DagsterInstance,
    *,
    breakers: Path,
    severities: Callable[[], Severities],
) -> Exporter:
    """The exporter of an installation.

    Args:
        lake: Where its lake is.
        instance: Its Dagster instance.
        breakers: The file of its circuit breakers.
        severities: Asks for the severity of each dataset's rules.
    """
    reader, book = LakeReader(lake), LedgerBook()
    collectors: tuple[Collector, ...] = (
        LedgerCollector(reader, book),
        QualityCollector(reader, book, severities),
        StorageCollector(reader, lake.catalog),
        RunCollector(instance),
        BackfillCollector(instance),
        BreakerCollector(BreakerStore(breakers)),
    )
    return Exporter(collectors)
