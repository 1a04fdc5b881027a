"""Metrics for Prometheus, read at each scrape from the lake, Dagster, and the platform's databases.

Belongs here: collectors, one for each source, and serving what they read. Does not belong here:
thresholds and alerts (``deploy/prometheus/rules.yml``, ``alerts``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from platform_assets.observability.metrics import exporter as _exporter
from platform_assets.observability.metrics import freshness, streams
from platform_assets.observability.metrics.alerts import AlertCollector
from platform_assets.observability.metrics.backfills import BackfillCollector
from platform_assets.observability.metrics.breakers import BreakerCollector
from platform_assets.observability.metrics.collector import Collector
from platform_assets.observability.metrics.declared import Metric
from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.freshness import FreshnessCollector
from platform_assets.observability.metrics.ledger import LedgerCollector
from platform_assets.observability.metrics.ledger_book import LedgerBook
from platform_assets.observability.metrics.paced import Paced
from platform_assets.observability.metrics.quality import QualityCollector, Severities
from platform_assets.observability.metrics.runs import RunCollector
from platform_assets.observability.metrics.storage import StorageCollector
from platform_assets.observability.metrics.streams import StreamCollector, Streams
from platform_assets.pipeline.freshness import Promised
from platform_assets.sources.breaker import BreakerStore
from platform_assets.warehouse.lake import LakeConfig
from platform_assets.warehouse.reader import LakeReader

__all__ = ["COLLECTORS", "CodeLocation", "Exporter", "declared_metrics", "exporter_of"]

COLLECTORS = (
    LedgerCollector,
    FreshnessCollector,
    QualityCollector,
    StorageCollector,
    StreamCollector,
    RunCollector,
    BackfillCollector,
    BreakerCollector,
    AlertCollector,
)
"""All collectors, in the order in which their metrics are told."""


@dataclass(frozen=True)
class CodeLocation:
    """What only the code location knows; each is asked once, when it is needed first.

    Attributes:
        severities: The severity of each dataset's rules.
        promised: The assets whose freshness is promised.
        streams: The change logs, and how their sources are asked.
    """

    severities: Callable[[], Severities]
    promised: Callable[[], Sequence[Promised]]
    streams: Callable[[], Streams]


def declared_metrics() -> dict[str, tuple[Metric, ...]]:
    """Every metric, by the name of the collector that reads it."""
    found = {each.name: each.metrics for each in COLLECTORS}
    return {**found, "collectors": _exporter.OWN}


def exporter_of(
    lake: LakeConfig,
    instance: dg.DagsterInstance,
    code: CodeLocation,
    *,
    breakers: Path,
    watch: Path,
) -> Exporter:
    """The exporter of an installation.

    Args:
        lake: Where its lake is.
        instance: Its Dagster instance.
        code: What its code location knows.
        breakers: The file of its circuit breakers.
        watch: Its database of alerts and heartbeats.
    """
    reader, book = LakeReader(lake), LedgerBook()
    # What is asked at its own pace looks at the lake by itself: a scrape does not wait for it.
    collectors: tuple[Collector, ...] = (
        LedgerCollector(reader, book),
        Paced(FreshnessCollector(LakeReader(lake), code.promised), freshness.PACE),
        QualityCollector(reader, book, code.severities),
        StorageCollector(reader, lake.catalog),
        Paced(StreamCollector(LakeReader(lake), code.streams), streams.PACE),
        RunCollector(instance),
        BackfillCollector(instance),
        BreakerCollector(BreakerStore(breakers)),
        AlertCollector(watch),
    )
    return Exporter(collectors)
