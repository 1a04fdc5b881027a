"""Rolling back: an earlier publish stands again, adds up, and stays until something is new."""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from platform_assets.cli.lake_tables import of_dataset
from platform_assets.contracts import Field
from platform_assets.dataset import Dataset
from platform_assets.errors import PartitionError, PublishError
from platform_assets.pipeline import clean, rollback
from platform_assets.pipeline.rollback import roll_back
from platform_assets.pipeline.rollback_plan import plan
from platform_assets.warehouse import hold, ledger, quarantine_work, rollbacks
from platform_assets.warehouse.lake import (
    connect,
    in_transaction,
)
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets.warehouse.snapshots import Asked
from platform_assets.warehouse.tally import RowChanges
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.faults.processes import KILLED, PATIENCE_SECONDS, worker
from platform_assets_tests.rolled import LOOSE, back, published_wrong, rolled
from platform_assets_tests.support import D1, D2, Site, Thing, row, text, things

prepare = published_wrong


@pytest.fixture
def wrong(copied: Site) -> Site:
    """A day that was published right and then wrong, and another one."""
    return copied


def test_an_earlier_publish_stands_again_and_adds_up(wrong: Site) -> None:
    before = ledger.publishes(wrong.lake, "cleaned/things", D1)
    other = [each for each in wrong.cleaned() if each[5] == D2]
    done = back(wrong)
    assert wrong.ids(D1) == ["a", "b"]
    assert [each for each in wrong.cleaned() if each[5] == D2] == other
    assert done.changes == RowChanges(added=1, removed=1, changed=1)
    entry = wrong.published("cleaned")[D1]
    assert entry.run_id == done.entry.run_id
    assert (entry.extracted, entry.cleaned, entry.quarantined, entry.deduplicated) == (4, 2, 1, 1)
    assert hold.is_held(entry)
    assert hold.restored_snapshot(entry) == before[0].snapshot
    statuses = {
        each.original_row["thing_id"]: str(each.status)
        for each in quarantine_work.find(
            wrong.lake, Picked(partition=D1, statuses=tuple(quarantine_work.RowStatus))
        )
    }
    # The row of the refused delivery is left out of nothing that stands.
    assert statuses == {"bad": "open", "worse": "released"}
    (noted,) = rollbacks.of(wrong.lake, "cleaned/things", D1)
    assert (noted.rolled_from, noted.rolled_to) == (before[1].snapshot, before[0].snapshot)
    assert (noted.rows, noted.reason, noted.author) == (2, "wrong by a factor", "me")


def test_it_stays_until_something_is_new(wrong: Site) -> None:
    back(wrong)
    stands = rolled(wrong)
    for _ in range(2):
        _, report = wrong.run(LOOSE, [D1, D2])
        entry = report.entries[D1]
        assert entry.status is Status.UNCHANGED
        assert hold.is_held(entry)
        assert rolled(wrong) == stands
    # A run that is stopped before it looks at rows ends no hold.
    entry = report.entries[D1]
    failed = replace(entry, status=Status.FAILED, stopped_by="contract")
    in_transaction(wrong.lake, lambda con: ledger.record(con, [failed]))
    _, report = wrong.run(LOOSE, [D1])
    assert hold.is_held(report.entries[D1])
    assert rolled(wrong) == stands
    # Another delivery, another contract, or force.
    wrong.deliver(D1, text(row("new")))
    _, report = wrong.run(LOOSE, [D1])
    assert report.entries[D1].status is Status.PUBLISHED
    assert wrong.ids(D1) == ["new"]


class Stricter(Thing):
    """Things of which there are some."""

    quantity: int = Field(ge=1)


@pytest.mark.parametrize(
    ("dataset", "force"), [(LOOSE, True), (things(contract=Stricter, max_bad_share=1.0), False)]
)
def test_force_and_another_contract_end_a_hold(wrong: Site, dataset: Dataset, force: bool) -> None:
    back(wrong)
    step = wrong.step(dataset, force=force)
    assert clean(step, [D1]).entries[D1].status is Status.PUBLISHED
    assert wrong.ids(D1) == ["a", "c"]
    assert not hold.is_held(wrong.published("cleaned")[D1])


def test_raw_rows_are_restored_and_judged_again(wrong: Site) -> None:
    numbers = "quarantine_id, row_number, original_row"
    first = wrong.quarantine(columns=numbers)
    done = back(wrong, layer="raw")
    assert done.rows == 4
    loaded, cleaned = wrong.run(LOOSE, [D1])
    assert hold.is_held(loaded.entries[D1])
    assert loaded.entries[D1].status is Status.UNCHANGED
    # What is made from them is out of date, and is what it was.
    assert cleaned.entries[D1].status is Status.PUBLISHED
    assert wrong.ids(D1) == ["a", "b"]
    assert wrong.quarantine(columns=numbers) == first, "row numbers follow from the rows' order"
    wrong.deliver(D1, text(row("new")))
    wrong.run(LOOSE, [D1])
    assert wrong.ids(D1) == ["new"]


def test_further_back_needs_to_be_said_and_forward_ends_the_hold(wrong: Site) -> None:
    stood = rolled(wrong)
    first, second = ledger.publishes(wrong.lake, "cleaned/things", D1)
    back(wrong)
    with pytest.raises(PartitionError, match="rolled back already") as raised:
        back(wrong)
    assert f"{first.snapshot}, {second.snapshot}" in raised.value.expected
    again = plan(wrong.lake, of_dataset(LOOSE, "cleaned"), D1, Asked(str(first.snapshot), "--to"))
    assert again.is_done
    back(wrong, to=str(second.snapshot))
    assert rolled(wrong) == stood
    entry = wrong.published("cleaned")[D1]
    assert entry.input_fingerprint == second.input_fingerprint
    _, report = wrong.run(LOOSE, [D1])
    assert report.entries[D1].status is Status.UNCHANGED
    assert not hold.is_held(report.entries[D1])


def test_what_a_person_resolved_since_stays_resolved(site: Site) -> None:
    bad = row("bad", quantity=-1)
    for others in (["a"], ["b"]):
        site.deliver(D1, text(bad, *map(row, others)))
        site.run(LOOSE, [D1])
    quarantine_work.resolve(site.lake, Picked(partition=D1), reason="r", author="a")
    back(site)
    assert site.ids(D1) == ["a"]
    assert site.quarantine(columns="status, row_key") == [("resolved", "bad")]
    assert site.published("cleaned")[D1].quarantined == 1


class Wider(Thing):
    """Things with a colour, which not all have."""

    colour: str = Field(nullable=True)


class Coloured(Thing):
    """Things with a colour."""

    colour: str = Field()


HEADER = "thing_id,quantity,price,note,changed_at,colour"


def test_a_column_added_since_is_null_or_named(site: Site) -> None:
    site.deliver(D1, text(row("a")))
    site.run(things(), [D1])
    for contract, kept in ((Wider, True), (Coloured, False)):
        dataset = things(contract=contract)
        site.deliver(D1, text(row("b") + ",red", header=HEADER))
        _, report = site.run(dataset, [D1], force=True)
        assert report.entries[D1].status is Status.PUBLISHED, report.entries[D1].message
        first = ledger.publishes(site.lake, "cleaned/things", D1)[0].snapshot
        before = site.cleaned()
        if kept:
            back(site, dataset, to=str(first))
            assert site.cleaned(columns="thing_id, colour") == [("a", None)]
        else:
            with pytest.raises(PublishError, match="do not fit into the table") as raised:
                back(site, dataset, to=str(first))
            assert "column colour" in raised.value.expected
            assert site.cleaned() == before


def test_rows_that_are_not_those_of_the_ledger_are_not_restored(wrong: Site) -> None:
    lie = replace(wrong.published("cleaned")[D1], cleaned=7)
    in_transaction(wrong.lake, lambda con: ledger.record(con, [lie]))
    wrong.run(LOOSE, [D1], force=True)
    stands = rolled(wrong)
    with pytest.raises(PublishError, match="not those of the publish") as raised:
        back(wrong)
    assert raised.value.expected == "7 rows, by the ledger"
    assert raised.value.found == "2 in the restored snapshot"
    assert rolled(wrong) == stands


def test_all_that_is_restored_must_add_up(wrong: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    stands = rolled(wrong)
    monkeypatch.setattr(rollback, "_extracted_then", lambda *_: 5)
    with pytest.raises(PublishError, match="not those of the publish") as raised:
        back(wrong)
    assert raised.value.expected == "5 = cleaned + quarantined + deduplicated"
    assert raised.value.found == "2 + 1 + 1"
    assert rolled(wrong) == stands
    assert wrong.published("cleaned")[D1].run_id == "run-2"


def test_a_publish_that_comes_between_wins(wrong: Site) -> None:
    chosen = plan(wrong.lake, of_dataset(LOOSE, "cleaned"), D1)
    wrong.deliver(D1, text(row("new")))
    wrong.run(LOOSE, [D1])
    with pytest.raises(PublishError, match="Another run has published") as raised:
        roll_back(wrong.lake, chosen, reason="r", author="a")
    assert "run-3" in raised.value.found
    assert wrong.ids(D1) == ["new"]


def test_what_cannot_be_rolled_back_is_told(wrong: Site) -> None:
    stands = rolled(wrong)
    for layer, day, to, what in (
        ("cleaned", "2025-01-09", "", "never published"),
        ("cleaned", D2, "", "no earlier publish"),
        ("cleaned", D1, "0", "not published yet at this snapshot"),
        ("quarantine", D1, "", "together with the cleaned rows"),
    ):
        with pytest.raises(PartitionError, match=what) as raised:
            back(wrong, layer=layer, day=day, to=to)
        assert raised.value.fix
    chosen = plan(wrong.lake, of_dataset(LOOSE, "cleaned"), D1)
    for reason, author, missing in ((" ", "me", "no reason"), ("r", "", "no author")):
        with pytest.raises(PartitionError, match="with a reason and an author") as raised:
            roll_back(wrong.lake, chosen, reason=reason, author=author)
        assert raised.value.found == missing
    assert rolled(wrong) == stands


# Promises.

ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["1", "2", "-1"]),
        st.sampled_from(["1.00", "2.50"]),
    ),
    max_size=6,
)


@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(deliveries=st.lists(ROWS, min_size=3, max_size=3, unique_by=tuple))
def test_back_and_forward_again_is_what_it_was(
    shared_site: Site, deliveries: list[list[str]]
) -> None:
    shared_site.runs += 1
    dataset = things(f"things_{shared_site.runs}", max_bad_share=1.0)
    name, states = dataset.name, {}
    for rows in deliveries:
        shared_site.deliver(D1, text(*rows), name)
        shared_site.run(dataset, [D1])
        entry = shared_site.published("cleaned", name)[D1]
        states[entry.snapshot] = rolled(shared_site, dataset)
    first, second, third = states
    for snapshot in (first, second, third):
        done = back(shared_site, dataset, to=str(snapshot))
        assert rolled(shared_site, dataset) == states[snapshot]
        entry = done.entry
        assert entry.extracted == entry.cleaned + entry.quarantined + entry.deduplicated
    before = rolled(shared_site, dataset)
    shared_site.run(dataset, [D1])
    assert rolled(shared_site, dataset) == before


def _roll_back_and_die(root: Path, where: str) -> None:
    """Roll back in this process, and kill it in the middle."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "before the commit":
        rollbacks.record = die
    else:
        rollback.compact = die  # type: ignore[assignment] # it ends here
    with connect(lake_in(root)) as lake:
        chosen = plan(lake, of_dataset(LOOSE, "cleaned"), D1)
        roll_back(lake, chosen, reason="r", author="a")


@pytest.mark.faults
@pytest.mark.parametrize("where", ["before the commit", "after the commit"])
def test_a_killed_rollback_leaves_either_state_whole(
    wrong: Site, tmp_path: Path, where: str
) -> None:
    stands = rolled(wrong)
    work = functools.partial(_roll_back_and_die, tmp_path, where)
    with worker(work, tmp_path / "errors.txt") as process:
        process.process.join(PATIENCE_SECONDS)
        assert process.process.exitcode == KILLED
    entry = wrong.published("cleaned")[D1]
    if where == "before the commit":
        assert rolled(wrong) == stands
        assert not hold.is_held(entry)
        back(wrong)
    assert wrong.ids(D1) == ["a", "b"]
    assert len(rollbacks.of(wrong.lake, "cleaned/things", D1)) == 1
    _, report = wrong.run(LOOSE, [D1])
    assert hold.is_held(report.entries[D1])
