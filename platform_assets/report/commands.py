"""What a person types about partitions that failed: to see why, and to try again.

Belongs here: the commands' texts. Does not belong here: what is failed (``books``), and whether
trying again helps: that is in the error's own words.
"""

from __future__ import annotations

import shlex
from collections.abc import Container

from platform_assets.partitions import UNPARTITIONED_KEY, spans
from platform_assets.report.model import Failure
from platform_assets.warehouse.ledger import UPSTREAM

SHOWN = 3
"""Spans that a command is told for; one span of several years is one command."""


def for_failure(
    failure: Failure, some_day: str, rejecting: Container[str], assets: Container[str]
) -> list[str]:
    """What to type about partitions that failed, in order.

    Args:
        failure: What is failed.
        some_day: A day that every range may begin with, for a table that is not cut.
        rejecting: Rules of the asset's contract: rows that break them can be looked at.
        assets: Keys of all assets.
    """
    if failure.stopped_by == UPSTREAM:
        # What comes first has to be mended, and has commands of its own.
        return []
    layer, _, name = failure.asset.partition("/")
    ranges = spans(failure.partitions)
    shown = ranges[-SHOWN:]
    told = []
    if layer == "cleaned" and failure.stopped_by in rejecting:
        for first, last in shown:
            which = ["--partition", first] if first == last else ["--status", "blocked"]
            told.append(
                shlex.join(["platform-assets", "quarantine", "list", "--dataset", name, *which])
            )
    for first, last in shown:
        days = (some_day, some_day) if first == UNPARTITIONED_KEY else (first, last)
        which = ["--from", days[0], "--to", days[1]]
        select = ["--select", _selection(failure.asset, assets)]
        told.append(shlex.join(["platform-assets", "backfill", *which, *select]))
    return list(dict.fromkeys(told))


def _selection(asset: str, assets: Container[str]) -> str:
    """The asset, all that is published in the same step, and what follows."""
    layer, _, name = asset.partition("/")
    if layer not in ("cleaned", "history"):
        return f'key:"{asset}"+'
    beside = [key for key in (f"quarantine/{name}", f"history/{name}") if key in assets]
    return " or ".join([f'key:"cleaned/{name}"+', *(f'key:"{key}"' for key in beside)])
