"""The order of a drill: the clean year once, then one incident at a time on a copy of it.

Belongs here: building, copying, injecting, running, collecting. Does not belong here: what is
injected (``incidents``), and what is made of it (``judgement``).

The clean history is loaded as one range, as a backfill would; a partition is judged against those
before it, so that says the same as a run a day. From the first day of an incident on there is one
run a day, as a scheduler has it. The clean days of that time are run first, once: what is said of
them is no detection.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from platform_assets.dataset import Dataset
from platform_assets.drill import evidence, shop
from platform_assets.drill.datasets import ALL, scope
from platform_assets.drill.evidence import Signal
from platform_assets.drill.incident import Expect, Incident, Scene
from platform_assets.drill.incidents import BY_NAME
from platform_assets.drill.judgement import Clean, Outcome, Run, beyond, judge
from platform_assets.drill.plan import DAYS_AFTER, Plan
from platform_assets.drill.server import Fault
from platform_assets.drill.site import Site, copy_lake, opened
from platform_assets.drill.source import copy_database
from platform_assets.partitions import UNPARTITIONED_KEY, Daily
from platform_assets.quality.policy import Calendar, Event

HISTORY = "history"
_AGO = 8
"""Days of files that are still in the folder when an incident begins."""


@dataclass(frozen=True)
class Year:
    """The clean year, built.

    Attributes:
        plan: What it was made of.
        folder: Where it is.
        history: What the platform said of the days before the first incident.
        after: The clean runs of the days from then on.
        rows: Rows of each dataset's cleaned table after the history.
        seconds: What building it took.
    """

    plan: Plan
    folder: Path
    history: tuple[Signal, ...]
    after: tuple[Clean, ...]
    rows: dict[str, int]
    seconds: float

    @property
    def store(self) -> Path:
        """The rows of every day, as the sources deliver them."""
        return self.folder / "store"

    @property
    def signals(self) -> list[Signal]:
        """All that was said of days on which nothing went wrong."""
        return [*self.history, *(each for clean in self.after for each in clean.signals)]


def build(
    folder: Path,
    plan: Plan,
    *,
    days_after: int = DAYS_AFTER,
    day_by_day: bool = False,
) -> Year:
    """Build the clean year.

    Args:
        folder: A folder of the drill's own; what an earlier drill left there is removed.
        plan: How large it is.
        days_after: Clean days to run after the history: as many as incidents will need.
        day_by_day: Whether to run each day of the history by itself, and not all as one range.
    """
    started = time.perf_counter()
    for name in ("base", "clean", "incidents"):
        shutil.rmtree(folder / name, ignore_errors=True)
    store = shop.make(folder / "store", plan)
    base = folder / "base"
    days = plan.history
    with opened(base, store, plan.seed, days) as site:
        if day_by_day:
            for day in days:
                site.source.deliver([day], [dataset.name for dataset in ALL])
                site.run(f"{HISTORY}-{day}", [day], ALL)
        else:
            site.source.deliver(days, [dataset.name for dataset in ALL])
            site.run(HISTORY, days, ALL)
        ids = [f"{HISTORY}-{day}" for day in days] if day_by_day else [HISTORY]
        history = tuple(each for run in ids for each in evidence.signals(site, run, ALL))
        rows = {dataset.name: evidence.state(site, dataset).rows for dataset in ALL}
    year = Year(plan, folder, history, (), rows, 0.0)
    after = []
    with _copied(year, folder / "clean", ALL) as site:
        for day in plan.after[:days_after]:
            site.source.deliver([day], [dataset.name for dataset in ALL])
            site.run(day, [day], ALL)
            after.append(
                Clean(
                    tuple(evidence.signals(site, day, ALL)),
                    {dataset.name: evidence.state(site, dataset) for dataset in ALL},
                )
            )
    shutil.rmtree(folder / "clean")
    return replace(year, after=tuple(after), seconds=time.perf_counter() - started)


def drill(
    year: Year,
    incidents: Sequence[Incident],
    *,
    workers: int = 1,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Let incidents happen, one at a time, each on a copy of the clean year.

    Args:
        year: The clean year.
        incidents: What happens.
        workers: Processes that do so side by side; 1: this one.
        told: Called with each outcome, in the order of the incidents.
    """
    outcomes = []
    for outcome in _outcomes(year, incidents, workers):
        told(outcome)
        outcomes.append(outcome)
    return outcomes


def _outcomes(year: Year, incidents: Sequence[Incident], workers: int) -> Iterator[Outcome]:
    if workers == 1:
        yield from (happen(year, incident) for incident in incidents)
        return
    # Threads of an engine do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        # An injector is a function that cannot be sent; its name can.
        names = [incident.name for incident in incidents]
        yield from pool.map(_happen_by_name, [year] * len(names), names)


def _happen_by_name(year: Year, name: str) -> Outcome:
    return happen(year, BY_NAME[name])


def happen(year: Year, incident: Incident) -> Outcome:
    """Let one incident happen.

    Args:
        year: The clean year.
        incident: What happens.
    """
    started = time.perf_counter()
    datasets = _declared(year, incident)
    folder = year.folder / "incidents" / incident.name.replace(" ", "-").replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    runs: list[Run] = []
    with _copied(year, folder, datasets) as site:
        for number in range(incident.last + 1):
            run = _day(site, year, incident, number, datasets)
            if number < incident.first:
                continue
            runs.append(run)
            # What was noticed has been judged; what must stay silent is watched to the end.
            if run.signals and incident.expect is not Expect.SILENCE:
                break
    shutil.rmtree(folder)
    outcome = judge(incident, year.plan, runs)
    return replace(outcome, seconds=time.perf_counter() - started)


def _declared(year: Year, incident: Incident) -> list[Dataset]:
    """The datasets that are run; a day that is known to be special is in their calendar."""
    datasets = scope(incident.dataset)
    if not incident.known_as:
        return datasets
    day = date.fromisoformat(year.plan.day(incident.first))
    calendar = Calendar(events=(Event(incident.known_as, day),))
    return [
        replace(each, statistics=replace(each.statistics, calendar=calendar)) for each in datasets
    ]


def _day(
    site: Site, year: Year, incident: Incident, number: int, datasets: Sequence[Dataset]
) -> Run:
    """Deliver a day, let the incident happen where it is its day, and run the platform."""
    day = year.plan.day(number)
    names = [dataset.name for dataset in datasets]
    site.source.deliver([day], names)
    assert site.source.server is not None  # a site has one
    site.source.server.fault, site.source.server.pause = Fault.NONE, 0.0
    since = number - incident.first
    if 0 <= since < incident.days:
        scene = Scene(site.source, incident.dataset, day, since, incident.name)
        incident.inject(scene)
    dataset = next(each for each in datasets if each.name == incident.dataset)
    before = evidence.state(site, dataset)
    site.run(day, [day], datasets)
    clean = year.after[number]
    states = {each.name: evidence.state(site, each) for each in datasets}
    partition = day if isinstance(dataset.partitions, Daily) else UNPARTITIONED_KEY
    return Run(
        signals=beyond(
            evidence.signals(site, day, datasets), clean.signals, of_machine=incident.timed
        ),
        published=evidence.published(site, day, dataset, partition),
        before=before,
        after=states[dataset.name],
        unlike=tuple(name for name, state in states.items() if state != clean.states[name]),
    )


@contextmanager
def _copied(year: Year, folder: Path, datasets: Sequence[Dataset]) -> Iterator[Site]:
    """A copy of the clean year: its lake, and what its sources still hold of the datasets."""
    base, plan = year.folder / "base", year.plan
    copy_lake(base, folder)
    names = {dataset.name for dataset in datasets}
    if shop.SPEND in names:
        copy_database(base / "sources" / "shop.sqlite", folder / "sources" / "shop.sqlite")
    with opened(folder, year.store, plan.seed, plan.after) as site:
        # What was read of a change log has been carried away; the database was copied.
        files = names - {shop.SPEND, "accounts"}
        site.source.deliver(plan.history[-_AGO:], files)
        yield site
