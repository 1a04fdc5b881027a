"""Metrics in the text format of Prometheus, each line of it made once.

Belongs here: writing it out. Does not belong here: what is written (``exporter``).

``prometheus_client`` makes each line anew at each scrape, which took more time than all collectors
together; a reading that did not change keeps its line. What comes out is the same, byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from platform_assets.observability.metrics.declared import Metric, Reading

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def write(metrics: Sequence[Metric], readings: Iterable[Reading]) -> bytes:
    """The page.

    Args:
        metrics: All metrics, in the order in which they are told.
        readings: Their values.
    """
    lines: dict[str, list[str]] = {metric.name: _head(metric) for metric in metrics}
    for reading in readings:
        lines[reading.metric.name].append(reading.line)
    return "".join(line for told in lines.values() for line in told).encode()


def _head(metric: Metric) -> list[str]:
    told = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    return [f"# HELP {metric.name} {told}\n", f"# TYPE {metric.name} {metric.kind}\n"]
