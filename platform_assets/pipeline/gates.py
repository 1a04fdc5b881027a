"""What broken rows lead to: what is done about a rule, and whether its partition is stopped.

Belongs here: a dataset's thresholds applied to what a judgement counted. Does not belong here:
counting (``judging``), what a policy may say (``contracts.policies``), and publishing (``clean``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from platform_assets.contracts.policies import Thresholds, exceeds, thresholds_of
from platform_assets.contracts.rules import Rule
from platform_assets.dataset import Dataset
from platform_assets.errors import PartitionError
from platform_assets.pipeline.judging import Counts
from platform_assets.pipeline.steps import Step, describe
from platform_assets.pipeline.temporary import VERDICTS
from platform_assets.pipeline.upstream import RAW_MISSING
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_literal
from platform_assets.warehouse.ledger import UPSTREAM, LedgerEntry, Status
from platform_assets.warehouse.quarantine import Resolved

CONTRACT = "contract"
ENGINE = "engine"
_NOT_JUDGED = (RAW_MISSING, UPSTREAM, CONTRACT, ENGINE)
"""What stops a partition before its rows are judged."""


class Action(StrEnum):
    """What was done about a rule in one partition, from the mildest to the strongest."""

    PASS = "pass"  # noqa: S105 # not a password
    """Rows that break it, if any, were published."""
    QUARANTINE = "quarantine"
    """They were left out, and no more of them than is expected."""
    ALERT = "alert"
    """More than ``alert_above``: the check is not passed."""
    BLOCK = "block"
    """More than ``block_above``, or than ``max_bad_share``: nothing was published."""


@dataclass(frozen=True)
class Stop:
    """Why a partition is not published.

    Attributes:
        rule: The rule that stops it.
        message: The error's text; never a row's value.
    """

    rule: str
    message: str


def stop(dataset: Dataset, partition: str, counts: Counts, resolved: Resolved) -> Stop | None:
    """Why a partition must not be published; None: it may be.

    A rule's own threshold comes first, then the share of all rejected rows. Rejected rows that a
    person has resolved count for neither: they stay out, and that is known.

    Args:
        dataset: The dataset.
        partition: The partition's key.
        counts: What was found in it.
        resolved: Its rejected rows that were resolved.
    """
    left = {
        rule.name: counts.broken.get(rule.name, 0) - resolved.broken.get(rule.name, 0)
        for rule in dataset.compiled.rules
    }
    over = [
        rule
        for rule in dataset.compiled.rules
        if exceeds(limits(dataset, rule).block_above, left[rule.name], counts.extracted)
    ]
    if over:
        return _by_rule(dataset, partition, counts, max(over, key=lambda r: left[r.name]), left)
    share = (counts.rejected - resolved.rows) / counts.extracted if counts.extracted else 0.0
    if share <= dataset.max_bad_share:
        return None
    return _by_share(dataset, partition, counts, counts.rejected - resolved.rows)


def _by_rule(
    dataset: Dataset, partition: str, counts: Counts, rule: Rule, left: Mapping[str, int]
) -> Stop:
    limit = limits(dataset, rule).block_above
    allowed = f"{limit:.3%} of rows" if isinstance(limit, float) else f"{limit:,} rows"
    ways = ["have them corrected at the source"]
    if rule.severity == "error":
        ways.append("resolve those that are to stay out")
    error = PartitionError(
        f"More rows break a rule than its policy allows: {rule.name}",
        where=f"dataset {dataset.name}, partition {partition}",
        expected=f"at most {allowed} that break it (block_above={limit})",
        found=f"{left[rule.name]:,} of {counts.extracted:,} rows",
        fix=f"see the rows: {_list_command(dataset, partition)}; then {', '.join(ways)}, or raise "
        "block_above",
    )
    return Stop(rule.name, describe(error))


def _by_share(dataset: Dataset, partition: str, counts: Counts, left: int) -> Stop:
    blocking = {
        rule.name: counts.broken[rule.name]
        for rule in dataset.compiled.rules
        if rule.severity == "error" and counts.broken.get(rule.name)
    }
    worst = max(blocking, key=lambda name: blocking[name])
    error = PartitionError(
        f"Too many rows break a rule: {worst}",
        where=f"dataset {dataset.name}, partition {partition}",
        expected=f"at most {dataset.max_bad_share:.1%} of rows rejected",
        found=f"{left:,} of {counts.extracted:,} rows ({left / counts.extracted:.1%}); "
        + ", ".join(f"{name}: {rows:,}" for name, rows in blocking.items()),
        fix=f"see the rows: {_list_command(dataset, partition)}; then have them corrected at the "
        "source, correct the contract, resolve those that are to stay out, or raise max_bad_share",
    )
    return Stop(worst, describe(error))


def _list_command(dataset: Dataset, partition: str) -> str:
    return f"platform-assets quarantine list --dataset {dataset.name} --partition {partition}"


def limits(dataset: Dataset, rule: Rule) -> Thresholds:
    """When a rule of a dataset alerts and blocks."""
    return thresholds_of(rule, dataset.rules)


def was_judged(entry: LedgerEntry) -> bool:
    """Whether the partition came as far as its rules: else they have nothing to say of it."""
    return entry.status is not Status.FAILED or entry.stopped_by not in _NOT_JUDGED


def action(dataset: Dataset, rule: Rule, entry: LedgerEntry) -> Action:
    """The strongest that was done about a rule in a partition.

    Args:
        dataset: The dataset.
        rule: One of its rules.
        entry: What became of the partition, whose rows were judged.
    """
    rows, limit = entry.broken.get(rule.name, 0), limits(dataset, rule)
    failed = entry.status is Status.FAILED
    if failed and (
        entry.stopped_by == rule.name or exceeds(limit.block_above, rows, entry.extracted)
    ):
        return Action.BLOCK
    if exceeds(limit.alert_above, rows, entry.extracted):
        return Action.ALERT
    return Action.QUARANTINE if rows and rule.severity == "error" else Action.PASS


def strongest(actions: Iterable[Action]) -> Action:
    """The strongest of several; pass where there is none."""
    order = list(Action)
    return max(actions, key=order.index, default=Action.PASS)


def demands(dataset: Dataset) -> tuple[str, ...]:
    """What policies add to what a publish depends on: severities are in the contract's version."""
    blocking = {
        name: policy.block_above
        for name, policy in dataset.rules.items()
        if policy.block_above is not None
    }
    return tuple(f"{name}>{limit!r}" for name, limit in sorted(blocking.items()))


def hold_back(step: Step, entries: Iterable[LedgerEntry]) -> None:
    """Have the rows that stopped a partition go to the quarantine, whatever their severity.

    A warning's rows are published; where there are so many of them that nothing is, they are
    among the rows that stopped the partition, and have to be found.

    Args:
        step: What to work on and with; its verdicts are changed.
        entries: What becomes of each partition that was judged.
    """
    noted = {rule.name for rule in step.dataset.compiled.rules if rule.severity != "error"}
    held = " OR ".join(
        f"({PARTITION_COLUMN} = {quote_literal(entry.partition)} "
        f"AND list_contains(_broken, {quote_literal(entry.stopped_by)}))"
        for entry in entries
        if entry.status is Status.FAILED and entry.stopped_by in noted
    )
    if held:
        step.lake.execute(f"UPDATE {VERDICTS} SET _rejected = true WHERE {held}")
