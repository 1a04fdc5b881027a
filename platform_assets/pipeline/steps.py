"""What the steps share: their inputs, how a range is cut into batches, how one bad is singled out.

Belongs here: batching, isolation and the report. Does not belong here: what a step does with rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import duckdb

from platform_assets import __version__
from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError
from platform_assets.observability import traces
from platform_assets.sources.base import Access, Connections
from platform_assets.sources.change_source import Control
from platform_assets.sources.retrying import Guard
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status

T = TypeVar("T")

# Errors that tell of names, files and transactions; all others may quote a value.
_TELLING = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
    OSError,
)

CONTROL_TOTAL = "control_total"
"""What stops a load of which another number of rows arrived than the source has."""
DEFAULT_BATCH_BYTES = 256_000_000
# One statement lists its partitions by name; beyond this the list costs more than a commit.
MAX_BATCH_PARTITIONS = 500


@dataclass(frozen=True)
class Step:
    """What a step works on and with.

    Attributes:
        dataset: The dataset.
        lake: An open lake.
        connections: What each named connection of the sources leads to.
        guard: What every call to a source's system goes through.
        run_id: The run, as the ledger names it.
        force: Whether to do again what is unchanged.
        batch_bytes: Bytes of source per transaction.
        key_version: Changes with the key of the keyed hash, whose values it makes other ones.
        corrected: The view that stands for the raw table while rows of it have corrections.
        raw_columns: The raw table's columns as a judgement has found them: it is made again where
            they are other ones at its commit (``standing``). Empty: whoever needs them asks.
    """

    dataset: Dataset
    lake: Connection
    run_id: str
    connections: Connections = field(default_factory=dict)
    guard: Guard = field(default_factory=Guard)
    force: bool = False
    batch_bytes: int = DEFAULT_BATCH_BYTES
    key_version: str = ""
    corrected: str = ""
    raw_columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw_rows(self) -> str:
        """What raw rows are judged and typed from: with the corrections that people made."""
        return self.corrected or tables.raw_table(self.dataset.name)

    @property
    def access(self) -> Access:
        """What the source reads through."""
        return Access(self.lake, self.connections, self.guard)

    def entry(self, asset: str, partition: str, status: Status) -> LedgerEntry:
        """A ledger entry with what is the same for the whole step."""
        return LedgerEntry(
            asset=asset,
            partition=partition,
            run_id=self.run_id,
            status=status,
            code_version=__version__,
            contract_version=self.dataset.compiled.version,
        )


@dataclass(frozen=True)
class BatchReport:
    """What became of each partition, in the order of the request.

    Attributes:
        asset: The asset's key.
        entries: The ledger's entries of this attempt, by partition. For an unchanged partition
            the counts are those of the publish that it stands at.
        also: Partitions that nobody asked for and that were published all the same, because
            what was read touched them.
        controls: Control totals of what was read.
        notes: Sentences about what waits for a later load, and why.
    """

    asset: str
    entries: Mapping[str, LedgerEntry]
    also: Mapping[str, LedgerEntry] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> dict[str, LedgerEntry]:
        """Partitions that were stopped."""
        return {k: e for k, e in self.entries.items() if e.status is Status.FAILED}

    @property
    def good(self) -> dict[str, LedgerEntry]:
        """Partitions that are published, now or already before."""
        return {k: e for k, e in self.entries.items() if e.status is not Status.FAILED}


def traced(report: BatchReport, dataset: str = "") -> BatchReport:
    """A report, after the trace of its step was told of it: the last thing that a step does.

    Args:
        report: What became of each partition.
        dataset: The dataset, where it is one's.
    """
    trace_entries(
        [*report.entries.values(), *report.also.values()],
        asset=report.asset,
        **({"dataset": dataset} if dataset else {}),
    )
    return report


def trace_entries(entries: Sequence[LedgerEntry], **known: str) -> None:
    """Tell the trace of a step what became of its partitions.

    Args:
        entries: What the ledger says of them.
        **known: What else is known of the step.
    """
    failed = [entry for entry in entries if entry.status is Status.FAILED]
    traces.tell(
        partitions=sorted({entry.partition for entry in entries}),
        rows_extracted=sum(entry.extracted for entry in entries),
        rows_cleaned=sum(entry.cleaned for entry in entries),
        rows_quarantined=sum(entry.quarantined for entry in entries),
        rows_deduplicated=sum(entry.deduplicated for entry in entries),
        bytes=sum(entry.bytes for entry in entries),
        unchanged_partitions=sum(entry.status is Status.UNCHANGED for entry in entries),
        failed_partitions=len(failed),
        **known,
    )
    for entry in failed:
        traces.note_failure(
            entry.message or entry.stopped_by,
            asset=entry.asset,
            partition=entry.partition,
            stopped_by=entry.stopped_by,
        )


def ensure_tables(step: Step) -> None:
    """Create a dataset's cleaned table, quarantine and history, where they are missing."""
    dataset = step.dataset
    cleaned = tables.cleaned_table(dataset.name)
    tables.ensure_dataset_tables(
        step.lake,
        dataset.name,
        dataset.compiled.ddl(cleaned, "cleaned", dataset.cleaned_provenance),
    )


def batches(partitions: Sequence[T], size: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Cut a sequence into runs of neighbours that are together no larger than a limit.

    Args:
        partitions: What to cut, in order.
        size: Bytes of one.
        limit: Bytes of a batch; one that is larger alone makes a batch of its own.
    """
    batch: list[T] = []
    total = 0
    for each in partitions:
        if batch and (total + size(each) > limit or len(batch) >= MAX_BATCH_PARTITIONS):
            yield batch
            batch, total = [], 0
        batch.append(each)
        total += size(each)
    if batch:
        yield batch


def isolate(
    batch: Sequence[T],
    work: Callable[[Sequence[T]], Iterable[LedgerEntry]],
    failed: Callable[[T, Exception], LedgerEntry],
) -> Iterator[LedgerEntry]:
    """Run a batch; where it breaks, run its halves, until the one that breaks it stands alone.

    What a batch's healthy partitions cost then is a logarithm of its size, and only then.

    Args:
        batch: The partitions.
        work: Does a whole batch or, by raising, nothing of it.
        failed: Makes the entry of a single partition that broke.
    """
    try:
        yield from list(work(batch))
    except (PlatformError, duckdb.Error, OSError) as error:
        if len(batch) == 1:
            yield failed(batch[0], error)
            return
        middle = len(batch) // 2
        yield from isolate(batch[:middle], work, failed)
        yield from isolate(batch[middle:], work, failed)


def with_seconds(entries: Sequence[LedgerEntry], started: float) -> list[LedgerEntry]:
    """Share a batch's time among its partitions, by rows."""
    seconds = time.perf_counter() - started
    rows = sum(entry.extracted for entry in entries)
    return [
        replace(
            entry,
            seconds=round(seconds * (entry.extracted / rows if rows else 1 / len(entries)), 6),
        )
        for entry in entries
    ]


def record_alone(step: Step, entries: Sequence[LedgerEntry]) -> None:
    """Commit ledger entries that tell of no rows: the unchanged and the failed."""
    if entries:
        in_transaction(step.lake, lambda con: ledger.record(con, entries))


def tells(error: Exception) -> bool:
    """Whether an error's own text may be shown: it holds no row's value."""
    return isinstance(error, (PlatformError, *_TELLING))


def describe(error: Exception) -> str:
    """An error as the ledger and the UI may show it: never with a row's value."""
    if isinstance(error, PlatformError):
        return str(error)
    if tells(error):
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return f"{type(error).__name__} (its text is withheld: it may hold a row's value)"
