"""Rolling back: an earlier publish stands again, adds up, and stays until something is new."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from platform_assets.assets import aggregate_plan, describe
from platform_assets.assets.aggregate_plan import Plan
from platform_assets.assets.dbt import project_version
from platform_assets.cli.lake_tables import of_dataset, target_of
from platform_assets.contracts import Field
from platform_assets.dataset import Dataset
from platform_assets.errors import PartitionError, PublishError
from platform_assets.pipeline import clean, rollback
from platform_assets.pipeline.rollback import Done, roll_back
from platform_assets.pipeline.rollback_plan import plan
from platform_assets.quality import findings, profiles
from platform_assets.sources.tables import WatermarkTable
from platform_assets.warehouse import hold, ledger, quarantine_work, rollbacks, tables
from platform_assets.warehouse.lake import (
    Connection,
    connect,
    current_snapshot,
    in_transaction,
)
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets.warehouse.snapshots import Asked
from platform_assets.warehouse.tally import RowChanges
from platform_assets_tests.conftest import lake_in
from platform_assets_tests.faults.processes import KILLED, PATIENCE_SECONDS, worker
from platform_assets_tests.history_shop import periods
from platform_assets_tests.history_shop import shops as history_shops
from platform_assets_tests.source_tables import DAYS as SALE_DAYS
from platform_assets_tests.source_tables import row as sale
from platform_assets_tests.support import D1, D2, Site, Thing, row, text, things
from platform_assets_tests.table_shop import Shop

LOOSE = things(max_bad_share=1.0)
GOOD = text(row("a"), row("b", quantity=2), row("bad", quantity=-1), row("b", quantity=1))
# Quantities are wrong by a factor, and another row is bad.
WRONG = text(row("a", quantity=100), row("c"), row("worse", price="-5.00"))


def back(
    site: Site, dataset: Dataset = LOOSE, layer: str = "cleaned", day: str = D1, to: str = ""
) -> Done:
    asked = Asked(to, "option --to") if to else None
    chosen = plan(site.lake, of_dataset(dataset, layer), day, asked)
    return roll_back(site.lake, chosen, reason="wrong by a factor", author="me")


def rolled(site: Site, dataset: Dataset = LOOSE) -> dict[str, object]:
    """What a rollback has to bring back: rows, and where quarantined ones stand."""
    held = ("open", "resolved")
    name = dataset.name
    return {
        "cleaned": site.cleaned(name, "* EXCLUDE (_source_file)"),
        "held": [
            (key, rules, status)
            for key, rules, status in site.quarantine(name, "quarantine_id, rules, status")
            if status in held
        ],
    }


@pytest.fixture
def wrong(site: Site) -> Site:
    """A day that was published right and then wrong, and another one."""
    site.deliver(D1, GOOD)
    site.deliver(D2, GOOD)
    site.run(LOOSE, [D1, D2])
    site.deliver(D1, WRONG)
    site.run(LOOSE, [D1])
    return site


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


# Histories.


@pytest.fixture
def shop_of(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    with history_shops(tmp_path) as make:
        yield make


def back_in(shop: Shop, day: str, to: int | None = None) -> Done:
    asked = Asked(str(to), "option --to") if to is not None else None
    chosen = plan(shop.lake, of_dataset(shop.dataset, "cleaned"), day, asked)
    return roll_back(shop.lake, chosen, reason="r", author="a")


def test_the_history_goes_along_and_goes_on(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1))
    shop.table.put(sale(2, 2))
    shop.sync()
    cleaned, kept = shop.cleaned(), periods(shop)
    shop.table.put(sale(1, note="wrong"))
    shop.table.put(sale(3))
    shop.sync()
    after = shop.cleaned(), periods(shop)
    back_in(shop, SALE_DAYS[0])
    assert (shop.cleaned(), periods(shop)) == (cleaned, kept)
    entry = ledger.published(shop.lake, "history/sales")[SALE_DAYS[0]]
    assert entry.cleaned == 1
    shop.sync()
    assert (shop.cleaned(), periods(shop)) == (cleaned, kept), "nothing new came"
    # What comes now is put on all that ever came: the partition is judged whole.
    shop.table.put(sale(4))
    shop.sync()
    assert shop.cleaned().keys() == {1, 2, 3, 4}
    assert {each[0] for each in periods(shop)} == {1, 2, 3, 4}
    assert {k: shop.cleaned()[k] for k in (1, 2, 3)} == after[0]


def test_a_row_that_has_moved_is_not_restored_twice(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1, 1))
    shop.table.put(sale(2, 2))
    shop.sync()
    shop.table.put(sale(1, 2))
    shop.sync()
    before = shop.cleaned(), periods(shop)
    with pytest.raises(PublishError, match="moved to other partitions") as raised:
        back_in(shop, SALE_DAYS[0])
    assert f"1 in {SALE_DAYS[1]}" in raised.value.found
    assert (shop.cleaned(), periods(shop)) == before


def test_raw_changes_cannot_be_rolled_back(shop_of: Callable[..., Shop]) -> None:
    shop = shop_of(WatermarkTable("sales"))
    shop.table.put(sale(1))
    shop.sync()
    with pytest.raises(PartitionError, match="read by its changes") as raised:
        plan(shop.lake, of_dataset(shop.dataset, "raw"), SALE_DAYS[0])
    assert raised.value.fix == "roll cleaned/sales back, which keeps all versions"


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


# What belongs to a publish.


def test_statistics_learn_from_what_stands(wrong: Site) -> None:
    asset = "cleaned/things"
    known = finding(asset, "rows")
    in_transaction(wrong.lake, lambda con: findings.record(con, asset, [D1], [known], []))
    noted = current_snapshot(wrong.lake)
    back(wrong)
    seen = profiles.newest(wrong.lake, asset, D1)
    assert seen is not None
    assert (seen.profile.rows, seen.extracted, seen.quarantined) == (2, 4, 1)
    # It was about rows that do not stand any more, and is open again once they do.
    (over,) = findings.find(wrong.lake, statuses=(findings.Standing.OVER,))
    assert over.finding_id == known.finding_id
    for statuses in ((findings.Standing.OPEN,), (findings.Standing.OVER,)):
        snapshot = noted if statuses == (findings.Standing.OPEN,) else noted - 1
        in_transaction(
            wrong.lake,
            lambda con, snapshot=snapshot: findings.restore(con, asset, D1, snapshot),
        )
        (found,) = findings.find(wrong.lake, statuses=statuses)
        assert found.finding_id == known.finding_id


def finding(asset: str, column: str) -> findings.Finding:
    return findings.Finding(
        dataset="things", asset=asset, partition=D1, check_name="volume", column_name=column,
        run_id="run-2", severity="warn", observed=2.0, expected_low=0.0, expected_high=1.0,
        confidence=0.9, history=3, message="more than expected",
    )  # fmt: skip


def test_a_run_tells_what_it_changed(wrong: Site) -> None:
    told = {
        (entry.run_id, entry.partition): (entry.rows_added, entry.rows_removed, entry.rows_changed)
        for day in (D1, D2)
        for entry in ledger.publishes(wrong.lake, "cleaned/things", day)
    }
    assert told == {
        ("run-1", D1): (2, 0, 0),
        ("run-1", D2): (2, 0, 0),
        ("run-2", D1): (1, 1, 1),
    }
    _, report = wrong.run(LOOSE, [D1, D2])
    for entry in report.entries.values():
        metadata = describe.partition_metadata(entry, "cleaned")
        assert [metadata[f"rows_{what}"] for what in ("added", "removed", "changed")] == [0, 0, 0]
        assert "held_by_rollback" not in metadata
    back(wrong)
    _, report = wrong.run(LOOSE, [D1])
    assert describe.partition_metadata(report.entries[D1], "cleaned")["held_by_rollback"]
    assert "rows_added" not in describe.partition_metadata(report.entries[D1], "raw")


def test_a_lake_of_an_earlier_version_gets_what_it_lacks(wrong: Site) -> None:
    for column in ("rows_added", "rows_removed", "rows_changed"):
        wrong.lake.execute(f"ALTER TABLE {tables.LEDGER} DROP COLUMN {column}")
    wrong.lake.execute(f"DROP TABLE {tables.ROLLBACKS}")
    tables.ensure_platform_tables(wrong.lake)
    (first, _) = ledger.publishes(wrong.lake, "cleaned/things", D1)
    assert first.rows_added is None
    assert "rows_added" not in describe.partition_metadata(first, "cleaned")
    back(wrong)
    assert wrong.published("cleaned")[D1].rows_added == 1


# Aggregates.


def aggregate(site: Site, name: str, rows: str, entries: list[LedgerEntry]) -> None:
    """Publish an aggregate as dbt does: its rows and what the ledger says of them."""

    def work(con: Connection) -> None:
        con.execute(f"CREATE OR REPLACE TABLE {tables.aggregated_table(name)} AS {rows}")
        ledger.record(con, entries)

    in_transaction(site.lake, work)


def entry_of(asset: str, rows: int, fingerprint: str = "") -> LedgerEntry:
    return LedgerEntry(
        asset, D1, f"of-{fingerprint}", Status.PUBLISHED, cleaned=rows,
        contract_version=project_version(), input_fingerprint=fingerprint,
    )  # fmt: skip


def planned(site: Site) -> Plan:
    return aggregate_plan.plan(
        site.lake, run_id="run", requested=[D1], force=False,
        selected={"aggregated/daily_sales", "aggregated/fct_orders"},
    )  # fmt: skip


def test_an_aggregate_is_rolled_back_by_its_own_key_and_partition(site: Site) -> None:
    tables.ensure_platform_tables(site.lake)
    sold = f"SELECT DATE '{D1}' AS order_date, 'GBP' AS currency"
    orders = f"SELECT 'o1' AS order_id, '{D1}' AS _partition"
    for sales in (1, 2):
        in_transaction(
            site.lake,
            lambda con: ledger.record(con, [entry_of("cleaned/orders", 1)]),
        )
        made_of = ledger.published(site.lake, "cleaned/orders")[D1].snapshot
        fingerprint = f"{made_of}-{project_version()}"
        aggregate(site, "fct_orders", orders, [entry_of("aggregated/fct_orders", 1, fingerprint)])
        aggregate(
            site, "daily_sales",
            f"{sold}, {sales} AS sales UNION ALL SELECT DATE '{D2}', 'GBP', {sales}",
            [entry_of("aggregated/daily_sales", 1, fingerprint)],
        )  # fmt: skip
    assert planned(site).stale == ()
    chosen = plan(site.lake, target_of("aggregated/daily_sales", "argument"), D1)
    done = roll_back(site.lake, chosen, reason="r", author="a")
    assert done.changes == RowChanges(changed=1)
    assert site.select(
        f"SELECT sales FROM {tables.aggregated_table('daily_sales')} ORDER BY 1"
    ) == [
        (1,),
        (2,),
    ]
    # The orders are those that it was refused for.
    assert planned(site).stale == ()
    in_transaction(
        site.lake, lambda con: ledger.record(con, [entry_of("cleaned/orders", 1, "new")])
    )
    assert planned(site).stale == (D1,)
