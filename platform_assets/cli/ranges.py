"""Whether a range of days can be asked of a selection.

Belongs here: the check before a run. Does not belong here: the run (``instance``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from platform_assets.dataset import Dataset
from platform_assets.errors import PartitionError


def examine_range(
    datasets: Sequence[Dataset], selected: Collection[tuple[str, ...]], first: str, last: str
) -> None:
    """Refuse days that a selected dataset does not have: a run is of one range.

    Args:
        datasets: Every dataset.
        selected: The parts of each selected asset's key.
        first: The first day.
        last: The last day.

    Raises:
        PartitionError: A dataset begins later or ends earlier.
    """
    names = {parts[-1] for parts in selected}
    for dataset in datasets:
        if dataset.name not in names:
            continue
        try:
            dataset.partitions.keys(first, last)
        except PartitionError as error:
            raise PartitionError(
                "A dataset does not have all the days of the range",
                where=f"dataset {dataset.name}",
                expected=error.expected,
                found=f"{first} to {last}",
                fix="fill a range that it has, or leave it out: "
                f"--select '* and not key:\"*/{dataset.name}\"'",
            ) from None
