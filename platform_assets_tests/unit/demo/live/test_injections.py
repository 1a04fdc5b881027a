"""Each misbehaviour is seen where it should be, on its days only, and the truth tells of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from platform_assets.demo.live import INJECTIONS, Injection, LiveShop, LiveTruth
from platform_assets.demo.live import database as database_module
from platform_assets.demo.live.injections import parse
from platform_assets.errors import SourceError
from platform_assets_tests.unit.demo.live.reading import (
    events,
    everything,
    files,
    founded,
    log,
    messages,
    orders,
    query,
    replayed,
    whole,
)


def effects(truth: LiveTruth, name: str, place: str) -> list[tuple[str, int, dict[str, object]]]:
    """What a misbehaviour did in a place: the day, the rows, and where to find them."""
    return [
        (each.day, each.rows, dict(each.detail))
        for each in truth.effects
        if (each.name, each.place) == (name, place)
    ]


def later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def test_late_orders_arrive_later(tmp_path: Path) -> None:
    shop, quiet = founded(tmp_path / "late"), founded(tmp_path / "quiet")
    shop.inject("late", days=3)
    arrived: dict[str, tuple[str, str, str]] = {}
    withheld = []
    for _ in range(7):
        (report,) = shop.advance()
        quiet.advance()
        for key, row in orders(shop).items():
            day = report.day.isoformat()
            arrived.setdefault(key, (day, row["ordered_at"], row["updated_at"]))
        withheld.append(shop.truth().withheld["orders"])
    told = effects(shop.truth(), "late", "orders")
    assert [day for day, _, _ in told] == ["2025-01-01", "2025-01-02", "2025-01-03"]
    expected = {
        key: later(day, delay)
        for day, _, detail in told
        for key, delay in detail["arrives_after_days"].items()  # type: ignore[attr-defined]
    }
    assert sum(rows for _, rows, _ in told) == len(expected) >= 9
    late = {key: day for key, (day, ordered, _) in arrived.items() if not ordered.startswith(day)}
    assert late == expected
    assert all(arrived[key][2].startswith(day) for key, day in late.items())
    assert withheld[0] > 0
    assert withheld[-1] == 0
    # Nothing is lost: the others have these orders from the beginning.
    assert {(key, row["ordered_at"]) for key, row in orders(shop).items()} >= {
        (key, row["ordered_at"]) for key, row in orders(quiet).items() if key in expected
    }


def test_late_events_and_flags_come_later(tmp_path: Path) -> None:
    shop, quiet = founded(tmp_path / "late"), founded(tmp_path / "quiet")
    for each in (shop, quiet):
        each.advance()
    shop.inject("late", days=2)
    flags = []
    for _ in range(6):
        shop.advance()
        flags.append(
            {path.parent.name for path in shop.folder.glob("marketing/*/processing_complete.flag")}
        )
    quiet.advance(6)
    days = [f"2025-01-{day:02}" for day in range(1, 8)]
    assert flags[0] == {days[0]}
    assert flags[1] == {days[0], days[1]}
    assert flags[2] == set(days[:4])
    assert shop.truth().withheld == {"orders": 0, "marketing": 0, "marketing flag": 0}
    found = {day: whole(events(shop, day)) for day in days}
    expected = {day: whole(events(quiet, day)) for day in days}
    for day, _, detail in effects(shop.truth(), "late", "marketing"):
        for event, delay in detail["arrives_after_days"].items():  # type: ignore[attr-defined]
            expected[day].remove(event)
            expected[later(day, delay)].add(event)
    assert found == expected
    assert [day for day, _, _ in effects(shop.truth(), "late", "marketing flag")] == days[1:3]


def test_late_changes_come_out_of_order(tmp_path: Path) -> None:
    shop, quiet = founded(tmp_path / "late"), founded(tmp_path / "quiet")
    shop.inject("late", days=1)
    for each in (shop, quiet):
        each.advance(2)
    lsns = [message["value"]["source"]["lsn"] for message in messages(shop)]
    ordered = [message["value"]["source"]["lsn"] for message in messages(quiet)]
    ((_, _, detail),) = effects(shop.truth(), "late", "tickets")
    (late,) = detail["lsns"]  # type: ignore[misc]
    assert lsns != sorted(lsns) == ordered
    without = [lsn for lsn in lsns if lsn != late]
    assert without == sorted(without)


def test_dup_repeats_rows_changes_and_files(tmp_path: Path) -> None:
    shop, quiet = founded(tmp_path / "dup"), founded(tmp_path / "quiet")
    shop.inject("dup", days=1)
    for each in (shop, quiet):
        each.advance(2)
    day = "2025-01-01"
    ((_, rows, detail),) = effects(shop.truth(), "dup", "marketing")
    found = events(shop, day)
    assert found[str(detail["again_as"])] == found[str(detail["repeated_file"])]
    counts = Counter(row["event_id"] for each in found.values() for row in each)
    assert sum(counts.values()) - len(counts) == rows
    assert all(counts[event] == 2 for event in detail["events"])  # type: ignore[attr-defined]
    assert set(counts) == whole(events(quiet, day))

    ((_, rows, detail),) = effects(shop.truth(), "dup", "tickets")
    content = files(shop.folder)
    assert content[str(detail["again_as"])] == content[str(detail["repeated_file"])]
    lsns = Counter(message["value"]["source"]["lsn"] for message in messages(shop))
    assert sum(lsns.values()) - len(lsns) == rows
    # Twice in a file, and that file twice.
    assert all(lsns[lsn] == 4 for lsn in detail["lsns"])  # type: ignore[attr-defined]
    assert replayed(shop) == replayed(quiet)
    # On the day after, and where nothing can be twice, all is as it was.
    assert events(shop, "2025-01-02") == events(quiet, "2025-01-02")
    assert orders(shop) == orders(quiet)


def test_drift_adds_and_renames(tmp_path: Path) -> None:
    shop, quiet = founded(tmp_path / "drift"), founded(tmp_path / "quiet")
    for each in (shop, quiet):
        each.advance()
    shop.inject("drift", days=2)
    assert "gift_note" not in next(iter(orders(shop).values()))
    for each in (shop, quiet):
        each.advance(2)
    rows = orders(shop)
    noted = {key for key, row in rows.items() if row.pop("gift_note") is not None}
    assert rows == orders(quiet)
    assert {rows[key]["ordered_at"][:10] for key in noted} == {"2025-01-02", "2025-01-03"}
    assert effects(shop.truth(), "drift", "orders") == [("2025-01-02", 0, {"added": "gift_note"})]
    names = {
        day: next(iter(events(shop, day).values()))[0].keys()
        for day in ("2025-01-01", "2025-01-03")
    }
    assert "campaign" in names["2025-01-01"]
    assert "campaign_name" in names["2025-01-03"]
    assert "campaign" not in names["2025-01-03"]

    for each in (shop, quiet):
        each.advance()
    assert orders(shop) == orders(quiet)
    assert effects(shop.truth(), "drift", "orders")[1] == (
        "2025-01-04",
        0,
        {"dropped": "gift_note"},
    )
    assert events(shop, "2025-01-04") == events(quiet, "2025-01-04")


def test_garbage_breaks_lines_and_loses_nothing(tmp_path: Path) -> None:
    shop, quiet = founded(tmp_path / "garbage"), founded(tmp_path / "quiet")
    shop.inject("garbage", days=1)
    for each in (shop, quiet):
        each.advance(2)
    ((day, rows, detail),) = effects(shop.truth(), "garbage", "tickets")
    broken = [
        (name, number)
        for name, part in log(shop).items()
        for number, message in enumerate(part, start=1)
        if message is None
    ]
    assert broken == [(Path(str(detail["file"])).name, detail["line"])]
    assert (day, rows) == ("2025-01-01", 1)
    assert messages(shop) == messages(quiet)

    ((day, rows, detail),) = effects(shop.truth(), "garbage", "marketing")
    torn = [
        (name, number)
        for name, part in events(shop, day).items()
        for number, row in enumerate(part, start=2)
        if None in row.values()
    ]
    assert torn == [(detail["file"], detail["line"])]
    assert rows == 1
    assert whole(events(shop, day)) == whole(events(quiet, day))


def test_down_takes_the_database_away(tmp_path: Path) -> None:
    shop = founded(tmp_path / "shop")
    shop.advance()
    before = orders(shop)
    shop.inject("down", days=1, api="up")
    assert not shop.database.exists()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        query(shop.database, "SELECT 1")
    # The shop itself goes on, and is found again on the day after.
    assert shop.truth().orders == len(before)
    shop.advance()
    assert len(orders(shop)) > len(before)

    shop.inject("down")
    shop.advance(2)
    assert not shop.database.exists()
    assert not LiveShop.open(shop.folder).database.exists()
    shop.stop("down")
    assert shop.truth().orders == len(orders(shop))
    shop.inject("down", database="up")
    assert shop.database.exists()


def test_a_locked_database_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = founded(tmp_path)
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.05)
    with shop.locked():
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite3.connect(shop.database, timeout=0).execute("SELECT * FROM orders")
        with pytest.raises(
            SourceError, match="The database of the living shop is locked"
        ) as caught:
            shop.advance()
        assert caught.value.fix == "let the other one finish, then try again"
        with pytest.raises(SourceError, match="is locked"):
            LiveShop.open(tmp_path)
    assert shop.days == 0
    shop.advance()
    assert len(orders(shop)) == shop.truth().orders


def test_slow_and_down_leave_the_days_alone(tmp_path: Path) -> None:
    shop, quiet = founded(tmp_path / "shop"), founded(tmp_path / "quiet")
    shop.inject("slow", days=1, milliseconds=10)
    shop.inject("down", days=1)
    for each in (shop, quiet):
        each.advance(2)
    one, other = everything(shop.folder), everything(quiet.folder)
    assert one.pop("_injections") != other.pop("_injections")
    assert one == other
    assert shop.truth().effects == ()


def test_misbehaviours_have_their_days(tmp_path: Path) -> None:
    shop = founded(tmp_path)
    shop.inject("dup", days=1, after_days=1)
    shop.inject("slow")
    injected = [report.injected for report in shop.advance(3)]
    assert injected == [("slow",), ("dup", "slow"), ("slow",)]
    shop.inject("drift")
    shop.stop("slow")
    assert shop.acting == {"drift": {}}
    (report,) = shop.advance()
    assert report.injected == ("drift",)
    assert report.line().endswith("injected: drift")
    shop.inject("garbage", after_days=2)
    shop.stop()
    assert shop.acting == {}
    (report,) = shop.advance()
    assert "injected" not in report.line()
    assert shop.truth().injections == (
        Injection("dup", 1, 2),
        Injection("slow", 0, 3, {"milliseconds": "300", "turn_away_every": "0"}),
        Injection("drift", 3, 4),
        Injection("garbage", 6, 6),
    )


def test_the_later_of_two_counts(tmp_path: Path) -> None:
    shop = founded(tmp_path)
    shop.inject("slow", milliseconds=5)
    shop.inject("slow", milliseconds=7)
    assert shop.acting == {"slow": {"milliseconds": "7", "turn_away_every": "0"}}


def test_a_command_line_names_them() -> None:
    assert parse("late, dup,,slow:milliseconds=5") == [
        ("late", {}),
        ("dup", {}),
        ("slow", {"milliseconds": "5", "turn_away_every": "0"}),
    ]
    assert parse("down:api=refused:database=up") == [("down", {"api": "refused", "database": "up"})]
    assert parse("") == []
    assert [name for name, _ in parse(",".join(INJECTIONS))] == list(INJECTIONS)


def test_what_a_killed_process_did_not_finish_is_removed(tmp_path: Path) -> None:
    shop = founded(tmp_path)
    unfinished = tmp_path / "marketing" / "2025-01-01" / ".events-01.csv.gz.1.tmp"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"half")
    shop.advance()
    assert not unfinished.exists()
    assert (unfinished.parent / "events-01.csv.gz").is_file()
