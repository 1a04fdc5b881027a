"""The exporter: asks all collectors at each scrape, and tells how that went.

Belongs here: running collectors side by side, within a time, so that a broken source costs its own
metrics and nothing else. Does not belong here: any metric but those about collectors, and serving
them (``server``).
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector as PrometheusCollector

from platform_assets import __version__
from platform_assets.observability.metrics.collector import Collector
from platform_assets.observability.metrics.declared import Kind, Metric, Reading
from platform_assets.observability.metrics.text import write

# A scrape that takes longer than 10 s is given up by Prometheus, with all that was read.
BUDGET_SECONDS = 5.0
_LOG = logging.getLogger(__name__)

SUCCESS = Metric(
    "platform_assets_collector_success",
    "Whether a collector could read its source; where it could not, its metrics are absent.",
    ("collector",),
)
SECONDS = Metric(
    "platform_assets_collector_duration_seconds",
    "Seconds that a collector took.",
    ("collector",),
)
SCRAPE_SECONDS = Metric(
    "platform_assets_scrape_duration_seconds",
    "Seconds that all collectors took side by side, writing them out apart.",
)
BUILD = Metric("platform_assets_build_info", "The platform's version.", ("version",))
OWN = (SUCCESS, SECONDS, SCRAPE_SECONDS, BUILD)


@dataclass(frozen=True)
class _Answer:
    """What a collector said."""

    collector: Collector
    readings: Sequence[Reading]
    seconds: float
    ok: bool = True


class _Source:
    """The collectors of one source, asked one after another on a thread of their own."""

    def __init__(self, name: str, collectors: Sequence[Collector]) -> None:
        self.collectors = collectors
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"metrics-{name}")
        self._asked: Future[list[_Answer]] | None = None
        self._failing: dict[str, str] = {}

    def ask(self) -> Future[list[_Answer]]:
        """Begin to read; where the last time is not over, that is waited for."""
        if self._asked is None or self._asked.done():
            self._asked = self._pool.submit(self._read)
        return self._asked

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> list[_Answer]:
        return [self._one(each) for each in self.collectors]

    def _one(self, collector: Collector) -> _Answer:
        begun = time.perf_counter()
        try:
            readings = collector.read()
        except Exception as error:  # told as a metric: whatever is broken, others are read
            self._tell(collector, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            return _Answer(collector, (), time.perf_counter() - begun, ok=False)
        self._tell(collector, "")
        return _Answer(collector, readings, time.perf_counter() - begun)

    def _tell(self, collector: Collector, wrong: str) -> None:
        """Log what is wrong once, and once that it is over."""
        if wrong and self._failing.get(collector.name) != wrong:
            _LOG.warning("metrics of %s cannot be read: %s", collector.name, wrong)
        elif not wrong and self._failing.get(collector.name):
            _LOG.warning("metrics of %s can be read again", collector.name)
        self._failing[collector.name] = wrong


class Exporter(PrometheusCollector):
    """All metrics, as a collector of ``prometheus_client``.

    Args:
        collectors: What is asked.
        budget: Seconds after which a source counts as broken for this scrape.
    """

    def __init__(self, collectors: Sequence[Collector], *, budget: float = BUDGET_SECONDS) -> None:
        self.metrics: tuple[Metric, ...] = (
            *(metric for each in collectors for metric in each.metrics), *OWN
        )  # fmt: skip
        self._budget = budget
        by_source: dict[str, list[Collector]] = {}
        for each in collectors:
            by_source.setdefault(each.source, []).append(each)
        self._sources = [_Source(name, asked) for name, asked in by_source.items()]

    def describe(self) -> Iterable[Family]:
        """The metrics without values: registering asks for nothing."""
        return _families(self.metrics, ())

    def collect(self) -> Iterator[Family]:
        """The metrics as they are now."""
        yield from _families(self.metrics, self._readings())

    def text(self) -> bytes:
        """The metrics as they are now, in the text format."""
        return write(self.metrics, self._readings())

    def warm_up(self) -> None:
        """Ask once, as long as it takes: the first look at the lake reads the whole ledger.

        What is in memory then stays there as long as the process: it is taken out of Python's
        garbage collection, which would go through all of it in the middle of scrapes.
        """
        wait([source.ask() for source in self._sources])
        # What there is to say is put in words, so that the first scrape is as quick as the next.
        self.text()
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        """End the threads; one that hangs in its source is left to it."""
        for source in self._sources:
            source.close()

    def _readings(self) -> Iterator[Reading]:
        begun = time.perf_counter()
        asked = {source.ask(): source for source in self._sources}
        done, late = wait(asked, timeout=self._budget)
        for answer in [answer for future in done for answer in future.result()]:
            yield from answer.readings
            yield SUCCESS.at(answer.ok, answer.collector.name)
            yield SECONDS.at(answer.seconds, answer.collector.name)
        spent = time.perf_counter() - begun
        for collector in [each for future in late for each in asked[future].collectors]:
            yield SUCCESS.at(0, collector.name)
            yield SECONDS.at(spent, collector.name)
        yield SCRAPE_SECONDS.at(spent)
        yield BUILD.at(1, __version__)


def _families(metrics: Sequence[Metric], readings: Iterable[Reading]) -> list[Family]:
    """The metrics as ``prometheus_client`` writes them out, in the order in which they are told."""
    families = {metric.name: _family(metric) for metric in metrics}
    for reading in readings:
        families[reading.metric.name].samples.append(reading.sample)
    return list(families.values())


def _family(metric: Metric) -> Family:
    # A counter's family is written out with the ending that its samples have.
    made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    return made(metric.name, metric.help)
