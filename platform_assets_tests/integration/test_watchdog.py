"""The watchdog tells when the loop has stopped, sends what lies about, and tells the outside."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.heartbeats import ALERT_LOOP, beat, beats
from platform_assets.alerts.policy import load_policy
from platform_assets.alerts.signals import Kind, Signal
from platform_assets.cli.main import app
from platform_assets.cli.watchdog import Watchdog, ask_dagster, failure_url
from platform_assets_tests.conftest import Installation
from platform_assets_tests.warm import programs

EVERY = timedelta(seconds=30)
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
POLICY = 'routes: [{{name: hook, to: {{webhook: "{url}"}}, group_wait: 0}}]\n'


class Kennel:
    """A watchdog with a clock of the test's own, and what was sent by it."""

    def __init__(self, installation: Installation, server: HTTPServer) -> None:
        settings, self.server, self.now, self.asked = installation.settings, server, NOW, 0
        server.expect_request("/alerts", method="POST").respond_with_data("")
        server.expect_request("/ping/secret").respond_with_data("")
        server.expect_request("/ping/secret/fail").respond_with_data("")
        Path("alerts.yaml").write_text(POLICY.format(url=server.url_for("/alerts")))
        self.database = Database(settings.watch)
        self.dog = Watchdog(
            watch=settings.watch, alerts=settings.alerts, data_dir=settings.data_dir,
            ui_url="", every=EVERY, ping_url=server.url_for("/ping/secret"),
            clock=lambda: self.now, ask=self._ask,
        )  # fmt: skip

    def _ask(self) -> str:
        self.asked += 1
        return "daemons were seen last: SENSOR a while ago"

    def round(self, after: timedelta = EVERY, *, loop: bool = False) -> bool:
        """A round, so much later; the loop has beaten before it, or not."""
        self.now += after
        if loop:
            beat(self.database, ALERT_LOOP, EVERY, self.now)
        self.server.clear_log()
        return self.dog.go_round().healthy

    def sent(self) -> list[tuple[str, str]]:
        """What the last round sent: what of whom."""
        bodies = [json.loads(r.get_data()) for r, _ in self.server.log if r.path == "/alerts"]
        return [(each["what"], each["subject"]) for each in bodies]

    def pinged(self) -> list[str]:
        """What the last round called outside."""
        return [r.path for r, _ in self.server.log if r.path.startswith("/ping")]


@pytest.fixture
def kennel(installation: Installation, httpserver: HTTPServer) -> Iterator[Kennel]:
    return Kennel(installation, httpserver)


def test_a_loop_that_stops_is_told_once_and_when_it_goes_on(kennel: Kennel) -> None:
    for _ in range(5):
        assert kennel.round(loop=True)
        assert kennel.sent() == []
        assert kennel.pinged() == ["/ping/secret"]
    # Three beats may be missed.
    assert kennel.round(timedelta(minutes=2))
    assert not kennel.round()
    assert kennel.sent() == [("begun", "process/alerts")]
    assert kennel.pinged() == ["/ping/secret/fail"]
    assert not kennel.round()
    assert kennel.sent() == []
    assert kennel.asked == 1
    (problem,) = Book(kennel.database).open_problems()
    assert "SENSOR a while ago" in problem.signal.detail
    assert kennel.round(loop=True)
    assert kennel.sent() == [("recovered", "process/alerts")]
    assert Book(kennel.database).open_problems() == []


def test_a_loop_that_never_began_is_told(kennel: Kennel) -> None:
    assert kennel.round()
    assert kennel.round(timedelta(minutes=2))
    assert not kennel.round()
    assert kennel.sent() == [("begun", "process/alerts")]


def test_what_a_dead_loop_has_left_is_sent(kennel: Kennel, installation: Installation) -> None:
    kennel.round(loop=True)
    policy = load_policy(installation.settings.alerts, installation.settings.data_dir)
    seen = Signal(Kind.CHECK_FAILED, "reports/letters", kennel.now)
    Book(kennel.database).take([seen], policy, kennel.now)
    assert kennel.round()
    assert kennel.sent() == [("begun", "reports/letters")]


def test_a_broken_file_of_alerts_does_not_keep_it_from_telling(kennel: Kennel) -> None:
    kennel.round(loop=True)
    Path("alerts.yaml").write_text("routes: 7\n")
    kennel.round(timedelta(minutes=3))
    assert kennel.sent() == [("begun", "process/alerts")]


def test_an_outside_that_does_not_answer_is_no_reason_to_stop(
    kennel: Kennel, httpserver: HTTPServer
) -> None:
    kennel.dog.ping_url = httpserver.url_for("/nowhere?token=secret")
    health = kennel.dog.go_round()
    assert health.healthy
    assert health.ping_error == "HTTP 500"
    assert failure_url("https://x/y?token=1") == "https://x/y/fail?token=1"
    kennel.dog.ping_url = "http://127.0.0.1:9/secret"
    assert kennel.dog.go_round().ping_error == "ConnectionError"


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that asks Dagster does not wait for its import."""
    monkeypatch.setattr(sys, "executable", str(programs() / "python"))


@pytest.mark.usefixtures("warm")
def test_what_dagster_says_of_its_daemons(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = installation.root / "dagster_home"
    monkeypatch.setattr("platform_assets.cli.watchdog.ASK_SECONDS", 120.0)
    # DAGSTER_HOME is not even there.
    assert ask_dagster().startswith("Dagster's database cannot be asked: ")
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert ask_dagster().startswith("no daemon of Dagster has ever run")
    monkeypatch.setattr("platform_assets.cli.watchdog.ASK_SECONDS", 0.01)
    assert ask_dagster() == "Dagster's database did not answer within 0 s"


@pytest.mark.usefixtures("warm")
def test_the_command(installation: Installation, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/ping/fail").respond_with_data("")
    arguments = ["watchdog", "--once", "--ping-url", httpserver.url_for("/ping")]
    database = Database(installation.settings.watch)
    beat(database, ALERT_LOOP, EVERY, datetime.now(UTC) - timedelta(minutes=3))
    home = installation.root / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "silent: alerts" in done.output
    assert {each.name for each in beats(database)} == {"alerts"}, "nobody expects another round"
    assert CliRunner().invoke(app, [*arguments, "--every", "60"]).exit_code == 1
    expected = {each.name: each.every for each in beats(database)}
    assert expected == {"alerts": EVERY, "watchdog": timedelta(seconds=60)}
    # Even where nothing can be written down, the outside is told.
    watch = installation.settings.watch
    for each in watch.parent.glob("watch.sqlite*"):
        each.unlink()
    watch.mkdir()
    httpserver.clear_log()
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert [request.path for request, _ in httpserver.log] == ["/ping/fail"]
    done = CliRunner().invoke(app, ["watchdog", "--once", "--ping-url", "hc-ping.com/secret"])
    assert done.exit_code == 2
    assert "secret" not in done.output.replace("may be a secret", "")


def test_it_leans_on_neither_dagster_nor_definitions(installation: Installation) -> None:
    code = (
        "import sys, platform_assets.cli.main, platform_assets.cli.watchdog as w\n"
        "print([m for m in ('dagster', 'pandas', 'pandera', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
