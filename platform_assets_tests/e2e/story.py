"""Data that is promised, and who is told when it does not come, beside the shop.

Belongs here: the promise, the delivery, what was told. Does not belong here: what should be told
(``test_browser``), and the product (``product``).
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

# From the installation to the deadline, at least: the product is started by then.
LEAD = timedelta(seconds=60)
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
    """An installation that promises visits a moment from now, and what it tells of them.

    Attributes:
        deadline: When the visits are late.
        watched: From when on somebody could notice that: the deadline, or a later start.
        day: The day whose visits are promised.
        told: What was told, in order.
        heard: When, for each of them.
    """

    def __init__(self, folder: Path, hook: HTTPServer) -> None:
        self.deliveries = folder / "deliveries" / "visits"
        self.deliveries.mkdir(parents=True)
        minute = datetime.now(UTC) + LEAD + timedelta(minutes=1)
        self.deadline = minute.replace(second=0, microsecond=0)
        self.day = self.deadline.date() - timedelta(days=1)
        self.watched = self.deadline
        self.told: list[dict[str, Any]] = []
        self.heard: list[datetime] = []
        hook.expect_request("/alerts").respond_with_handler(self._hear)
        (folder / "alerts.yaml").write_text(ALERTS.format(url=hook.url_for("/alerts")))
        (folder / "sources.yaml").write_text(
            SOURCES.format(folder=self.deliveries.parent, day=self.day, by=f"{self.deadline:%H:%M}")
        )

    def _hear(self, request: Request) -> Response:
        self.heard.append(datetime.now(UTC))
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
