"""Where something has changed at a source, found out without loading it.

Belongs here: the question that sensors ask. Does not belong here: loading (``changes``), and what
is asked for on account of the answer (``sensors``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from platform_assets.pipeline.change_request import Load, request_of
from platform_assets.pipeline.steps import Step
from platform_assets.sources.change_source import TellsChanges
from platform_assets.sources.retrying import ONCE
from platform_assets.warehouse import cursors, ledger, tables


def touched_partitions(step: Step, candidates: Sequence[str]) -> list[str]:
    """Partitions in which something has changed at the source since the last load.

    Args:
        step: What to look with; nothing is written.
        candidates: The partitions that exist, in order.

    Returns:
        Those of them with changes, also such that were never loaded and come after the first that
        was: a new day is loaded by itself, the past only when it is asked for. Empty for a source
        that cannot tell cheaply, and where nothing was ever loaded.

    Raises:
        SourceError: The source cannot be read.
    """
    asset = f"raw/{step.dataset.name}"
    tables.ensure_platform_tables(step.lake)
    standing = ledger.published(step.lake, asset)
    source = step.dataset.source
    if not isinstance(source, TellsChanges) or not standing:
        return []
    cursor = cursors.current(step.lake, step.dataset.name)
    load = Load(asset, cursor.load + 1, cursor, standing, (), (), time.perf_counter())
    reachable = tuple(key for key in candidates if key >= min(standing))
    request = replace(request_of(step, load), loaded=reachable)
    found = step.guard(source.connection, lambda: source.touched(step.access, request), policy=ONCE)
    return [key for key in candidates if key in found]
