"""One started product with a delivered shop, and one browser on it, for the browser's tests.

``UPDATE_IMAGES=1`` fills the days of ``make demo`` first, so that the pictures show what its user
sees, and writes them to ``docs/images/``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from pytest_httpserver import HTTPServer

from platform_assets.datasets.orders import orders
from platform_assets.demo import ShopReport, generate
from platform_assets_tests.e2e.product import ROOT, Installation, Server, started, wait_until
from platform_assets_tests.e2e.story import Story
from platform_assets_tests.e2e.ui import SECONDS, Ui

ASKED_DAYS, DEMO_DAYS, ORDERS_PER_DAY = 6, 60, 150
RUN_SECONDS = 300.0
PICTURES = ROOT / "docs" / "images"
TAKES_PICTURES = os.environ.get("UPDATE_IMAGES") == "1"
VIEWPORT: ViewportSize = {"width": 1400, "height": 900}
CHROMIUM = shutil.which("chromium")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Shop:
    """What was delivered, and which days of it the test asks for.

    Attributes:
        truth: What is in the files.
        asked: The days that are materialized from the UI.
        spoiled: The one of them with too much dirt.
    """

    truth: ShopReport
    asked: tuple[str, ...]
    spoiled: str

    @property
    def good(self) -> tuple[str, ...]:
        """The days that will be published."""
        return tuple(day for day in self.asked if day != self.spoiled)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation"))


@pytest.fixture(scope="module")
def shop(installation: Installation) -> Shop:
    """A delivered shop, whose customers and products are filled: orders are left for the UI."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    delivered = orders.partitions.keys()[: DEMO_DAYS if TAKES_PICTURES else ASKED_DAYS]
    asked = delivered[-ASKED_DAYS:]
    spoiled = asked[ASKED_DAYS // 2]
    truth = generate(
        installation.shop,
        start=date.fromisoformat(delivered[0]),
        days=len(delivered),
        orders_per_day=ORDERS_PER_DAY,
        spoil=[date.fromisoformat(spoiled)],
    )
    if TAKES_PICTURES:
        installation.command("backfill", "--from", delivered[0], "--to", delivered[-ASKED_DAYS - 1])
    selection = 'tag:"dataset"="customers" or tag:"dataset"="products"'
    installation.command("backfill", "--from", asked[0], "--to", asked[-1], "--select", selection)
    return Shop(truth, tuple(asked), spoiled)


@pytest.fixture(scope="module")
def story(installation: Installation, shop: Shop) -> Iterator[Story | None]:
    """Visits that will be late, and a real server that is told; none where pictures are taken."""
    del shop  # it takes long to fill, and the story's time runs
    if TAKES_PICTURES:
        yield None
        return
    with HTTPServer(host="127.0.0.1") as hook:
        yield Story(installation.folder, hook)


@pytest.fixture(scope="module")
def server(installation: Installation, shop: Shop, story: Story | None) -> Iterator[Server]:
    """The started product."""
    del shop  # all files and the first tables are there before anything looks at them
    with started(installation) as running:
        if story is not None:
            story.watched = max(story.deadline, datetime.now(UTC))
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A started browser."""
    expect.set_options(timeout=60 * SECONDS)
    with sync_playwright() as driver:
        started_browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        yield started_browser
        started_browser.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab for all tests: to load and compile the UI anew is most of what a page costs."""
    if TAKES_PICTURES:
        PICTURES.mkdir(parents=True, exist_ok=True)
    page = browser.new_page(viewport=VIEWPORT, locale="en-GB", timezone_id="UTC")
    page.set_default_timeout(60 * SECONDS)
    yield page
    page.context.close()


@contextmanager
def _new_user(tab: Page, server: Server) -> Iterator[Ui]:
    """The UI as somebody sees it who has never opened it: what pages remember is forgotten."""
    tab.set_viewport_size(VIEWPORT)
    # A page of the same origin that is not the UI: nothing is written again at once.
    tab.goto(f"{server.url}/server_info")
    tab.evaluate("sessionStorage.clear()")
    remembered = {"origin": server.url, "storageTypes": "cookies,indexeddb,local_storage"}
    tab.context.new_cdp_session(tab).send("Storage.clearDataForOrigin", remembered)
    try:
        yield Ui(tab, server.url, PICTURES if TAKES_PICTURES else None)
    finally:
        # Left open, a page goes on asking the server for news.
        tab.goto("about:blank")


@pytest.fixture
def ui(server: Server, tab: Page) -> Iterator[Ui]:
    """The UI for a new user."""
    with _new_user(tab, server) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def filled(tab: Page, server: Server, shop: Shop) -> Shop:
    """The shop after its orders, and all that follows from them, were materialized in the UI."""
    with _new_user(tab, server) as ui:
        backfill = ui.materialize('key:"raw/orders"+', shop.asked)

    def is_done() -> bool:
        launched = next(each for each in server.backfills() if each["id"] == backfill)
        return any(run["status"] in ("SUCCESS", "FAILURE") for run in launched["runs"])

    wait_until("the first run of the backfill", is_done, RUN_SECONDS)
    return shop
