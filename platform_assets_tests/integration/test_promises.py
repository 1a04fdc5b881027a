"""The promises of the pipeline, each tried to be broken, counted from outside.

What has to come out of a file is worked out from the CSV by Python alone (``counting``).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from platform_assets.contracts import Contract, Field, Key
from platform_assets.pipeline import BatchReport, clean, load_raw
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.integration.counting import hold
from platform_assets_tests.support import (
    D1,
    D2,
    D3,
    DAYS,
    HEADER,
    Site,
    row,
    rows_named,
    text,
    things,
)

ROWS = st.builds(
    row,
    st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h", ""]),
    st.sampled_from(["1", "2", "3", "4", "5", "6", "0", "-1", "x", ""]),
    st.sampled_from(["1.00", "2.50", "3", "0.10", "4.20", "-0.01", "1.005", "x", ""]),
    st.sampled_from(["", "n", "a note that is longer than allowed"]),
    st.sampled_from([f"2025-01-01 0{hour}:00:00" for hour in range(6)] + ["2025-02-30 00:00:00"]),
)
GOOD_ROWS = st.builds(
    row,
    st.sampled_from([f"k{n}" for n in range(12)]),
    st.integers(0, 9),
    st.just("1.00"),
    st.just(""),
    st.sampled_from([f"2025-01-01 0{hour}:00:00" for hour in range(6)]),
)
FILES = st.none() | st.tuples(st.lists(ROWS, max_size=4), st.lists(GOOD_ROWS, max_size=30)).flatmap(
    lambda parts: st.permutations([*parts[0], *parts[1]])
)
FEW = settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteMaker]:
    """Makes a lake for each example."""
    made = SiteMaker(tmp_path_factory)
    yield made
    made.close()


class SiteMaker:
    """Opens a lake of its own each time, and closes the one before."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self.factory = factory
        self.open: list[object] = []

    def __call__(self) -> Site:
        self.close()
        root = self.factory.mktemp("example")
        (root / "delivered" / "things").mkdir(parents=True)
        lake = connect(lake_in(root))
        self.open.append(lake)
        return Site(lake.__enter__(), root / "delivered")

    def close(self) -> None:
        while self.open:
            self.open.pop().__exit__(None, None, None)  # type: ignore[attr-defined]


@FEW
@given(files=st.lists(FILES, min_size=10, max_size=10), small_batches=st.booleans())
def test_every_row_is_accounted_for(
    sites: SiteMaker, files: list[list[str] | None], small_batches: bool
) -> None:
    site, days = sites(), DAYS
    site.batch_bytes = 2_000 if small_batches else 1_000_000
    for day, rows in zip(days, files, strict=True):
        if rows is not None:
            site.deliver(day, text(*rows))
    loaded, cleaned = site.run(things(), days)
    assert not loaded.failed
    hold(site, days, cleaned)
    before = site.contents()
    site.run(things(), days)
    assert site.contents() == before
    # Done again by force, every row is the same one, first seen when it was.
    site.run(things(), days, force=True)
    assert site.contents() == before


@FEW
@given(
    first=st.lists(FILES, min_size=3, max_size=3),
    second=st.lists(FILES, min_size=3, max_size=3),
    order=st.permutations([[D1, D2], [D2, D3], [D3], [D1, D3]]),
)
def test_runs_out_of_order_come_to_the_same(
    sites: SiteMaker,
    first: list[list[str] | None],
    second: list[list[str] | None],
    order: list[list[str]],
) -> None:
    site, days = sites(), [D1, D2, D3]
    for day, rows in zip(days, first, strict=True):
        if rows is not None:
            site.deliver(day, text(*rows))
    for some in order[:2]:
        site.run(things(), some)
    for day, rows in zip(days, second, strict=True):
        if rows is None:
            site.path("things", day).unlink(missing_ok=True)
        else:
            site.deliver(day, text(*rows))
    reports: dict[str, BatchReport] = {}
    for some in order:
        _, report = site.run(things(), some)
        reports |= dict.fromkeys(some, report)
    for day, report in reports.items():
        hold(site, [day], report)
    ids = site.quarantine(columns="quarantine_id")
    assert len(ids) == len(set(ids))


def test_a_changed_file_does_exactly_its_partition_again(site: Site) -> None:
    dataset, days = things(), [D1, D2, D3]
    for day in days:
        site.deliver(day, text(row(f"of-{day}")))
    site.run(dataset, days)
    site.deliver(D2, text(row("new")))
    loaded, cleaned = site.run(dataset, days)
    for report in (loaded, cleaned):
        assert [str(e.status) for e in report.entries.values()] == [
            "unchanged",
            "published",
            "unchanged",
        ]
    assert [site.ids(day) for day in days] == [[f"of-{D1}"], ["new"], [f"of-{D3}"]]


TEN = rows_named(*"abcdefghij")
BAD_ROW = row("bad", quantity=-1)


def test_the_share_of_bad_rows_that_stops_a_partition(site: Site) -> None:
    files = {
        D1: [*TEN[:9], BAD_ROW],  # exactly ten per cent
        D2: [*TEN[:8], BAD_ROW],
        D3: [BAD_ROW],
        DAYS[3]: [],
    }
    for day, rows in files.items():
        site.deliver(day, text(*rows))
    _, cleaned = site.run(things(), list(files))
    assert set(cleaned.entries) == set(files)
    assert {day for day, e in cleaned.entries.items() if e.status is Status.FAILED} == {D2, D3}
    assert {day for day, e in cleaned.entries.items() if e.status is Status.PUBLISHED} == {
        D1,
        DAYS[3],
    }
    for day in (D2, D3):
        entry = cleaned.entries[day]
        assert entry.stopped_by == "quantity__ge"
        assert "Too many rows break a rule: quantity__ge" in entry.message
        assert f"dataset things, partition {day}" in entry.message
        assert "at most 10.0%" in entry.message
        assert f"1 of {len(files[day])} rows" in entry.message
        assert "platform-assets quarantine list --dataset things" in entry.message
        assert site.ids(day) == []
    assert site.ids(D1) == list("abcdefghi")


def test_the_limits_of_the_share(site: Site) -> None:
    site.deliver(D1, text(*TEN, BAD_ROW))
    site.deliver(D2, text(BAD_ROW))
    _, cleaned = site.run(things(max_bad_share=0.0), [D1])
    assert cleaned.entries[D1].status is Status.FAILED
    _, cleaned = site.run(things(max_bad_share=1.0), [D2])
    assert cleaned.entries[D2].status is Status.PUBLISHED


def test_a_stopped_partition_keeps_what_it_had_until_it_is_good_again(site: Site) -> None:
    dataset = things()
    seen = "status, row_number, rules"
    site.deliver(D1, text(*TEN, BAD_ROW))
    site.run(dataset, [D1])
    assert site.quarantine(columns=seen) == [("open", 11, ["quantity__ge"])]
    site.deliver(D1, text(row("new"), BAD_ROW))
    _, cleaned = site.run(dataset, [D1])
    assert cleaned.failed
    assert site.ids(D1) == list("abcdefghij")
    assert site.quarantine(columns=seen) == [
        ("blocked", 2, ["quantity__ge"]),
        ("released", 11, ["quantity__ge"]),
    ]
    # Tried again without any change, it is judged again, fails again, and no row is new.
    before = site.contents()
    assert site.run(dataset, [D1])[1].failed
    assert site.contents() == before
    site.deliver(D1, text(*TEN, BAD_ROW))
    assert not site.run(dataset, [D1])[1].failed
    # The first row is bad again: the same row, in its old place.
    assert site.quarantine(columns=seen) == [
        ("open", 11, ["quantity__ge"]),
        ("released", 2, ["quantity__ge"]),
    ]
    site.deliver(D1, text(*TEN))
    site.run(dataset, [D1])
    assert {status for (status,) in site.quarantine(columns="status")} == {"released"}


def test_a_row_in_quarantine_is_whole_and_tells_where_it_is_from(site: Site) -> None:
    header = HEADER + ",colour"
    bad = row("", "x", "", "it is", "never") + ",red"
    site.deliver(D1, text(*(f"{each},blue" for each in TEN), bad, header=header))
    site.run(things(max_bad_share=0.5), [D1])
    (held,) = (
        site.lake.execute(
            "SELECT * EXCLUDE (quarantine_id, first_seen, contract_version) "
            f"FROM {tables.QUARANTINE}"
        )
        .to_arrow_table()
        .to_pylist()
    )
    assert held["rules"] == [
        "thing_id__not_null",
        "quantity__castable",
        "price__not_null",
        "changed_at__castable",
    ]
    assert (held["dataset"], held["partition"], held["run_id"]) == ("things", D1, "run-1")
    assert (held["source_file"], held["row_number"]) == (f"things/{D1}.csv", 11)
    assert held["original_row"].replace(" ", "") == (
        '{"thing_id":null,"quantity":"x","price":null,"note":"itis","changed_at":"never",'
        '"colour":"red"}'
    )
    assert (held["status"], held["attempts"]) == ("open", 1)
    assert site.select('SELECT status FROM lake.quarantine."things"') == [("open",)]


class Part(Contract):
    """Belongs to a thing."""

    part_id: str = Key()
    thing_id: str = Field(references="things.thing_id")


def test_orphans_are_released_when_what_they_refer_to_arrives(site: Site) -> None:
    parts = things("parts", contract=Part, max_bad_share=1.0)
    header = "part_id,thing_id"
    site.deliver(D1, text(row("t1")))
    site.deliver(D1, text("p1,t1", "p2,t2", header=header), "parts")
    site.deliver(D2, text("p3,t1", header=header), "parts")
    site.run(things(), [D1])
    _, cleaned = site.run(parts, [D1, D2])
    assert cleaned.entries[D1].broken == {"thing_id__references_things": 1}
    _, cleaned = site.run(parts, [D1, D2])
    assert {e.status for e in cleaned.entries.values()} == {Status.UNCHANGED}
    site.deliver(D2, text(row("t2")))
    site.run(things(), [D2])
    loaded, cleaned = site.run(parts, [D1, D2])
    assert {e.status for e in loaded.entries.values()} == {Status.UNCHANGED}
    assert cleaned.entries[D1].status is Status.PUBLISHED
    assert cleaned.entries[D2].status is Status.UNCHANGED
    assert site.cleaned("parts", "part_id") == [("p1",), ("p2",), ("p3",)]
    assert site.quarantine("parts", "status") == [("released",)]


def between_judgement_and_publish(
    monkeypatch: pytest.MonkeyPatch, other: object, times: int = 1
) -> None:
    """Let another writer come in after the rows were judged."""
    # The package's attribute of this name is the function.
    module = importlib.import_module("platform_assets.pipeline.clean")
    publish, left = module.publish, [times]

    def late(*args: object, **options: object) -> object:
        if left[0]:
            left[0] -= 1
            other()  # type: ignore[operator]
        return publish(*args, **options)

    monkeypatch.setattr(module, "publish", late)


def test_rows_that_do_not_add_up_are_not_published(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = things()
    site.deliver(D1, text(row("old")))
    site.deliver(D2, text(row("there")))
    site.run(dataset, [D1, D2])
    site.deliver(D1, text(*TEN, BAD_ROW))
    site.deliver(D2, text(row("new")))
    between_judgement_and_publish(
        monkeypatch,
        lambda: site.lake.execute(
            f"DELETE FROM {tables.raw_table('things')} WHERE thing_id IN ('c', 'd')"
        ),
    )
    _, cleaned = site.run(dataset, [D1, D2])
    assert set(cleaned.failed) == {D1}
    assert cleaned.failed[D1].stopped_by == "reconcile"
    assert "extracted 11 = cleaned + quarantined + deduplicated" in cleaned.failed[D1].message
    assert "8 + 1 + 0 = 9" in cleaned.failed[D1].message
    assert site.ids(D1) == ["old"]
    assert site.ids(D2) == ["new"]
    assert site.quarantine(columns="status") == [("blocked",)]


def test_raw_rows_that_are_replaced_meanwhile_are_judged_again(
    site: Site, lake_config: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count is the same, so only the snapshot tells: unjudged rows would be published."""
    dataset = things(max_bad_share=0.5)
    site.deliver(D1, text(row("a"), row("b")))
    step = site.step(dataset)
    load_raw(step, [D1])

    def replaced() -> None:
        site.deliver(D1, text(row("a"), BAD_ROW))
        with connect(lake_config) as other:  # type: ignore[arg-type]
            load_raw(Site(other, site.folder).step(dataset), [D1])

    between_judgement_and_publish(monkeypatch, replaced)
    report = clean(step, [D1])
    assert (report.entries[D1].cleaned, report.entries[D1].quarantined) == (1, 1)
    assert site.ids(D1) == ["a"]


def test_rows_that_never_stand_still_are_not_published(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = things()
    site.deliver(D1, text(row("a")))
    step = site.step(dataset)
    load_raw(step, [D1])

    def replaced() -> None:
        load_raw(site.step(dataset, force=True), [D1])

    between_judgement_and_publish(monkeypatch, replaced, times=99)
    report = clean(step, [D1])
    assert "Other runs kept changing" in report.failed[D1].message
    assert site.cleaned() == []


def test_a_commit_that_fails_leaves_no_trace(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = things()
    site.deliver(D1, text(*TEN, BAD_ROW))
    site.run(dataset, [D1])
    before = site.contents()
    site.deliver(D1, text(row("new"), *TEN, BAD_ROW))
    record = ledger.record

    def refuse(connection: Connection, entries: Sequence[ledger.LedgerEntry]) -> None:
        record(connection, entries)
        if any(e.status is Status.PUBLISHED and e.asset.startswith("cleaned") for e in entries):
            raise duckdb.IOException("the disk is full")

    monkeypatch.setattr(ledger, "record", refuse)
    loaded, cleaned = site.run(dataset, [D1])
    assert not loaded.failed
    assert "the disk is full" in cleaned.failed[D1].message
    assert site.cleaned() == before["cleaned"]
    assert site.quarantine() == before["quarantine"]
    assert set(site.published("cleaned")[D1].broken) == {"quantity__ge"}
