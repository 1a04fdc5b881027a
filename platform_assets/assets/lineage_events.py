"""OpenLineage events around the steps: START before, and COMPLETE, FAIL or ABORT after.

Belongs here: when an event is sent, and how a run has ended by the ledger. Does not belong here:
what a step reads and writes (``lineage_steps``), and what is in an event (``openlineage_events``).

Off, which it is until openlineage-python is told where events go, a step runs as if this was not
here. On, a fault of lineage is said in the run's log and fails no step.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from platform_assets.assets.lineage_steps import Told
from platform_assets.observability import openlineage_sending as sending
from platform_assets.pipeline.steps import describe
from platform_assets.quality import profiles
from platform_assets.warehouse import ledger
from platform_assets.warehouse.ledger import LedgerEntry, Status

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from platform_assets.assets.lineage_work import Entries

SHOWN_MESSAGES = 20
INTERRUPTED = "The run was ended before the step was."

Compute = Callable[[dg.AssetExecutionContext], Iterator[Any]]
Jobs = Callable[[dg.AssetExecutionContext], Sequence[Told]]
_INTERRUPTS = (GeneratorExit, KeyboardInterrupt, DagsterExecutionInterruptedError)


def emitting(jobs: Jobs) -> Callable[[Compute], Compute]:
    """Have a step's function tell of its run, where somebody listens.

    Args:
        jobs: What the step does, asked when it begins and when it has ended.
    """

    def decorate(compute: Compute) -> Compute:
        @functools.wraps(compute)
        def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
            if not sending.is_on():
                yield from compute(context)
                return
            step = _Step(context, jobs)
            step.begin()
            try:
                yield from compute(context)
            except BaseException as error:
                step.end(error)
                raise
            step.end(None)

        return run

    return decorate


class _Step:
    """One step of a run, from its first event to its last."""

    def __init__(self, context: dg.AssetExecutionContext, jobs: Jobs) -> None:
        self._context = context
        self._jobs = jobs
        self._begun: set[str] = set()

    def begin(self) -> None:
        """Tell that it begins."""
        self._tell(self._starts)

    def end(self, error: BaseException | None) -> None:
        """Tell how it has ended, and wait shortly until that is sent.

        Args:
            error: What ended it; None: it came to its end.
        """
        self._tell(lambda: self._ends(error))

    def _tell(self, make: Callable[[], "list[RunEvent]"]) -> None:
        try:
            sender = sending.sender()
            sender.send(make())
            said = sender.settle()
        except Exception as fault:  # lineage tells of a run, and must not decide over it
            said = f"OpenLineage events could not be made: {describe(fault)}"
        if said:
            self._context.log.warning(said)

    def _starts(self) -> "list[RunEvent]":
        from platform_assets.assets.lineage_work import work_of
        from platform_assets.observability.openlineage_events import started

        told = self._jobs(self._context)
        self._begun = {each.job for each in told}
        return [started(work_of(self._context, each, {})) for each in told]

    def _ends(self, error: BaseException | None) -> "list[RunEvent]":
        from platform_assets.assets.lineage_work import nulls_of, work_of
        from platform_assets.observability.openlineage_events import ended

        told = [each for each in self._jobs(self._context) if each.job in self._begun]
        if isinstance(error, _INTERRUPTS):
            works = [work_of(self._context, each, {}) for each in told]
            return [ended(replace(work, message=INTERRUPTED), "ABORT") for work in works]
        assets = {each.ledger for each in told} | {w.asset for each in told for w in each.written}
        with self._context.resources.lake.get_connection() as lake:
            run = self._context.run.run_id
            entries = {asset: ledger.told_in(lake, run, asset) for asset in sorted(assets)}
            judged = [each.ledger for each in told if each.judges_inputs]
            observed = {asset: profiles.of_run(lake, asset, run) for asset in judged}
        nulls = {asset: nulls_of(found, entries[asset]) for asset, found in observed.items()}
        return [event for each in told for event in self._ending(each, entries, nulls, error)]

    def _ending(
        self,
        told: Told,
        entries: "Entries",
        nulls: Mapping[str, Mapping[str, int]],
        error: BaseException | None,
    ) -> "list[RunEvent]":
        from platform_assets.assets.lineage_work import work_of
        from platform_assets.observability.openlineage_events import ended, failed_beside

        own = entries[told.ledger]
        bad = [entry for entry in own.values() if entry.status is Status.FAILED]
        if len(bad) < len(own):
            good = work_of(self._context, told, _only(entries, failed=False), nulls)
            events = [ended(good, "COMPLETE")]
            if bad:
                beside = work_of(self._context, told, _only(entries, failed=True))
                events += failed_beside(replace(beside, message=_message(bad)))
            return events
        work = work_of(self._context, told, entries)
        if bad:
            return [ended(replace(work, message=_message(bad)), "FAIL")]
        # The ledger says nothing of a view that is there already: how the step has ended tells.
        others = [entry for each in entries.values() for entry in each.values()]
        if error is not None and all(entry.status is Status.FAILED for entry in others):
            return [ended(replace(work, message=_described(error)), "FAIL")]
        return [ended(work, "COMPLETE")]


def _only(entries: "Entries", *, failed: bool) -> "Entries":
    """What became of the partitions that failed, or of the others."""
    return {
        asset: {k: e for k, e in own.items() if (e.status is Status.FAILED) is failed}
        for asset, own in entries.items()
    }


def _described(error: BaseException) -> str:
    """An error without a row's value: a failure of the platform's is told, others by their type."""
    if isinstance(error, dg.Failure):
        # Made of the ledger's messages.
        return error.description or "the step failed"
    return describe(error) if isinstance(error, Exception) else type(error).__name__


def _message(failed: Sequence[LedgerEntry]) -> str:
    shown = [f"{e.partition}: stopped by {e.stopped_by}" for e in failed[:SHOWN_MESSAGES]]
    rest = len(failed) - len(shown)
    more = [f"and {rest} more"] if rest > 0 else []
    return "\n".join([*shown, *more, "", failed[0].message]).strip()
