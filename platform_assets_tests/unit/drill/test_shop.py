"""The clean year: the same by the same seed, with weather, and without a row that is wrong."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
import requests

from platform_assets.demo.volume import WEEKDAY_PERCENT
from platform_assets.drill import shop
from platform_assets.drill.departments import counts
from platform_assets.drill.plan import DAYS_AFTER, Plan
from platform_assets.drill.server import Fault, TicketServer, serving
from platform_assets.drill.weather import TYPICAL, Weather
from platform_assets.errors import SettingsError
from platform_assets_tests.unit.drill.stage import contents, rows

SMALL = Plan(days=28, orders_per_day=20)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.make(tmp_path_factory.mktemp("one") / "store", SMALL)


def test_the_same_plan_makes_the_same_bytes(store: Path, tmp_path: Path) -> None:
    again = shop.make(tmp_path / "store", SMALL)
    assert files(again) == files(store)


def test_another_seed_makes_another_year(store: Path, tmp_path: Path) -> None:
    other = shop.make(tmp_path / "store", Plan(seed=8, days=28, orders_per_day=20))
    day = f"orders/{SMALL.day(0)}.csv"
    assert files(other)[day] != files(store)[day]


def test_what_was_made_is_left_alone_and_another_plan_replaces_it(tmp_path: Path) -> None:
    made = shop.make(tmp_path / "store", SMALL)
    (made / "orders" / "mark").touch()
    assert (shop.make(made, SMALL) / "orders" / "mark").exists()
    assert not (
        shop.make(made, Plan(seed=9, days=28, orders_per_day=20)) / "orders" / "mark"
    ).exists()


def test_every_day_has_a_file_of_everything(store: Path) -> None:
    for name in shop.SUFFIXES:
        assert all(shop.stored(store, name, day).is_file() for day in SMALL.every)
    assert shop.stored_spend(store).is_file()


def test_no_order_is_of_a_customer_or_product_that_is_not_there(store: Path) -> None:
    found = files(store)
    known = {
        row["customer_id"]
        for path, content in found.items()
        if path.startswith("customers/")
        for row in rows(content, path)
    }
    sold = {row["product_id"] for row in rows(found["products.csv"], ".csv")}
    orders = [
        row
        for path, content in found.items()
        if path.startswith("orders/")
        for row in rows(content, path)
    ]
    assert len(orders) > 28 * 10
    assert {row["customer_id"] for row in orders} <= known
    assert {row["product_id"] for row in orders} <= sold


def files(folder: Path) -> dict[str, bytes]:
    return {path: content for path, content in contents(folder).items() if "spend" not in path}


def test_weather_varies_grows_and_stays_within_what_is_made() -> None:
    shares = Weather(7, 378).shares("orders")
    assert shares == Weather(7, 378).shares("orders")
    assert shares != Weather(8, 378).shares("orders")
    assert shares != Weather(7, 378).shares("tickets")
    assert all(0.4 < share <= 1 for share in shares)
    assert sum(shares) / len(shares) == pytest.approx(TYPICAL, rel=0.05)
    assert len(set(shares)) > 300


def test_rows_follow_the_weekday_and_the_weather() -> None:
    assert counts(100, [1.0] * 7) == list(WEEKDAY_PERCENT)
    assert counts(100, [1.0, 0.5]) == [98, 47]


def test_days_are_whole_weeks_that_begin_on_a_monday() -> None:
    plan = Plan(days=28)
    assert date.fromisoformat(plan.day(0)).weekday() == 0
    assert (len(plan.history), len(plan.after)) == (28, DAYS_AFTER)
    assert plan.history[-1] < plan.after[0]


@pytest.mark.parametrize("wrong", [{"days": 30}, {"days": 7}, {"orders_per_day": 1}, {"seed": -1}])
def test_a_plan_that_makes_no_drill_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError):
        Plan(**wrong)


@pytest.fixture
def server(tmp_path: Path) -> TicketServer:
    lines = [json.dumps({"ticket_id": f"T{n}"}) for n in range(5)]
    (tmp_path / "2026-03-02.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return TicketServer(tmp_path)


@pytest.mark.parametrize(
    ("fault", "items", "pages", "total"),
    [
        (Fault.NONE, 2, 3, 5),
        (Fault.SHORT_PAGE, 1, 3, 5),
        (Fault.LOST_PAGES, 2, 1, 5),
        (Fault.HIDDEN, 2, 1, 2),
    ],
)
def test_pages_of_the_api(
    server: TicketServer, fault: Fault, items: int, pages: int, total: int
) -> None:
    server.fault = fault
    page = json.loads(server.page("2026-03-02", 1, 2))
    assert (len(page["items"]), page["pages"], page["total"]) == (items, pages, total)
    server.server_close()


def test_a_day_without_tickets_has_one_empty_page(server: TicketServer) -> None:
    page = json.loads(server.page("2026-03-09", 1, 2))
    assert (page["items"], page["pages"], page["total"]) == ([], 1, 0)
    server.server_close()


def test_an_answer_that_is_cut_off_is_no_document(server: TicketServer) -> None:
    server.fault = Fault.CUT_OFF
    with pytest.raises(json.JSONDecodeError):
        json.loads(server.page("2026-03-02", 3, 2))
    server.server_close()


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.NONE, 200), (Fault.DOWN, 503), (Fault.LOCKED_OUT, 401)]
)
def test_the_api_answers(tmp_path: Path, fault: Fault, status: int) -> None:
    with serving(tmp_path) as served:
        served.fault = fault
        url = f"{served.base_url}/tickets?from=2026-03-02&page=1&page_size=2"
        assert requests.get(url, timeout=10).status_code == status
