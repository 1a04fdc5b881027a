"""What lies in the folder of daily files, told from the files alone.

Belongs here: finding and counting what was delivered, without the engine, so that what the engine
published has something independent to be held against. Does not belong here: reading rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from platform_assets.errors import SourceError
from platform_assets.sources.csv_dialect import Dialect
from platform_assets.sources.csv_shape import blocks_of, shape


@dataclass(frozen=True)
class Delivery:
    """A folder of daily files.

    Attributes:
        folder: The folder, absolute.
        files: Files of the days asked for.
        rows: Their records, headers apart.
        outside: CSV files that are of none of these days: they are not loaded.
    """

    folder: Path
    files: int
    rows: int
    outside: int


def look_at(folder: Path, days: Collection[str]) -> Delivery:
    """Count what a folder holds for these days.

    Args:
        folder: The folder.
        days: The days' keys; the file of a day is called ``<key>.csv``.

    Raises:
        SourceError: There is no such folder, or no file of these days in it.
    """
    expected = f"a folder with a file a day, {min(days)}.csv to {max(days)}.csv"
    fix = "pass the folder of the daily files: --data ../shared/data/online_retail/by-day"
    if not folder.is_dir():
        raise SourceError(
            "There is no folder of daily files",
            where=f"--data {folder}",
            expected=expected,
            found="something that is no folder" if folder.exists() else "nothing",
            fix=fix,
        )
    found = [path for path in folder.glob("*.csv") if path.is_file()]
    of_a_day = [path for path in found if path.stem in days]
    if not of_a_day:
        raise SourceError(
            "The folder holds no file of the dataset's days",
            where=f"--data {folder}",
            expected=expected,
            found=f"{len(found)} CSV files, none of them named after such a day",
            fix=fix,
        )
    return Delivery(
        folder=folder.absolute(),
        files=len(of_a_day),
        rows=sum(_rows(path) for path in of_a_day),
        outside=len(found) - len(of_a_day),
    )


def _rows(path: Path) -> int:
    """Records after the header; none where a file cannot be read, which its partition reports."""
    try:
        with path.open("rb") as file:
            return max(shape(blocks_of(file), Dialect()).records - 1, 0)
    except OSError:
        return 0
