"""The guard that runs and sensors of an installation share.

Belongs here: where its breakers keep their state. Does not belong here: what a guard does
(``sources.retrying``).
"""

from __future__ import annotations

from purgatory.domain.model import CLOSED

from platform_assets.settings import load_settings
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.retrying import Guard


def breakers_left_alone() -> dict[str, str]:
    """The connections whose breaker is open, and what is to be said of each."""
    store = BreakerStore(load_settings().breakers)
    return {
        each.connection: f"left alone after {each.failures} failures in a row, the last one: "
        f"{each.last_failure}"
        for each in store.states()
        if each.state != CLOSED
    }


def shared_guard() -> Guard:
    """A guard whose breakers every process of this installation sees."""
    return Guard(BreakerStore(load_settings().breakers))
