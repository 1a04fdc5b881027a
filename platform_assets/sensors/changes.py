"""What has changed at sources that give changes: exactly those partitions are asked for.

Belongs here: looking at the sources and at the ledger, and asking for runs. Does not belong here:
loading (``pipeline``), and files that arrive (``arrival``).

Two things make a partition due. The source says that rows of it have changed since the last load:
it is loaded and cleaned. Or a load of other partitions has brought rows of it, while its cleaned
rows still stand at what was before: it is cleaned.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.touched import touched_partitions
from platform_assets.resources import shared_guard
from platform_assets.sensors.requests import run_requests, why_not_now
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.tables import ensure_platform_tables

INTERVAL_SECONDS = 60
NAME = "source_changes"
CLEANED_LAYERS = ("cleaned", "quarantine")


def due_for_cleaning(lake: Connection, dataset: Dataset) -> list[str]:
    """Partitions whose raw table was loaded after it was cleaned last.

    Args:
        lake: An open lake.
        dataset: A dataset whose source gives changes.
    """
    ensure_platform_tables(lake)
    raw = ledger.published(lake, f"raw/{dataset.name}")
    cleaned = ledger.latest(lake, f"cleaned/{dataset.name}")
    due = []
    for key, entry in raw.items():
        last = cleaned.get(key)
        if last is None or (last.snapshot or 0) < (entry.snapshot or 0):
            due.append(key)
    return due


def build_changes_sensor(datasets: Sequence[Dataset], lake_key: str) -> dg.SensorDefinition | None:
    """The sensor over all datasets whose source gives changes; None where there are none.

    Args:
        datasets: All datasets.
        lake_key: The lake's resource key.
    """
    watched = [dataset for dataset in datasets if dataset.has_versions]
    if not watched:
        return None
    keys = {lake_key, *(dataset.source.connection for dataset in watched)}

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(
            *(dg.AssetKey([layer, d.name]) for d in watched for layer in ("raw", *CLEANED_LAYERS))
        ),
        required_resource_keys=keys,
        description="Asks for exactly the partitions that changes at their source have touched.",
    )
    def source_changes(
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult | dg.SkipReason:
        said: list[str] = []
        requests: list[dg.RunRequest] = []
        with getattr(context.resources, lake_key).get_connection() as lake:
            for dataset in watched:
                reason = why_not_now(context.instance, dataset.name)
                if reason:
                    said.append(f"{dataset.name}: {reason}")
                    continue
                name = dataset.source.connection
                connections = {name: getattr(context.resources, name).connection}
                asked, text = _look(lake, dataset, connections)
                said.append(f"{dataset.name}: {text}")
                requests += asked
        if not requests:
            return dg.SkipReason("; ".join(said))
        context.log.info("; ".join(said))
        return dg.SensorResult(run_requests=requests)

    return source_changes


def _look(
    lake: Connection, dataset: Dataset, connections: Mapping[str, object]
) -> tuple[list[dg.RunRequest], str]:
    """The runs that a dataset needs, and what was found, in words."""
    step = Step(
        dataset=dataset, lake=lake, run_id=NAME, connections=connections, guard=shared_guard()
    )
    try:
        changed = touched_partitions(step, dataset.partitions.keys())
    except PlatformError as error:
        # The next tick looks again; what is loaded already is cleaned meanwhile.
        changed, text = [], str(error).splitlines()[0]
    else:
        text = f"{len(changed)} partition(s) changed"
    due = [key for key in due_for_cleaning(lake, dataset) if key not in changed]
    requests = [
        *run_requests(dataset, ("raw", *CLEANED_LAYERS), changed, NAME),
        *run_requests(dataset, CLEANED_LAYERS, due, NAME),
    ]
    return requests, f"{text}, {len(due)} to be cleaned"
