"""Problems of what is not defined any more: a check, an asset, a sensor that was taken out.

Belongs here: ending them. Does not belong here: how it is known (``definitions``).

Nothing else would: what is not there is not run, does not pass and is never good again.
"""

from __future__ import annotations

from dataclasses import replace

from platform_assets.alerts.signals import Standing
from platform_assets.sensors.alerting.definitions import written
from platform_assets.sensors.alerting.world import Collected, World


def collect(world: World, cursor: str | None) -> Collected:
    """The ends of problems whose subject is gone.

    Args:
        world: What there is to look at.
        cursor: What this code location has written of what it defines.
    """
    ended = [
        replace(each, at=world.now, standing=Standing.GONE)
        for each in world.known
        if world.definitions.is_gone(each, world.now)
    ]
    return Collected(ended, written(world.definitions, cursor, world.now))
