"""A value stands in one partition alone, whatever the order in which partitions come."""

from __future__ import annotations

from typing import Any

import pytest

from platform_assets.contracts import RulePolicy
from platform_assets.dataset import Dataset
from platform_assets.errors import ContractError
from platform_assets.partitions import Unpartitioned
from platform_assets.sources.tables import WatermarkTable
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.support import D1, D2, D3, Site, row, text, things

RULE = "unique_across__thing_id"


def unique(name: str = "things", **options: Any) -> Dataset:
    """Things whose number must not come again on another day."""
    return things(name, **{"max_bad_share": 1.0, "unique_across": ("thing_id",), **options})


def holders(site: Site, name: str = "things") -> dict[str, list[str]]:
    """The days that each thing is published in."""
    found: dict[str, list[str]] = {}
    for thing, day in site.cleaned(name, "thing_id, _partition"):
        found.setdefault(thing, []).append(day)
    return found


def test_of_a_batch_the_first_partition_has_the_value(site: Site) -> None:
    site.deliver(D1, text(row("a"), row("again")))
    site.deliver(D2, text(row("b"), row("again")))
    site.deliver(D3, text(row("c"), row("again"), row("again")))
    _, report = site.run(unique(), [D1, D2, D3])
    assert holders(site) == {"a": [D1], "again": [D1], "b": [D2], "c": [D3]}
    broken = {day: entry.broken.get(RULE, 0) for day, entry in report.entries.items()}
    assert broken == {D1: 0, D2: 1, D3: 2}
    first, second, third = report.entries.values()
    assert (first.cleaned, second.cleaned, third.cleaned) == (2, 1, 1)
    assert (third.extracted, third.quarantined, third.deduplicated) == (3, 2, 0)


def test_whatever_the_order_no_value_stands_twice_and_running_again_changes_nothing(
    shared_site: Site,
) -> None:
    site = shared_site
    # Of each two days the earlier comes first once, and the later.
    for number, order in enumerate([(D2, D3, D1), (D1, D3, D2)]):
        name = f"order_{number}"
        dataset = unique(name)
        for day in order:
            site.deliver(day, text(row(f"of {day}"), row("again")), name)
            site.run(dataset, [day])
        assert holders(site, name)["again"] == [order[0]]
        before = site.contents(name)
        for day in order:
            site.run(dataset, [day], force=True)
        assert site.contents(name) == before


def test_a_value_is_free_when_its_partition_gives_it_up(site: Site) -> None:
    dataset = unique()
    site.deliver(D1, text(row("again")))
    site.deliver(D2, text(row("again")))
    site.run(dataset, [D1, D2])
    site.deliver(D1, text(row("other")))
    site.run(dataset, [D1])
    assert holders(site) == {"other": [D1]}
    # Nobody judges the other day by itself: it is asked for.
    assert site.run(dataset, [D2])[1].entries[D2].status is Status.UNCHANGED
    site.run(dataset, [D2], force=True)
    assert holders(site) == {"other": [D1], "again": [D2]}


def test_a_row_that_is_bad_anyway_takes_no_value(site: Site) -> None:
    site.deliver(D1, text(row("again", quantity=-1), row("a")))
    site.deliver(D2, text(row("again")))
    _, report = site.run(unique(), [D1, D2])
    assert holders(site)["again"] == [D2]
    assert report.entries[D1].broken == {"quantity__ge": 1}


def test_a_blocked_partition_takes_no_value(site: Site) -> None:
    spoiled = [row(f"s{n}", quantity=-1) for n in range(3)]
    site.deliver(D1, text(row("again"), *spoiled))
    site.deliver(D2, text(row("again")))
    _, report = site.run(unique(max_bad_share=0.5), [D1, D2])
    assert list(report.failed) == [D1]
    assert holders(site) == {"again": [D2]}
    # What a blocked partition had before still stands, and keeps its value.
    site.deliver(D3, text(row("third")))
    site.run(unique(max_bad_share=0.5), [D3])
    site.deliver(D3, text(row("third"), *spoiled))
    site.deliver(D2, text(row("third"), row("fine"), row("fine2")))
    site.run(unique(max_bad_share=0.5), [D2, D3])
    assert holders(site)["third"] == [D3]


@pytest.mark.parametrize("severity", ["warn", "info"])
def test_a_warning_publishes_both_and_tells_of_the_later(site: Site, severity: Any) -> None:
    dataset = unique(rules={RULE: RulePolicy(severity=severity)})
    for day in (D2, D1):
        site.deliver(day, text(row("again")))
        site.run(dataset, [day])
    assert holders(site) == {"again": [D1, D2]}
    for _ in range(2):
        _, report = site.run(dataset, [D1, D2], force=True)
        assert {day: e.broken for day, e in report.entries.items()} == {D1: {}, D2: {RULE: 1}}


def test_a_threshold_stops_a_file_that_was_delivered_again(site: Site) -> None:
    dataset = unique(rules={RULE: RulePolicy(block_above=0.5)})
    file = text(*(row(f"t{n}") for n in range(4)))
    site.deliver(D1, file)
    site.deliver(D2, file)
    _, report = site.run(dataset, [D1, D2])
    assert report.entries[D2].stopped_by == RULE
    assert set(holders(site)) == {"t0", "t1", "t2", "t3"}
    assert {day for days in holders(site).values() for day in days} == {D1}


def test_several_columns_are_one_value_and_null_is_none(site: Site) -> None:
    dataset = unique(unique_across=("thing_id", "note"))
    site.deliver(D1, text(row("a", note="x"), row("b"), row("c", note="x")))
    site.deliver(D2, text(row("a", note="x"), row("b"), row("c", note="y")))
    _, report = site.run(dataset, [D1, D2])
    assert report.entries[D2].broken == {"unique_across__thing_id__note": 1}
    assert sorted(site.ids(D2)) == ["b", "c"]


@pytest.mark.parametrize("names", [("nothing",), ("thing_id", "thing_id"), "thing_id"])
def test_columns_that_are_none_are_refused(names: Any) -> None:
    with pytest.raises(ContractError, match="unique_across does not name columns"):
        things(unique_across=names)


def test_a_dataset_without_other_partitions_is_refused() -> None:
    changes = WatermarkTable("things", connection="db")
    for source in ({}, {"source": changes}):
        with pytest.raises(ContractError, match="has none to compare") as caught:
            things(unique_across=("thing_id",), partitions=Unpartitioned(), **source)
        assert caught.value.where == "dataset things, unique_across"
