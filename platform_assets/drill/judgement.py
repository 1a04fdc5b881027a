"""What to make of what the platform said: noticed or missed, by what, after how many runs.

Belongs here: comparing the runs of an incident with the clean runs of the same days, and the goals.
Does not belong here: running anything (``harness``), or words for people (``report``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from platform_assets.drill.evidence import ERROR, INFO, WARN, Signal, State
from platform_assets.drill.incident import Expect, Incident
from platform_assets.drill.plan import Plan
from platform_assets.quality.policy import CHECKS

WARNINGS_A_YEAR = 1
"""How many false alarms a dataset may have in a clean year at ``warn``; at ``error`` none."""

_YEAR = 365
_CHECKS = tuple(CHECKS)
_LAYERS = ("step", "gate", "schema", "statistics", "rule")


class Verdict(StrEnum):
    """What became of an incident."""

    DETECTED = "detected"
    MISSED = "missed"
    QUIET = "quiet"
    """Nothing was said, and nothing had to be."""
    FALSE_ALARM = "false alarm"
    """Something was said, or rows differ, where nothing was wrong."""


@dataclass(frozen=True)
class Clean:
    """A run of a day on which nothing went wrong.

    Attributes:
        signals: What the platform said all the same.
        states: What each dataset's cleaned table held after it.
    """

    signals: tuple[Signal, ...]
    states: Mapping[str, State]


@dataclass(frozen=True)
class Run:
    """A run of a day of an incident.

    Attributes:
        signals: What the platform said, without what it says of the clean day too.
        published: Whether the incident's partition was published.
        before: What the dataset's cleaned table held before it.
        after: The same afterwards.
        unlike: Datasets whose cleaned table is not the clean run's afterwards.
    """

    signals: tuple[Signal, ...]
    published: bool
    before: State
    after: State
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of an incident.

    Attributes:
        incident: Its name.
        dataset: The dataset that it is about.
        story: What happened.
        expect: What was expected.
        verdict: What became of it.
        runs: Runs, from the first that it touched, until it was noticed; 0: never.
        signals: What was said in that run, the most telling first.
        blocked: Whether the first partition that it touched was kept from being published.
        holds: Whether a blocked partition left every row as it was.
        counts: Whether the drill was large and long enough for this incident to be expected.
        seconds: What it took.
    """

    incident: str
    dataset: str
    story: str
    expect: Expect
    verdict: Verdict
    runs: int
    signals: tuple[Signal, ...]
    blocked: bool
    holds: bool
    counts: bool = True
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether it breaks the drill's goals."""
        if not self.holds or self.verdict is Verdict.FALSE_ALARM:
            return True
        if not self.counts or self.expect in {Expect.PERHAPS, Expect.SILENCE}:
            return False
        late = self.expect is Expect.AT_ONCE and self.runs > 1
        return self.verdict is Verdict.MISSED or late


@dataclass(frozen=True)
class FalseAlarms:
    """What was said of a dataset in the clean year.

    Attributes:
        dataset: The dataset.
        errors: At ``error``.
        warnings: At ``warn``.
        infos: At ``info``.
        machine: About the time that a run took, which is the machine's: they count for nothing.
        allowed: How many at ``warn`` are within the goal, by the length of the year.
    """

    dataset: str
    errors: int
    warnings: int
    infos: int
    machine: int
    allowed: int

    @property
    def failed(self) -> bool:
        """Whether they break the drill's goals."""
        return self.errors > 0 or self.warnings > self.allowed


def beyond(
    found: Iterable[Signal], clean: Iterable[Signal], *, of_machine: bool = False
) -> tuple[Signal, ...]:
    """The signals that the clean run of the same day has not, the most telling first.

    What is only for information is no alarm, and is left out.

    Args:
        found: What was said.
        clean: What was said of the clean day.
        of_machine: Whether the time that a run took is a matter of the incident.
    """
    usual: dict[tuple[str, ...], int] = {}
    for each in clean:
        usual[each.identity] = max(usual.get(each.identity, 0), each.amount)
    new = [
        each
        for each in found
        if each.severity != INFO
        and (of_machine or not each.is_of_machine)
        and (each.identity not in usual or each.amount > usual[each.identity])
    ]
    return tuple(sorted(new, key=_telling))


def _telling(signal: Signal) -> tuple[bool, int, int, int, str]:
    layer = _LAYERS.index(signal.layer)
    check = _CHECKS.index(signal.check) if signal.check in _CHECKS else len(_CHECKS)
    return (signal.severity != ERROR, layer, check, -signal.amount, signal.name)


def judge(incident: Incident, plan: Plan, runs: Sequence[Run]) -> Outcome:
    """What became of an incident.

    Args:
        incident: The incident.
        plan: How large the drill is.
        runs: Its runs, from the first that it touched on.
    """
    noticed = next((number for number, run in enumerate(runs, 1) if run.signals), 0)
    holds = all(run.published or run.before == run.after for run in runs)
    if incident.expect is Expect.SILENCE:
        same = incident.changes or not any(run.unlike for run in runs)
        verdict = Verdict.QUIET if same and not noticed else Verdict.FALSE_ALARM
    else:
        verdict = Verdict.DETECTED if noticed else Verdict.MISSED
    return Outcome(
        incident=incident.name,
        dataset=incident.dataset,
        story=incident.story,
        expect=incident.expect,
        verdict=verdict,
        runs=noticed,
        signals=runs[noticed - 1].signals if noticed else (),
        blocked=not runs[0].published,
        holds=holds,
        counts=plan.orders_per_day >= incident.orders and plan.days >= incident.history,
    )


def false_alarms(datasets: Sequence[str], days: int, clean: Iterable[Signal]) -> list[FalseAlarms]:
    """Count what was said of the clean year.

    Args:
        datasets: The datasets' names.
        days: The days of the year.
        clean: All that was said of it.
    """
    counted: Counter[tuple[str, str]] = Counter()
    for each in clean:
        counted[each.dataset, "machine" if each.is_of_machine else each.severity] += 1
    # A part of a year may have one too: less than one cannot be counted.
    allowed = max(WARNINGS_A_YEAR, WARNINGS_A_YEAR * days // _YEAR)
    return [
        FalseAlarms(
            name,
            errors=counted[name, ERROR],
            warnings=counted[name, WARN],
            infos=counted[name, INFO],
            machine=counted[name, "machine"],
            allowed=allowed,
        )
        for name in datasets
    ]
