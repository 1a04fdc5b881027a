"""What is to be said of an incident, to which route, at this moment.

Belongs here: when a message is due. Does not belong here: whether the route is quiet or gets too
many (``pacing``), and its words (``message``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from platform_assets.alerts.grouping import Groups
from platform_assets.alerts.incidents import Incident, Problem, Silence, Told, What
from platform_assets.alerts.routing import Escalation, Policy, Route
from platform_assets.alerts.signals import Severity, Signal


@dataclass(frozen=True)
class Saying:
    """Something that is to be said.

    Attributes:
        route: To whom.
        what: What.
        incident: Of which incident, as it is once that is said.
        problems: The incident's problems, the root first.
        number: Which of the messages to this route about this incident it is, from 1.
        suppressed: Signals since the message before it that nothing was said of.
        before: How severe the route was told that it is; None: it was told nothing yet.
    """

    route: Route
    what: What
    incident: Incident
    problems: Sequence[Problem]
    number: int
    suppressed: int = 0
    before: Severity | None = None


class Sayings:
    """What is due, incident by incident.

    Args:
        groups: The problems and incidents; incidents are changed there as they are told.
        silences: What nothing is said of.
        policy: Who is told.
        now: The time.
    """

    def __init__(
        self, groups: Groups, silences: Sequence[Silence], policy: Policy, now: datetime
    ) -> None:
        self.groups = groups
        self.silences = [each for each in silences if each.begins <= now < each.until]
        self.policy = policy
        self.now = now
        self._routes: dict[tuple[object, ...], list[Route]] = {}

    def all(self) -> list[Saying]:
        """Everything that is due now."""
        found: list[Saying] = []
        for incident in list(self.groups.incidents.values()):
            found += self._of(incident, self.groups.of(incident))
        return found

    def finish(self) -> None:
        """Finish what cannot come back, and of which nobody is to be told any more."""
        for incident in list(self.groups.incidents.values()):
            if self._is_finished(incident):
                self.groups.finish(incident)

    def _of(self, incident: Incident, problems: Sequence[Problem]) -> Iterator[Saying]:
        there = [each for each in problems if each.is_open] or list(problems)
        silence = self._silence_of(there)
        if silence is not None:
            if not incident.silence:
                self.groups.incidents[incident.id] = replace(incident, silence=silence.id)
            return
        escalated = set()
        for escalation in self.policy.escalations:
            route = self.policy.route(escalation.to)
            if route is not None and self._is_due(escalation, incident, there):
                name = _name(escalation)
                incident = replace(incident, escalated=(*incident.escalated, name))
                if route.name not in escalated:
                    escalated.add(route.name)
                    incident, saying = self._told(incident, problems, route, What.ESCALATED)
                    yield saying
        wanted = self._wanted(problems)
        for route in self.policy.routes:
            if route.name in escalated:
                continue
            what = self._what(incident, there, route, wanted.get(route.name))
            if what is not None:
                incident, saying = self._told(incident, problems, route, what)
                yield saying

    def _what(
        self,
        incident: Incident,
        there: Sequence[Problem],
        route: Route,
        wanted: Severity | None,
    ) -> What | None:
        """What a route is to be told now; None: nothing.

        Args:
            incident: The incident.
            there: Its problems that are there; of one that is over, all.
            route: The route.
            wanted: The worst of the problems that the route takes; None: it takes none.
        """
        told = incident.told.get(route.name)
        waited = self.now >= incident.noticed_at + route.group_wait
        over = self._is_over(incident)
        if told is not None and not told.ended:
            if over:
                return What.RECOVERED
            worst = max((each.signal.severity for each in there), key=lambda s: s.rank)
            if worst.rank > told.severity.rank:
                return What.WORSE
            repeats = route.repeat_after is not None and incident.ack is None
            due = repeats and self.now >= told.last_at + (route.repeat_after or self.now - self.now)
            return What.REPEATED if due else None
        if wanted is None or not waited:
            return None
        if incident.once:
            return What.HAPPENED if told is None else None
        if not over:
            return What.BEGUN
        never = told is None and not incident.silence
        return What.PASSED if never and wanted is Severity.ERROR else None

    def _is_over(self, incident: Incident) -> bool:
        """Whether it is over; one that came back, only once it has been gone for a while."""
        if incident.over_at is None:
            return False
        return not incident.reopened or self.now >= incident.over_at + self.policy.reopen_within

    def _is_finished(self, incident: Incident) -> bool:
        """Whether it cannot come back, and nobody is to be told of it any more."""
        if incident.over_at is None or self.now < incident.over_at + self.policy.reopen_within:
            return False
        known = {each.name for each in self.policy.routes}
        waits = max((each.group_wait for each in self.policy.routes), default=None)
        pending = any(name in known and not told.ended for name, told in incident.told.items())
        return not pending and (waits is None or self.now >= incident.noticed_at + waits)

    def _is_due(self, escalation: Escalation, incident: Incident, there: Sequence[Problem]) -> bool:
        if (
            not incident.is_open
            or incident.ack is not None
            or _name(escalation) in incident.escalated
        ):
            return False
        meant = [each for each in there if escalation.match.takes(each.signal)]
        if not meant:
            return False
        if escalation.failures is not None:
            after = self.now - escalation.within
            return any(
                sum(each.at > after for each in self.groups.failures.get(subject, ()))
                >= escalation.failures
                for subject in {each.signal.subject for each in meant}
            )
        told = [each.begun_at for each in incident.told.values() if not each.ended]
        assert escalation.unacknowledged is not None  # the policy's reader has seen to it
        return bool(told) and self.now >= min(told) + escalation.unacknowledged

    def _told(
        self, incident: Incident, problems: Sequence[Problem], route: Route, what: What
    ) -> tuple[Incident, Saying]:
        before = incident.told.get(route.name)
        new = before is None or before.ended
        worst = incident.severity
        if before is not None and not new:
            worst = max(worst, before.severity, key=lambda s: s.rank)
        told = Told(
            begun_at=self.now if before is None or new else before.begun_at,
            last_at=self.now,
            messages=(before.messages if before else 0) + 1,
            severity=worst,
            signals=incident.signals,
            ended=what in (What.RECOVERED, What.PASSED, What.HAPPENED),
        )
        after = replace(
            incident,
            told={**incident.told, route.name: told},
            labels=incident.labels or _labels(incident, problems),
        )
        self.groups.incidents[incident.id] = after
        if before is None or new:
            return after, Saying(route, what, after, problems, told.messages)
        # That it is worse, a signal has said that is told of now.
        suppressed = incident.signals - before.signals - (what is What.WORSE)
        return after, Saying(
            route, what, after, problems, told.messages, suppressed, before.severity
        )

    def _wanted(self, problems: Sequence[Problem]) -> dict[str, Severity]:
        """By route, the worst of the problems that it takes."""
        found: dict[str, Severity] = {}
        for problem in problems:
            severity = problem.signal.severity
            for route in self._routes_of(problem.signal):
                if route.name not in found or found[route.name].rank < severity.rank:
                    found[route.name] = severity
        return found

    def _routes_of(self, signal: Signal) -> list[Route]:
        # Three hundred partitions of one asset go the same way.
        alike = (
            signal.kind, signal.severity, signal.owners, signal.dataset, signal.layer,
            signal.subject, signal.partition,
        )  # fmt: skip
        if alike not in self._routes:
            self._routes[alike] = self.policy.routes_of(signal)
        return self._routes[alike]

    def _silence_of(self, there: Sequence[Problem]) -> Silence | None:
        """The silence that keeps an incident quiet: each of its problems is covered."""
        first: Silence | None = None
        for problem in there:
            covering = next(
                (each for each in self.silences if each.match.takes(problem.signal)), None
            )
            if covering is None:
                return None
            first = first or covering
        return first


def _labels(incident: Incident, problems: Sequence[Problem]) -> dict[str, str]:
    """What an incident is known by outside: it stays so, whatever problems it has later."""
    root = problems[0].signal
    labels = {
        "alertname": str(root.kind),
        "service": "platform-assets",
        "subject": root.subject,
        "dataset": root.dataset,
        "layer": root.layer,
        "owner": ",".join(root.owners),
        "incident": incident.id,
    }
    return {name: value for name, value in labels.items() if value}


def _name(escalation: Escalation) -> str:
    """What an escalation is remembered by: what it says, as it has no name."""
    if escalation.failures is not None:
        return f"{escalation.to}: {escalation.failures} in {escalation.within}"
    return f"{escalation.to}: not acknowledged for {escalation.unacknowledged}"
