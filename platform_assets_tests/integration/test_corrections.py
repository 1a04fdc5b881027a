"""Rows corrected in a file: judged as corrected from then on; the raw table stays as it was."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pytest

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.errors import PartitionError, PlatformError
from platform_assets.pipeline import BatchReport, Step, clean
from platform_assets.pipeline.correct import Corrected, correct, dataset_of, withdraw
from platform_assets.warehouse import corrections, tables
from platform_assets.warehouse import quarantine_work as work
from platform_assets.warehouse.corrections import CorrectionStatus
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_export import ID, MASK, export
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets_tests.support import D1, D2, HEADER, Site, row, text, things

BAD = row("bad", quantity=-1)
WORSE = row("worse", quantity="many", price="-5.00", note="n")
EVERY = tuple(RowStatus)
ALL_BAD = things(max_bad_share=1.0)
COLUMNS = set(HEADER.split(","))


def prepare(site: Site, dataset: Dataset = ALL_BAD) -> None:
    """Two days with bad rows, cleaned."""
    site.deliver(D1, text(row("good"), BAD, WORSE))
    site.deliver(D2, text(BAD))
    site.run(dataset, [D1, D2])


@pytest.fixture
def delivered(copied: Site) -> Site:
    """Two days with bad rows, cleaned."""
    return copied


def ids(site: Site) -> dict[tuple[str, str], str]:
    """The id of each row by partition and key."""
    found = site.quarantine(columns="partition, original_row ->> '/thing_id', quarantine_id")
    return {(partition, key): identity for partition, key, identity in found}


def statuses(site: Site) -> dict[tuple[str, str], str]:
    """Where each row stands, by partition and key."""
    found = site.quarantine(columns="partition, original_row ->> '/thing_id', status")
    return {(partition, key): status for partition, key, status in found}


def edited(path: Path, *changes: dict[str, Any]) -> Path:
    """A file of edited rows, by hand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for change in changes for name in change))
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(changes)
        else:
            file.writelines(json.dumps(change) + "\n" for change in changes)
    return path


def take(site: Site, path: Path, dataset: Dataset = ALL_BAD) -> Corrected:
    return correct(site.step(dataset), path, reason="called them", author="me")


def run(site: Site, taken: Corrected, dataset: Dataset = ALL_BAD) -> BatchReport:
    """Judge what a file made due; nothing is forced."""
    return clean(site.step(dataset), taken.replay.partitions.get(dataset.name, []))


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_an_exported_file_that_was_edited_comes_back(
    delivered: Site, tmp_path: Path, ending: str
) -> None:
    raw = delivered.raw()
    path = tmp_path / f"rows.{ending}"
    picked = Picked(dataset="things")
    assert export(delivered.lake, "things", picked, path, COLUMNS - {"note"}) == 3
    written = path.read_text(encoding="utf-8")
    assert MASK in written
    # Nobody has edited it yet: there is nothing to take.
    untouched = take(delivered, path)
    assert (untouched.replay.rows, untouched.unchanged) == ({}, 3)
    # A person corrects the worse of the rows, in an editor that knows nothing of the rest.
    was, now = ("-5.00,many", "5.00,7") if ending == "csv" else ('"many"', "7")
    assert was in written
    changed = written.replace(was, now).replace('"-5.00"', '"5.00"')
    path.write_text(changed, encoding="utf-8")
    assert dataset_of(delivered.lake, path) == "things"
    taken = take(delivered, path)
    assert (taken.replay.rows, taken.unchanged) == ({("things", D1): 1}, 2)
    assert taken.replay.partitions == {"things": [D1]}
    entry = run(delivered, taken).entries[D1]
    assert entry.status is Status.PUBLISHED, entry.message
    assert (entry.extracted, entry.cleaned, entry.quarantined) == (3, 2, 1)
    assert ("worse", 7, "n") in delivered.cleaned(columns="thing_id, quantity, note")
    assert statuses(delivered) == {
        (D1, "bad"): "open",
        (D1, "worse"): "released",
        (D2, "bad"): "open",
    }
    assert delivered.raw() == raw
    # All of it is in the book, and the quarantine still has the row as it came.
    identity = ids(delivered)[D1, "worse"]
    (kept,) = corrections.of_row(delivered.lake, identity)
    assert kept.status is CorrectionStatus.STANDING
    assert kept.corrected_row == {"quantity": "7", "price": "5.00"}
    assert (kept.reason, kept.author) == ("called them", "me")
    (action,) = work.actions(delivered.lake, identity)
    assert (action.action, action.before, action.author) == ("correct", "open", "me")
    (shown,) = work.find(delivered.lake, Picked(ids=[identity], statuses=EVERY))
    assert shown.original_row is not None
    assert (shown.original_row["quantity"], shown.attempts) == ("many", 2)


def test_a_second_identical_replay_changes_nothing(delivered: Site, tmp_path: Path) -> None:
    path = edited(tmp_path / "rows.csv", {ID: ids(delivered)[D1, "bad"], "quantity": "1"})
    run(delivered, take(delivered, path))
    books = [f"FROM {table}" for table in (tables.CORRECTIONS, tables.QUARANTINE_ACTIONS)]
    before = (delivered.contents(), *map(delivered.select, books))
    publishes = delivered.published("cleaned")
    again = take(delivered, path)
    assert (again.replay.rows, again.unchanged) == ({}, 1)
    assert clean(delivered.step(ALL_BAD), [D1, D2]).entries[D1].status is Status.UNCHANGED
    assert before == (delivered.contents(), *map(delivered.select, books))
    assert delivered.published("cleaned") == publishes
    # Judged again by force, the row is read with its correction again.
    clean(delivered.step(ALL_BAD, force=True), [D1, D2])
    assert delivered.contents() == before[0]


def test_a_correction_makes_exactly_its_partition_due(delivered: Site, tmp_path: Path) -> None:
    take(delivered, edited(tmp_path / "rows.csv", {ID: ids(delivered)[D1, "bad"], "quantity": "1"}))
    report = clean(delivered.step(ALL_BAD), [D1, D2])
    assert report.entries[D1].status is Status.PUBLISHED
    assert report.entries[D2].status is Status.UNCHANGED


def test_a_row_with_the_same_content_keeps_its_correction(delivered: Site, tmp_path: Path) -> None:
    identity = ids(delivered)[D1, "bad"]
    run(delivered, take(delivered, edited(tmp_path / "rows.csv", {ID: identity, "quantity": "1"})))

    def standing() -> CorrectionStatus:
        (kept,) = corrections.of_row(delivered.lake, identity)
        return kept.status

    # The file comes anew; the row is where it was, and as it was.
    delivered.deliver(D1, text(row("other"), BAD, WORSE))
    delivered.run(ALL_BAD, [D1])
    assert delivered.ids(D1) == ["bad", "other"]
    # A column that is added to the source does not make it another row; a value in it does.
    wider = f"{HEADER},more"
    delivered.deliver(D1, text(*(f"{each}," for each in (row("other"), BAD)), header=wider))
    delivered.run(ALL_BAD, [D1])
    assert (delivered.ids(D1), standing()) == (["bad", "other"], CorrectionStatus.STANDING)
    delivered.deliver(D1, text(*(f"{each},x" for each in (row("other"), BAD)), header=wider))
    delivered.run(ALL_BAD, [D1])
    assert (delivered.ids(D1), standing()) == (["other"], CorrectionStatus.SUPERSEDED)
    # With other content it is another row, and bad; the correction says that it does not hold.
    delivered.deliver(D1, text(row("other"), row("bad", quantity=-2), WORSE))
    delivered.run(ALL_BAD, [D1])
    assert (delivered.ids(D1), standing()) == (["other"], CorrectionStatus.SUPERSEDED)
    # And back.
    delivered.deliver(D1, text(row("other"), BAD, WORSE))
    delivered.run(ALL_BAD, [D1])
    assert (delivered.ids(D1), standing()) == (["bad", "other"], CorrectionStatus.STANDING)


def test_a_correction_is_withdrawn(delivered: Site, tmp_path: Path) -> None:
    before = delivered.contents()
    identity = ids(delivered)[D1, "bad"]
    path = edited(tmp_path / "rows.csv", {ID: identity, "quantity": "1"})
    run(delivered, take(delivered, path))
    assert delivered.cleaned() != before["cleaned"]
    # What was released is closed: another change of it is refused while the correction stands.
    edited(path, {ID: identity, "quantity": "2"})
    with pytest.raises(PartitionError, match="released"):
        take(delivered, path)
    picked = Picked(ids=[identity], statuses=EVERY)
    replay = withdraw(delivered.lake, picked, reason="wrong row", author="you")
    assert replay.partitions == {"things": [D1]}
    entry = clean(delivered.step(ALL_BAD), [D1]).entries[D1]
    assert entry.status is Status.PUBLISHED
    assert delivered.cleaned() == before["cleaned"]
    assert statuses(delivered)[D1, "bad"] == "open"
    (kept,) = corrections.of_row(delivered.lake, identity)
    assert kept.status is CorrectionStatus.WITHDRAWN
    assert [each.action for each in work.actions(delivered.lake, identity)] == [
        "correct",
        "withdraw",
    ]
    assert withdraw(delivered.lake, picked, reason="r", author="a").rows == {}
    run(delivered, take(delivered, path))
    assert ("bad", 2) in delivered.cleaned(columns="thing_id, quantity")


def test_a_correction_that_is_not_enough_is_added_to(delivered: Site, tmp_path: Path) -> None:
    identity = ids(delivered)[D1, "worse"]
    path = edited(tmp_path / "rows.csv", {ID: identity, "quantity": "1"})
    run(delivered, take(delivered, path))
    (bad,) = work.find(delivered.lake, Picked(ids=[identity]))
    assert bad.rules == ("price__ge",)
    # What is exported now is what was judged; a masked value stays as it was corrected.
    export(delivered.lake, "things", Picked(ids=[identity]), path, COLUMNS - {"quantity"})
    path.write_text(path.read_text().replace("-5.00", "5.00"))
    run(delivered, take(delivered, path))
    assert ("worse", 1) in delivered.cleaned(D1 and "things", "thing_id, quantity")
    earlier, later = corrections.of_row(delivered.lake, identity)
    assert earlier.status is CorrectionStatus.REPLACED
    assert later.corrected_row == {"quantity": "1", "price": "5.00"}


def test_a_corrected_key_is_a_key_like_any_other(delivered: Site, tmp_path: Path) -> None:
    found = ids(delivered)
    # The two corrected rows are copies of one thing, and the later change of it counts.
    path = edited(
        tmp_path / "rows.ndjson",
        {ID: found[D1, "bad"], "thing_id": "same", "quantity": 1},
        {ID: found[D1, "worse"], "thing_id": "same", "quantity": 2, "price": "1",
         "changed_at": "2030-01-01 00:00:00"},
    )  # fmt: skip
    entry = run(delivered, take(delivered, path)).entries[D1]
    assert (entry.cleaned, entry.quarantined, entry.deduplicated) == (2, 0, 1)
    # Its time is another day's; it stays in the partition that it was delivered in.
    assert delivered.cleaned(columns="thing_id, quantity, _partition") == [
        ("good", 1, D1), ("same", 2, D1),
    ]  # fmt: skip


class Strict(Contract):
    """Things with a rule over all rows, one in Python, and a personal column."""

    thing_id: str = Key()
    quantity: int = Field(unique=True)
    price: str = Field()
    note: str = Field(nullable=True, pii="hash")
    changed_at: str = Field()

    @pandera.check("price")
    @classmethod
    def has_two_places(cls, price: pd.Series) -> pd.Series:
        """A price has two places."""
        return price.str.fullmatch(r"-?\d+\.\d\d")


def test_rules_over_all_rows_and_in_python_see_what_was_corrected(
    site: Site, tmp_path: Path
) -> None:
    dataset = things(contract=Strict, max_bad_share=1.0)
    site.deliver(D1, text(row("a", 1), row("b", 1), row("c", 3, price="x", note="me@home")))
    site.run(dataset, [D1])
    found = ids(site)
    assert set(found) == {(D1, "a"), (D1, "b"), (D1, "c")}
    path = edited(
        tmp_path / "rows.csv",
        {ID: found[D1, "b"], "quantity": "2", "price": MASK, "note": MASK},
        {ID: found[D1, "c"], "quantity": MASK, "price": "9.00", "note": "you@home"},
    )
    entry = run(site, take(site, path, dataset), dataset).entries[D1]
    # With the other of the two, the one that was left alone is no longer a duplicate either.
    assert (entry.cleaned, entry.quarantined) == (3, 0), entry.message
    (hashed,) = [note for key, note in site.cleaned(columns="thing_id, note") if key == "c"]
    assert "home" not in hashed
    plain = things(
        "plain", contract=Strict, max_bad_share=1.0
    )  # as if it had been right from the start
    site.deliver(
        D1, text(row("a", 1), row("b", 2), row("c", 3, price="9.00", note="you@home")), "plain"
    )
    site.run(plain, [D1])
    columns = "thing_id, quantity, price, note"
    assert site.cleaned("things", columns) == site.cleaned("plain", columns)


def test_a_stopped_partition_is_published_once_its_rows_are_corrected(
    site: Site, tmp_path: Path
) -> None:
    dataset = things(max_bad_share=0.4)
    prepare(site, dataset)
    assert statuses(site)[D1, "bad"] == "blocked"
    path = edited(tmp_path / "rows.csv", {ID: ids(site)[D1, "bad"], "quantity": "1"})
    entry = run(site, take(site, path, dataset), dataset).entries[D1]
    assert entry.status is Status.PUBLISHED
    assert (entry.extracted, entry.cleaned, entry.quarantined) == (3, 2, 1)
    assert statuses(site)[D1, "bad"] == "released"
    assert statuses(site)[D1, "worse"] == "open"


def test_what_a_spreadsheet_writes_is_read(delivered: Site, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(
        f'\ufeff{ID};note;QUANTITY\r\n{ids(delivered)[D1, "bad"]};"a\r\nb";4\r\n'.encode()
    )
    run(delivered, take(delivered, path))
    assert ("bad", 4, "a\r\nb") in delivered.cleaned(columns="thing_id, quantity, note")


def expect(site: Site, path: Path, said: str, dataset: Dataset = ALL_BAD) -> PlatformError:
    before = (site.contents(), site.select(f"FROM {tables.CORRECTIONS}"))
    with pytest.raises(PlatformError) as raised:
        take(site, path, dataset)
    assert said in str(raised.value), raised.value
    assert before == (site.contents(), site.select(f"FROM {tables.CORRECTIONS}"))
    return raised.value


def test_files_that_do_not_fit_are_refused_whole(delivered: Site, tmp_path: Path) -> None:
    identity, other = ids(delivered)[D1, "bad"], ids(delivered)[D1, "worse"]
    path = tmp_path / "rows.csv"
    good = {ID: identity, "quantity": "1"}
    expect(
        delivered, edited(path, good, {ID: "0" * 32, "quantity": "1"}), "1 that are not, such as 00"
    )
    expect(delivered, edited(path, {ID: identity, "colour": "red"}), "colour")
    expect(delivered, edited(path, good, good), f"row {identity} 2 times")
    expect(delivered, edited(path, {"thing_id": "bad"}), f"a column {ID}")
    expect(delivered, edited(path, good, {ID: "", "quantity": "1"}), "1 rows without one")
    expect(delivered, edited(tmp_path / "rows.ndjson", {"thing_id": "bad"}), f"a column {ID}")
    expect(delivered, tmp_path / "none.csv", "no file")
    expect(delivered, tmp_path / "rows.xlsx", ".csv or .ndjson")
    path.write_text(f"{ID},{ID},note\n{identity},{identity},x\n")
    expect(delivered, path, f'"{ID}" twice')
    path.write_text("")
    expect(delivered, path, "no such column")
    path.write_text(f"{ID},note\n{identity},secret,more\n")
    error = expect(delivered, path, "line 2")
    assert "3 values under 2 names" in str(error)
    assert "secret" not in str(error)
    lines = tmp_path / "rows.ndjson"
    lines.write_text(f'{{"{ID}": "{identity}", "note": "secret"\n')
    assert "secret" not in str(expect(delivered, lines, "one JSON object a line"))
    lines.write_text(f'["{ID}"]\n')
    expect(delivered, lines, "a line that is none")
    # Rows of two datasets; and of another than is asked for.
    second = things("others", max_bad_share=1.0)
    delivered.deliver(D1, text(BAD), "others")
    delivered.run(second, [D1])
    ((of_others,),) = delivered.quarantine("others", "quarantine_id")
    expect(delivered, edited(path, good, {ID: of_others, "quantity": "1"}), "others, things")
    expect(delivered, edited(path, {ID: of_others, "quantity": "1"}), "rows of things")
    # A row that somebody has closed.
    work.resolve(delivered.lake, Picked(ids=[other]), reason="r", author="a")
    expect(
        delivered, edited(path, good, {ID: other, "quantity": "1"}), f"{other}, which is resolved"
    )
    # Its unchanged line may stay in the file.
    assert take(delivered, edited(path, good, {ID: other, "quantity": "many"})).unchanged == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda site, path, **said: correct(site.step(ALL_BAD), path, **said),
        lambda site, path, **said: withdraw(site.lake, Picked(dataset="things"), **said),
    ],
)
def test_a_reason_and_an_author_are_asked_for(
    delivered: Site, tmp_path: Path, act: Callable[..., object]
) -> None:
    path = edited(tmp_path / "rows.csv", {ID: ids(delivered)[D1, "bad"], "quantity": "1"})
    for said in ({"reason": " ", "author": "a"}, {"reason": "r", "author": ""}):
        with pytest.raises(PartitionError, match="never all of it at once"):
            act(delivered, path, **said)


def test_where_nothing_is_corrected_the_raw_table_itself_is_read(delivered: Site) -> None:
    from platform_assets.pipeline import overlay

    step: Step = delivered.step(ALL_BAD)
    with overlay.corrected(step, [D1]) as own:
        assert own is step
        assert own.raw_rows == tables.raw_table("things")
