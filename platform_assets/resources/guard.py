"""The guard that runs and sensors of an installation share.

Belongs here: where its breakers keep their state. Does not belong here: what a guard does
(``sources.retrying``).
"""

from __future__ import annotations

from platform_assets.settings import load_settings
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.retrying import Guard


def shared_guard() -> Guard:
    """A guard whose breakers every process of this installation sees."""
    return Guard(BreakerStore(load_settings().breakers))
