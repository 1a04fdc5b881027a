"""A dataset's declaration and its partitions: what cannot work is refused where it is written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from platform_assets.contracts import Contract, Field, Key
from platform_assets.errors import ContractError, PartitionError, PlatformError
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.sources.tables import FullTable, SnapshotTable
from platform_assets_tests.support import things


@pytest.mark.parametrize("name", ["", "Orders", "1st", "a-b", 'a"b', "a b", "_a"])
def test_a_name_has_to_be_a_table_s(name: str) -> None:
    with pytest.raises(ContractError, match="name cannot be a table's name") as caught:
        things(name)
    assert caught.value.found == repr(name)


@pytest.mark.parametrize("share", [-0.01, 1.01, 10])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(ContractError, match="is not a share") as caught:
        things(max_bad_share=share)
    assert "dataset things, max_bad_share" in caught.value.where
    assert caught.value.found == str(share)


def test_deletes_can_be_marked_only_where_they_are_told() -> None:
    with pytest.raises(ContractError, match="Nothing tells this dataset") as caught:
        things(deletes="mark")
    assert caught.value.found == "CsvFiles"
    changes = DebeziumFiles("things.ndjson")
    marked = things(source=changes, deletes="mark", partitions=Unpartitioned())
    assert marked.cleaned_provenance[-1] == ("_deleted_at", "TIMESTAMP")


class Masked(Contract):
    """Whose key is not told apart."""

    thing_id: str = Key(pii="mask")


class Dated(Contract):
    """With a column that a history has of its own."""

    thing_id: str = Key()
    Valid_To: str = Field(nullable=True)


class Keyless(Contract):
    """Without a key."""

    thing_id: str = Field()


@pytest.mark.parametrize(
    ("options", "title", "found"),
    [
        ({}, "the source gives no changes", "CsvFiles"),
        ({"source": FullTable("things")}, "the source gives no changes", "FullTable"),
        (
            {"source": SnapshotTable("things"), "contract": Keyless},
            "which row a change is of",
            "none",
        ),
        (
            {"source": SnapshotTable("things"), "contract": Masked},
            "not be told apart",
            "pii='mask'",
        ),
        ({"source": SnapshotTable("things"), "contract": Dated}, "the history's own", "Valid_To"),
    ],
)
def test_a_history_that_could_not_be_kept_is_refused(
    options: dict[str, Any], title: str, found: str
) -> None:
    with pytest.raises(ContractError, match=title) as caught:
        things(history=True, partitions=Unpartitioned(), **options)
    assert "dataset things" in caught.value.where
    assert caught.value.found == found
    assert caught.value.fix


class Broken(Contract):
    """Cannot compile: a decimal without its precision."""

    thing_id: str = Key()
    price: Decimal = Field(ge=0)


def test_a_contract_that_cannot_compile_is_refused_with_its_place() -> None:
    with pytest.raises(ContractError) as caught:
        things(contract=Broken)
    assert "contract Broken, dataset things, column price" in caught.value.where
    assert caught.value.expected
    assert caught.value.found
    assert caught.value.fix


DAILY = Daily(date(2025, 2, 27), date(2025, 3, 2))


def test_the_days() -> None:
    assert DAILY.keys() == ["2025-02-27", "2025-02-28", "2025-03-01", "2025-03-02"]
    assert DAILY.keys("2025-02-28", "2025-03-01") == ["2025-02-28", "2025-03-01"]
    assert DAILY.keys("2025-03-01", "2025-02-28") == []
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert Daily(yesterday).keys() == [str(yesterday)]
    assert Unpartitioned().keys("2025-01-01", "2025-01-02") == ["all"]


@pytest.mark.parametrize("key", ["2025-02-26", "2025-03-03", "2025-02-30", "all", "20250301x"])
def test_a_day_outside_is_refused(key: str) -> None:
    for bounds in ((key, None), (None, key)):
        with pytest.raises(PartitionError, match="There is no such partition") as caught:
            DAILY.keys(*bounds)
        assert caught.value.where == f"partition {key}"
        assert caught.value.expected == "a day from 2025-02-27 to 2025-03-02, as YYYY-MM-DD"
        assert caught.value.found == key


def test_an_error_says_only_what_is_known() -> None:
    assert str(PlatformError("wrong")) == "wrong"
    assert str(PlatformError("wrong", where="here", fix="mend it")) == (
        "wrong\n  where: here\n  fix: mend it"
    )
