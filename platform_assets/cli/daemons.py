"""A process of its own that prints when Dagster's daemons were seen last, as JSON.

Belongs here: asking Dagster, for the watchdog, which does not import it. Does not belong here: what
is made of it (``watchdog``).
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import dagster as dg


def main() -> None:
    """Print it; the process fails where Dagster's database cannot be asked."""
    with dg.DagsterInstance.get() as instance:
        seen = {
            name: f"{datetime.fromtimestamp(each.timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"
            for name, each in instance.get_daemon_heartbeats().items()
        }
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
