"""Debezium's events in files: whatever their order and number, the newest position decides."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from platform_assets.errors import ContractError
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.sources import change_log
from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.sources.change_source import Lag
from platform_assets.warehouse.lake import connect
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.logs import (
    Event,
    Sync,
    accounted,
    current,
    event,
    lines,
    values,
)
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, Row, sales
from platform_assets_tests.table_shop import SEEDS, one_full_example

SyncOf = Callable[..., tuple[Sync, Path]]


@pytest.fixture
def sync_of(tmp_path: Path) -> Iterator[SyncOf]:
    """Makes syncs of a folder of their own; each with a lake of its own."""
    with ExitStack() as stack:
        made = 0

        def make(source: DebeziumFiles | None = None, **options: Any) -> tuple[Sync, Path]:
            nonlocal made
            made += 1
            root = tmp_path / str(made)
            folder = root / "delivered"
            folder.mkdir(parents=True)
            lake = stack.enter_context(connect(lake_in(root)))
            dataset = sales(
                source or DebeziumFiles("*.ndjson*"), **{"max_bad_share": 1.0, **options}
            )
            return Sync(dataset, lake, {"files": folder}), folder

        yield make


FILES = 3


@one_full_example
@given(seed=SEEDS)
@pytest.mark.parametrize(
    ("deletes", "history"), [("delete", True), ("mark", True), ("mark", False)]
)
def test_events_in_any_order_repeated_and_split_come_to_their_newest(
    sync_of: SyncOf, deletes: str, history: bool, seed: int
) -> None:
    # A history audits itself against the cleaned table, marked rows left out. Without one and
    # without marks is how all other tests here load.
    sync, folder = sync_of(deletes=deletes, history=history)
    rng = random.Random(seed)
    events = []
    for at in range(1, rng.randint(8, 16)):
        what, key, day = rng.choice("cuuud"), rng.randint(1, 4), rng.randint(1, 3)
        state = {} if what == "d" else {"status": rng.choice([GOOD, GOOD, GOOD, BAD])}
        events.append(event(what, key, at, day, **state))
    told = [*events, *rng.choices(events, k=rng.randint(1, 4))]
    rng.shuffle(told)
    packed = rng.randrange(FILES)
    seen: list[Event] = []
    for number in range(FILES):
        part = told[number::FILES]
        name = f"{rng.randint(0, 99):02}-{number}.ndjson"
        content = lines(part).encode()
        if number == packed:
            name, content = f"{name}.gz", gzip.compress(content)
        (folder / name).write_bytes(content)
        seen += part
        loaded, cleaned = sync()
        assert not loaded.failed
        assert all(control.holds for control in loaded.controls)
        assert accounted(cleaned)
        assert _state(sync, deletes) == _model(seen, deletes)
    assert len(sync.raw()) == len(told)
    before = sync.cleaned(), sync.raw()
    _, again = sync()
    assert {e.status for e in again.entries.values()} == {Status.UNCHANGED}
    _, forced = sync(force=True)
    assert accounted(forced)
    assert (sync.cleaned(), sync.raw()) == before
    assert _state(sync, deletes) == _model(seen, deletes)


def _state(sync: Sync, deletes: str) -> dict[int, Any]:
    if deletes == "delete":
        return sync.cleaned()
    rows = sync.select("SELECT sale_id, amount, _deleted_at FROM lake.cleaned.sales")
    return {key: (amount, gone) for key, amount, gone in rows}


def _model(events: list[Event], deletes: str) -> dict[int, Any]:
    if deletes == "delete":
        return values(current(events))
    rows: dict[int, tuple[Row, datetime | None]] = {}
    for each in sorted(events, key=lambda e: e.position):
        key = each.row.sale_id
        if each.op != "d" and each.row.status != BAD:
            rows[key] = each.row, None
        elif each.op == "d" and key in rows:
            rows[key] = rows[key][0], datetime(2025, 1, 1, 0, 0, each.position)
    return {key: (row.amount, gone) for key, (row, gone) in rows.items()}


def test_a_file_that_grows_is_read_on_from_its_last_whole_line(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    first, second, third = (lines([event("c", n, n)]) for n in (1, 2, 3))
    path = folder / "a.ndjson"
    path.write_text(first + second[:40])
    loaded, _ = sync()
    assert sorted(sync.cleaned()) == [1]
    assert "ends in a line that is not complete (40 bytes)" in loaded.notes[0]
    # The end of the last line is missing, but nothing of what it says.
    path.write_text(first + second.rstrip("\n"))
    loaded, _ = sync()
    assert not loaded.notes
    assert sorted(sync.cleaned()) == [1, 2]
    path.write_text(first + second + third)
    sync()
    assert [position for (position,) in sync.raw("_position")] == [1, 2, 3]
    sync()
    assert len(sync.raw()) == 3


def test_a_file_that_was_replaced_is_read_from_its_beginning(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    (folder / "a.ndjson").write_text(lines([event("c", 1, 1), event("c", 2, 2)]))
    sync()
    (folder / "a.ndjson").write_text(lines([event("c", n, n) for n in (3, 4, 5)]))
    sync()
    (folder / "a.ndjson").write_text(lines([event("c", 6, 6)]))
    sync()
    assert sorted(sync.cleaned()) == [1, 2, 3, 4, 5, 6]


def test_a_file_that_is_renamed_or_replayed_changes_nothing(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    events = [event("c", 1, 1), event("c", 2, 2, 2), event("d", 1, 3)]
    (folder / "b.ndjson").write_text(lines(events))
    sync()
    before = sync.cleaned()
    (folder / "b.ndjson").rename(folder / "a.ndjson")
    _, cleaned = sync()
    assert sync.cleaned() == before
    entry = cleaned.entries[DAYS[0]]
    assert (entry.extracted, entry.deduplicated) == (4, 4)


def test_a_packed_file_waits_until_it_is_complete(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    packed = gzip.compress(lines([event("c", 1, 1)]).encode())
    (folder / "a.ndjson.gz").write_bytes(packed[:-5])
    loaded, _ = sync()
    assert "a.ndjson.gz is not complete yet" in loaded.notes[0]
    assert not sync.cleaned()
    (folder / "a.ndjson.gz").write_bytes(packed)
    sync()
    assert sorted(sync.cleaned()) == [1]
    (folder / "b.ndjson.gz").write_bytes(b"no gzip at all")
    loaded, _ = sync()
    assert "cannot be unpacked" in loaded.failed[DAYS[0]].message


def test_the_cursor_stays_small_and_forgets_nothing(
    sync_of: SyncOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "REMEMBERED_FILES", 2)
    sync, folder = sync_of()
    for number in range(1, 5):
        (folder / f"{5 - number}.ndjson").write_text(lines([event("c", number, number)]))
        sync()
    (position,) = sync.select("SELECT position FROM lake.platform.cursors ORDER BY load DESC")[0]
    assert len(json.loads(position)["files"]) == 2
    assert len(sync.raw()) == 4
    (folder / "0-late.ndjson").write_text(lines([event("c", 5, 5)]))
    sync()
    assert sorted(sync.cleaned()) == [1, 2, 3, 4, 5]


def test_events_of_partitions_that_nobody_asked_for_are_not_lost(sync_of: SyncOf) -> None:
    sync, folder = sync_of(partitions=Daily(date(2025, 1, 1), date(2025, 1, 3)))
    told = [event("c", 1, 1), event("c", 2, 2, 2), event("c", 3, 3, 9), event("u", 1, 4, 9)]
    (folder / "a.ndjson").write_text(lines(told))
    loaded, _ = sync(DAYS[:1])
    assert (list(loaded.entries), list(loaded.also)) == ([DAYS[0]], [DAYS[1]])
    assert loaded.notes == (
        "2 versions wait in the raw table for partitions that the dataset does not have (yet): "
        "2025-01-09 to 2025-01-09",
    )
    assert sorted(sync.cleaned()) == [2]
    sync.dataset = sales(DebeziumFiles("*.ndjson*"), max_bad_share=1.0)
    _, cleaned = sync(("2025-01-09",))
    assert cleaned.entries["2025-01-09"].extracted == 2
    assert sync.cleaned() == values(current(told))


def test_a_delete_that_tells_only_the_key_finds_its_row(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    (folder / "a.ndjson").write_text(lines([event("c", 1, 1)]))
    sync(DAYS[:1])
    key_only = {"op": "d", "before": {"sale_id": 1}, "after": None, "source": {"lsn": 2}}
    (folder / "b.ndjson").write_text(lines([key_only]))
    loaded, cleaned = sync(DAYS[:1])
    assert loaded.entries[DAYS[0]].status is Status.PUBLISHED
    assert not sync.cleaned()
    assert accounted(cleaned)


def test_a_field_that_is_new_widens_the_raw_table(sync_of: SyncOf) -> None:
    sync, folder = sync_of(partitions=Unpartitioned())
    (folder / "a.ndjson").write_text(lines([event("c", 1, 1)]))
    sync(("all",))
    wider = event("c", 2, 2).envelope
    wider["after"]["colour"] = "red"
    (folder / "b.ndjson").write_text(lines([wider]))
    sync(("all",))
    assert sync.raw("sale_id, colour") == [("1", None), ("2", "red")]
    assert sorted(sync.cleaned()) == [1, 2]


def test_a_bad_line_stops_the_load_or_lands_in_quarantine(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    (folder / "a.ndjson").write_text(lines([event("c", 1, 1)]))
    sync()
    (folder / "b.ndjson").write_text(lines([event("c", 2, 2), "neither JSON nor event"]))
    loaded, _ = sync()
    message = loaded.failed[DAYS[0]].message
    assert "b.ndjson, line 2" in message
    assert "neither" not in message
    assert sorted(sync.cleaned()) == [1]
    sync.dataset = sales(DebeziumFiles("*.ndjson*", on_bad_line="quarantine"), max_bad_share=1.0)
    _, cleaned = sync()
    assert sorted(sync.cleaned()) == [1, 2]
    assert accounted(cleaned)
    ((original, file, rules),) = sync.select(
        "SELECT original_row->>'_line', source_file, rules FROM lake.platform.quarantine"
    )
    assert original == "neither JSON nor event"
    assert file.startswith("b.ndjson#")
    assert "sale_id__not_null" in rules


def test_the_schema_is_that_of_the_newest_file(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    source = sync.dataset.source
    assert isinstance(source, DebeziumFiles)
    wider = event("c", 2, 2).envelope
    wider["after"]["colour"] = "red"
    (folder / "b.ndjson").write_text(lines([wider]))
    (folder / "a.ndjson").write_text(lines([event("c", 1, 1)]))
    from platform_assets.sources.base import Access

    found = source.schema(Access(sync.lake, sync.connections))
    assert {column.name for column in found} >= {"sale_id", "colour"}


def test_a_folder_that_is_not_there_and_a_path_that_names_no_files(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    sync.connections = {"files": folder / "nowhere"}
    loaded, _ = sync()
    assert "The folder of a source does not exist" in loaded.failed[DAYS[0]].message
    sync.connections = {}
    loaded, _ = sync()
    assert "not configured" in loaded.failed[DAYS[0]].message
    for path in ("", "/absolute/*.ndjson", "orders/{partition}.ndjson"):
        with pytest.raises(ContractError, match="does not name files"):
            DebeziumFiles(path)


def test_lines_that_do_not_arrive_are_missed(
    sync_of: SyncOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from platform_assets.sources.envelope import Envelopes

    sync, folder = sync_of()
    (folder / "a.ndjson").write_text(lines([event("c", 1, 1), event("c", 2, 2)]))
    select = Envelopes.select
    monkeypatch.setattr(
        Envelopes, "select", lambda self, *args: f"FROM ({select(self, *args)}) LIMIT 1"
    )
    loaded, _ = sync()
    assert loaded.failed[DAYS[0]].stopped_by == "control_total"
    assert "lines: 2" in loaded.failed[DAYS[0]].message
    assert not sync.raw()


def test_amounts_are_exact(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    written = event("c", 1, 1, amount=Decimal("99999999.10")).envelope
    text = json.dumps(written).replace('"99999999.10"', "99999999.10")
    (folder / "a.ndjson").write_text(text + "\n")
    sync()
    assert sync.raw("amount") == [("99999999.10",)]
    assert sync.cleaned()[1][1] == Decimal("99999999.10")


def test_what_was_not_read_yet_is_seen_without_reading_it(sync_of: SyncOf) -> None:
    sync, folder = sync_of()
    (folder / "1.ndjson").write_text(lines([event("c", 1, 1)]))
    assert sync.touched() == []  # never loaded: that is for a person to ask for
    sync()
    assert (sync.touched(), sync.lag()) == ([], Lag(None, 0))
    more = lines([event("u", 1, 2)])
    with (folder / "1.ndjson").open("a") as file:
        file.write(more)
    assert sync.touched() == [DAYS[-1]]
    (folder / "2.ndjson").write_text(more)
    os.utime(folder / "2.ndjson", (1_750_000_000, 1_750_000_000))
    oldest = datetime.fromtimestamp(1_750_000_000, UTC)
    assert sync.lag() == Lag(oldest, 2 * len(more.encode()))
    sync([DAYS[-1]])
    assert (sync.touched(), sync.lag()) == ([], Lag(None, 0))
    (folder / "3.ndjson").write_text(lines([event("d", 1, 3)]))
    assert sync.touched() == [DAYS[-1]]
