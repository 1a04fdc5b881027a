"""Signals: what a collector has seen, in one form for every kind of problem.

Belongs here: the type, and by what two signals are about the same problem. Does not belong here:
what becomes of a problem (``engine``), and seeing one (``sensors``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What kind of problem a signal tells of."""

    RUN_FAILED = "run_failed"
    """A run failed and is not tried again."""
    PARTITION_FAILED = "partition_failed"
    """A partition was stopped; what was published of it before still stands."""
    CHECK_FAILED = "check_failed"
    """An asset check did not pass."""
    FRESHNESS = "freshness"
    """Data that was promised is not there."""
    FINDING = "finding"
    """Statistics found a partition odd: its volume, its distribution."""
    SCHEMA_DRIFT = "schema_drift"
    """A source's columns are not what they were."""
    QUARANTINE_SHARE = "quarantine_share"
    """More rows of a partition are in quarantine than the route is content with."""
    DURATION = "duration"
    """A run takes longer than its SLA, or than it usually does."""
    BREAKER_OPEN = "breaker_open"
    """A source kept failing and is left alone for a while."""
    HEARTBEAT = "heartbeat"
    """A daemon, a sensor, a schedule or the alert loop itself has stopped."""
    STREAM_LAG = "stream_lag"
    """A change log is read more slowly than it grows."""
    BACKFILL_FINISHED = "backfill_finished"
    """A backfill is over, and how it ended."""


class Severity(StrEnum):
    """How bad a problem is, the least first."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Its place among the others, to compare by."""
        return _RANKS[self]


_RANKS = {each: number for number, each in enumerate(Severity)}


class Standing(StrEnum):
    """What a signal says of its problem."""

    OPEN = "open"
    """It is there, newly or still."""
    OVER = "over"
    """It is there no longer."""
    GONE = "gone"
    """What it is about is defined no longer: it is over, good or not."""
    ONCE = "once"
    """Something happened that has no end, such as the end of a backfill."""


@dataclass(frozen=True)
class Signal:
    """What a collector has seen at one moment. It holds no row's value and no secret.

    Attributes:
        kind: What kind of problem it is.
        subject: What it is about: an asset's key (``cleaned/orders``), ``source/<connection>``,
            ``daemon/<type>``, ``sensor/<name>``, ``schedule/<name>``, ``run/<id>``,
            ``backfill/<id>``.
        at: When that happened (with a time zone).
        standing: Whether it begins or goes on, is over, or has no duration. A problem
            that is over keeps ``gone`` where that is why.
        part: Which of the subject's problems of this kind: a check's name, a rule, a column.
        partition: The partition that it is about; empty: none.
        severity: How bad it is.
        title: In one line, what is wrong: without the asset's name and the partition.
        detail: The first lines of the error, or expected and observed.
        cause: Fingerprint of the problem that this one follows from; empty: none is known.
        dataset: The dataset that it is about; empty: none.
        layer: ``raw``, ``cleaned``, ``quarantine``, ``aggregated``; empty: none.
        owners: Who answers for it.
        downstream: Keys of the assets that are made from it, in order.
        run_id: The run that it was seen in; empty: none.
        command: What a person types to fix it, or to try again; empty: nothing helps.
    """

    kind: Kind
    subject: str
    at: datetime
    standing: Standing = Standing.OPEN
    part: str = ""
    partition: str = ""
    severity: Severity = Severity.ERROR
    title: str = ""
    detail: str = ""
    cause: str = ""
    dataset: str = ""
    layer: str = ""
    owners: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    run_id: str = ""
    command: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for all signals about one problem: kind, subject, part and partition."""
        return fingerprint(self.kind, self.subject, self.part, self.partition)


def fingerprint(kind: Kind, subject: str, part: str = "", partition: str = "") -> str:
    """What a problem is known by, 16 hexadecimal digits.

    Args:
        kind: What kind of problem it is.
        subject: What it is about.
        part: Which of the subject's problems of this kind.
        partition: The partition.
    """
    identity = "\x1f".join((kind, subject, part, partition))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
