"""The product, really started: webserver, daemon and code server in processes of their own.

Belongs here: starting, asking over GraphQL, stopping. Does not belong here: the browser (``ui``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from platform_assets_tests.warm import programs

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 300.0
START_SECONDS = 180.0
STOP_SECONDS = 60.0
POLL_SECONDS = 1.0
_COMMAND = [sys.executable, "-c", "from platform_assets.cli.main import main; main()"]


def wait_until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Ask again and again until a condition holds; fail with what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for: {what}"
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Installation:
    """One installation in a folder: its settings, instance, lake and shop."""

    folder: Path

    @property
    def shop(self) -> Path:
        return self.folder / "shop"

    @property
    def log(self) -> Path:
        return self.folder / "dev.log"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, with settings that lead nowhere but into the folder."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_ASSETS_")}
        path = os.pathsep.join(filter(None, (str(ROOT), inherited.get("PYTHONPATH"))))
        return inherited | {
            "PYTHONPATH": path,
            "DAGSTER_HOME": str(self.folder / "home"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "PLATFORM_ASSETS_DATA_DIR": str(self.folder / "data"),
            "PLATFORM_ASSETS_SHOP_DIR": str(self.shop),
            "PLATFORM_ASSETS_PII_KEY": "a key for nothing but this test",
        }

    def command(self, *arguments: str) -> None:
        """Run a command of the console script to its end."""
        with subprocess.Popen(
            [programs() / "platform-assets", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=COMMAND_SECONDS)
            except BaseException:
                # What it started would outlive the command.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert process.returncode == 0, f"{arguments}: {output}"


@dataclass(frozen=True)
class Server:
    """A started product.

    Attributes:
        url: Where the UI is.
        process: What was started; the leader of a process group.
    """

    url: str
    process: subprocess.Popen[bytes]

    def ask(self, query: str, **variables: Any) -> Any:
        """The data that a GraphQL query is answered with."""
        response = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        )
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def is_ready(self) -> bool:
        """Whether the code location is loaded and every daemon has a heartbeat."""
        assert self.process.poll() is None, f"it ended by itself: {self.process.returncode}"
        try:
            data = self.ask(
                "{ workspaceOrError { ... on Workspace { locationEntries {"
                "    loadStatus locationOrLoadError { ... on PythonError { message } } } } }"
                "  instance { daemonHealth { allDaemonStatuses { required healthy } } } }"
            )
        except requests.ConnectionError:
            return False
        locations = data["workspaceOrError"]["locationEntries"]
        errors = [
            each["locationOrLoadError"].get("message")
            for each in locations
            if each["locationOrLoadError"]
        ]
        assert not any(errors), errors
        daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        return bool(
            locations
            and all(each["loadStatus"] == "LOADED" for each in locations)
            and all(each["healthy"] for each in daemons if each["required"])
        )

    def backfills(self) -> list[dict[str, Any]]:
        """All backfills, newest first, with the runs that each launched."""
        data = self.ask(
            "{ partitionBackfillsOrError { ... on PartitionBackfills {"
            "  results { id status runs(limit: 20) { id status } } } } }"
        )
        return list(data["partitionBackfillsOrError"]["results"])

    def members(self) -> list[psutil.Process]:
        """Every living process of the product."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == self.process.pid:
                    found.append(process)
            except ProcessLookupError:
                continue
        return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]

    def stop(self) -> list[str]:
        """Stop the product as a service manager does; what outlived that is killed and named."""
        self.process.send_signal(signal.SIGTERM)
        try:
            wait_until("the end of all processes", self._is_over, STOP_SECONDS)
        except AssertionError:
            survivors = [" ".join(each.cmdline()) for each in self.members()]
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
            return survivors
        return []

    def _is_over(self) -> bool:
        return self.process.poll() is not None and not self.members()


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(installation: Installation) -> Iterator[Server]:
    """Run ``platform-assets dev`` until the block ends, and see that nothing of it is left."""
    port = free_port()
    with installation.log.open("wb") as log:
        process = subprocess.Popen(
            [*_COMMAND, "dev", "--port", str(port)],
            cwd=installation.folder,
            env=installation.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own: what it starts can be found again, and nothing else is hit.
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        wait_until(
            f"a loaded code location; see {installation.log}", server.is_ready, START_SECONDS
        )
        yield server
    finally:
        survivors = server.stop()
    assert not survivors, f"SIGTERM did not end: {survivors}"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} is still in use"
