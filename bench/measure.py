"""Measuring one child process: time, processor time, peak memory, and what it says of itself.

Belongs here: starting and measuring children, and figures of several measurements. Does not
belong here: what is measured. Only the standard library is imported, so that this process stays
small: a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.05
SHOWN_LINES = 30


@dataclass(frozen=True)
class Measured:
    """One child process, from its start to its end.

    Attributes:
        seconds: Wall time, the interpreter's start and all imports included.
        cpu_seconds: Processor time, user and system, of the child and its own children.
        peak_bytes: Peak memory of its largest process, as the operating system kept it.
        tree_bytes: Largest sum over its processes at one moment, sampled; 0 without ``/proc``.
        told: What the child printed as JSON on its last line.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    tree_bytes: int
    told: Mapping[str, Any]


class BenchError(RuntimeError):
    """A measured process failed, or a result is not what it has to be."""


def run_module(module: str, *arguments: object, env: Mapping[str, str] | None = None) -> Measured:
    """Run ``python -m module`` and measure it.

    Args:
        module: The module; its last line of output may be JSON.
        *arguments: Its arguments.
        env: Further environment variables.

    Raises:
        BenchError: It ended with another exit status than 0.
    """
    return run([sys.executable, "-m", module, *map(str, arguments)], env=env)


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Measured:
    """Run a command and measure it.

    Args:
        command: The program and its arguments.
        env: Further environment variables.

    Raises:
        BenchError: It ended with another exit status than 0.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, stdout=out, stderr=err, cwd=ROOT, env=environment, start_new_session=True
        )
        try:
            with _TreeMemory(child.pid) as tree:
                _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            # Interrupted: what was started, with all that it started, ends with this process.
            os.killpg(child.pid, signal.SIGKILL)
            raise
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output = out.read().decode(errors="replace").strip()
        if child.returncode:
            tail = (output + "\n" + err.read().decode(errors="replace")).splitlines()
            raise BenchError(
                f"exit status {child.returncode} of: {' '.join(command)}\n"
                + "\n".join(tail[-SHOWN_LINES:])
            )
    last = output.splitlines()[-1] if output else ""
    return Measured(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        # Linux counts in KiB, macOS in bytes.
        peak_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        tree_bytes=tree.peak,
        told=json.loads(last) if last.startswith("{") else {},
    )


class _TreeMemory:
    """The largest sum of resident memory of a process and its descendants, sampled."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _TreeMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, _resident(self._pid))


def _resident(pid: int) -> int:
    """Resident bytes of a process and its descendants; 0 of one that is gone."""
    proc = Path("/proc") / str(pid)
    try:
        pages = int((proc / "statm").read_text().split()[1])
        children = (proc / "task" / str(pid) / "children").read_text().split()
    except (OSError, IndexError):
        return 0
    own = pages * os.sysconf("SC_PAGE_SIZE")
    return own + sum(_resident(int(child)) for child in children)


def alternate(pairs: int, *ways: Callable[[], Measured]) -> list[list[Measured]]:
    """Run several ways in turn, A B A B, so that the machine's moods meet all of them.

    Args:
        pairs: How often each.
        *ways: The ways.

    Returns:
        Per way, its measurements in order.
    """
    rounds = [[way() for way in ways] for _ in range(pairs)]
    return [list(way) for way in zip(*rounds, strict=True)]


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios of neighbours: each pair saw the same machine."""
    return median(a / b for a, b in zip(numerators, denominators, strict=True))
