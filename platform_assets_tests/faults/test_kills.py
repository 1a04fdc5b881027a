"""A backfill is killed at any moment, and run again: nothing half is ever seen, nothing is lost.

Each lake takes a first delivery, then a second one over it, so that a partition goes from nothing
to old to new. All the time a reader in another process checks every snapshot.
"""

from __future__ import annotations

import functools
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from platform_assets_tests.faults.conftest import Delivery, Undisturbed, assert_is_truth
from platform_assets_tests.faults.processes import PATIENCE_SECONDS, context, worker
from platform_assets_tests.faults.reader import Sightings, Truth, poll
from platform_assets_tests.faults.site import (
    Site,
    Work,
    assert_equal_contents,
    contents,
)

KILLS = 30
SEED = 20250101


@dataclass
class Toll:
    """What a series of kills hit.

    Attributes:
        progress: Transactions that its lake had seen before each kill.
        orphans: Files left behind by transactions that were cut short, by lake.
        sightings: What the readers saw.
    """

    progress: list[int] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)
    sightings: list[Sightings] = field(default_factory=list)


class _Delays:
    """Random moments, spread evenly over the length of a run: one in each equal part of it."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._random = random.Random(SEED)
        self._parts: list[int] = []

    def next(self) -> float:
        if not self._parts:
            self._parts = self._random.sample(range(KILLS), KILLS)
        return (self._parts.pop() + self._random.random()) / KILLS * self._length


@contextmanager
def watched(site: Site, truth: Truth, seen: list[Sightings]) -> Iterator[None]:
    """Have a lake watched for the time of a block; nothing wrong may have been seen."""
    stop = context().Event()
    receiving, sending = context().Pipe(duplex=False)
    watch = functools.partial(poll, site, truth, stop, sending)
    with worker(watch, site.root / "reader.txt") as reader:
        yield
        stop.set()
        assert receiving.poll(PATIENCE_SECONDS), "the reader hangs"
        seen.append(receiving.recv())
        reader.finish()
    assert not seen[-1].violations


def _transactions(site: Site) -> int:
    """Transactions committed so far, as the catalog counts them; 0 before there is one."""
    if not site.config.catalog.exists():
        return 0
    with closing(sqlite3.connect(site.config.catalog)) as catalog:
        (made,) = catalog.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'ducklake_snapshot'"
        ).fetchone()
        if not made:
            return 0
        (snapshots,) = catalog.execute("SELECT count(*) FROM ducklake_snapshot").fetchone()
        return int(snapshots)


def _fill(site: Site, delivery: Delivery, delays: _Delays, toll: Toll) -> None:
    """Fill a lake, killed again and again, until a run is quicker than its killer."""
    work = Work(site, delivery.folder, delivery.days)
    while True:
        with worker(work.do, site.root / "worker.txt") as run:
            if len(toll.progress) == KILLS:
                run.finish()
                return
            if not run.kill_after(delays.next()):
                return
        toll.progress.append(_transactions(site))


def _orphans(site: Site, *, delete: bool) -> int:
    with site.open() as connection:
        return len(
            connection.execute(
                "FROM ducklake_delete_orphaned_files('lake', cleanup_all => true, dry_run => ?)",
                [not delete],
            ).fetchall()
        )


def test_an_undisturbed_run_is_the_truth(
    deliveries: tuple[Delivery, Delivery], undisturbed: tuple[Undisturbed, Undisturbed]
) -> None:
    for delivery, result in zip(deliveries, undisturbed, strict=True):
        assert_is_truth(result.observation, delivery.report)


def test_killed_thirty_times_a_backfill_ends_as_if_nothing_had_happened(
    deliveries: tuple[Delivery, Delivery],
    undisturbed: tuple[Undisturbed, Undisturbed],
    truth: Truth,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with worker(int, tmp_path / "warm") as nothing:
        nothing.finish()  # what the server of processes imports is not part of a run's length
    measured = Site(tmp_path / "measured")
    started = time.perf_counter()
    with worker(Work(measured, deliveries[0].folder, deliveries[0].days).do, tmp_path / "e") as run:
        run.finish()
    delays = _Delays(time.perf_counter() - started)

    toll = Toll()
    while len(toll.progress) < KILLS:
        site = Site(tmp_path / f"lake-{len(toll.orphans)}")
        site.root.mkdir()
        with watched(site, truth, toll.sightings):
            for delivery, expected in zip(deliveries, undisturbed, strict=True):
                _fill(site, delivery, delays, toll)
                assert_equal_contents(contents(site), expected.contents)
        toll.orphans.append(_orphans(site, delete=True))
        assert _orphans(site, delete=False) == 0
        assert_equal_contents(contents(site), undisturbed[1].contents)

    polls = sum(each.polls for each in toll.sightings)
    states = sum(len(each.states) for each in toll.sightings)
    with capsys.disabled():
        print(
            f"\n{len(toll.progress)} kills of {len(toll.orphans)} lakes, after "
            f"{sorted(toll.progress)} transactions; {sum(toll.orphans)} orphaned files; "
            f"{polls} polls saw {states} states"
        )
    # That the kills hit work, all over the run, and that the readers looked while they did.
    assert sum(toll.orphans) > 0
    assert len(set(toll.progress)) >= 10
    assert polls > 2 * KILLS
    assert states > KILLS / 2
