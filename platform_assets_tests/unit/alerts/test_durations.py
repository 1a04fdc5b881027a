"""What is usual: from enough history, with a floor, and forgotten after a while."""

from pathlib import Path

import pytest

from platform_assets.alerts.database import Database
from platform_assets.alerts.durations import KEPT, Duration, Usual, record, size_of, usual


def took(number: int, seconds: float, size: int = 1, what: str = "raw/things") -> Duration:
    return Duration(what, size, f"run-{number}", float(number), seconds)


def test_the_median_of_the_newest_is_usual_and_telling_twice_changes_nothing(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "watch.sqlite")
    assert usual(database, "raw/things", 1) is None
    runs = [took(n, 1000.0) for n in range(10)] + [took(n, 60.0) for n in range(10, 10 + KEPT)]
    for _ in range(2):
        record(database, runs)
    record(database, [])
    record(database, [took(1, 5.0, size=3), took(1, 7.0, what="raw/others")])
    assert usual(database, "raw/things", 1) == Usual(60.0, 0.0, KEPT)
    assert usual(database, "raw/things", 3) == Usual(5.0, 0.0, 1)


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        # One and a half times the usual.
        ([600.0] * 5, 900.0),
        # What varies by itself may vary as much again.
        ([600.0, 300.0, 900.0, 1200.0, 60.0], 600.0 + 3 * 300.0),
        # A second more of something quick is no news.
        ([1.0] * 5, 31.0),
    ],
)
def test_the_limit(seconds: list[float], limit: float) -> None:
    assert Usual.of(seconds).limit(1.5) == pytest.approx(limit)


def test_about_how_many_partitions() -> None:
    assert [size_of(n) for n in (0, 1, 2, 3, 4, 7, 8, 365)] == [1, 1, 2, 2, 3, 3, 4, 9]
