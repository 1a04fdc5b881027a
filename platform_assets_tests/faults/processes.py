"""Real processes that cost no imports: forked from a server that has made them already.

Belongs here: starting, killing and waiting. Does not belong here: what a process does to a lake.
"""

from __future__ import annotations

import functools
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

KILLED = -9
# Far longer than anything here takes; only a process that hangs gets there.
PATIENCE_SECONDS = 120.0


@functools.cache
def context() -> ForkServerContext:
    """What starts processes; its server imports the platform once."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(
        ["platform_assets_tests.faults.reader", "platform_assets_tests.killed_load"]
    )
    return made


def _guarded(
    work: Callable[[], object], errors: Path, barrier: Barrier | None
) -> None:  # pragma: no cover -- runs in the other process
    try:
        if barrier is not None:
            barrier.wait(PATIENCE_SECONDS)
        work()
    except BaseException:
        errors.write_text(traceback.format_exc(), encoding="utf-8")
        raise


class Worker:
    """A process that does one thing; what it raises is kept for the test to show.

    Attributes:
        process: The process.
    """

    def __init__(
        self, work: Callable[[], object], errors: Path, barrier: Barrier | None = None
    ) -> None:
        self._errors = errors
        self.process: ForkServerProcess = context().Process(
            target=_guarded, args=(work, errors, barrier)
        )
        self.process.start()

    def finish(self) -> None:
        """Wait until it is done, and hold it to have succeeded."""
        self.process.join(PATIENCE_SECONDS)
        self._succeeded()

    def kill_after(self, seconds: float) -> bool:
        """Give it some time, then kill it.

        Args:
            seconds: The time.

        Returns:
            Whether it was killed; False where it was done before.
        """
        self.process.join(seconds)
        self.process.kill()
        self.process.join(PATIENCE_SECONDS)
        if self.process.exitcode == KILLED:
            return True
        self._succeeded()
        return False

    def end(self) -> None:
        """Leave nothing running, whatever happened."""
        self.process.kill()
        self.process.join(PATIENCE_SECONDS)

    def _succeeded(self) -> None:
        raised = self._errors.read_text(encoding="utf-8") if self._errors.exists() else "it hangs"
        assert self.process.exitcode == 0, f"exit code {self.process.exitcode}: {raised}"


@contextmanager
def worker(work: Callable[[], object], errors: Path) -> Iterator[Worker]:
    """A process that is gone when the block ends."""
    started = Worker(work, errors)
    try:
        yield started
    finally:
        started.end()


def together(works: Sequence[Callable[[], object]], folder: Path) -> None:
    """Do several things at once, each in a process of its own; all must succeed.

    Args:
        works: What to do; begun at the same moment.
        folder: Where errors are kept.
    """
    barrier = context().Barrier(len(works))
    folder.mkdir(parents=True, exist_ok=True)
    workers = [
        Worker(work, folder / f"worker-{number}.txt", barrier) for number, work in enumerate(works)
    ]
    try:
        for each in workers:
            each.finish()
    finally:
        for each in workers:
            each.end()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """A started thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
