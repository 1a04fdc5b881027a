"""The lake as the measured processes open it, and stages with a clock.

Belongs here: what the children of a benchmark share. Does not belong here: anything that the
parent imports, which has to stay small.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_assets.contracts.pii import pii_session_variables
from platform_assets.warehouse.lake import LakeConfig

MEMORY_LIMIT = "600MB"
# Hashes have to be the same on both sides, so the key is fixed; it protects nothing.
PII_KEY = b"benchmark key, not a secret"


def lake_config(folder: Path, threads: int | None = None) -> LakeConfig:
    """A lake in a folder, with the platform's default memory limit.

    Args:
        folder: The folder.
        threads: Threads of the engine; None: one per processor.
    """
    return LakeConfig(
        catalog=folder / "catalog.sqlite",
        files=folder / "files",
        scratch=folder / "scratch",
        memory_limit=MEMORY_LIMIT,
        threads=threads,
        variables=pii_session_variables(PII_KEY),
    )


def processor_seconds() -> float:
    """User and system time of this process and of its ended children so far."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass
class Clock:
    """Wall and processor seconds by stage, and what else a child has to tell."""

    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        wall, cpu = time.perf_counter(), processor_seconds()
        try:
            yield
        finally:
            spent = self.stages.setdefault(name, {"seconds": 0.0, "cpu_seconds": 0.0})
            spent["seconds"] += time.perf_counter() - wall
            spent["cpu_seconds"] += processor_seconds() - cpu

    def total(self, figure: str) -> float:
        """The sum over all stages of ``seconds`` or ``cpu_seconds``."""
        return sum(stage[figure] for stage in self.stages.values())

    def tell(self) -> None:
        """Print everything as one line of JSON, the last that a child prints."""
        totals = {name: self.total(name) for name in ("seconds", "cpu_seconds")}
        print(json.dumps({"stages": self.stages, **totals, **self.facts}))
