"""A whole installation whose alerts go to a real HTTP server, ticked by a clock of the test's own.

Belongs here: what tests of alerts share. Does not belong here: an assertion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)
from pytest_httpserver import HTTPServer

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.signals import Kind, Signal
from platform_assets.assets.build import build_definitions
from platform_assets.assets.runs import QUIET
from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.resources import FolderResource, LakeResource
from platform_assets.settings import load_settings
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import Site, things

POLICY = """
routes:
  - name: hook
    to: {{webhook: "{url}"}}
    group_wait: 0
storm: {{messages: 1000, within: 1s}}
{more}
"""


class Counted(Contract):
    """Things of which only the number matters: each rule is a check, which a run takes time for."""

    thing_id: str = Key()
    quantity: int = Field(ge=0)


def counted(name: str = "things", **options: Any) -> Dataset:
    """A daily dataset of them; the files of things do for it."""
    return things(name, **{"contract": Counted, **options})


@dataclass
class AlertWorld:
    """An installation, its Dagster instance, and what its webhook was sent."""

    installation: Installation
    instance: dg.DagsterInstance
    server: HTTPServer
    datasets: Sequence[Dataset] = field(default_factory=lambda: [counted()])
    assets: Sequence[dg.AssetsDefinition] = ()
    further: dg.Definitions = field(default_factory=dg.Definitions)
    resources: Mapping[str, Any] = field(default_factory=dict)
    # Ahead of the clock of what is run here: nothing that a tick sees is of its future.
    ahead: timedelta = timedelta(0)
    read: int = 0
    # What the code location is called in the workspace.
    place: str = "here"

    def __post_init__(self) -> None:
        self.folder = self.installation.root / "delivered"
        (self.folder / "things").mkdir(parents=True, exist_ok=True)
        self.given = {"files": FolderResource(path=str(self.folder)), **self.resources}
        built = build_definitions(
            self.datasets, resources=self.given, assets=self.assets, clock=lambda: self.now
        )
        self.definitions = dg.Definitions.merge(built, self.further)
        self.sensor = self.definitions.get_sensor_def("alerts")
        self.server.expect_request("/alerts", method="POST").respond_with_data("")
        self.policy()

    @property
    def now(self) -> datetime:
        """The time by the clock of the sensor."""
        return datetime.now(UTC) + self.ahead

    @property
    def book(self) -> Book:
        """The book of alerts."""
        return Book(Database(load_settings().watch))

    @property
    def site(self) -> Site:
        """Where to deliver to; it has no lake."""
        return Site(None, self.folder)  # type: ignore[arg-type] # no lake is asked

    def policy(self, more: str = "") -> None:
        """Write the file of alerts."""
        text = POLICY.format(url=self.server.url_for("/alerts"), more=more)
        (self.installation.root / "alerts.yaml").write_text(text)

    def tick(self, after: timedelta = timedelta(seconds=30)) -> str:
        """A round of the loop, so much later; gives what the sensor says of it.

        Args:
            after: How much later.
        """
        self.ahead += after
        with dg.build_sensor_context(
            instance=self.instance,
            definitions=self.definitions,
            resources={**self.given, "lake": LakeResource()},
        ) as context:
            # As the daemon does; Dagster's own way to build a context for a test knows no location.
            context._code_location_origin = GrpcServerCodeLocationOrigin(
                host="h", port=1, location_name=self.place
            )
            result = self.sensor.evaluate_tick(context)
        assert result.skip_message is not None  # it never asks for a run
        return result.skip_message

    def messages(self) -> list[dict[str, Any]]:
        """What the webhook was sent since the last time."""
        requests = [request for request, _ in self.server.log]
        new, self.read = requests[self.read :], len(requests)
        return [json.loads(request.get_data()) for request in new]

    def said(self, after: timedelta = timedelta(seconds=30)) -> list[tuple[str, str, str]]:
        """After a round: what each message says, of what kind of problem, about what."""
        self.tick(after)
        return [(each["what"], each["kind"], each["subject"]) for each in self.messages()]

    def open(self, kind: Kind | None = None) -> list[Signal]:
        """What is wrong now."""
        found = [each.signal for each in self.book.open_problems()]
        return [each for each in found if kind is None or each.kind is kind]

    def run(
        self, days: Sequence[str] = (), *keys: dg.AssetKey, **tags: str
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets, all where none is named."""
        if days:
            tags[ASSET_PARTITION_RANGE_START_TAG] = days[0]
            tags[ASSET_PARTITION_RANGE_END_TAG] = days[-1]
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            tags=tags,
            asset_selection=list(keys) or None,
            raise_on_error=False,
        )


def begun(kind: Kind, subject: str) -> list[tuple[str, str, str]]:
    """What is said where one thing begins."""
    return [("begun", kind, subject)]


def recovered(kind: Kind, subject: str) -> list[tuple[str, str, str]]:
    """What is said where one thing is over."""
    return [("recovered", kind, subject)]
