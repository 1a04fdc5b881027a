"""Metrics of quality: the quarantine, the findings of statistics, and the score of each dataset.

Belongs here: which metrics, and their values. Does not belong here: the formula of the score
(``quality.score``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from platform_assets.observability.metrics.declared import Metric, Reading, largest
from platform_assets.observability.metrics.lake_state import OncePerState
from platform_assets.observability.metrics.ledger import layer_of
from platform_assets.observability.metrics.ledger_book import LedgerBook, Standing
from platform_assets.quality.findings import Standing as FindingStanding
from platform_assets.quality.score import score_of
from platform_assets.sql import literal_list, quote_literal
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.quarantine import ACTIVE, RowStatus
from platform_assets.warehouse.reader import LakeReader, View
from platform_assets.warehouse.snapshots import table_id, written_since
from platform_assets.warehouse.tables import FINDINGS, PLATFORM, QUARANTINE, was_filled

MOST_RULES = 50
"""Rules that are told one by one; the rows of all others are told as one."""

QUARANTINE_ROWS = Metric(
    "platform_assets_quarantine_rows",
    "Rows in quarantine that somebody has to look at: left out of a publish (open), or among the "
    "rows that stopped their partition (blocked).",
    ("dataset", "status"),
)
QUARANTINE_RULE_ROWS = Metric(
    "platform_assets_quarantine_rule_rows",
    f"These rows by broken rule; of the {MOST_RULES} most broken rules, and of all others in one. "
    "A row that breaks several rules counts for each.",
    ("dataset", "rule"),
)
OPEN_FINDINGS = Metric(
    "platform_assets_open_findings",
    "What statistics find odd and nobody has accepted, by check and severity.",
    ("asset", "layer", "check", "severity"),
)
SCORE = Metric(
    "platform_assets_quality_score_ratio",
    "The quality score of the newest published partition, as a share of 100.",
    ("asset", "layer"),
)

Severities = Mapping[str, Mapping[str, str]]
"""The severity of each rule, by dataset."""


class QualityCollector:
    """Metrics of quality.

    Args:
        reader: The lake.
        book: The ledger's figures, of that reader.
        severities: Asks for the severity of each dataset's rules; asked once.
    """

    name = "quality"
    source = "lake"
    metrics = (QUARANTINE_ROWS, QUARANTINE_RULE_ROWS, OPEN_FINDINGS, SCORE)

    def __init__(
        self, reader: LakeReader, book: LedgerBook, severities: Callable[[], Severities]
    ) -> None:
        self._book = book
        self._ask = severities
        self._lake = OncePerState(reader, self._readings)
        self._counted = (0, -1)
        self._quarantined: Sequence[Reading] = ()

    @cached_property
    def _severities(self) -> Severities:
        return self._ask()

    def read(self) -> Sequence[Reading]:
        """The values as they are now."""
        return self._lake.readings()

    def _readings(self, view: View) -> Iterator[Reading]:
        self._book.catch_up(view)
        if not self._quarantine_stands(view):
            self._quarantined = tuple(_quarantine(view.connection))
        self._counted = (view.opening, view.snapshot)
        yield from self._quarantined
        yield from self._judged(view.connection)

    def _quarantine_stands(self, view: View) -> bool:
        """Whether the quarantine is as it was counted last: it may be large, and rarely changes."""
        opening, snapshot = self._counted
        if opening != view.opening or snapshot > view.snapshot:
            return False
        table = table_id(view.connection, PLATFORM, "quarantine", view.snapshot)
        return table is not None and not written_since(view.connection, table, snapshot)

    def _judged(self, connection: Connection) -> Iterator[Reading]:
        newest = {asset: told.newest for asset, told in self._book.standing.items()}
        counts: Counter[tuple[str, str, str]] = Counter()
        odd: dict[str, set[str]] = {}
        for asset, check, severity, partition, found in _findings(connection):
            counts[asset, check, severity] += found
            if partition == newest.get(asset) and severity != "info":
                odd.setdefault(asset, set()).add(check)
        for (asset, check, severity), found in counts.items():
            yield OPEN_FINDINGS.at(found, asset, layer_of(asset), check, severity)
        for asset, standing in self._book.standing.items():
            # Only where rows are judged is there a score.
            if standing.newest is not None and layer_of(asset) == "cleaned":
                yield SCORE.at(
                    self._score(asset, standing, len(odd.get(asset, ()))), asset, "cleaned"
                )

    def _score(self, asset: str, standing: Standing, odd: int) -> float:
        severities = self._severities.get(asset.partition("/")[2], {})
        warned = sum(
            rows for rule, rows in standing.newest_broken.items() if severities.get(rule) == "warn"
        )
        rows = standing.newest_rows
        score = score_of(rows.extracted, rows.cleaned, rows.quarantined, warned=warned, odd=odd)
        return score.total / 100


def _quarantine(connection: Connection) -> Iterator[Reading]:
    if not was_filled(connection, "quarantine"):
        return
    # One look at the table, which may be large; which rules are broken together repeats itself.
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE _metrics_quarantine AS "
        f"SELECT dataset, status, rules, count(*) AS found FROM {QUARANTINE} "
        f"WHERE status IN {literal_list(ACTIVE)} GROUP BY ALL"
    )
    rows = connection.execute(
        "SELECT dataset, status, sum(found) FROM _metrics_quarantine GROUP BY 1, 2"
    ).fetchall()
    counted = {(str(dataset), str(status)): int(count) for dataset, status, count in rows}
    # A dataset with nothing of one kind has 0 of it, so that a query about shares finds a value.
    for dataset in {dataset for dataset, _ in counted}:
        for status in (RowStatus.OPEN, RowStatus.BLOCKED):
            yield QUARANTINE_ROWS.at(counted.get((dataset, status), 0), dataset, status)
    rows = connection.execute(
        "SELECT dataset, rule, sum(found) FROM (SELECT dataset, found, unnest(rules) AS rule "
        "FROM _metrics_quarantine) GROUP BY 1, 2"
    ).fetchall()
    by_rule = [((str(dataset), str(rule)), float(count)) for dataset, rule, count in rows]
    for labels, count in largest(by_rule, MOST_RULES):
        yield QUARANTINE_RULE_ROWS.at(count, *labels)


def _findings(connection: Connection) -> list[tuple[str, str, str, str, int]]:
    """Asset, check, severity, partition, and how many are open."""
    if not was_filled(connection, "findings"):
        return []
    return connection.execute(
        f"SELECT asset, check_name, severity, partition, count(*) FROM {FINDINGS} "
        f"WHERE status = {quote_literal(FindingStanding.OPEN)} GROUP BY ALL"
    ).fetchall()
