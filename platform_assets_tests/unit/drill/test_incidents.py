"""Each incident changes of its source what it says, and nothing else; the same by the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.drill.incident import Incident
from platform_assets.drill.incidents import BY_NAME, CATALOGUE
from platform_assets.drill.server import Fault
from platform_assets.drill.source import Source
from platform_assets_tests.unit.drill.stage import (
    TINY,
    Row,
    contents,
    deliver,
    inject,
    moved,
    rows,
    server_of,
    standing,
)

# Columns that differ, and between which shares of the rows.
CHANGED: dict[str, tuple[set[str], float, float]] = {
    "encoded twice": ({"full_name"}, 0.2, 1.0),
    "optional column dropped": ({"campaign"}, 0.9, 1.0),
    "column dropped": ({"channel"}, 1.0, 1.0),
    "column renamed": ({"total_amount", "amount_total"}, 1.0, 1.0),
    "column added": ({"discount"}, 1.0, 1.0),
    "type change": ({"quantity"}, 1.0, 1.0),
    "type change in JSON": ({"duration_ms"}, 1.0, 1.0),
    "decimal comma": ({"total_amount"}, 1.0, 1.0),
    "currency sign in amounts": ({"total_amount"}, 1.0, 1.0),
    "date format changed": ({"ordered_at"}, 1.0, 1.0),
    "text cut off": ({"page"}, 1.0, 1.0),
    "null share 1 to 6 %": ({"campaign"}, 0.03, 0.07),
    "a column all null": ({"campaign"}, 0.95, 1.0),
    "a required column all null": ({"channel"}, 1.0, 1.0),
    "some nulls where none may be": ({"customer_id"}, 0.005, 0.06),
    "unit change: cents": ({"total_amount", "unit_price"}, 1.0, 1.0),
    "unit change: seconds": ({"duration_ms"}, 1.0, 1.0),
    "unit change in one country": ({"total_amount", "unit_price"}, 0.06, 0.2),
    "columns swapped": ({"total_amount", "unit_price"}, 0.3, 0.6),
    "negative amounts": ({"total_amount"}, 0.02, 0.1),
    "outlier order": ({"total_amount"}, 0.001, 0.01),
    "zero prices": ({"total_amount"}, 0.12, 0.28),
    "constant column": ({"quantity"}, 0.3, 0.6),
    "sentinel for unknown": ({"duration_ms"}, 0.01, 0.06),
    "zero for unknown": ({"duration_ms"}, 0.12, 0.28),
    "totals without the quantity": ({"total_amount"}, 0.3, 0.6),
    "discount not booked": ({"total_amount"}, 1.0, 1.0),
    "cents cut off": ({"total_amount"}, 0.6, 0.9),
    "gradual drift": ({"total_amount", "unit_price"}, 1.0, 1.0),
    "new status value": ({"status"}, 0.005, 0.07),
    "enum renamed": ({"status"}, 0.2, 0.5),
    "new free category": ({"action"}, 0.02, 0.06),
    "free category renamed": ({"action"}, 0.07, 0.2),
    "case of a category": ({"country"}, 1.0, 1.0),
    "spaces in a category": ({"device"}, 0.25, 0.4),
    "other country codes": ({"country"}, 1.0, 1.0),
    "constant category": ({"channel"}, 0.3, 0.6),
    "one status for all": ({"status"}, 0.7, 0.95),
    "currency flipped for one market": ({"currency"}, 0.2, 0.5),
    "currencies swapped": ({"currency"}, 0.8, 1.0),
    "first and last name swapped": ({"full_name"}, 0.6, 1.0),
    "addresses overwritten": ({"email"}, 0.2, 0.8),
    "one address for all": ({"email"}, 1.0, 1.0),
    "timezone shift 1 h": ({"ordered_at", "updated_at"}, 1.0, 1.0),
    "timezone shift 5 h": ({"ordered_at", "updated_at"}, 1.0, 1.0),
    "future dates": ({"ordered_at"}, 0.01, 0.1),
    "dates of 1970": ({"ordered_at"}, 0.001, 0.06),
    "time of day lost": ({"ordered_at"}, 0.99, 1.0),
    "day and month swapped": ({"ordered_at"}, 0.9, 1.0),
    "updated before ordered": ({"updated_at"}, 1.0, 1.0),
    "key reused": ({"order_id"}, 0.2, 0.45),
    "keys cut off": ({"order_id"}, 1.0, 1.0),
    "keys missing": ({"order_id"}, 0.001, 0.06),
    "orphans": ({"customer_id"}, 0.02, 0.1),
    "other form of a foreign key": ({"customer_id"}, 1.0, 1.0),
    "one customer for all": ({"customer_id"}, 0.9, 1.0),
}
# Rows afterwards for each row before, where the rows that stay are the same.
RESIZED: dict[str, tuple[float, float]] = {
    "volume down 40 %": (0.5, 0.7),
    "volume down 20 %": (0.72, 0.88),
    "events down 40 %": (0.5, 0.7),
    "volume doubled": (2.0, 2.0),
    "Black Friday, unannounced": (2.3, 2.7),
    "Black Friday, announced": (2.3, 2.7),
    "rows copied under new keys": (1.15, 1.35),
    "one country missing": (0.8, 0.95),
    "main country missing": (0.5, 0.75),
    "one channel missing": (0.6, 0.8),
    "small channel missing": (0.88, 0.99),
    "empty file": (0.0, 0.0),
    "extract too early": (0.45, 0.75),
    "half a file, at a row's end": (0.45, 0.55),
    "late rows": (0.55, 0.78),
    "duplicated file": (2.0, 2.0),
    "test data left in": (1.04, 1.18),
    "gap in a change log": (0.2, 0.4),
}
NOT_THERE = {"stale file: none comes", "reference file does not come", "weekend missing"}
# What replaces the file is compared byte by byte, or is not readable as a file of rows.
BYTES = {
    "half a file",
    "zero-byte file",
    "encoding broken",
    "delimiter changed",
    "header missing",
    "header in the middle",
    "error page as a file",
    "last line cut off",
    "file of yesterday again",
    "stale file: last week's",
    "events of yesterday again",
    "broken line in a change log",
    "field of a change log renamed",
    "replayed change log",
}
SAME_ROWS = {
    "byte order mark",
    "rows shuffled",
    "columns in another order",
    "Windows line ends",
    "every field in quotes",
    "no line end at the end",
    "JSON keys in another order",
    "change log out of order",
}
FAULTS = {
    "source down": Fault.DOWN,
    "token withdrawn": Fault.LOCKED_OUT,
    "source slow: no answer in time": Fault.SILENT,
    "source slow: late answers": Fault.SLUGGISH,
    "partial page from the API": Fault.SHORT_PAGE,
    "pages lost by the API": Fault.LOST_PAGES,
    "pages hidden by the API": Fault.HIDDEN,
    "answer cut off": Fault.CUT_OFF,
}
# Lines of the database's dump that differ.
DATABASE = {
    "column of a table renamed",
    "table not filled",
    "rows deleted at the source",
    "clock skew",
    "costs negative in a table",
}
GONE = {"database gone"}
NOTHING = {"nothing at all"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with standing(tmp_path_factory.mktemp("shop")) as source:
        yield source


def happened(shop: Source, folder: Path, incident: Incident) -> tuple[dict[str, bytes], ...]:
    """What the sources held before and after, and the name of the only file that it may touch."""
    source = moved(shop, folder)
    deliver(source, incident)
    before = contents(source.folder)
    inject(source, incident)
    return before, contents(source.folder)


def touched(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}


def file_rows(shop: Source, folder: Path, name: str) -> tuple[list[Row], list[Row]]:
    """Rows before and after of the one file that an incident touches: its dataset's, of the day."""
    incident = BY_NAME[name]
    before, after = happened(shop, folder, incident)
    (path,) = touched(before, after)
    assert TINY.day(incident.first) in path
    assert (incident.dataset in path) or path.startswith("api")
    return rows(before[path], path), rows(after[path], path)


def frozen(found: list[Row]) -> set[str]:
    return {repr(sorted(row.items())) for row in found}


def test_every_incident_is_tested_here() -> None:
    tested = [
        *CHANGED, *RESIZED, *NOT_THERE, *BYTES, *SAME_ROWS, *FAULTS, *DATABASE, *GONE, *NOTHING,
    ]  # fmt: skip
    assert sorted(tested) == sorted(incident.name for incident in CATALOGUE)


@pytest.mark.parametrize("name", CHANGED)
def test_columns_are_changed_and_no_others(name: str, shop: Source, tmp_path: Path) -> None:
    columns, low, high = CHANGED[name]
    before, after = file_rows(shop, tmp_path, name)
    assert len(before) == len(after)
    pairs = list(zip(before, after, strict=True))
    differing = {
        column
        for one, other in pairs
        for column in {*one, *other}
        if one.get(column) != other.get(column)
    }
    assert differing == columns
    share = sum(one != other for one, other in pairs) / len(pairs)
    assert low <= share <= high


@pytest.mark.parametrize("name", RESIZED)
def test_rows_come_or_go_and_the_others_stay(name: str, shop: Source, tmp_path: Path) -> None:
    low, high = RESIZED[name]
    before, after = file_rows(shop, tmp_path, name)
    assert low <= len(after) / len(before) <= high
    smaller, larger = sorted((frozen(before), frozen(after)), key=len)
    assert smaller <= larger


@pytest.mark.parametrize("name", sorted(NOT_THERE))
def test_a_file_does_not_come(name: str, shop: Source, tmp_path: Path) -> None:
    before, after = happened(shop, tmp_path, BY_NAME[name])
    (path,) = touched(before, after)
    assert path not in after


@pytest.mark.parametrize("name", sorted(BYTES))
def test_the_bytes_of_one_file_are_others(name: str, shop: Source, tmp_path: Path) -> None:
    before, after = happened(shop, tmp_path, BY_NAME[name])
    (path,) = touched(before, after)
    assert BY_NAME[name].dataset in path


@pytest.mark.parametrize("name", sorted(SAME_ROWS))
def test_a_control_has_the_same_rows(name: str, shop: Source, tmp_path: Path) -> None:
    before, after = happened(shop, tmp_path, BY_NAME[name])
    (path,) = touched(before, after)
    told = after[path].removeprefix(b"\xef\xbb\xbf")
    assert frozen(rows(before[path], path)) == frozen(rows(told, path))


@pytest.mark.parametrize("name", FAULTS)
def test_the_api_fails_and_its_tickets_stay(name: str, shop: Source, tmp_path: Path) -> None:
    source = moved(shop, tmp_path)
    deliver(source, BY_NAME[name])
    before = contents(source.folder)
    inject(source, BY_NAME[name])
    assert server_of(source).fault is FAULTS[name]
    assert contents(source.folder) == before


@pytest.mark.parametrize("name", sorted(DATABASE))
def test_the_database_is_changed(name: str, shop: Source, tmp_path: Path) -> None:
    before, after = happened(shop, tmp_path, BY_NAME[name])
    assert touched(before, after) == {"shop.sqlite"}


def test_the_database_is_gone(shop: Source, tmp_path: Path) -> None:
    before, after = happened(shop, tmp_path, BY_NAME["database gone"])
    assert touched(before, after) == {"shop.sqlite"}
    assert "shop.sqlite" not in after


def test_nothing_happens(shop: Source, tmp_path: Path) -> None:
    before, after = happened(shop, tmp_path, BY_NAME["nothing at all"])
    assert before == after


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("file of yesterday again", 1),
        ("events of yesterday again", 1),
        ("stale file: last week's", 7),
    ],
)
def test_another_day_comes_under_the_days_name(
    name: str, days: int, shop: Source, tmp_path: Path
) -> None:
    incident = BY_NAME[name]
    source = moved(shop, tmp_path)
    deliver(source, incident)
    inject(source, incident)
    now = source.path(incident.dataset, TINY.day(0)).read_bytes()
    assert now == source.clean_bytes(incident.dataset, TINY.day(-days))


def test_late_rows_all_come_on_the_next_day(shop: Source, tmp_path: Path) -> None:
    incident = BY_NAME["late rows"]
    source = moved(shop, tmp_path)
    deliver(source, incident)
    inject(source, incident)
    first = source.path("orders", TINY.day(0))
    source.deliver([TINY.day(1)], ["orders"])
    inject(source, incident, 1)
    second = source.path("orders", TINY.day(1))
    found = frozen([*rows(first.read_bytes(), ".csv"), *rows(second.read_bytes(), ".csv")])
    clean = [
        row for day in (0, 1) for row in rows(source.clean_bytes("orders", TINY.day(day)), ".csv")
    ]
    assert found == frozen(clean)


def test_a_drift_grows_from_day_to_day(shop: Source, tmp_path: Path) -> None:
    incident = BY_NAME["gradual drift"]
    factors = []
    source = moved(shop, tmp_path)
    for number in (0, 1, 9):
        day = TINY.day(number)
        source.deliver([day], ["orders"])
        inject(source, incident, number)
        now = rows(source.path("orders", day).read_bytes(), ".csv")
        was = rows(source.clean_bytes("orders", day), ".csv")
        factors.append(total(now) / total(was))
    assert factors == pytest.approx([1.02, 1.02**2, 1.02**10], rel=1e-3)


def total(found: list[Row]) -> float:
    return sum(float(row["total_amount"] or 0) for row in found)


def test_a_clock_is_wrong_for_one_booking(shop: Source, tmp_path: Path) -> None:
    before, after = happened(shop, tmp_path, BY_NAME["clock skew"])
    lines = [set(each["shop.sqlite"].decode().splitlines()) for each in (before, after)]
    assert len(lines[1] - lines[0]) == 1


@pytest.mark.parametrize(
    "name", ["volume down 40 %", "orphans", "null share 1 to 6 %", "rows shuffled", "key reused"]
)
def test_the_same_seed_does_the_same(name: str, shop: Source, tmp_path: Path) -> None:
    once = happened(shop, tmp_path / "one", BY_NAME[name])
    assert once == happened(shop, tmp_path / "other", BY_NAME[name])
