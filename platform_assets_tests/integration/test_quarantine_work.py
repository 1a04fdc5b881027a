"""Picking and resolving quarantined rows: they stay out, for as long as they are bad."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from platform_assets.errors import PartitionError
from platform_assets.pipeline import clean
from platform_assets.warehouse import quarantine_work as work
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_work import Picked, QuarantinedRow
from platform_assets.warehouse.tables import ensure_platform_tables
from platform_assets_tests.support import D1, D2, Site, Thing, row, text, things

BAD = row("bad", quantity=-1)
WORSE = row("worse", quantity=-1, price="-5.00")
EVERY = tuple(RowStatus)


def deliver(site: Site, day: str = D1, *rows: str) -> None:
    site.deliver(day, text(row("good"), *(rows or (BAD, WORSE))))


def key_of(found: QuarantinedRow) -> str:
    assert found.original_row is not None
    return str(found.original_row["thing_id"])


def statuses(site: Site) -> dict[str, str]:
    """Where each row stands, by its key."""
    return {key_of(each): str(each.status) for each in work.find(site.lake, Picked(statuses=EVERY))}


def test_rows_are_picked_by_what_is_known_of_them(site: Site) -> None:
    dataset = things(max_bad_share=1.0)
    deliver(site)
    deliver(site, D2, BAD)
    site.run(dataset, [D1, D2])

    def named(**options: object) -> list[tuple[str, str]]:
        found = work.find(site.lake, Picked(**options))  # type: ignore[arg-type]  # as told
        return [(each.partition, key_of(each)) for each in found]

    assert named() == [(D2, "bad"), (D1, "bad"), (D1, "worse")]
    assert named(partition=D1) == [(D1, "bad"), (D1, "worse")]
    assert named(rule="price__ge") == [(D1, "worse")]
    assert named(dataset="others") == []
    assert named(run="run-1") == named()
    assert named(run="run-2") == []
    assert named(older_than=timedelta(days=1)) == []
    assert named(older_than=timedelta(0)) == named()
    assert named(statuses=(RowStatus.BLOCKED,)) == []
    (worse,) = work.find(site.lake, Picked(rule="price__ge"))
    assert named(ids=[worse.quarantine_id[:8]]) == [(D1, "worse")]
    assert worse.rules == ("quantity__ge", "price__ge")
    assert (worse.row_number, worse.row_key, worse.attempts) == (3, "worse", 1)
    assert work.columns_of(site.lake, Picked()) == sorted(
        ["thing_id", "quantity", "price", "note", "changed_at"]
    )


def test_a_resolved_row_stays_out_and_is_in_the_book(site: Site) -> None:
    dataset = things(max_bad_share=1.0)
    deliver(site)
    site.run(dataset, [D1])
    done = work.resolve(site.lake, Picked(rule="price__ge"), reason=" test ", author="me")
    assert done == {("things", D1): 1}
    assert statuses(site) == {"bad": "open", "worse": "resolved"}
    (resolved,) = work.find(site.lake, Picked(statuses=(RowStatus.RESOLVED,)))
    (action,) = work.actions(site.lake, resolved.quarantine_id)
    assert (action.action, action.before) == ("resolve", "open")
    assert (action.reason, action.author) == ("test", "me")
    # Judged again, it is still bad, still out, and still resolved; and resolved but once.
    _, cleaned = site.run(dataset, [D1], force=True)
    entry = cleaned.entries[D1]
    assert (entry.extracted, entry.cleaned, entry.quarantined) == (3, 1, 2)
    assert statuses(site) == {"bad": "open", "worse": "resolved"}
    assert work.resolve(site.lake, Picked(rule="price__ge"), reason="again", author="me") == {}
    assert len(work.actions(site.lake, resolved.quarantine_id)) == 1


def test_a_stopped_partition_is_published_once_its_rows_are_resolved(site: Site) -> None:
    dataset = things(max_bad_share=0.4)
    deliver(site)
    _, cleaned = site.run(dataset, [D1])
    assert cleaned.failed[D1].stopped_by == "quantity__ge"
    assert statuses(site) == {"bad": "blocked", "worse": "blocked"}
    work.resolve(site.lake, Picked(dataset="things", rule="price__ge"), reason="r", author="a")
    _, cleaned = site.run(dataset, [D1])
    assert cleaned.entries[D1].status is Status.PUBLISHED, cleaned.entries[D1].message
    entry = cleaned.entries[D1]
    assert (entry.extracted, entry.cleaned, entry.quarantined) == (3, 1, 2)
    assert statuses(site) == {"bad": "open", "worse": "resolved"}
    # A row that is bad in the same way, but not the one that somebody has looked at, counts.
    deliver(site, D1, BAD, row("new", quantity=-1))
    _, cleaned = site.run(dataset, [D1])
    assert cleaned.failed[D1].stopped_by == "quantity__ge"
    assert "2 of 3 rows" in cleaned.failed[D1].message


class Lenient(Thing):
    """Things that may be owed."""

    quantity: int


def test_a_resolved_row_that_is_no_longer_bad_comes_back(site: Site) -> None:
    deliver(site)
    site.run(things(max_bad_share=1.0), [D1])
    work.resolve(site.lake, Picked(dataset="things"), reason="r", author="a")
    cleaned = clean(site.step(things(contract=Lenient, max_bad_share=1.0)), [D1])
    entry = cleaned.entries[D1]
    assert (entry.extracted, entry.cleaned, entry.quarantined) == (3, 2, 1)
    assert statuses(site) == {"bad": "released", "worse": "resolved"}


def test_replayed_rows_are_judged_by_the_contract_as_it_is_now(site: Site) -> None:
    deliver(site)
    deliver(site, D2, BAD)
    before = things(max_bad_share=1.0)
    site.run(before, [D1, D2])
    replay = work.begin_replay(site.lake, Picked(partition=D1), reason="r", author="a")
    assert replay.partitions == {"things": [D1]}
    assert sum(replay.rows.values()) == 2
    # Nothing was changed: nothing passes, and an attempt was made.
    clean(site.step(before, force=True), replay.partitions["things"])
    assert work.outcome(site.lake, replay) == {RowStatus.OPEN: 2}

    def attempts() -> dict[tuple[str, str], int]:
        found = work.find(site.lake, Picked(statuses=EVERY))
        return {(each.partition, key_of(each)): each.attempts for each in found}

    assert attempts() == {(D1, "bad"): 2, (D1, "worse"): 2, (D2, "bad"): 1}
    replay = work.begin_replay(site.lake, Picked(partition=D1), reason="now", author="a")
    clean(site.step(things(contract=Lenient, max_bad_share=1.0), force=True), [D1])
    assert work.outcome(site.lake, replay) == {RowStatus.RELEASED: 1, RowStatus.OPEN: 1}
    assert attempts() == {(D1, "bad"): 3, (D1, "worse"): 3, (D2, "bad"): 1}
    (released,) = work.find(site.lake, Picked(statuses=(RowStatus.RELEASED,)))
    assert [
        (each.action, each.reason) for each in work.actions(site.lake, released.quarantine_id)
    ] == [("replay", "r"), ("replay", "now")]
    # What was released is no longer there to be replayed.
    assert (
        work.begin_replay(
            site.lake, Picked(ids=[released.quarantine_id]), reason="r", author="a"
        ).rows
        == {}
    )


@pytest.mark.parametrize("act", [work.resolve, work.begin_replay])
@pytest.mark.parametrize(
    ("picked", "reason", "author", "missing"),
    [
        (Picked(), "r", "a", "no rows"),
        (Picked(statuses=EVERY), "r", "a", "no rows"),
        (Picked(dataset="things"), " ", "a", "no reason"),
        (Picked(dataset="things"), "r", "", "no author"),
    ],
)
def test_rows_a_reason_and_an_author_are_asked_for(
    site: Site,
    act: Callable[..., object],
    picked: Picked,
    reason: str,
    author: str,
    missing: str,
) -> None:
    ensure_platform_tables(site.lake)
    with pytest.raises(PartitionError) as raised:
        act(site.lake, picked, reason=reason, author=author)
    assert raised.value.found == missing
