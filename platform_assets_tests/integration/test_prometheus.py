"""A real Prometheus and a real Alertmanager: a source breaks, and a webhook hears of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.assets.dbt_project import prepare_dbt_project
from platform_assets.resources import lake_config
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.scraped import Scrape
from platform_assets_tests.servers import free_port
from platform_assets_tests.support import D1, D2, Site, row, text, things
from platform_assets_tests.unit.observability.test_deploy import DEPLOY, shown

PATIENCE = 60.0
QUICK = "200ms"

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
    reason="Prometheus and its Alertmanager are not installed",
)


@contextmanager
def running(log: Path, *command: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program with a log; it is ended by its own id."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def until(what: Callable[[], Any], log: Path) -> Any:
    """Ask again until the answer is not empty."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := what()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return answer


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def serving(installation: Installation, folder: Path) -> Iterator[int]:
    """``platform-assets metrics serve`` of an installation, on a free port."""
    command = (
        sys.executable,
        "-c",
        "from platform_assets.cli.main import main; main()",
        "metrics",
        "serve",
        "--port",
        "0",
    )
    log = folder / "metrics.log"
    with running(log, *command, cwd=installation.root, env={**os.environ}) as process:

        def port() -> int:
            assert process.poll() is None, log.read_text()
            _, told, rest = log.read_text().partition("metrics at http://127.0.0.1:")
            return int(rest.split("/")[0]) if told and "/metrics" in rest else 0

        yield until(port, log)
    # SIGTERM is how it is stopped: that is no error, and no thread is left to wait for.
    assert process.returncode == 0, log.read_text()


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[int]:
    """An Alertmanager with the shipped file, but for its waits and where it leads."""
    told = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    told["route"] |= {"group_wait": QUICK, "group_interval": QUICK}
    told["receivers"][0]["webhook_configs"][0]["url"] = webhook
    file, port = folder / "alertmanager.yml", free_port()
    file.write_text(yaml.safe_dump(told))
    options = (
        f"--config.file={file}", f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    )  # fmt: skip
    log = folder / "alertmanager.log"
    with running(log, "prometheus-alertmanager", *options):
        until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"), log)
        yield port


@contextmanager
def prometheus(folder: Path, metrics: int, alerts: int) -> Iterator[str]:
    """A Prometheus with the shipped files, but for ports and intervals."""
    told = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    told["global"] = {
        "scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": QUICK,
    }  # fmt: skip
    target = {"targets": [f"127.0.0.1:{alerts}"]}
    told["alerting"]["alertmanagers"][0]["static_configs"] = [target]
    told["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{metrics}"]}]
    told["scrape_configs"][0] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    file, port = folder / "prometheus.yml", free_port()
    file.write_text(yaml.safe_dump(told))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        if rule.get("for") == "30s":
            rule["for"] = QUICK
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    options = (
        f"--config.file={file}", f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )  # fmt: skip
    log = folder / "prometheus.log"
    with running(log, "prometheus", *options):
        until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"), log)
        yield f"http://127.0.0.1:{port}"


def asked(url: str, expression: str) -> list[dict[str, Any]]:
    """The answer of a Prometheus; it has to understand the question."""
    answer = requests.get(f"{url}/api/v1/query", params={"query": expression}, timeout=20).json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def test_a_partition_fails_and_a_webhook_hears_of_it(
    installation: Installation, tmp_path: Path, httpserver: HTTPServer
) -> None:
    heard: list[Mapping[str, Any]] = []

    def hear(request: Request) -> Response:
        heard.extend(request.get_json()["alerts"])
        return Response("")

    # The server loads the code location, which needs the manifest that `setup` makes.
    prepare_dbt_project()
    httpserver.expect_request("/alerts", method="POST").respond_with_handler(hear)
    delivered = tmp_path / "delivered"
    delivered.mkdir()
    with connect(lake_config(installation.settings)) as lake:
        site = Site(lake, delivered)
        site.deliver(D1, text(row("a")))
        site.run(things(), [D1])
        with (
            serving(installation, tmp_path) as metrics,
            alertmanager(tmp_path, httpserver.url_for("/alerts")) as alerts,
            prometheus(tmp_path, metrics, alerts) as url,
        ):
            log = tmp_path / "prometheus.log"
            page = requests.get(f"http://127.0.0.1:{metrics}/metrics", timeout=20).text
            success = Scrape.of_text(page).all("collector_success", "collector")
            assert set(success.values()) == {1}, (tmp_path / "metrics.log").read_text()
            until(lambda: asked(url, "platform_assets_published_partitions"), log)
            assert asked(url, "up")[0]["value"][1] == "1"
            assert asked(url, 'ALERTS{alertstate="firing"}') == []
            for _, expression in shown():
                asked(url, expression)

            site.deliver(D2, text(row("a"), row("b", quantity=-1)))
            site.run(things(), [D2])
            until(lambda: heard, log)
            labels = {key: heard[0]["labels"][key] for key in ("alertname", "asset", "severity")}
            assert labels == {
                "alertname": "PlatformAssetsPartitionsFailed",
                "asset": "cleaned/things",
                "severity": "error",
            }
            assert heard[0]["status"] == "firing"
            assert heard[0]["annotations"]["summary"] == "1 partition(s) of cleaned/things failed"

            site.deliver(D2, text(row("a"), row("b")))
            site.run(things(), [D2])
            over = until(lambda: [each for each in heard if each["status"] == "resolved"], log)
            assert over[0]["labels"] == heard[0]["labels"]
            assert {each["labels"]["alertname"] for each in heard} == {labels["alertname"]}
