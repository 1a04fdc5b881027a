"""Builds of the aggregates to do harm to: killed at a statement, or several at once.

Belongs here: what such a process does. Does not belong here: what must hold afterwards.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from typing import Any, cast

from platform_assets.assets import dbt, dbt_project, dbt_tests
from platform_assets.assets.aggregate_build import build
from platform_assets.assets.aggregate_plan import TABLES, VIEWS, Plan, plan
from platform_assets.warehouse.lake import Connection, connect
from platform_assets_tests.faults.processes import PATIENCE_SECONDS
from platform_assets_tests.faults.site import Site


class _Mortal:
    """A connection that kills its process before the first statement of a kind."""

    def __init__(self, connection: Connection, moment: str) -> None:
        self._connection = connection
        self._moment = re.compile(moment, re.IGNORECASE | re.DOTALL)

    def execute(self, sql: str, *values: Any) -> Any:
        if self._moment.search(sql):
            os.kill(os.getpid(), signal.SIGKILL)
        return self._connection.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@dataclass(frozen=True)
class Building:
    """A build of the aggregates in a process of its own.

    Attributes:
        site: The lake.
        days: What to build.
        name: Of the run.
        moments: Patterns of statements: for each the build is started, and killed before the
            first such statement. None: it is left alone.
    """

    site: Site
    days: Sequence[str]
    name: str = "a run"
    moments: Sequence[str] = ()

    def do(self) -> None:
        """Build once, or be killed once for each moment."""
        if not self.moments:
            self._build("(?!)")
        for moment in self.moments:
            (status,) = _ended([_started(functools.partial(self._build, moment))])
            if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
                raise AssertionError(f"no statement like {moment!r} was met: status {status}")

    def _build(self, moment: str) -> None:
        manifest = dbt_project.load_manifest()

        def ask(connection: Connection, left_out: frozenset[str]) -> Plan:
            return plan(
                connection,
                run_id=self.name,
                requested=self.days,
                selected={*TABLES, *VIEWS},
                force=True,
                left_out=left_out,
            )

        def run(connection: Connection, work: Plan) -> dbt_tests.DbtOutcome:
            return dbt.run_dbt(
                connection,
                work.built,
                work.held,
                ["--select", *work.nodes, *(["--full-refresh"] if work.everything else [])],
                manifest=manifest,
                target=self.site.root / "dbt" / f"{self.name}-{os.getpid()}",
            )

        with connect(replace(self.site.config, variables={})) as connection:
            built = build(cast("Connection", _Mortal(connection, moment)), ask, run)
        if built.stopped:
            raise AssertionError(built.stopped[0].message)


def in_turn(phases: Sequence[Sequence[Building]], barrier: Barrier) -> None:
    """Do phases one after the other, each when the barrier lets it; those of one phase at once.

    Args:
        phases: What to do. All of it in forks of one process, which imports dbt once.
        barrier: Met before and after each phase.
    """
    for phase in phases:
        barrier.wait(PATIENCE_SECONDS)
        statuses = _ended([_started(each.do) for each in phase])
        if any(statuses):
            raise AssertionError(f"a build has failed: {statuses}")
        barrier.wait(PATIENCE_SECONDS)


def _started(work: Callable[[], None]) -> int:
    """A fork of this process, which has opened nothing."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def _ended(children: Sequence[int]) -> list[int]:
    return [os.waitpid(child, 0)[1] for child in children]
