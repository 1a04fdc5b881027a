"""A run over a range of days, started by a command, and what it failed at.

Belongs here: from a command's words to a run. Does not belong here: the commands themselves, and
Dagster's side of a run (``instance``).
"""

from __future__ import annotations

import dagster as dg
from rich.markup import escape

from platform_assets.assets.report import KEY as STATUS_PAGE
from platform_assets.assets.runs import why_failed
from platform_assets.cli import ROOT
from platform_assets.cli.console import errors
from platform_assets.cli.instance import ensure_home, run_range
from platform_assets.cli.ranges import examine_range
from platform_assets.datasets.orders import orders
from platform_assets.declared.catalogue import every_dataset
from platform_assets.errors import PartitionError, SettingsError
from platform_assets.partitions import UNPARTITIONED_KEY

EVERYTHING = "*"


def run_backfill(
    first: str, last: str, *, select: str = EVERYTHING, force: bool = False, verbose: bool = False
) -> bool:
    """Fill a range of partitions in one run of this process; whether all of it succeeded.

    Args:
        first: The first day.
        last: The last day.
        select: Which assets, in Dagster's selection syntax.
        force: Whether to do again what is unchanged.
        verbose: Whether to show Dagster's log.

    Raises:
        PartitionError: There is no partition in the range.
        SettingsError: The selection cannot be understood.
    """
    keys = orders.partitions.keys(first, last)
    if not keys:
        raise PartitionError(
            "The range of partitions is empty",
            where=f"options --from {first} --to {last}",
            expected="a first day that is not after the last",
            found=f"{first} is after {last}",
            fix="exchange the two",
        )
    ensure_home(ROOT / "dagster.yaml")
    # A code location reads the instance's environment, which is there only now.
    from platform_assets.definitions import defs

    try:
        selection = dg.AssetSelection.from_string(select)
        if select == EVERYTHING:
            # The page tells of what the run leaves: it is made afterwards.
            selection -= dg.AssetSelection.assets(STATUS_PAGE)
        selected = selection.resolve(defs.resolve_asset_graph())
    except dg.DagsterError as error:
        raise SettingsError(
            "The selection of assets cannot be understood",
            where=f"option --select {select}",
            expected="Dagster's selection syntax, such as 'group:cleaned' or 'key:\"raw/orders\"+'",
            found=str(error).splitlines()[0],
            fix="correct it; '*' selects everything",
        ) from None
    examine_range(every_dataset(), [tuple(key.path) for key in selected], first, last)
    result = run_range(defs, keys, selection=selection, force=force, quiet=not verbose)
    for text in why_failed(result):
        errors.print(f"[bold red]failed:[/] {escape(text)}", highlight=False)
    return result.success


def days_of(span: tuple[str, str]) -> tuple[str, str]:
    """The days that a run is asked for, so that it works on a span of a dataset's partitions.

    Args:
        span: First and last partition.
    """
    if span[-1] == UNPARTITIONED_KEY:
        # A table that comes whole belongs to every range.
        first = orders.partitions.keys()[0]
        return first, first
    return span
