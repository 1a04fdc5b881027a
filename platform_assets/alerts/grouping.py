"""From signals to problems, and from problems to the incidents that they are told as.

Belongs here: which problem a signal is about, and which incident a problem is part of. Does not
belong here: what is said of an incident (``saying``).

Problems of one root cause are one incident; where no cause is known, those of one kind and subject
are. An effect that is noticed before its cause waits for it under the cause's fingerprint. Until an
incident was told to somebody its problems go where their cause is; then they stay.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from platform_assets.alerts.incidents import Failure, Incident, Problem, State, problem_key
from platform_assets.alerts.signals import Severity, Signal, Standing

_SEPARATOR = "\x1f"


class Groups:
    """Problems and incidents while signals are taken in.

    Args:
        state: What was known; it is not changed.
        now: The time.
        remember: How long failures of a subject are kept.
    """

    def __init__(self, state: State, now: datetime, remember: timedelta) -> None:
        self.now = now
        self.problems = dict(state.problems)
        self.incidents = dict(state.incidents)
        self.failures = {
            subject: kept
            for subject, all_of_it in state.failures.items()
            if (kept := tuple(each for each in all_of_it if each.at > now - remember))
        }
        self.members: dict[str, dict[str, None]] = defaultdict(dict)
        for key, problem in self.problems.items():
            self.members[problem.incident][key] = None
        self._by_key = {each.key: each.id for each in self.incidents.values()}
        self._coming: dict[str, Signal] = {}
        self._back: set[str] = set()
        self.finished: list[tuple[Incident, tuple[Problem, ...]]] = []

    def take(self, signals: Sequence[Signal]) -> None:
        """Take signals in.

        Args:
            signals: In the order in which things happened.
        """
        # Causes are looked up in the whole batch: the effect may come first.
        self._coming = {
            each.fingerprint: each for each in signals if each.standing is Standing.OPEN
        }
        self._back = set()
        touched: dict[str, None] = {}
        for signal in signals:
            touched.update(dict.fromkeys(self._take_one(signal)))
        for identity in touched:
            self._settle(identity)
        self._coming = {}

    def of(self, incident: Incident) -> list[Problem]:
        """The problems of an incident, the root first, then the oldest."""
        found = [self.problems[key] for key in self.members[incident.id]]
        root = incident.root
        return sorted(
            found,
            key=lambda p: (
                p.key != root,
                p.since,
                p.signal.subject,
                p.signal.partition,
                # Whoever loads the state anew says the same.
                p.key,
            ),
        )

    def finish(self, incident: Incident) -> None:
        """Leave an incident that cannot come back out of what is known."""
        gone = tuple(self.problems.pop(each) for each in self.members.pop(incident.id, {}))
        self._drop(incident)
        self.finished.append((incident, gone))

    def _take_one(self, signal: Signal) -> Iterable[str]:
        known = self.problems.get(problem_key(signal))
        if signal.standing in (Standing.OVER, Standing.GONE):
            if known is None or not known.is_open:
                return ()
            if signal.standing is Standing.GONE:
                known = replace(known, signal=replace(known.signal, standing=Standing.GONE))
            self.problems[problem_key(signal)] = replace(known, over_at=max(signal.at, known.since))
            return (known.incident,)
        if signal.standing is Standing.ONCE:
            return self._happened(signal, known)
        if known is None:
            self._note_failure(signal, again=False)
            return self._opened(signal)
        self._note_failure(signal, again=known.is_open and known.signal.run_id == signal.run_id)
        self.problems[problem_key(signal)] = replace(
            known, signal=signal, seen=known.seen + 1, over_at=None
        )
        self._note_return(known.incident)
        self._count(known.incident)
        moved = self._moved_to_cause(signal, known.incident)
        return (known.incident, *moved)

    def _happened(self, signal: Signal, known: Problem | None) -> Iterable[str]:
        if known is not None:
            if known.signal.at >= signal.at:
                return ()  # it was told of already
            # It leaves its incident, which is over; that one keeps what was said of it.
            del self.members[known.incident][known.key]
        key = _SEPARATOR.join(("once", signal.kind, signal.subject))
        incident = self._open_of(key)
        if incident is None or incident.told:
            incident = self._new(key, signal, once=True)
        self._join(signal, incident, over_at=signal.at)
        return (incident.id,)

    def _opened(self, signal: Signal) -> Iterable[str]:
        key = problem_key(signal)
        own = self._key(signal)
        incident = self._open_of(own)
        awaited = self._open_of(_awaiting(key))
        left: tuple[str, ...] = ()
        if awaited is not None and incident is None:
            # Its effects were noticed before it: it becomes the root of their incident.
            del self._by_key[awaited.key]
            incident = replace(awaited, key=own, root=key)
            self._put(incident)
        elif awaited is not None and incident is not None and not awaited.told:
            left = self._merge(awaited, incident)
        if incident is None:
            incident = self._new(own, signal)
        self._note_return(incident.id)
        self._join(signal, incident)
        return (incident.id, *left)

    def _moved_to_cause(self, signal: Signal, current: str) -> Iterable[str]:
        """Move a problem whose cause has become known, unless its incident was told already."""
        incident = self.incidents[current]
        if not signal.cause or incident.told or incident.once:
            return ()
        key = self._key(signal)
        if key == incident.key:
            return ()
        target = self._open_of(key) or self._new(key, signal)
        problem = self.problems[problem_key(signal)]
        del self.members[current][problem_key(signal)]
        self.members[target.id][problem_key(signal)] = None
        self.problems[problem_key(signal)] = replace(problem, incident=target.id)
        self._put(
            replace(
                target,
                since=min(target.since, problem.since),
                noticed_at=min(target.noticed_at, incident.noticed_at),
                signals=target.signals + problem.seen,
            )
        )
        return (target.id,)

    def _merge(self, gone: Incident, into: Incident) -> tuple[str, ...]:
        for key in self.members.pop(gone.id, {}):
            self.problems[key] = replace(self.problems[key], incident=into.id)
            self.members[into.id][key] = None
        self._put(replace(into, signals=into.signals + gone.signals))
        self._drop(gone)
        return (into.id,)

    def _key(self, signal: Signal) -> str:
        """What the problems of its incident have in common: the root cause, or kind and subject."""
        seen = {signal.fingerprint}
        root = signal
        while root.cause and root.cause not in seen:
            seen.add(root.cause)
            problem = self.problems.get(root.cause)
            if problem is not None and problem.is_open:
                root = problem.signal
            elif root.cause in self._coming:
                root = self._coming[root.cause]
            elif problem is not None:
                break  # what it followed from is over: it goes on by itself
            else:
                return _awaiting(root.cause)
        return _SEPARATOR.join((root.kind, root.subject))

    def _open_of(self, key: str) -> Incident | None:
        return self.incidents.get(self._by_key.get(key, ""))

    def _new(self, key: str, signal: Signal, *, once: bool = False) -> Incident:
        identity = _SEPARATOR.join(
            (key, problem_key(signal), signal.at.isoformat(), self.now.isoformat())
        )
        incident = Incident(
            id=hashlib.sha256(identity.encode()).hexdigest()[:12],
            key=key,
            since=signal.at,
            noticed_at=self.now,
            severity=signal.severity,
            root=problem_key(signal),
            once=once,
        )
        self._put(incident)
        return incident

    def _join(self, signal: Signal, incident: Incident, over_at: datetime | None = None) -> None:
        self.problems[problem_key(signal)] = Problem(
            signal, incident.id, signal.at, over_at=over_at
        )
        self.members[incident.id][problem_key(signal)] = None
        self._count(incident.id)

    def _count(self, identity: str) -> None:
        incident = self.incidents[identity]
        self.incidents[identity] = replace(incident, signals=incident.signals + 1)

    def _put(self, incident: Incident) -> None:
        self.incidents[incident.id] = incident
        self._by_key[incident.key] = incident.id

    def _drop(self, incident: Incident) -> None:
        del self.incidents[incident.id]
        if self._by_key.get(incident.key) == incident.id:
            del self._by_key[incident.key]

    def _note_return(self, identity: str) -> None:
        """Note that an incident that is over has come back, be it for less than a step."""
        if not self.incidents[identity].is_open:
            self._back.add(identity)

    def _note_failure(self, signal: Signal, *, again: bool) -> None:
        """Count a failure of the subject; that it is still there is none."""
        if again or signal.severity is not Severity.ERROR:
            return
        failure = Failure(signal.run_id or f"{signal.fingerprint} {signal.at}", signal.at)
        before = self.failures.get(signal.subject, ())
        if all(each.key != failure.key for each in before):
            self.failures[signal.subject] = (*before, failure)

    def _settle(self, identity: str) -> None:
        """Bring an incident in line with its problems."""
        incident = self.incidents.get(identity)
        if incident is None:
            return
        problems = [self.problems[key] for key in self.members[identity]]
        if not problems:
            self._drop(incident)
            return
        there = any(each.is_open for each in problems)
        ends = [each.over_at for each in problems if each.over_at is not None]
        back = identity in self._back or (there and not incident.is_open)
        self.incidents[identity] = replace(
            incident,
            since=min(each.since for each in problems),
            # The worst that it ever was: who was told of an error is told that it is over.
            severity=max(
                (incident.severity, *(each.signal.severity for each in problems)),
                key=lambda s: s.rank,
            ),
            root=_root_of(problems, incident.root),
            over_at=None if there else max(ends),
            reopened=incident.reopened + back,
            noticed_at=self.now if back else incident.noticed_at,
        )


def _awaiting(cause: str) -> str:
    return f"cause{_SEPARATOR}{cause}"


def _root_of(problems: Sequence[Problem], current: str) -> str:
    """The problem that follows from no other of them; of several the one so far, or the first."""
    prints = {each.key for each in problems}
    free = [each for each in problems if each.signal.cause not in prints] or problems
    first = min(free, key=lambda p: (p.key != current, p.since, p.key))
    return first.key
