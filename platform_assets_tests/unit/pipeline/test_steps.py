"""Batches, and how the one partition that breaks a batch is singled out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.errors import SourceError
from platform_assets.pipeline import steps
from platform_assets.pipeline.steps import batches, describe, isolate, with_seconds
from platform_assets.warehouse.ledger import LedgerEntry, Status


def entry(partition: int, status: Status = Status.PUBLISHED, rows: int = 0) -> LedgerEntry:
    return LedgerEntry("raw/things", str(partition), "run", status, extracted=rows)


@given(sizes=st.lists(st.integers(0, 50), max_size=30), limit=st.integers(1, 60))
def test_batches_keep_the_order_and_the_limit(sizes: list[int], limit: int) -> None:
    found = list(batches(sizes, lambda size: size, limit))
    assert [size for batch in found for size in batch] == sizes
    for batch in found:
        assert sum(batch) <= limit or len(batch) == 1
    for one, next_one in itertools.pairwise(found):
        assert sum(one) + next_one[0] > limit


def test_a_batch_is_of_a_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_BATCH_PARTITIONS", 3)
    assert [len(batch) for batch in batches(list(range(7)), lambda _: 0, 9)] == [3, 3, 1]


@given(bad=st.sets(st.integers(0, 39)), size=st.integers(1, 40))
def test_only_what_breaks_a_batch_fails(bad: set[int], size: int) -> None:
    works: list[Sequence[int]] = []

    def work(part: Sequence[int]) -> list[LedgerEntry]:
        works.append(part)
        if bad & set(part):
            raise SourceError("broken")
        return [entry(each) for each in part]

    def failed(each: int, error: Exception) -> LedgerEntry:
        assert isinstance(error, SourceError)
        return entry(each, Status.FAILED)

    found = {
        int(e.partition): e.status is Status.FAILED for e in isolate(range(size), work, failed)
    }
    assert found == {each: each in bad for each in range(size)}
    if not bad & set(range(size)):
        assert len(works) == 1


def test_an_error_that_nobody_expects_is_not_swallowed() -> None:
    def work(_: Sequence[int]) -> list[LedgerEntry]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(isolate([1, 2], work, lambda each, _: entry(each)))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SourceError("wrong", where="file f"), "wrong\n  where: file f"),
        (duckdb.CatalogException("no table x\nmore"), "CatalogException: no table x"),
        (OSError(28, "No space left"), "OSError: [Errno 28] No space left"),
        (
            duckdb.ConversionException("Could not convert 'jane@example.org'"),
            "ConversionException (its text is withheld: it may hold a row's value)",
        ),
        (
            duckdb.InvalidInputException("in 'jane@example.org'"),
            "InvalidInputException (its text is withheld: it may hold a row's value)",
        ),
    ],
)
def test_an_error_is_told_without_a_row_s_value(error: Exception, told: str) -> None:
    assert describe(error) == told


def test_time_is_shared_by_rows() -> None:
    shared = with_seconds([entry(1, rows=3), entry(2, rows=1), entry(3)], 0.0)
    assert shared[0].seconds == pytest.approx(3 * shared[1].seconds, rel=1e-3)
    assert shared[2].seconds == 0
    even = with_seconds([entry(1), entry(2)], 0.0)
    assert even[0].seconds == even[1].seconds > 0
    assert with_seconds([], 0.0) == []
