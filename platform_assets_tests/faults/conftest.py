"""Deliveries of the shop, and what they come out as where nobody disturbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from platform_assets.demo import PRODUCTS_KEY, ShopReport, generate
from platform_assets_tests.faults.reader import Truth, truth_of
from platform_assets_tests.faults.site import Observation, Site, Work, contents, observe

START = date(2025, 1, 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@dataclass(frozen=True)
class Delivery:
    """A shop's files and the truth about them."""

    folder: Path
    report: ShopReport

    @property
    def days(self) -> list[str]:
        """Partitions of the daily datasets."""
        return list(self.report.partitions["orders"])


@dataclass(frozen=True)
class Undisturbed:
    """A lake that was filled in one go, after one or more deliveries."""

    observation: Observation
    contents: Mapping[str, pa.Table]


def _deliver(folder: Path, *, seed: int, days: int, orders: int, spoil: int | None) -> Delivery:
    report = generate(
        folder,
        start=START,
        days=days,
        orders_per_day=orders,
        seed=seed,
        spoil=[date(2025, 1, spoil)] if spoil else [],
    )
    return Delivery(folder, report)


@pytest.fixture(scope="session")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Delivery, Delivery]:
    """The same days delivered twice with other content; a day of each has too much dirt."""
    root = tmp_path_factory.mktemp("deliveries")
    return (
        _deliver(root / "first", seed=7, days=12, orders=300, spoil=3),
        _deliver(root / "second", seed=8, days=12, orders=300, spoil=8),
    )


@pytest.fixture(scope="session")
def undisturbed(
    deliveries: tuple[Delivery, Delivery], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Undisturbed, Undisturbed]:
    """What the first delivery comes out as, and the second one on top of it."""
    site = Site(tmp_path_factory.mktemp("undisturbed"))
    results = []
    for delivery in deliveries:
        Work(site, delivery.folder, delivery.days).do()
        with site.open() as connection:
            results.append(Undisturbed(observe(connection), contents(site)))
    return results[0], results[1]


@pytest.fixture(scope="session")
def truth(undisturbed: tuple[Undisturbed, Undisturbed]) -> Truth:
    """What complete partitions hold, after either delivery."""
    return truth_of(*(each.observation for each in undisturbed))


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """Thirty-two small days, none of which has too much dirt."""
    return _deliver(tmp_path_factory.mktemp("month"), seed=9, days=32, orders=60, spoil=None)


@pytest.fixture(scope="session")
def quiet_month(month: Delivery, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What the month comes out as where nobody else writes."""
    site = Site(tmp_path_factory.mktemp("quiet"))
    Work(site, month.folder, month.days, batch_bytes=10**9).do()
    with site.open() as connection:
        return Undisturbed(observe(connection), contents(site))


def assert_is_truth(seen: Observation, report: ShopReport) -> None:
    """Hold a lake equal to what the shop says of its own files."""
    for dataset, partitions in report.partitions.items():
        for day, expected in partitions.items():
            partition = "all" if day == PRODUCTS_KEY else day
            attempt = seen.last[f"cleaned/{dataset}", partition]
            assert attempt.extracted == expected.rows
            assert attempt.quarantined == expected.quarantined
            if not expected.spoiled:
                assert attempt.cleaned == expected.cleaned
                assert attempt.deduplicated == expected.deduplicated
                assert seen.rows[f"cleaned/{dataset}", partition].count == expected.cleaned
