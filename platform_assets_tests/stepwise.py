"""A job whose steps have a process each, one of which is killed.

Belongs here: what another process has to be able to import. Does not belong here: an assertion.
"""

import os
import signal

import dagster as dg

from platform_assets import run_log
from platform_assets.observability.traces import span

run_log.install()


@dg.op
def lives() -> None:
    """Does a piece of work."""
    with span("compute"):
        return


@dg.op
def dies() -> None:
    """Is killed before it can tell of anything."""
    os.kill(os.getpid(), signal.SIGKILL)


@dg.job(executor_def=dg.multiprocess_executor)
def two_steps() -> None:
    """Both, side by side."""
    lives()
    dies()
