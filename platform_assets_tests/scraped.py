"""What a scrape tells, as tests look it up.

Belongs here: reading the text format. Does not belong here: an assertion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.server import registry_of

PREFIX = "platform_assets_"


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape.

    Attributes:
        samples: Values by labels, by name.
    """

    samples: Mapping[str, Mapping[frozenset[tuple[str, str]], float]]

    @classmethod
    def of_text(cls, text: str) -> Scrape:
        """What a page of metrics says."""
        found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                known = found.setdefault(sample.name, {})
                key = frozenset(sample.labels.items())
                assert key not in known, f"{sample.name} is told twice of {sample.labels}"
                known[key] = sample.value
        return cls(found)

    @classmethod
    def of(cls, exporter: Exporter) -> Scrape:
        """What an exporter says now."""
        return cls.of_text(generate_latest(registry_of(exporter)).decode())

    def get(self, name: str, **labels: str) -> float | None:
        """The value of a metric (without the platform's prefix) at labels; None: it is absent."""
        return self.samples.get(PREFIX + name, {}).get(frozenset(labels.items()))

    def all(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one of its labels."""
        return {dict(key)[label]: v for key, v in self.samples.get(PREFIX + name, {}).items()}

    def values_of(self, label: str) -> set[str]:
        """Every value that a label has anywhere."""
        return {
            value
            for told in self.samples.values()
            for key in told
            for name, value in key
            if name == label
        }
