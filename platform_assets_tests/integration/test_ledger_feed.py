"""What is new in the ledger: each failure once, none left out, and what came of it."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from platform_assets.pipeline import clean, load_raw
from platform_assets.warehouse import gate, ledger, ledger_feed, tables
from platform_assets.warehouse.lake import in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.ledger_feed import Outcome, Position
from platform_assets_tests.support import D1, D2, D3, Site, rows_named, text, things


def write(site: Site, *entries: LedgerEntry) -> None:
    tables.ensure_platform_tables(site.lake)
    in_transaction(site.lake, lambda lake: ledger.record(lake, entries))


def entry(
    asset: str, partition: str, status: Status, *, run: str = "r1", quarantined: int = 0
) -> LedgerEntry:
    return LedgerEntry(asset, partition, run, status, extracted=100, quarantined=quarantined)


def read(
    site: Site,
    position: Position,
    watched: Collection[tuple[str, str]] = (),
    **options: int,
) -> tuple[list[tuple[str, str, str]], Position]:
    page = ledger_feed.since(site.lake, position, watched, 0.05, **options)
    return [(e.asset, e.partition, e.status) for e in page.attempts], page.position


def test_what_matters_is_read_once_and_page_by_page(site: Site) -> None:
    failed, published = Status.FAILED, Status.PUBLISHED
    write(site, entry("raw/a", D1, failed))
    start = ledger_feed.newest(site.lake)
    assert read(site, start) == ([], start)
    assert [e.partition for e in ledger_feed.standing_failures(site.lake)] == [D1]

    # Of what went well only what was watched, or had failed just before.
    write(site, entry("raw/a", D2, published), entry("raw/a", D3, failed))
    write(site, entry("raw/a", D3, published), entry("raw/a", D1, published))
    write(site, entry("cleaned/a", D1, published, quarantined=6))
    write(site, entry("cleaned/a", D2, published, quarantined=5))
    news = [
        ("raw/a", D3, "failed"),
        ("raw/a", D3, "published"),
        ("raw/a", D1, "published"),
        ("cleaned/a", D1, "published"),
    ]
    found, end = read(site, start, [("raw/a", D1)])
    assert found == news
    assert read(site, end) == ([], end)
    assert Position.parse(end.text()) == end
    assert ledger_feed.standing_failures(site.lake) == []

    position, seen, watched = start, [], {("raw/a", D1)}
    for _ in range(4):
        found, position = read(site, position, watched, page=1)
        seen += found
        # What was read of is what a reader goes on to watch.
        watched |= {(asset, partition) for asset, partition, _ in found}
    # A page may end within a commit, and is gone on with in the middle of it.
    assert seen == news
    assert read(site, position) == ([], ledger_feed.newest(site.lake))


def test_what_runs_came_to(site: Site) -> None:
    failed, published = Status.FAILED, Status.PUBLISHED
    write(site, entry("raw/a", D1, published), entry("cleaned/a", D1, published))
    write(site, entry("raw/a", D2, published), entry("cleaned/a", D2, failed))
    write(site, entry("raw/a", D3, failed), entry("raw/a", D3, published, run="r2"))
    write(site, entry("raw/a", D2, failed, run="other"))
    assert ledger_feed.outcome(site.lake, ["r1"]) == Outcome(1, (D2, D3))
    assert ledger_feed.outcome(site.lake, ["r1", "r2"]) == Outcome(2, (D2,))
    assert ledger_feed.outcome(site.lake, ["none"]) == Outcome(0, ())
    assert [e.partition for e in ledger_feed.failed_by(site.lake, "r1")] == [D2, D3]


def test_a_refusal_leads_to_what_it_is_for_in_the_end(site: Site) -> None:
    made = things()
    site.deliver(D1, text(*rows_named("a")))
    site.run(made, [D1])
    site.deliver(D1, text("x,1", header="thing_id,quantity"))
    load_raw(site.step(made), [D1])
    clean(site.step(made), [D1])
    refused = ledger.latest(site.lake, "cleaned/things")[D1]
    assert refused.stopped_by == ledger.UPSTREAM
    assert gate.origin(refused.message) == ("raw/things", D1)
    # Two steps away, through the refusal of the one in between.
    with pytest.raises(gate.GateClosedError) as error:
        gate.require_open(site.lake, "cleaned/things", [D1])
    assert gate.origin(str(error.value)) == ("raw/things", D1)
    with pytest.raises(gate.GateClosedError) as error:
        gate.require_open(site.lake, "cleaned/things", [D2])
    assert gate.origin(str(error.value)) is None
    assert gate.origin("something else") is None
