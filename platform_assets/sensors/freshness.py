"""Freshness, judged all the time: no run is made for it.

Belongs here: the sensor. Does not belong here: judging (``pipeline.freshness``), and how Dagster is
told (``assets.freshness``, which hands that in).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import dagster as dg

from platform_assets.pipeline.freshness import Promised, evaluate
from platform_assets.quality.freshness import FreshnessState, Level
from platform_assets.resources import breakers_left_alone

INTERVAL_SECONDS = 30
NAME = "freshness"

Tell = Callable[[dg.DagsterInstance, Mapping[str, FreshnessState]], list[str]]
"""Has the checks say what states are; returns the assets whose check was told."""


def build_freshness_sensor(
    promised: Sequence[Promised], tell: Tell, lake_key: str, clock: Callable[[], datetime]
) -> dg.SensorDefinition | None:
    """The sensor over all assets whose freshness is promised; None where none is.

    Args:
        promised: The assets.
        tell: What is done with their states.
        lake_key: The lake's resource key.
        clock: Tells what time it is.
    """
    if not promised:
        return None

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={lake_key},
        description="Judges every promise of freshness, and has its check say so, without a run.",
    )
    def freshness(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        with getattr(context.resources, lake_key).get_connection() as lake:
            states = evaluate(lake, promised, clock(), left_alone=breakers_left_alone())
        told = tell(context.instance, states)
        levels = [state.level for state in states.values()]
        counts = ", ".join(f"{levels.count(level)} {level}" for level in Level)
        return dg.SkipReason(f"{counts}; told of {len(told)}")

    return freshness
