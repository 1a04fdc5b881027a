"""What became of released rows, of datasets with versions, without a key, and with copies."""

from __future__ import annotations

from pathlib import Path

from platform_assets.contracts import Contract, Field
from platform_assets.pipeline import Step, clean
from platform_assets.pipeline.released import Released, released_by
from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.warehouse import quarantine_work as work
from platform_assets.warehouse.lake import connect
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.logs import Sync, event, lines
from platform_assets_tests.source_tables import BAD, DAYS, Sale, sales
from platform_assets_tests.support import D1, Site, Thing, row, text, things


class Keyless(Contract):
    """Things that nothing tells apart."""

    thing_id: str
    quantity: int = Field(ge=0)


class Owed(Keyless):
    """The same, that may be owed."""

    quantity: int


class Lenient(Thing):
    """Things that may be owed."""

    quantity: int


class AnySale(Sale):
    """Sales of any status."""

    status: str


def test_a_version_is_released_though_a_newer_one_stands(tmp_path: Path) -> None:
    folder = tmp_path / "delivered"
    folder.mkdir()
    source = DebeziumFiles("*.ndjson")
    events = [event("c", key, key, day=1 + key % 2, status=BAD) for key in (1, 2, 3)]
    (folder / "1.ndjson").write_text(lines(events))
    with connect(lake_in(tmp_path)) as lake:
        sync = Sync(sales(source, max_bad_share=1.0), lake, {"files": folder})
        sync()
        picked = Picked(dataset="sales")
        replay = work.begin_replay(lake, picked, reason="r", author="a")
        (folder / "2.ndjson").write_text(lines([event("u", 1, 9, day=2), event("u", 3, 8, day=2)]))
        sync()
        step = sync_step(sync)
        assert work.outcome(lake, replay) == {RowStatus.RELEASED: 2, RowStatus.OPEN: 1}
        assert released_by(step, replay.action_id, DAYS) == Released(deduplicated=2)
        # The contract allows what was left: it is published.
        sync.dataset = sales(source, contract=AnySale, max_bad_share=1.0)
        sync(force=True)
        assert work.outcome(lake, replay) == {RowStatus.RELEASED: 3}
        done = released_by(sync_step(sync), replay.action_id, DAYS)
        assert done == Released(published=1, deduplicated=2)
        assert released_by(sync_step(sync), "no such replay", DAYS) == Released()


def sync_step(sync: Sync) -> Step:
    return Step(sync.dataset, sync.lake, run_id="")


def test_copies_count_once_and_rows_without_a_key_each(site: Site) -> None:
    # The same row twice: one of them stands, whichever it is.
    site.deliver(D1, text(row("good"), row("bad", -1), row("bad", -1), row("else", -2)))
    site.run(things(max_bad_share=1.0), [D1])
    replay = work.begin_replay(site.lake, Picked(dataset="things"), reason="r", author="a")
    lenient = things(contract=Lenient, max_bad_share=1.0)
    clean(site.step(lenient, force=True), [D1])
    done = released_by(site.step(lenient), replay.action_id, [D1])
    assert done == Released(published=2, deduplicated=1)
    assert len(site.cleaned()) == 3

    strict = things("loose", contract=Keyless, max_bad_share=1.0)
    site.deliver(D1, "thing_id,quantity\na,1\nb,-1\nb,-1\n", "loose")
    site.run(strict, [D1])
    replay = work.begin_replay(site.lake, Picked(dataset="loose"), reason="r", author="a")
    owed = things("loose", contract=Owed, max_bad_share=1.0)
    clean(site.step(owed, force=True), [D1])
    assert released_by(site.step(owed), replay.action_id, [D1]) == Released(published=2)
    assert len(site.cleaned("loose")) == 3
