"""The reference of all metrics, from their declarations.

Belongs here: writing it. Does not belong here: any metric.
"""

from __future__ import annotations

from collections.abc import Iterable

from platform_assets.observability.metrics.declared import Metric


def markdown(groups: Iterable[tuple[str, Iterable[Metric]]]) -> str:
    """The page, without its mark of being generated.

    Args:
        groups: Metrics by the collector that reads them.
    """
    lines = [
        "# Metrics",
        "",
        "What `platform-assets metrics serve` tells Prometheus, by the collector that reads it. "
        "Where a collector cannot read its source, `platform_assets_collector_success` is 0 for it "
        "and its metrics are absent.",
        "",
    ]
    for name, metrics in groups:
        lines += [f"## {name}", "", "| metric | what it says | labels | type, unit |"]
        lines.append("| --- | --- | --- | --- |")
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            lines.append(
                f"| `{metric.name}` | {metric.help} | {labels} | {metric.kind}, {metric.unit} |"
            )
        lines.append("")
    return "\n".join(lines)
