"""Who has stopped, and who is only late."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from platform_assets.alerts.database import Database
from platform_assets.alerts.heartbeats import beat, beats, forget

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
EVERY = timedelta(seconds=30)


def test_three_missed_beats_are_a_silence_and_two_are_not(tmp_path: Path) -> None:
    database = Database(tmp_path / "watch.sqlite")
    assert beats(database) == []
    beat(database, "alerts", EVERY, NOW - timedelta(hours=1))
    beat(database, "alerts", EVERY, NOW)
    beat(database, "watchdog", timedelta(minutes=5), NOW)
    first, second = beats(database)
    assert (first.name, first.at, first.every) == ("alerts", NOW, EVERY)
    assert not first.is_silent(NOW + timedelta(seconds=120))
    assert first.is_silent(NOW + timedelta(seconds=121))
    assert not second.is_silent(NOW + timedelta(minutes=15))
    assert second.is_silent(NOW + timedelta(minutes=16))


def test_who_is_to_beat_no_more_is_taken_off_the_list(tmp_path: Path) -> None:
    database = Database(tmp_path / "watch.sqlite")
    beat(database, "watchdog", EVERY, NOW)
    assert forget(database, "watchdog")
    assert not forget(database, "watchdog")
    assert beats(database) == []
