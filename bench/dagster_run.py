"""The platform's process with Dagster: one range run, its engine's share clocked within it.

Belongs here: what a run costs beyond the work that it starts. Does not belong here: any asset.
Where the lake and the shop are comes from the environment, as in any other run.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import dagster as dg

from bench.engine import Clock
from platform_assets.assets import datasets, dbt
from platform_assets.cli.instance import run_range
from platform_assets.datasets.orders import orders
from platform_assets.definitions import defs

# Where the assets hand over to the engine; all that is not in these is Dagster's cost, the
# assets' own reading of the ledger and building of metadata included.
ENGINE = ((datasets, "load_raw"), (datasets, "clean"), (dbt, "run_dbt"))
DATASET_ASSETS = "group:raw or group:cleaned or group:quarantine"


def _clocked(module: ModuleType, name: str, clock: Clock) -> None:
    """Have a function's calls from the assets counted as the engine's time."""
    function: Callable[..., Any] = getattr(module, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with clock.stage("engine"):
            return function(*args, **kwargs)

    setattr(module, name, timed)


def main() -> None:
    """Run a range of days in one run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("first")
    parser.add_argument("last")
    parser.add_argument("--select", default=DATASET_ASSETS)
    options = parser.parse_args()
    keys = orders.partitions.keys(options.first, options.last)
    engine, whole = Clock(), Clock()
    for module, name in ENGINE:
        _clocked(module, name, engine)
    with whole.stage("run"):
        result = run_range(defs, keys, selection=dg.AssetSelection.from_string(options.select))
    if not result.success:
        raise SystemExit("the run failed")
    events = result.all_events
    whole.facts["engine_seconds"] = engine.total("seconds")
    whole.facts["engine_cpu_seconds"] = engine.total("cpu_seconds")
    whole.facts["materializations"] = sum(event.is_step_materialization for event in events)
    whole.facts["checks"] = sum(
        event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION for event in events
    )
    whole.tell()


if __name__ == "__main__":
    main()
