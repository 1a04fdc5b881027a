"""How much a route gets at once: nothing while it is quiet, and no flood in a storm.

Belongs here: which messages go out, which wait, and which go out together. Does not belong here:
whether something is to be said (``saying``), its words (``message``).

Of a route's budget one half is for single messages and one half for digests, which go out at once
and then at equal distances: what is folded waits for no longer than that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from platform_assets.alerts.incidents import FOLDED, HELD, Message, Pace, What
from platform_assets.alerts.routing import Policy, Route
from platform_assets.alerts.saying import Saying

Worded = Callable[[Saying, str], Message]
"""Makes a message of what is to be said; told why it waits, or an empty text."""
Together = Callable[[What, Route, Sequence[Message]], Message]
"""Makes one message of several."""

_ORDER = list(What)


@dataclass(frozen=True)
class Paced:
    """What became of what was to be said.

    Attributes:
        messages: New messages: those that go out, and those that wait.
        waiting: All that wait now.
        paces: What each route was sent lately.
    """

    messages: list[Message]
    waiting: tuple[Message, ...]
    paces: dict[str, Pace]


class Pacer:
    """The routes' pace at one moment.

    Args:
        policy: How much a route gets, and when it is quiet.
        now: The time.
        worded: Makes messages.
        together: Makes one message of several.
    """

    def __init__(self, policy: Policy, now: datetime, worded: Worded, together: Together) -> None:
        self.policy = policy
        self.now = now
        self.worded = worded
        self.together = together

    def pace(
        self, sayings: Iterable[Saying], waiting: Iterable[Message], paces: dict[str, Pace]
    ) -> Paced:
        """Decide what goes out.

        Args:
            sayings: What is to be said.
            waiting: What waits since earlier.
            paces: What each route was sent lately.
        """
        said: dict[str, list[Saying]] = defaultdict(list)
        for saying in sayings:
            said[saying.route.name].append(saying)
        waits: dict[str, list[Message]] = defaultdict(list)
        for message in waiting:
            waits[message.route].append(message)
        messages: list[Message] = []
        left: list[Message] = []
        after: dict[str, Pace] = {}
        for route in self.policy.routes:
            new, kept, pace = self._route(
                route, said[route.name], waits.pop(route.name, []), paces.get(route.name, Pace())
            )
            messages += new
            left += kept
            after[route.name] = pace
        # Of a route that is gone: they stay to be seen.
        left += [message for kept in waits.values() for message in kept]
        return Paced(messages, tuple(left), after)

    def _route(
        self, route: Route, sayings: list[Saying], waiting: list[Message], pace: Pace
    ) -> tuple[list[Message], list[Message], Pace]:
        storm = self.policy.storm
        sent = [each for each in pace.sent if each > self.now - storm.within]
        messages: list[Message] = []
        held = [each for each in waiting if each.waits == HELD]
        folded = [each for each in waiting if each.waits == FOLDED]
        released = [each for each in held if not route.holds(each.severity, self.now)]
        if released:
            messages.append(self._as_one(What.SUMMARY, route, released))
            held = [each for each in held if each not in released]
        sayings.sort(key=_urgency)
        for saying in sayings:
            if route.holds(saying.incident.severity, self.now):
                held.append(self.worded(saying, HELD))
                messages.append(held[-1])
            elif len(sent) < storm.single:
                sent.append(self.now)
                messages.append(self.worded(saying, ""))
            else:
                folded.append(self.worded(saying, FOLDED))
                messages.append(folded[-1])
        digested = pace.digested_at
        if self._may_digest(route, folded, digested):
            messages.append(self._as_one(What.DIGEST, route, folded))
            folded, digested = [], self.now
        return messages, [*held, *folded], Pace(tuple(sent), digested)

    def _may_digest(
        self, route: Route, folded: Sequence[Message], digested: datetime | None
    ) -> bool:
        if not folded or route.holds(_worst(folded).severity, self.now):
            return False
        return digested is None or self.now >= digested + self.policy.storm.digest_every

    def _as_one(self, what: What, route: Route, messages: Sequence[Message]) -> Message:
        made = self.together(what, route, messages)
        return replace(made, parts=tuple(each.id for each in messages))


def _worst(messages: Sequence[Message]) -> Message:
    return max(messages, key=lambda each: each.severity.rank)


def _urgency(saying: Saying) -> tuple[int, int, datetime, str, str]:
    incident = saying.incident
    subject = incident.labels["subject"]
    return (
        -incident.severity.rank,
        _ORDER.index(saying.what),
        incident.since,
        subject,
        incident.id,
    )
