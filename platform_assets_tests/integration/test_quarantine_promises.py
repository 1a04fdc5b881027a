"""The quarantine's promises for any input: rows add up, a fix converges, twice is as once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.pipeline import clean
from platform_assets.pipeline.correct import Corrected, correct
from platform_assets.warehouse import quarantine_work as work
from platform_assets.warehouse import tables
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.quarantine_export import ID
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets_tests.integration.test_promises import FEW, SiteMaker
from platform_assets_tests.support import D1, D2, HEADER, Site, Thing, row, text, things

DAYS = [D1, D2]
COLUMNS = HEADER.split(",")
ROWS = st.builds(
    row,
    st.sampled_from(["a", "b", "c", "d", ""]),
    st.sampled_from(["1", "2", "0", "-1", "x", ""]),
    st.sampled_from(["1.00", "2.5", "-0.01", "x", ""]),
    st.sampled_from(["", "n", "a note that is longer than allowed"]),
    st.sampled_from(["2025-01-01 01:00:00", "2025-01-01 02:00:00", "2025-02-30 00:00:00"]),
)
FILES = st.lists(st.lists(ROWS, max_size=12), min_size=2, max_size=2)
RIGHT = dict(zip(COLUMNS, row("k", 3, "4.00", "", "2025-01-01 03:00:00").split(","), strict=True))


class Lenient(Thing):
    """Things that may be owed, and need not have a price."""

    quantity: int


@pytest.fixture
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteMaker]:
    made = SiteMaker(tmp_path_factory)
    yield made
    made.close()


def fill(site: Site, files: list[list[str]], **options: object) -> None:
    for day, rows in zip(DAYS, files, strict=True):
        site.deliver(day, text(*rows))
    _, report = site.run(things(max_bad_share=1.0, **options), DAYS)
    extracted = [report.entries[day].extracted for day in DAYS]
    assert extracted == [len(rows) for rows in files]
    adds_up(site)


def adds_up(site: Site) -> None:
    """Published + quarantined + deduplicated = extracted, each counted in its own table."""
    for day, entry in site.published("cleaned").items():
        at = f"_partition = '{day}'"
        ((raw,),) = site.select(f"SELECT count(*) FROM {tables.raw_table('things')} WHERE {at}")
        ((held,),) = site.select(
            f"SELECT count(*) FROM {tables.QUARANTINE} WHERE partition = '{day}' "
            "AND status IN ('open', 'resolved')"
        )
        assert entry.extracted == raw
        assert (entry.cleaned, entry.quarantined) == (len(site.ids(day)), held)
        assert entry.extracted == entry.cleaned + entry.quarantined + entry.deduplicated


def everything(site: Site) -> list[object]:
    """What doing it twice must not change: tables, quarantine, books, publishes."""
    return [
        site.contents(),
        site.select(f"FROM {tables.CORRECTIONS} ORDER BY ALL"),
        site.select(f"FROM {tables.QUARANTINE_ACTIONS} ORDER BY ALL"),
        site.select(f"SELECT * FROM {tables.LEDGER} WHERE status = 'published' ORDER BY ALL"),
    ]


def replay(site: Site, path: Path) -> Corrected:
    """Take a file, and judge what it makes due."""
    dataset = things(max_bad_share=1.0)
    taken = correct(site.step(dataset), path, reason="r", author="a")
    for entry in clean(
        site.step(dataset), taken.replay.partitions.get("things", [])
    ).entries.values():
        assert entry.status is Status.PUBLISHED, entry.message
    return taken


@FEW
@given(files=FILES, picked=st.sets(st.sampled_from(COLUMNS)), key=st.sampled_from(["k", "a"]))
def test_rows_corrected_in_a_file_come_to_what_they_would_have_been(
    sites: SiteMaker, files: list[list[str]], picked: set[str], key: str
) -> None:
    site = sites()
    fill(site, files)
    raw = site.raw()
    bad = site.quarantine(columns="partition, row_number, quarantine_id")
    changes = {name: value for name, value in RIGHT.items() if name in picked} | (
        {"thing_id": key} if "thing_id" in picked else {}
    )
    path = site.folder / "edited.ndjson"
    # An empty field of a CSV file is none.
    said = {name: value or None for name, value in changes.items()}
    path.write_text("".join(json.dumps({ID: each, **said}) + "\n" for _, _, each in bad))
    if bad:
        replay(site, path)
        adds_up(site)
        assert site.raw() == raw
        before = everything(site)
        again = replay(site, path)
        assert (again.replay.rows, again.unchanged) == ({}, len(bad))
        clean(site.step(things(max_bad_share=1.0)), DAYS)
        assert everything(site) == before
    replayed = site.cleaned()
    # The same rows, right from the start.
    for day, number, _ in bad:
        rows = files[DAYS.index(day)]
        values = dict(zip(COLUMNS, rows[number - 1].split(","), strict=True)) | changes
        rows[number - 1] = ",".join(values[name] for name in COLUMNS)
    other = sites()
    fill(other, files)
    assert other.cleaned() == replayed


@FEW
@given(files=FILES)
def test_rows_that_a_contract_allows_now_come_to_what_they_would_have_been(
    sites: SiteMaker, files: list[list[str]]
) -> None:
    site = sites()
    fill(site, files)
    lenient = things(max_bad_share=1.0, contract=Lenient)
    asked = work.begin_replay(site.lake, Picked(dataset="things"), reason="r", author="a")
    clean(site.step(lenient, force=True), asked.partitions.get("things", []))
    clean(site.step(lenient), DAYS)
    adds_up(site)
    before = everything(site)
    clean(site.step(lenient), DAYS)
    assert everything(site) == before
    replayed, held = site.cleaned(), site.quarantine(columns="quarantine_id, rules, status")
    other = sites()
    fill(other, files, contract=Lenient)
    assert other.cleaned() == replayed
    # What is still bad is the same, but for rows that were bad and are no longer.
    bad = [each for each in held if each[2] == "open"]
    assert other.quarantine(columns="quarantine_id, rules, status") == bad
