"""Which process does a run's work, and whether it is still there.

Belongs here: the tags that lead from a run to its process. Does not belong here: what is done
about a run whose process is gone (``sensors``).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

import psutil

PID_TAG = "platform_assets/worker_pid"
CREATED_TAG = "platform_assets/worker_created"
HOST_TAG = "platform_assets/worker_host"
COMMAND_TAG = "platform_assets/command"
"""The command that a run was made by; what a sensor or the UI asked for has none."""
BACKFILL = "backfill"
# A process number is used again; its time of creation tells two apart. The clock that it is told
# by is not exact to the last digit.
_SAME_CREATION_SECONDS = 1.0


def worker_tags() -> dict[str, str]:
    """Tags by which the process that does a run's work can be found again: this one."""
    process = psutil.Process()
    return {
        PID_TAG: str(process.pid),
        CREATED_TAG: str(process.create_time()),
        HOST_TAG: socket.gethostname(),
    }


def is_gone(tags: Mapping[str, str]) -> bool:
    """Whether a run's process was of this machine and is no longer alive.

    A run without these tags, or of another machine, is not known to be gone.

    Args:
        tags: The run's tags.
    """
    if tags.get(HOST_TAG) != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(tags[PID_TAG]))
        # A killed process whose parent has not asked about it yet keeps its number, and no more.
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        created = process.create_time()
    except psutil.NoSuchProcess:
        return True
    return abs(created - float(tags[CREATED_TAG])) >= _SAME_CREATION_SECONDS
