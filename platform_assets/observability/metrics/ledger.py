"""Metrics of the ledger: rows, attempts, durations, cost and freshness by asset.

Belongs here: which metrics, and their values. Does not belong here: adding up (``ledger_book``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time

from platform_assets.observability.metrics.declared import Kind, Metric, Reading
from platform_assets.observability.metrics.lake_state import OncePerState
from platform_assets.observability.metrics.ledger_book import LedgerBook, Standing, Totals
from platform_assets.warehouse.reader import LakeReader, View

_OF_ASSET = ("asset", "layer")

PROCESSED_ROWS = Metric(
    "platform_assets_processed_rows_total",
    "Rows of all publishes by what became of them; a partition that is published again counts "
    "again.",
    (*_OF_ASSET, "outcome"),
    Kind.COUNTER,
)
PUBLISHED_ROWS = Metric(
    "platform_assets_published_rows",
    "Rows of the publishes that stand, by what became of them: "
    "extracted = cleaned + quarantined + deduplicated.",
    (*_OF_ASSET, "outcome"),
)
ATTEMPTS = Metric(
    "platform_assets_partition_attempts_total",
    "Attempts at partitions by what became of them: published, unchanged, failed.",
    (*_OF_ASSET, "status"),
    Kind.COUNTER,
)
PROCESSED_SECONDS = Metric(
    "platform_assets_processed_seconds_total",
    "Seconds that publishes and failed attempts took: what an asset costs in time.",
    _OF_ASSET,
    Kind.COUNTER,
)
PROCESSED_BYTES = Metric(
    "platform_assets_processed_bytes_total",
    "Bytes of source that publishes and failed attempts read: what an asset costs in data.",
    _OF_ASSET,
    Kind.COUNTER,
)
NEWEST_SECONDS = Metric(
    "platform_assets_newest_partition_publish_duration_seconds",
    "Seconds that the last publish of the asset's newest partition took.",
    _OF_ASSET,
)
LAST_PUBLISH = Metric(
    "platform_assets_last_publish_timestamp_seconds",
    "When a partition of the asset was published last, whichever it was.",
    _OF_ASSET,
)
NEWEST_PUBLISH = Metric(
    "platform_assets_newest_partition_publish_timestamp_seconds",
    "When the asset's newest partition was published last: what an old backfill does not move.",
    _OF_ASSET,
)
NEWEST_PARTITION = Metric(
    "platform_assets_newest_partition_timestamp_seconds",
    "The day of the newest partition that is published, of assets that are cut by day.",
    _OF_ASSET,
)
NEWEST_EVENT = Metric(
    "platform_assets_newest_event_timestamp_seconds",
    "The newest event time inside the asset's published rows; absent where they have none.",
    _OF_ASSET,
)
LAST_FAILURE = Metric(
    "platform_assets_last_failure_timestamp_seconds",
    "When an attempt at a partition of the asset was stopped last.",
    _OF_ASSET,
)
PUBLISHED_PARTITIONS = Metric(
    "platform_assets_published_partitions", "Partitions that are published.", _OF_ASSET
)
FAILED_PARTITIONS = Metric(
    "platform_assets_failed_partitions",
    "Partitions whose newest attempt was stopped: by something of their own (own), or refused for "
    "what they are made from (upstream).",
    (*_OF_ASSET, "cause"),
)


def layer_of(asset: str) -> str:
    """The layer of an asset's key: what stands before the first slash."""
    return asset.partition("/")[0]


class LedgerCollector:
    """Metrics of the ledger.

    Args:
        reader: The lake.
        book: The ledger's figures, of that reader.
    """

    name = "ledger"
    source = "lake"
    metrics = (
        PROCESSED_ROWS, PUBLISHED_ROWS, ATTEMPTS, PROCESSED_SECONDS, PROCESSED_BYTES,
        NEWEST_SECONDS, LAST_PUBLISH, NEWEST_PUBLISH, NEWEST_PARTITION, NEWEST_EVENT,
        LAST_FAILURE, PUBLISHED_PARTITIONS, FAILED_PARTITIONS,
    )  # fmt: skip

    def __init__(self, reader: LakeReader, book: LedgerBook) -> None:
        self._book = book
        self._lake = OncePerState(reader, self._readings)
        # Of many assets few change between two scrapes.
        self._known: dict[str, tuple[tuple[int, int], list[Reading]]] = {}

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        return self._lake.readings()

    def _readings(self, view: View) -> Iterator[Reading]:
        self._book.catch_up(view)
        for asset, totals in self._book.totals.items():
            state = (view.opening, totals.version)
            if asset not in self._known or self._known[asset][0] != state:
                told = [
                    *_of_totals(asset, totals),
                    *_of_standing(asset, self._book.standing[asset]),
                ]
                self._known[asset] = (state, told)
            yield from self._known[asset][1]


def _of_totals(asset: str, totals: Totals) -> Iterator[Reading]:
    own = (asset, layer_of(asset))
    for status, attempts in totals.attempts.items():
        yield ATTEMPTS.at(attempts, *own, status)
    # Of an aggregate no rows are counted.
    if any(totals.rows.by_outcome().values()):
        for outcome, rows in totals.rows.by_outcome().items():
            yield PROCESSED_ROWS.at(rows, *own, outcome)
    yield PROCESSED_SECONDS.at(totals.seconds, *own)
    yield PROCESSED_BYTES.at(totals.bytes, *own)
    if totals.last_failure is not None:
        yield LAST_FAILURE.at(totals.last_failure, *own)


def _of_standing(asset: str, standing: Standing) -> Iterator[Reading]:
    own = (asset, layer_of(asset))
    if any(standing.rows.by_outcome().values()):
        for outcome, rows in standing.rows.by_outcome().items():
            yield PUBLISHED_ROWS.at(rows, *own, outcome)
    yield PUBLISHED_PARTITIONS.at(standing.published, *own)
    yield FAILED_PARTITIONS.at(standing.failed, *own, "own")
    yield FAILED_PARTITIONS.at(standing.refused, *own, "upstream")
    if standing.last_publish is not None:
        yield LAST_PUBLISH.at(standing.last_publish, *own)
    if standing.newest_publish is not None:
        yield NEWEST_PUBLISH.at(standing.newest_publish, *own)
        yield NEWEST_SECONDS.at(standing.newest_seconds, *own)
    if standing.newest_event is not None:
        yield NEWEST_EVENT.at(standing.newest_event, *own)
    day = _day(standing.newest)
    if day is not None:
        yield NEWEST_PARTITION.at(datetime.combine(day, time(), UTC).timestamp(), *own)


def _day(partition: str | None) -> date | None:
    try:
        return date.fromisoformat(partition or "")
    except ValueError:
        return None
