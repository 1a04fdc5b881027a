"""Cleaning in another run than the load: refused where the newest load failed, silent where not."""

from __future__ import annotations

import pytest

from platform_assets.dataset import Dataset
from platform_assets.pipeline import BatchReport, clean, load_raw
from platform_assets.warehouse import gate
from platform_assets.warehouse.ledger import UPSTREAM, Status
from platform_assets_tests.support import D1, D2, D3, Site, rows_named, text, things


@pytest.fixture
def dataset(site: Site) -> Dataset:
    """Two days that were loaded and cleaned; the second was loaded again since, and failed."""
    made = things()
    for day in (D1, D2):
        site.deliver(day, text(*rows_named(f"of {day}")))
    loaded, cleaned = site.run(made, [D1, D2])
    assert not loaded.failed
    assert not cleaned.failed
    break_second_day(site, made)
    return made


def break_second_day(site: Site, dataset: Dataset) -> None:
    site.deliver(D2, text("x,1,1.00", header="thing_id,quantity,price"))
    assert list(load_raw(site.step(dataset), [D1, D2]).failed) == [D2]


def clean_alone(site: Site, dataset: Dataset, *days: str, force: bool = False) -> BatchReport:
    """Clean in a run of its own."""
    return clean(site.step(dataset, force=force), days)


def test_a_day_whose_newest_load_failed_is_refused_and_the_others_go_on(
    site: Site, dataset: Dataset
) -> None:
    before = site.contents()
    site.deliver(D1, text(*rows_named("new")))
    load_raw(site.step(dataset), [D1])
    report = clean_alone(site, dataset, D1, D2, D3)
    assert {key: entry.status for key, entry in report.entries.items()} == {
        D1: Status.PUBLISHED,
        D2: Status.FAILED,
        D3: Status.FAILED,
    }
    assert site.ids(D1) == ["new"]
    assert site.ids(D2) == [f"of {D2}"], "what was published before stays"
    refused = report.entries[D2]
    assert refused.stopped_by == UPSTREAM
    for told in (
        f"dataset things, partition {D2}",
        f"raw/things {D2} is stopped by schema since 20",
        "rows of an earlier publish stand",
        f"materialize raw/things for {D2} until it passes",
        "use_last_good",
    ):
        assert told in refused.message
    assert report.entries[D3].stopped_by == "raw_missing"
    assert site.contents()["raw"] != before["raw"]


def test_force_opens_no_gate(site: Site, dataset: Dataset) -> None:
    before = site.contents()
    assert clean_alone(site, dataset, D2, force=True).entries[D2].stopped_by == UPSTREAM
    assert site.contents() == before


def test_a_refusal_closes_the_gate_for_what_is_further_down(site: Site, dataset: Dataset) -> None:
    assert gate.closed(site.lake, "cleaned/things", [D1, D2]) == {}
    clean_alone(site, dataset, D1, D2)
    (shut,) = gate.closed(site.lake, "cleaned/things", [D1, D2]).values()
    assert (shut.partition, shut.stopped_by, shut.stands) == (D2, UPSTREAM, True)
    assert f"raw/things {D2} is stopped by schema" in shut.told(), "where it began is told"


def test_once_the_load_passes_nothing_has_to_be_forced(site: Site, dataset: Dataset) -> None:
    published = site.published("cleaned")[D2]
    clean_alone(site, dataset, D2)
    site.deliver(D2, text(*rows_named(f"of {D2}")))
    assert load_raw(site.step(dataset), [D2]).good
    assert clean_alone(site, dataset, D2).entries[D2].status is Status.PUBLISHED
    assert gate.closed(site.lake, "cleaned/things", [D2]) == {}
    assert site.published("cleaned")[D2].cleaned == published.cleaned


def test_a_dataset_can_make_do_with_what_was_loaded_last(site: Site, dataset: Dataset) -> None:
    lenient = things(on_failed_upstream="use_last_good")
    report = clean_alone(site, lenient, D1, D2, D3)
    assert report.entries[D2].status is Status.UNCHANGED
    assert report.entries[D3].stopped_by == "raw_missing", "there is nothing to make do with"
    forced = clean_alone(site, lenient, D2, force=True)
    assert forced.entries[D2].status is Status.PUBLISHED
    assert site.ids(D2) == [f"of {D2}"]
