"""Corrections of versions: the newest good version decides, as corrected, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from platform_assets.errors import SourceError
from platform_assets.pipeline import clean, load_raw
from platform_assets.pipeline.correct import correct, withdraw
from platform_assets.warehouse import tables
from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_export import ID
from platform_assets.warehouse.quarantine_work import Picked, Replay
from platform_assets_tests.history_shop import periods, shops, with_partitions
from platform_assets_tests.source_tables import BAD, DAYS, GOOD, NOON, Row
from platform_assets_tests.source_tables import row as sale
from platform_assets_tests.table_shop import Shop
from platform_assets_tests.told_source import Told, ToldChanges

LATER = [NOON + timedelta(minutes=minute) for minute in range(9)]


@pytest.fixture
def shop_of(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    with shops(tmp_path) as make:
        yield make


def tell(shop: Shop, *told: Told) -> None:
    source = shop.dataset.source
    assert isinstance(source, ToldChanges)
    source.waiting.extend(told)
    load_raw(shop.step(), DAYS)
    assert not clean(shop.step(), DAYS).failed


def bad_id(shop: Shop) -> str:
    ((identity,),) = shop.lake.execute(f"SELECT quarantine_id FROM {tables.QUARANTINE}").fetchall()
    return str(identity)


def take(shop: Shop, path: Path, **values: object) -> Replay:
    path.write_text(
        f"{ID},{','.join(values)}\n{bad_id(shop)},{','.join(map(str, values.values()))}\n"
    )
    return correct(shop.step(), path, reason="r", author="a").replay


def judge(shop: Shop, replay: Replay) -> None:
    report = clean(shop.step(), replay.partitions["sales"])
    assert {entry.status for entry in report.entries.values()} == {Status.PUBLISHED}


def made_anew_it_is_the_same(shop: Shop) -> bool:
    before = (with_partitions(shop), shop.cleaned())
    assert not clean(shop.step(force=True), DAYS).failed
    return before == (with_partitions(shop), shop.cleaned())


def test_a_corrected_version_is_published_and_in_the_history(
    shop_of: Callable[..., Shop], tmp_path: Path
) -> None:
    shop = shop_of(ToldChanges())
    one, two = sale(1, 1), sale(2, 2)
    tell(shop, Told(one, 1, LATER[1]), Told(replace(two, status=BAD), 1, LATER[1]))
    replay = take(shop, tmp_path / "rows.csv", status=GOOD, amount="7.50")
    assert replay.partitions == {"sales": [DAYS[1]]}
    judge(shop, replay)
    corrected = Row(**{**vars(two), "amount": shop.cleaned()[2][1]})
    assert str(corrected.amount) == "7.50"
    assert shop.cleaned() == {1: one.values, 2: corrected.values}
    assert periods(shop) == [
        (*one.values, LATER[1], None, True), (*corrected.values, LATER[1], None, True),
    ]  # fmt: skip
    # New versions are put on top; the corrected one is not judged as it came again.
    newer = replace(two, note="newer")
    tell(shop, Told(newer, 2, LATER[2]), Told(sale(3, 2), 1, LATER[2]))
    assert shop.cleaned()[2] == newer.values
    assert [values[-3:] for values in periods(shop) if values[0] == 2] == [
        (LATER[1], LATER[2], False), (LATER[2], None, True),
    ]  # fmt: skip
    assert made_anew_it_is_the_same(shop)


def test_a_version_that_is_given_another_key_moves_the_row_elsewhere_too(
    shop_of: Callable[..., Shop], tmp_path: Path
) -> None:
    shop = shop_of(ToldChanges())
    one = sale(1, 1)
    moved = Told(replace(sale(2, 2), status=BAD), 5, LATER[5])
    tell(shop, Told(one, 1, LATER[1]), moved)
    before = (shop.cleaned(), periods(shop))
    # It was a sale of the first day after all, and newer: that day is without it now.
    replay = take(shop, tmp_path / "rows.csv", status=GOOD, sale_id=1)
    assert replay.partitions == {"sales": [DAYS[0], DAYS[1]]}
    judge(shop, replay)
    assert shop.cleaned() == {1: (1, *replace(moved.row, status=GOOD).values[1:])}
    assert [values[-3:] for values in periods(shop)] == [
        (LATER[1], LATER[5], False), (LATER[5], None, True),
    ]  # fmt: skip
    # An older version that comes late does not take the place of the corrected one.
    tell(shop, Told(replace(one, note="late"), 3, LATER[3]))
    assert shop.cleaned() == {1: (1, *replace(moved.row, status=GOOD).values[1:])}
    assert made_anew_it_is_the_same(shop)
    picked = Picked(ids=[bad_id(shop)], statuses=tuple(RowStatus))
    judge(shop, withdraw(shop.lake, picked, reason="r", author="a"))
    assert shop.cleaned() == {1: replace(one, note="late").values}
    assert len(periods(shop)) == len(before[1]) + 1


def test_a_value_that_the_source_could_not_hold_is_refused(
    shop_of: Callable[..., Shop], tmp_path: Path
) -> None:
    shop = shop_of(ToldChanges())
    tell(shop, Told(replace(sale(2, 2), status=BAD), 1, LATER[1]))
    with pytest.raises(SourceError) as raised:
        take(shop, tmp_path / "rows.csv", amount="a lot")
    assert "values of amount that are DECIMAL(10,2)" in str(raised.value)
    assert "a lot" not in str(raised.value)
    # The same number, written otherwise, changes nothing.
    assert take(shop, tmp_path / "rows.csv", sale_id="02").rows == {}
    # What says where a row is from is not the source's, and stays.
    with pytest.raises(SourceError, match="_position"):
        take(shop, tmp_path / "rows.csv", _position=1)
