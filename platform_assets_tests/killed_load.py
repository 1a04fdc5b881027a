"""A load that is killed in the transaction that would have published its rows.

Belongs here: what a process of its own needs for that. Does not belong here: starting it
(``faults.processes``), or any assertion.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platform_assets.sources.change_source import AnySource
from platform_assets.warehouse import ledger
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.logs import Sync
from platform_assets_tests.source_tables import sales


@dataclass(frozen=True)
class KilledLoad:
    """Load sales and clean them, and die once the rows are written and before they are committed.

    Attributes:
        root: Where the lake is.
        source: The source.
        connections: What it reads through.
        asset: The asset that does not live to be published, such as ``raw/sales``.
    """

    root: Path
    source: AnySource
    connections: Mapping[str, object]
    asset: str

    def do(self) -> None:  # pragma: no cover -- runs in a process that is killed
        """Do it, in this process."""
        record = ledger.record

        def record_or_die(connection: Connection, entries: Sequence[LedgerEntry]) -> None:
            record(connection, entries)
            if any(e.asset == self.asset and e.status is Status.PUBLISHED for e in entries):
                os.kill(os.getpid(), signal.SIGKILL)

        ledger.record = record_or_die
        with connect(lake_in(self.root)) as lake:
            dataset = sales(self.source, max_bad_share=1.0)
            Sync(dataset, lake, dict(self.connections))()
