"""Files that have arrived, or changed after they were loaded: a run is requested for just those.

Belongs here: when a partition's files are taken. Does not belong here: what a delivery is
(``sources.deliveries``), and loading it (``pipeline``).

A partition is taken once it has files, its completion flag where one is declared, and files that
stayed as they are between two looks. What was requested is remembered by fingerprint, so that a
partition that fails is not requested again until its files change.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError
from platform_assets.resources import ConnectionResource, LakeResource, shared_guard
from platform_assets.sensors.requests import at_work, run_requests
from platform_assets.sources.base import Access
from platform_assets.sources.deliveries import Delivery
from platform_assets.warehouse import hold, ledger, tables

INTERVAL_SECONDS = 30
MAX_PARTITIONS_PER_TICK = 100
NAME = "arrival"
LAYERS = ("raw", "cleaned", "quarantine")


@dataclass
class Memory:
    """What the sensor remembers of one dataset between two ticks: only what is not yet loaded.

    Attributes:
        seen: When (seconds) each waiting partition was first seen as it is, by its fingerprint.
        requested: The fingerprint that was last requested of each partition.
    """

    seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    requested: dict[str, str] = field(default_factory=dict)


def due(
    dataset: Dataset, access: Access, loaded: Mapping[str, str], memory: Memory, now: float
) -> dict[str, str]:
    """The partitions of a dataset that are to be requested, by fingerprint; updates the memory.

    Args:
        dataset: A dataset whose source is a ``Delivery``.
        access: What to read through.
        loaded: The fingerprint that each published partition was loaded from.
        memory: What is remembered of the dataset.
        now: Seconds of any clock that only goes on.

    Raises:
        SourceError: The source itself is not there.
    """
    source = dataset.source
    assert isinstance(source, Delivery)
    waiting = {
        each.partition: each.fingerprint
        for each in source.inputs(access, dataset.partitions.keys())
        if each.items and loaded.get(each.partition) != each.fingerprint
    }
    memory.requested = {k: v for k, v in memory.requested.items() if k in waiting}
    new = {k: v for k, v in waiting.items() if memory.requested.get(k) != v}
    seen, memory.seen = memory.seen, {}
    for key in source.missing_flags(access, list(new)):
        new.pop(key)
    found = {}
    for key, fingerprint in new.items():
        before = seen.get(key)
        since = before[1] if before and before[0] == fingerprint else now
        memory.seen[key] = (fingerprint, since)
        if now - since >= source.settled_seconds:
            found[key] = fingerprint
    return found


def build_arrival_sensor(
    datasets: Sequence[Dataset], *, max_partitions: int = MAX_PARTITIONS_PER_TICK
) -> dg.SensorDefinition | None:
    """The one sensor for the files of all datasets; None where no dataset is of files.

    Args:
        datasets: All datasets.
        max_partitions: How many partitions are requested per tick at the most.
    """
    of_files = [each for each in datasets if isinstance(each.source, Delivery)]
    if not of_files:
        return None
    keys = [dg.AssetKey([layer, each.name]) for each in of_files for layer in LAYERS]

    @dg.sensor(
        name=NAME,
        # Not a target: that is a job, whose assets must all be cut alike.
        asset_selection=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"lake", *(each.source.connection for each in of_files)},
        description="Loads files that have arrived complete, or changed after they were loaded.",
    )
    def arrival(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        cursor = json.loads(context.cursor or "{}")
        left, kept, errors = max_partitions, {}, []
        runs: list[dg.RunRequest] = []
        lake: LakeResource = context.resources.lake
        guard = shared_guard()
        with lake.get_connection() as connection:
            tables.ensure_platform_tables(connection)
            for dataset in of_files:
                memory = _recall(cursor.get(dataset.name, {}))
                name = dataset.source.connection
                resource = getattr(context.resources, name)
                access = Access(
                    connection,
                    {name: resource.connection} if isinstance(resource, ConnectionResource) else {},
                    guard,
                )
                entries = ledger.published(connection, f"raw/{dataset.name}")
                # What follows the dash tells of the columns that were asked for. What was rolled
                # back has seen the delivery that it was rolled away from.
                loaded = {k: hold.refused_input(e).partition("-")[0] for k, e in entries.items()}
                try:
                    found = due(dataset, access, loaded, memory, time.time())
                except (PlatformError, OSError) as error:
                    # A source that is down is late itself, and holds up no other.
                    errors.append(f"{dataset.name}: {str(error).splitlines()[0]}")
                    found = {}
                busy = at_work(context.instance, dataset.name) if found else []
                free = {k: v for k, v in sorted(found.items()) if not _inside(k, busy)}
                chosen = dict(list(free.items())[:left])
                left -= len(chosen)
                # What comes back as it once was is new again: the run that loaded it last is told.
                last = {k: e.run_id for k, e in entries.items()}
                told = {k: f"{v} {last.get(k, '')}" for k, v in chosen.items()}
                runs += run_requests(dataset, LAYERS, sorted(chosen), NAME, told=told)
                for key in chosen:
                    memory.seen.pop(key, None)
                memory.requested |= chosen
                kept[dataset.name] = {"seen": memory.seen, "requested": memory.requested}
        text = "; ".join(errors) or "no files have arrived or changed"
        return dg.SensorResult(
            run_requests=runs,
            skip_reason=None if runs else dg.SkipReason(text),
            cursor=json.dumps({k: v for k, v in kept.items() if any(v.values())}),
        )

    return arrival


def _recall(held: Mapping[str, dict[str, object]]) -> Memory:
    return Memory(
        {
            key: (str(value[0]), float(value[1]))
            for key, value in held.get("seen", {}).items()
            if isinstance(value, list)
        },
        {key: str(value) for key, value in held.get("requested", {}).items()},
    )


def _inside(key: str, ranges: Sequence[tuple[str, str]]) -> bool:
    return any(first <= key <= last for first, last in ranges)
