"""Content of closed rows is erased after a time; what is known of them stays, and still counts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from platform_assets.errors import ContractError
from platform_assets.pipeline import clean
from platform_assets.pipeline.correct import correct, withdraw
from platform_assets.warehouse import corrections, tables
from platform_assets.warehouse import quarantine_work as work
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_export import ID
from platform_assets.warehouse.quarantine_retention import Expired, expire
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets_tests.support import D1, Site, row, text, things

DATASET = things(max_bad_share=1.0)
AGE = {"things": timedelta(days=30)}
EVERY = tuple(RowStatus)


def contents(site: Site) -> dict[str, tuple[str, bool]]:
    """Where each row stands and whether its content is there, by its number in the file."""
    found = site.quarantine(columns="row_number, status, original_row IS NOT NULL, row_key")
    assert all((key is not None) == kept for _, _, kept, key in found)
    return {str(number): (status, kept) for number, status, kept, _ in found}


def make_old(site: Site) -> None:
    site.lake.execute(f"UPDATE {tables.QUARANTINE} SET first_seen = first_seen - INTERVAL 31 DAY")


def identities(site: Site) -> list[str]:
    """Ids of the rows in the order of the file."""
    return [i for _, i in site.quarantine(columns="row_number, quarantine_id")]


@pytest.fixture
def old(site: Site, tmp_path: Path) -> Site:
    """Four old rows: open, resolved, released by a correction, released at the source."""
    bad = [row(name, quantity=-1) for name in "abcd"]
    site.deliver(D1, text(*bad))
    site.run(DATASET, [D1])
    site.deliver(D1, text(*bad[:3], row("d")))
    site.run(DATASET, [D1])
    found = identities(site)
    work.resolve(site.lake, Picked(ids=[found[1]]), reason="r", author="a")
    path = tmp_path / "rows.csv"
    path.write_text(f"{ID},quantity\n{found[2]},2\n")
    correct(site.step(DATASET), path, reason="r", author="a")
    clean(site.step(DATASET), [D1])
    make_old(site)
    return site


def test_closed_rows_are_erased_and_still_add_up(old: Site) -> None:
    site, ledger = old, old.published("cleaned")[D1]
    cleaned = site.cleaned()
    assert expire(site.lake, AGE, dry_run=True) == {"things": Expired(3, 0, 1)}
    assert {kept for _, kept in contents(site).values()} == {True}
    assert expire(site.lake, AGE) == {"things": Expired(3, 0, 1)}
    assert contents(site) == {
        "1": ("open", True),
        "2": ("resolved", False),
        "3": ("released", False),
        "4": ("released", False),
    }
    resolved = identities(site)[1]
    assert [each.action for each in work.actions(site.lake, resolved)] == ["resolve", "expire"]
    (shown,) = work.find(site.lake, Picked(ids=[resolved], statuses=EVERY))
    assert (shown.original_row, shown.row_key, shown.rules) == (None, None, ("quantity__ge",))
    # A second time there is nothing left to erase.
    assert expire(site.lake, AGE) == {"things": Expired(0, 0, 1)}
    # Judged again, by force: an erased resolved row stays resolved, a corrected one corrected.
    before = site.quarantine()
    entry = clean(site.step(DATASET, force=True), [D1]).entries[D1]
    assert entry.status is Status.PUBLISHED, entry.message
    assert (entry.extracted, entry.cleaned, entry.quarantined) == (
        ledger.extracted, ledger.cleaned, ledger.quarantined,
    )  # fmt: skip
    assert (site.cleaned(), site.quarantine()) == (cleaned, before)


def test_an_erased_row_that_is_bad_again_is_whole_again(old: Site) -> None:
    expire(old.lake, AGE)
    old.deliver(D1, text(*(row(name, quantity=-1) for name in "abcd")))
    old.run(DATASET, [D1])
    assert contents(old)["4"] == ("open", True)
    assert contents(old)["2"] == ("resolved", False)


def test_corrections_out_of_force_are_erased_too(old: Site) -> None:
    corrected = identities(old)[2]
    picked = Picked(ids=[corrected], statuses=EVERY)
    withdraw(old.lake, picked, reason="r", author="a")
    clean(old.step(DATASET), [D1])
    assert contents(old)["3"] == ("open", True)
    # Its row is open again, and so it is kept whole.
    assert expire(old.lake, AGE) == {"things": Expired(2, 0, 2)}
    work.resolve(old.lake, picked, reason="r", author="a")
    assert expire(old.lake, AGE) == {"things": Expired(1, 1, 1)}
    (erased,) = corrections.of_row(old.lake, corrected)
    assert (erased.corrected_row, erased.reason) == (None, "r")


def test_only_what_is_old_enough_of_datasets_with_a_retention(site: Site) -> None:
    site.deliver(D1, text(row("a", quantity=-1)))
    tables.ensure_platform_tables(site.lake)
    assert expire(site.lake, AGE) == {"things": Expired(0, 0, 0)}
    site.run(DATASET, [D1])
    work.resolve(site.lake, Picked(dataset="things"), reason="r", author="a")
    assert expire(site.lake, AGE) == {"things": Expired(0, 0, 0)}
    assert expire(site.lake, {"others": timedelta(0)}) == {"others": Expired(0, 0, 0)}
    make_old(site)
    assert expire(site.lake, {}) == {}
    assert contents(site) == {"1": ("resolved", True)}


def test_a_retention_of_nothing_is_refused() -> None:
    with pytest.raises(ContractError, match="quarantine_retention"):
        things(quarantine_retention=timedelta(0))
    assert things(quarantine_retention=timedelta(days=1)).quarantine_retention
