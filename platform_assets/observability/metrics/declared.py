"""What a metric is: its name with its unit, what it says, and its labels.

Belongs here: the types that collectors declare metrics with, and the rules of their names. Does not
belong here: any metric, and reading one.

A label's values are few and known beforehand, or belong to what is declared (assets, tables,
connections). Partitions, runs and texts of errors are no labels: each new one would be a series
that Prometheus keeps for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

PREFIX = "platform_assets_"
OTHER = "other"
"""The label of what is not told one by one."""
# Series of which the text is kept, 25 MB at most; of more than these it is made again.
_KEPT_SERIES = 2**16

UNITS: Mapping[str, str] = {
    "_timestamp_seconds": "seconds since 1970, of a moment; its age is `time() - x`",
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_rows": "rows",
    "_ratio": "a share, 0 to 1",
    "_partitions": "partitions of assets",
    "_runs": "runs",
    "_backfills": "backfills",
    "_files": "files",
    "_snapshots": "snapshots of the lake",
    "_events": "events of a change log",
    "_findings": "findings",
    "_problems": "problems",
    "_incidents": "incidents: problems of one cause",
    "_messages": "messages",
    "_state": "1 for the state that the label names, else 0",
    "_success": "1 or 0",
    "_info": "always 1; the labels tell",
}
"""How a gauge's name may end, and what that means."""

COUNTED: Mapping[str, str] = {
    "_rows_total": "rows",
    "_bytes_total": "bytes",
    "_seconds_total": "seconds",
    "_attempts_total": "attempts at partitions",
    "_runs_total": "runs",
    "_failures_total": "failures",
}
"""How a counter's name may end, and what it counts."""


class Kind(StrEnum):
    """How a metric moves."""

    GAUGE = "gauge"
    """Up and down."""
    COUNTER = "counter"
    """Up only; it starts again where what it counts was replaced."""


@dataclass(frozen=True)
class Metric:
    """A metric, as a collector declares it.

    Attributes:
        name: Its name, with the platform's prefix and its unit.
        help: One sentence.
        labels: The names of its labels.
        kind: How it moves.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE

    @property
    def unit(self) -> str:
        """What it is counted in; empty: its name does not say."""
        endings = COUNTED if self.kind is Kind.COUNTER else UNITS
        fitting = [ending for ending in endings if self.name.endswith(ending)]
        return endings[max(fitting, key=len)] if fitting else ""

    def at(self, value: float, *labels: str) -> Reading:
        """One value of it.

        Args:
            value: The value.
            *labels: The value of each label, in the order of ``labels``.

        Raises:
            ValueError: There is not one value for each label.
        """
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {len(labels)}")
        shown = floatToGoString(value)  # type: ignore[no-untyped-call] # it has no types
        line = f"{_series(self.name, self.labels, labels)} {shown}\n"
        return Reading(self, labels, float(value), line)


class Reading(NamedTuple):
    """A value of a metric.

    A tuple, because a scrape makes thousands of them.

    Attributes:
        metric: The metric.
        labels: The value of each label.
        value: The value.
        line: The value as a line of the text format.
    """

    metric: Metric
    labels: tuple[str, ...]
    value: float
    line: str

    @property
    def sample(self) -> Sample:
        """The value with its labels, as ``prometheus_client`` has it."""
        told = dict(zip(self.metric.labels, self.labels, strict=True))
        return Sample(self.metric.name, told, self.value)


@lru_cache(maxsize=_KEPT_SERIES)
def _series(metric: str, names: tuple[str, ...], labels: tuple[str, ...]) -> str:
    """A metric at labels as the text format has it: all of a line that does not change."""
    pairs = sorted(zip(names, labels, strict=True))
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{metric}{{{told}}}" if told else metric


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def largest(
    counts: Iterable[tuple[tuple[str, ...], float]], most: int
) -> list[tuple[tuple[str, ...], float]]:
    """The largest of many counts, and the sum of all others under the label ``other``.

    Args:
        counts: Values by labels, of labels that a user's data multiplies.
        most: How many are told one by one.
    """
    ordered = sorted(counts, key=lambda each: (-each[1], each[0]))
    told, rest = ordered[:most], ordered[most:]
    if rest:
        told.append(((OTHER,) * len(rest[0][0]), sum(value for _, value in rest)))
    return told
