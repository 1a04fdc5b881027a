"""The platform as it stands beside the sources: a lake, its connections, and a run a day.

Belongs here: opening it, running days as a scheduler would, copying it. Does not belong here: the
sources (``source``), and what the runs said (``evidence``).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from platform_assets.contracts import pii_session_variables
from platform_assets.dataset import Dataset
from platform_assets.drill.datasets import API, DATABASE, FILES
from platform_assets.drill.editing import engine
from platform_assets.drill.server import serving
from platform_assets.drill.source import Source
from platform_assets.errors import PlatformError
from platform_assets.partitions import UNPARTITIONED_KEY, Daily
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.connections import Database, RestApi
from platform_assets.sources.retrying import Guard, RetryPolicy
from platform_assets.warehouse.lake import Connection, LakeConfig, connect

API_TIMEOUT = 3.0
"""Seconds that the API is waited for; a day of the drill is short."""

_PII_KEY = b"of a shop that does not exist"
_POLICY = RetryPolicy(attempts=2, wait_initial=0.02, wait_max=0.05, jitter=0.0)
_CATALOG, _FILES = "catalog.sqlite", "files"


@dataclass
class Site:
    """An open platform and its sources.

    Attributes:
        lake: The open lake.
        source: The source systems.
        connections: What the datasets' connections lead to.
        guard: What calls go through; its clock is the drill's.
        errors: By run, the errors that were raised out of a step.
    """

    lake: Connection
    source: Source
    connections: dict[str, object]
    guard: Guard
    errors: dict[str, list[tuple[str, PlatformError]]] = field(default_factory=dict)

    def run(self, run_id: str, days: Sequence[str], datasets: Sequence[Dataset]) -> None:
        """Load and clean days of datasets, as a scheduler's run does.

        Args:
            run_id: The run, as the ledger is to name it.
            days: The days.
            datasets: The datasets, those that others refer to first.
        """
        for dataset in datasets:
            step = Step(
                dataset=dataset,
                lake=self.lake,
                run_id=run_id,
                connections=self.connections,
                guard=self.guard,
            )
            keys = list(days) if isinstance(dataset.partitions, Daily) else [UNPARTITIONED_KEY]
            try:
                raw = load_raw(step, keys)
                # What a load touched besides is requested too, as the platform's sensor does.
                due = [*raw.good, *(key for key in raw.also if key not in raw.good)]
                clean(step, due)
            except PlatformError as error:
                self.errors.setdefault(run_id, []).append((dataset.name, error))


@contextmanager
def opened(folder: Path, store: Path, seed: int, days: Sequence[str]) -> Iterator[Site]:
    """Open a platform and its sources in a folder.

    Args:
        folder: The folder; what is missing is made.
        store: The clean year's rows.
        seed: Of the sources' random numbers.
        days: The days that are run; a breaker's time goes on by a day with each run.
    """
    lake = LakeConfig(
        catalog=folder / "lake" / _CATALOG,
        files=folder / "lake" / _FILES,
        scratch=folder / "scratch",
        memory_limit="700MB",
        threads=1,
        variables=pii_session_variables(_PII_KEY),
    )
    sources = folder / "sources"
    (sources / "api").mkdir(parents=True, exist_ok=True)
    (sources / "files").mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(serving(sources / "api"))
        source = Source(store, sources, stack.enter_context(engine(seed)), server)
        connections: dict[str, object] = {
            FILES: source.files,
            DATABASE: Database(kind="sqlite", path=source.database),
            API: RestApi(server.base_url, landing=folder / "landing", timeout=API_TIMEOUT),
        }
        clock = _Clock(days)
        guard = Guard(BreakerStore(clock=clock), policy=_POLICY)
        connection = stack.enter_context(connect(lake))
        # Standard output is for the report, which may be JSON.
        connection.execute("SET enable_progress_bar = false")
        yield _Ticking(connection, source, connections, guard, clock=clock)


class _Clock:
    """The time of the simulated days, which a breaker waits by."""

    def __init__(self, days: Sequence[str]) -> None:
        self.now = datetime.fromisoformat(days[0]).replace(tzinfo=UTC)

    def __call__(self) -> float:
        return self.now.timestamp()


@dataclass
class _Ticking(Site):
    """A site whose clock goes on by a day with each run."""

    clock: _Clock = field(default_factory=lambda: _Clock(["1970-01-01"]))

    def run(self, run_id: str, days: Sequence[str], datasets: Sequence[Dataset]) -> None:
        """Run as a site does, a day after the one before."""
        self.clock.now += timedelta(days=1)
        super().run(run_id, days, datasets)


def copy_lake(source: Path, target: Path) -> None:
    """Copy a lake that nobody writes to: its catalog, and links to its files, which never change.

    Args:
        source: The folder of a site that is closed.
        target: The folder of another one.
    """
    (target / "lake").mkdir(parents=True)
    with (
        closing(sqlite3.connect(source / "lake" / _CATALOG)) as old,
        closing(sqlite3.connect(target / "lake" / _CATALOG)) as new,
    ):
        old.backup(new)
    shutil.copytree(source / "lake" / _FILES, target / "lake" / _FILES, copy_function=os.link)
