"""What the platform says: read from its own tables, and from nothing else.

Belongs here: the signals of a run, and what its tables hold. Does not belong here: whether a signal
is right (``judgement``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from platform_assets.dataset import Dataset
from platform_assets.drill.site import Site
from platform_assets.quality.findings import Standing
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import tables
from platform_assets.warehouse.schemas import DRIFTS
from platform_assets.warehouse.tables import FINDINGS, LEDGER

ERROR, WARN, INFO = "error", "warn", "info"


@dataclass(frozen=True)
class Signal:
    """Something that the platform said about a partition.

    Attributes:
        dataset: The dataset.
        partition: The partition's key.
        layer: What said it: ``step``, ``rule``, ``schema`` or ``statistics``.
        check: The check, such as ``volume`` or ``status__isin``.
        severity: ``error``, ``warn`` or ``info``.
        column: The column, where it is about one.
        amount: Rows that broke a rule; 0 for anything else.
        observed: What statistics saw.
        low: The least that they expected.
        high: The most that they expected.
        history: The partitions that they learnt from.
        confidence: How sure they are.
        message: Its words.
    """

    dataset: str
    partition: str
    layer: str
    check: str
    severity: str
    column: str = ""
    amount: int = 0
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    history: int | None = None
    confidence: float | None = None
    message: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str, str]:
        """What it is about, however large it is."""
        return (self.dataset, self.partition, self.layer, self.check, self.column)

    @property
    def is_of_machine(self) -> bool:
        """Whether it is about the time that a run took, which no seed determines."""
        return self.check == "duration" and self.column.startswith("seconds")

    @property
    def name(self) -> str:
        """The check in a table: ``volume``, ``null_share(campaign)``."""
        return f"{self.check}({self.column})" if self.column else self.check


@dataclass(frozen=True)
class State:
    """What a dataset's cleaned table holds, in two numbers.

    Attributes:
        rows: Its rows.
        digest: Changes with any value of a contract's column.
    """

    rows: int
    digest: str


def signals(site: Site, run_id: str, datasets: Sequence[Dataset]) -> list[Signal]:
    """Everything that a run said of datasets.

    Args:
        site: The site.
        run_id: The run.
        datasets: The datasets.
    """
    found: list[Signal] = []
    for dataset in datasets:
        found += _of_ledger(site, run_id, dataset)
        found += _of_drifts(site, run_id, dataset)
        found += _of_findings(site, run_id, dataset)
    names = {dataset.name for dataset in datasets}
    for name, error in site.errors.get(run_id, []):
        if name in names:
            said = type(error).__name__
            found.append(Signal(name, "", "step", said, ERROR, message=str(error)))
    return found


def published(site: Site, run_id: str, dataset: Dataset, partition: str) -> bool:
    """Whether a run left a partition's cleaned rows published, as its ledger has it."""
    row = site.lake.execute(
        f"SELECT count(*) FILTER (status <> 'failed'), count(*) FILTER (status = 'failed') "
        f"FROM {LEDGER} WHERE run_id = ? AND asset = ? AND partition = ?",
        [run_id, f"cleaned/{dataset.name}", partition],
    ).fetchone()
    assert row is not None  # an aggregate has one row
    return bool(row[0]) and not row[1]


def state(site: Site, dataset: Dataset) -> State:
    """What a dataset's cleaned table holds."""
    columns = ", ".join(quote_identifier(name) for name, _ in dataset.compiled.published_columns)
    row = site.lake.execute(
        f"SELECT count(*), coalesce(sum(CAST(hash({columns}) AS HUGEINT)), 0) "
        f"FROM {tables.cleaned_table(dataset.name)}"
    ).fetchone()
    assert row is not None  # an aggregate has one row
    return State(int(row[0]), str(row[1]))


def _of_ledger(site: Site, run_id: str, dataset: Dataset) -> list[Signal]:
    severities = {rule.name: rule.severity for rule in dataset.compiled.rules}
    rows = site.lake.execute(
        f"SELECT asset, partition, status, stopped_by, message, broken FROM {LEDGER} "
        f"WHERE run_id = ? AND asset IN ({_assets(dataset)}) ORDER BY ALL",
        [run_id],
    ).fetchall()
    found = []
    for asset, partition, status, stopped_by, message, broken in rows:
        if status == "failed":
            layer = "step" if asset.startswith("raw/") else "gate"
            said = str(message)
            found.append(Signal(dataset.name, partition, layer, stopped_by, ERROR, message=said))
        for rule, amount in json.loads(broken or "{}").items():
            severity = str(severities.get(rule, WARN))
            # A rejected row is in quarantine, and the day is published without it.
            told = WARN if severity == ERROR else severity
            if amount:
                found.append(
                    Signal(dataset.name, partition, "rule", rule, told, amount=int(amount))
                )
    return found


def _of_drifts(site: Site, run_id: str, dataset: Dataset) -> list[Signal]:
    rows = site.lake.execute(
        f"SELECT DISTINCT partition, kind, column_name, decision, text FROM {DRIFTS} "
        "WHERE run_id = ? AND dataset = ? ORDER BY ALL",
        [run_id, dataset.name],
    ).fetchall()
    return [
        Signal(
            dataset.name,
            partition,
            "schema",
            f"drift {kind}",
            ERROR if decision == "blocked" else WARN,
            column,
            message=text,
        )
        for partition, kind, column, decision, text in rows
    ]


def _of_findings(site: Site, run_id: str, dataset: Dataset) -> list[Signal]:
    rows = site.lake.execute(
        "SELECT partition, check_name, severity, column_name, observed, expected_low, "
        f"expected_high, history, confidence, message FROM {FINDINGS} "
        f"WHERE run_id = ? AND dataset = ? AND status = '{Standing.OPEN}' ORDER BY ALL",
        [run_id, dataset.name],
    ).fetchall()
    return [
        Signal(
            dataset.name,
            partition,
            "statistics",
            check,
            severity,
            column,
            observed=observed,
            low=low,
            high=high,
            history=history,
            confidence=confidence,
            message=message,
        )
        for (
            partition,
            check,
            severity,
            column,
            observed,
            low,
            high,
            history,
            confidence,
            message,
        ) in rows
    ]


def _assets(dataset: Dataset) -> str:
    return ", ".join(quote_literal(f"{layer}/{dataset.name}") for layer in ("raw", "cleaned"))
