"""What becomes of problems over time, and what is said of them: a state machine without a clock.

Belongs here: one step, from state, signals, policy and time to the next state and the messages.
Does not belong here: its parts (``grouping``, ``saying``, ``pacing``, ``message``), keeping the
state (``store``), sending (``delivery``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from platform_assets.alerts.grouping import Groups
from platform_assets.alerts.incidents import Incident, Message, Problem, State
from platform_assets.alerts.message import Words
from platform_assets.alerts.pacing import Pacer
from platform_assets.alerts.routing import Policy
from platform_assets.alerts.saying import Sayings
from platform_assets.alerts.signals import Signal


@dataclass(frozen=True)
class Step:
    """What a step led to.

    Attributes:
        state: What is known now.
        messages: What is said: those that go out, those that wait (``waits``), and those that take
            the place of several (``parts``).
        finished: Incidents that are over for good, with their problems; the state has them no
            longer.
    """

    state: State
    messages: list[Message]
    finished: list[tuple[Incident, tuple[Problem, ...]]]


def step(
    state: State, signals: Sequence[Signal], policy: Policy, now: datetime, ui_url: str = ""
) -> Step:
    """Move problems on.

    Args:
        state: What was known; it is not changed.
        signals: What was seen since, in the order in which it happened.
        policy: Who is told what, when.
        now: The time (with a time zone).
        ui_url: Where people reach Dagster's UI; empty: no links.
    """
    remember = max((each.within for each in policy.escalations), default=timedelta(0))
    groups = Groups(state, now, remember)
    sayings = Sayings(groups, state.silences, policy, now)
    # First what has been over for long: what is seen now does not belong to it.
    sayings.finish()
    groups.take(signals)
    words = Words(now, ui_url)
    paced = Pacer(policy, now, words.of, words.together).pace(
        sayings.all(), state.waiting, dict(state.paces)
    )
    sayings.finish()
    return Step(
        State(
            problems=groups.problems,
            incidents=groups.incidents,
            silences=tuple(each for each in state.silences if each.until > now),
            failures=groups.failures,
            paces=paced.paces,
            waiting=paced.waiting,
        ),
        paced.messages,
        groups.finished,
    )
