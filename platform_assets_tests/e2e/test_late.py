"""Data goes late, is seen and told everywhere, comes, and is over everywhere.

Only the product is started: its sensors look, decide, send and load, at default intervals.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets_tests.e2e.conftest import CHROMIUM
from platform_assets_tests.e2e.product import Installation, Server, started, wait_until
from platform_assets_tests.e2e.ui import Ui

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]

# From the installation to the deadline: time for one command, which sees that all is well before.
LEAD = timedelta(seconds=40)
# What the product promises: from a failure to its message, at default intervals.
TOLD_SECONDS = 120.0
LOADED_SECONDS = 240.0
ALERTS = """
routes:
  - name: team
    to: {{webhook: "{url}"}}
    match: {{kinds: [freshness]}}
"""
SOURCES = """
connections:
  deliveries: {{kind: folder, path: {folder}}}
datasets:
  - name: visits
    kind: csv
    connection: deliveries
    path: visits/{{partition}}.csv
    owners: [team:web]
    partitions: {{daily: {{start: {day}}}}}
    freshness: {{by: "{by}"}}
    key: visit_id
    event_time: seen_at
    contract:
      columns:
        visit_id: str
        pages: {{type: int, ge: 0}}
        seen_at: datetime
"""


class Story:
    """An installation that promises visits a moment from now, and what it tells of them."""

    def __init__(self, folder: Path, hook: HTTPServer) -> None:
        self.installation = Installation(folder)
        self.deliveries = folder / "deliveries" / "visits"
        self.deliveries.mkdir(parents=True)
        minute = datetime.now(UTC) + LEAD + timedelta(minutes=1)
        self.deadline = minute.replace(second=0, microsecond=0)
        self.day = self.deadline.date() - timedelta(days=1)
        self.told: list[dict[str, Any]] = []
        hook.expect_request("/alerts").respond_with_handler(self._hear)
        (folder / "alerts.yaml").write_text(ALERTS.format(url=hook.url_for("/alerts")))
        (folder / "sources.yaml").write_text(
            SOURCES.format(folder=self.deliveries.parent, day=self.day, by=f"{self.deadline:%H:%M}")
        )

    def _hear(self, request: Request) -> Response:
        self.told.append(request.get_json())
        return Response()

    def deliver(self) -> None:
        """The day's file, complete."""
        with (self.deliveries / f"{self.day}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["visit_id", "pages", "seen_at"])
            writer.writerows([f"v{n}", n, f"{self.day}T23:{n:02}:00"] for n in range(1, 60))

    def titles(self) -> list[str]:
        return [str(each["title"]) for each in self.told]


@pytest.fixture(scope="module")
def hook() -> Iterator[HTTPServer]:
    """What a team's chat would be: a real server that hears of alerts."""
    with HTTPServer(host="127.0.0.1") as server:
        yield server


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, hook: HTTPServer) -> Story:
    made = Story(tmp_path_factory.mktemp("late"), hook)
    made.installation.command("setup")
    return made


@pytest.fixture(scope="module")
def server(story: Story) -> Iterator[Server]:
    with started(story.installation) as running:
        yield running


def _status(story: Story, ui: Ui) -> str:
    """How the status page shows the visits, made anew."""
    page = story.installation.folder / "status.html"
    story.installation.command("report", "--out", str(page))
    ui.page.goto(page.as_uri())
    row = ui.page.locator("#health tr", has=ui.page.get_by_text("visits", exact=True)).first
    return row.locator(".state").inner_text().strip().lower()


def _expect_check(ui: Ui, state: str) -> None:
    ui.open_asset("cleaned/visits", "checks", checkDetail="freshness")
    expect(ui.check("freshness")).to_contain_text(state)


def test_late_data_is_seen_and_told_until_it_comes(
    story: Story, server: Server, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900}, timezone_id="UTC")
    ui = Ui(page, server.url, None)

    left = (story.deadline - datetime.now(UTC)).total_seconds()
    wait_until("the alert of late visits", lambda: bool(story.told), max(left, 0.0) + TOLD_SECONDS)
    heard = datetime.now(UTC)
    assert heard >= story.deadline, "nobody is told before the deadline"
    (first,) = story.told
    assert first["title"].startswith("ERROR")
    assert "cleaned/visits" in first["text"], "what is late"
    assert str(story.day) in first["text"], "which partition"
    assert "team:web" in first["text"], "whose it is"
    page.goto(f"{server.url}/locations/platform_assets/sensors/freshness")
    expect(page.get_by_text("0 runs requested").first).to_be_visible()
    _expect_check(ui, "Failed")
    assert _status(story, ui) == "late"

    story.deliver()
    wait_until(
        "the message that visits are there",
        lambda: any(title.startswith("OVER") for title in story.titles()),
        LOADED_SECONDS,
    )
    _expect_check(ui, "Succeeded")
    assert _status(story, ui) == "ok"
    assert len(story.told) == 2, "one message when it began, one when it was over"
    page.context.close()
