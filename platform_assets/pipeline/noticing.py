"""Statistics at the gate: rows that are about to be published are profiled and compared.

Belongs here: which partitions are profiled, what stops one, and that profiles and findings are
committed with the rows. Does not belong here: profiles and findings themselves (``quality``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from platform_assets.errors import PartitionError
from platform_assets.partitions import Daily
from platform_assets.pipeline.steps import Step, describe
from platform_assets.quality import findings, profiles
from platform_assets.quality.detectors import Subject, judge
from platform_assets.quality.findings import Finding
from platform_assets.quality.profile import ColumnProfile, categorical, profile
from platform_assets.quality.profiles import Observed
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.ledger import LedgerEntry

# A larger partition, of which less than this share is new, keeps its profile: looking at all of it
# would cost many times what the new rows cost.
ALWAYS_PROFILED_ROWS = 500_000
NEW_SHARE = 0.1


class OddError(Exception):
    """Stops a transaction: what these partitions hold is odd, and severe enough to stop them."""

    def __init__(self, found: Sequence[Finding], known: Sequence[Finding]) -> None:
        super().__init__()
        self.found = found
        self.known = known

    @property
    def stops(self) -> dict[str, tuple[str, str]]:
        """The check that stops each partition, and why, as the ledger says it."""
        stops: dict[str, tuple[str, str]] = {}
        for finding in self.found:
            stops.setdefault(finding.partition, (finding.check_name, _message(finding)))
        return stops


@dataclass(frozen=True)
class Noticed:
    """What statistics have to commit.

    Attributes:
        observed: What is published, to be learnt from.
        found: Findings, those of stopped partitions included.
        known: What was known of the partitions before.
        judged: The partitions that were judged.
    """

    observed: list[Observed] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    known: list[Finding] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)

    def with_stopped(self, stops: Sequence[OddError]) -> Noticed:
        """With what was found about partitions that it stopped, and known of them before."""
        odd = [finding for stop in stops for finding in stop.found]
        stopped = {finding.partition for finding in odd}
        before = [f for stop in stops for f in stop.known if f.partition in stopped]
        return replace(
            self,
            found=[*self.found, *odd],
            known=[*self.known, *before],
            judged=[*self.judged, *sorted(stopped)],
        )

    def record(self, connection: Connection, step: Step, asset: str) -> None:
        """Commit it, in the caller's transaction."""
        profiles.store(connection, asset, step.run_id, self.observed)
        findings.record(connection, asset, self.judged, self.found, self.known)


def notice(
    connection: Connection,
    step: Step,
    asset: str,
    entries: Iterable[LedgerEntry],
    loaded: Mapping[str, LedgerEntry],
    *,
    new: Mapping[str, int] | None,
) -> Noticed:
    """Profile partitions as they are to be published, and compare them with their history.

    Args:
        connection: An open lake, inside the transaction that has written the rows.
        step: What is worked on and with.
        asset: The asset's key.
        entries: What the ledger is to say of the partitions to be published.
        loaded: What it says of their raw rows.
        new: Rows that were merged into each partition; None: they were published whole.

    Raises:
        OddError: Partitions have findings of severity error.
    """
    statistics = step.dataset.statistics
    looked_at = {e.partition: e for e in entries if _is_profiled(e, new)}
    if not looked_at or not statistics.checks:
        return Noticed()
    daily = isinstance(step.dataset.partitions, Daily)
    keys = sorted(looked_at)
    past = _history(connection, step, asset, keys, daily)
    compiled = step.dataset.compiled
    table = tables.cleaned_table(step.dataset.name)
    seen = profile(
        connection,
        compiled,
        table,
        {key: looked_at[key].cleaned for key in keys},
        categories=categorical(connection, compiled, table, keys, _last_columns(past)),
        daily=daily,
    )
    observed = [Observed.of(looked_at[key], loaded[key], seen[key]) for key in keys]
    known = _known(connection, step, asset, keys, daily)
    subject = Subject(
        dataset=step.dataset.name,
        asset=asset,
        run_id=step.run_id,
        statistics=statistics,
        columns=[name for name, _ in compiled.published_columns],
        rules=[rule.name for rule in compiled.rules],
        daily=daily,
    )
    judged = [each for each in observed if not _is_still_filling(step, each.partition)]
    found = judge(subject, judged, past, known)
    severe = [finding for finding in found if finding.severity == "error"]
    if severe:
        stopped = {finding.partition for finding in severe}
        raise OddError([f for f in found if f.partition in stopped], known)
    return Noticed(observed, found, known, [each.partition for each in judged])


def _is_profiled(entry: LedgerEntry, new: Mapping[str, int] | None) -> bool:
    if new is None or entry.cleaned <= ALWAYS_PROFILED_ROWS:
        return True
    return new.get(entry.partition, 0) >= NEW_SHARE * entry.cleaned


def _is_still_filling(step: Step, key: str) -> bool:
    """Whether a day is not over: its rows come in one by one, and say nothing of the day yet."""
    if not step.dataset.has_versions or not isinstance(step.dataset.partitions, Daily):
        return False
    ends = datetime.combine(date.fromisoformat(key), datetime.min.time(), UTC) + timedelta(days=1)
    return datetime.now(UTC) < ends


def _history(
    connection: Connection, step: Step, asset: str, keys: Sequence[str], daily: bool
) -> list[Observed]:
    window = step.dataset.statistics.window
    if daily:
        found = profiles.of_days(connection, asset, keys[0], keys[-1], window)
        return list(found.values())
    return [each for key in keys for each in profiles.of_publishes(connection, asset, key, window)]


def _known(
    connection: Connection, step: Step, asset: str, keys: Sequence[str], daily: bool
) -> list[Finding]:
    """What is known of these partitions and of those that they are judged by."""
    if not daily:
        return findings.standing(connection, asset, partitions=keys)
    window = step.dataset.statistics.window
    first = str(date.fromisoformat(keys[0]) - timedelta(days=window))
    return findings.standing(connection, asset, between=(first, keys[-1]))


def _last_columns(past: Sequence[Observed]) -> Mapping[str, ColumnProfile]:
    filled = [each.profile.columns for each in past if each.profile.rows]
    return filled[-1] if filled else {}


def _message(finding: Finding) -> str:
    return describe(
        PartitionError(
            f"A partition is not what its history makes expected: {finding.check_name}",
            where=f"dataset {finding.dataset}, partition {finding.partition}, "
            f"{finding.column_name}",
            expected=f"{finding.expected_low:,.6g} to {finding.expected_high:,.6g}",
            found=finding.message,
            fix="have it corrected at the source; or, if it is right, say so and run the partition "
            f"again: platform-assets checks accept {finding.finding_id} --reason '…'",
        )
    )
