"""How a dataset or an aggregate stands: one state, and why, in a sentence.

Belongs here: the states and the judgement. Does not belong here: asking for facts (``books``,
``watched``), and drawing.

What is stopped or late only because something before it is, does not need anybody: it waits for
that, and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from enum import StrEnum

from platform_assets.alerts.signals import Kind, Severity
from platform_assets.partitions import UNPARTITIONED_KEY, spans
from platform_assets.quality.findings import Finding
from platform_assets.quality.freshness import FreshnessState, Level
from platform_assets.report.model import Alert, Facts, Failure, Published, Unit, Unreadable
from platform_assets.report.units import main_of
from platform_assets.warehouse.ledger import UPSTREAM

SHOWN_SPANS = 4
_FAILING = (Kind.RUN_FAILED, Kind.PARTITION_FAILED, Kind.CHECK_FAILED)


class State(StrEnum):
    """How something stands, the worst first."""

    FAILED = "failed"
    """A partition's newest attempt failed, or an alert of that is open."""
    LATE = "late"
    """What was promised by now is not there; also where it never was."""
    ODD = "odd"
    """All is there, and a finding or an alert is open about it, or it is soon late."""
    NEVER_RUN = "never run"
    """Nothing was ever tried, and nothing was promised by now."""
    UNKNOWN = "unknown"
    """The books that would tell cannot be read."""
    OK = "ok"
    """None of these."""

    @property
    def rank(self) -> int:
        """Its place among the others, 0 the worst."""
        return list(State).index(self)


@dataclass(frozen=True)
class Standing:
    """How a unit stands.

    Attributes:
        unit: The unit.
        state: Its one state: the worst that holds.
        reason: Why, in a sentence.
        about: Keys of those of its assets that the state is of.
        waits_for: Names of the units before it that it is so on account of; empty: by itself.
        newest: The newest partition that is published; empty: none.
        freshness: How fresh what people read of it is; None: nothing is promised, or not known.
    """

    unit: Unit
    state: State
    reason: str
    about: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    newest: str = ""
    freshness: FreshnessState | None = None

    @property
    def needs_somebody(self) -> bool:
        """Whether a person has something to do here, and not at what comes before."""
        return self.state is not State.OK and not self.waits_for


def judge(facts: Facts) -> list[Standing]:
    """How every unit stands, the worst first.

    Args:
        facts: What is known.
    """
    known = _Known.of(facts)
    found = {unit.main: known.standing(unit) for unit in facts.units}
    return sorted(
        (replace(each, waits_for=_roots(each, found)) for each in found.values()),
        key=lambda each: (each.state.rank, bool(each.waits_for), each.unit.name),
    )


def _roots(standing: Standing, found: Mapping[str, Standing]) -> tuple[str, ...]:
    """Names of what a unit waits for in the end: those before it that do not wait themselves."""
    roots: dict[str, None] = {}
    waiting, seen = list(standing.waits_for), {standing.unit.main}
    while waiting:
        main = waiting.pop(0)
        if main in seen or main not in found:
            continue
        seen.add(main)
        if found[main].waits_for:
            waiting += found[main].waits_for
        else:
            roots[found[main].unit.name] = None
    # Two that wait for each other would hide from everybody.
    return tuple(roots)


def told_partitions(keys: Sequence[str]) -> str:
    """Partitions as a person lists them, neighbours as one span, the newest of many.

    Args:
        keys: In order.
    """
    if tuple(keys) == (UNPARTITIONED_KEY,):
        return "the whole table"
    parts = [first if first == last else f"{first} to {last}" for first, last in spans(keys)]
    left_out = len(parts) - SHOWN_SPANS
    shown = ", ".join(parts[-SHOWN_SPANS:])
    return f"{shown} and {left_out} earlier" if left_out > 0 else shown


def counted(number: int, what: str) -> str:
    """A number of things: ``1 partition``, ``2,000 partitions``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


@dataclass(frozen=True)
class _Known:
    """The facts by asset, as a judgement needs them."""

    is_readable: bool
    published: Mapping[str, Published]
    failures: Mapping[str, Sequence[Failure]]
    findings: Mapping[str, Sequence[Finding]]
    freshness: Mapping[str, FreshnessState]
    alerts: Mapping[str, Sequence[Alert]]
    main_of: Mapping[str, str]

    @classmethod
    def of(cls, facts: Facts) -> _Known:
        failures, findings, alerts = defaultdict(list), defaultdict(list), defaultdict(list)
        lake = facts.lake
        is_readable = not isinstance(lake, Unreadable)
        if not isinstance(lake, Unreadable):
            for failure in lake.failures:
                failures[failure.asset].append(failure)
            for finding in lake.findings:
                if finding.severity != "info":
                    findings[finding.asset].append(finding)
        for alert in () if isinstance(facts.watch, Unreadable) else facts.watch.alerts:
            if alert.severity is not Severity.INFO:
                alerts[alert.subject].append(alert)
        return cls(
            is_readable=is_readable,
            published={} if isinstance(lake, Unreadable) else lake.published,
            failures=failures,
            findings=findings,
            freshness={} if isinstance(facts.freshness, Unreadable) else facts.freshness,
            alerts=alerts,
            main_of=main_of(facts.assets),
        )

    def standing(self, unit: Unit) -> Standing:
        """The worst that holds for a unit; what it waits for is the nearest before it."""
        newest = self.published.get(unit.main)
        told = Standing(
            unit,
            State.OK,
            "",
            about=unit.assets,
            newest=(newest.newest if newest else None) or "",
            freshness=self.freshness.get(unit.main),
        )
        for found in (
            self._failed(told),
            self._late(told),
            self._odd(told),
            self._never_run(told),
        ):
            if found is not None:
                return found
        if not self.is_readable:
            return replace(told, state=State.UNKNOWN, reason="The lake cannot be read.")
        return replace(told, reason=self._fine(told))

    def _failed(self, told: Standing) -> Standing | None:
        unit = told.unit
        all_of_it = [f for asset in unit.assets for f in self.failures.get(asset, ())]
        about = tuple(dict.fromkeys(f.asset for f in all_of_it))
        own = [f for f in all_of_it if f.stopped_by != UPSTREAM]
        if own:
            reason = " ".join(map(_stopped, own))
            return replace(told, state=State.FAILED, reason=reason, about=about)
        if all_of_it:
            keys = sorted({key for each in all_of_it for key in each.partitions})
            before = [main for main in unit.made_from if main != unit.main]
            return replace(
                told,
                state=State.FAILED,
                reason=f"{_which(keys)} not built: what {_it(keys)} made from is stopped.",
                about=about,
                waits_for=self._stopped_among(before) or tuple(before),
            )
        alert = next((a for a in self._alerts(unit) if a.kind in _FAILING and _is_bad(a)), None)
        if alert is None:
            return None
        return _alerting(told, State.FAILED, alert)

    def _stopped_among(self, mains: Sequence[str]) -> tuple[str, ...]:
        stopped = {self.main_of[asset] for asset in self.failures if asset in self.main_of}
        return tuple(main for main in mains if main in stopped)

    def _late(self, told: Standing) -> Standing | None:
        late = [
            self.freshness[asset]
            for asset in told.unit.assets
            if asset in self.freshness and self.freshness[asset].level is Level.LATE
        ]
        if not late:
            return None
        # What comes first in a dataset is why the rest of it is late.
        first = late[0]
        # A source has no state of its own: somebody has to look at what is read from it.
        causes = dict.fromkeys(
            self.main_of[key]
            for key in first.late_because
            if self.main_of.get(key, told.unit.main) != told.unit.main
        )
        return replace(
            told,
            state=State.LATE,
            reason=_late(first),
            about=tuple(each.asset for each in late),
            waits_for=tuple(causes),
        )

    def _odd(self, told: Standing) -> Standing | None:
        unit = told.unit
        findings = [f for asset in unit.assets for f in self.findings.get(asset, ())]
        if findings:
            newest = findings[0]
            more = f" {counted(len(findings) - 1, 'further finding')}." if findings[1:] else ""
            reason = f"{newest.partition}: {_sentence(newest.message)}{more}"
            about = tuple(dict.fromkeys(each.asset for each in findings))
            return replace(told, state=State.ODD, reason=reason, about=about)
        alert = next(iter(self._alerts(unit)), None)
        if alert is not None:
            return _alerting(told, State.ODD, alert)
        for asset in unit.assets:
            fresh = self.freshness.get(asset)
            if fresh is not None and fresh.level is Level.WARN:
                reason = _sentence(fresh.message)
                return replace(told, state=State.ODD, reason=reason, about=(asset,))
        return None

    def _never_run(self, told: Standing) -> Standing | None:
        if not self.is_readable or any(asset in self.published for asset in told.unit.assets):
            return None
        return replace(told, state=State.NEVER_RUN, reason="Nothing was ever tried.")

    def _alerts(self, unit: Unit) -> Iterator[Alert]:
        for asset in unit.assets:
            yield from self.alerts.get(asset, ())

    def _fine(self, told: Standing) -> str:
        stood = self.published.get(told.unit.main)
        if stood is None or not stood.partitions:
            return "Nothing is published yet; what was tried so far passed."
        if told.newest == UNPARTITIONED_KEY:
            return "The whole table is published."
        return f"{counted(stood.partitions, 'partition')} published, none failed."


def _stopped(failure: Failure) -> str:
    keys = failure.partitions
    return f"{_which(keys)} stopped by {failure.stopped_by}: {told_partitions(keys)}."


def _which(keys: Sequence[str]) -> str:
    return counted(len(keys), "partition") + (" is" if len(keys) == 1 else " are")


def _it(keys: Sequence[str]) -> str:
    return "it is" if len(keys) == 1 else "they are"


def _late(state: FreshnessState) -> str:
    """What is missing and until when it was promised; else all that is known of it."""
    expected, deadline = state.expected, state.deadline
    if expected is None or deadline is None or (state.newest or "") >= expected:
        return _sentence(state.message)
    told = f"{expected} was promised by {deadline.astimezone(UTC):%Y-%m-%d %H:%M} and is not there."
    because = f" Because of {', '.join(state.late_because)}." if state.late_because else ""
    return told + because


def _alerting(told: Standing, state: State, alert: Alert) -> Standing:
    reason = _sentence(alert.title or alert.kind)
    return replace(told, state=state, reason=reason, about=(alert.subject,))


def _is_bad(alert: Alert) -> bool:
    return alert.severity is Severity.ERROR


def _sentence(text: str) -> str:
    """A text as a sentence: with a capital first and a full stop last."""
    told = " ".join(text.split())
    return told[:1].upper() + told[1:] + ("" if told.endswith((".", "!", "?")) else ".")
