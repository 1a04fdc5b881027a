"""Every command in the docs is run, every link leads somewhere, every generated page is fresh."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from platform_assets.cli.main import app
from platform_assets.cli.reference import pages
from platform_assets_tests.warm import SERVERS as DAGSTER
from platform_assets_tests.warm import programs_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
STARTED_ELSEWHERE = {
    "make test": "this test is part of it",
    "make lint": "CI runs it before the tests",
    "make bench": "takes an hour",
    "make drill": "takes minutes; test_drill.py runs a small one",
}
READY_SECONDS, STOP_SECONDS = 90, 60.0
# Servers: they are started, asked, and stopped.
UI, SHOP = "http://127.0.0.1:3000/server_info", "http://127.0.0.1:8123/products"
METRICS = "http://127.0.0.1:9464/metrics"
SERVERS = {
    "make dev": UI,
    "make online-retail-dev": UI,
    "make shop-dev": UI,
    "make shop": SHOP,
    "platform-assets metrics serve": METRICS,
}


def commands_of(page: Path) -> list[str]:
    blocks = COMMAND.findall(page.read_text(encoding="utf-8"))
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def first_pages() -> dict[str, Path]:
    """Every command once, with the page that has it first: the same words are the same command."""
    found: dict[str, Path] = {}
    for page in PAGES:
        for command in commands_of(page):
            found.setdefault(command, page.relative_to(ROOT))
    return found


DOCUMENTED = [
    pytest.param(command, id=f"{page}: {command}")
    for command, page in first_pages().items()
    if command not in STARTED_ELSEWHERE and not command.startswith("make online-retail ")
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a newcomer has it, with this environment in place of ``.venv``."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(
        ROOT,
        folder,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", "data", ".env", "*_cache", "__pycache__", ".hypothesis"
        ),
    )
    (folder / "data").mkdir()
    return folder


@pytest.fixture(scope="module")
def environment(clone: Path) -> dict[str, str]:
    (clone / "ready").touch()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PLATFORM_ASSETS_", "DAGSTER_", "PYTEST_"))
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "VENV": str(Path(sys.prefix)),
        # The environment is this test's own: make must not build another.
        "MAKEFLAGS": f"READY={clone / 'ready'}",
        "DAGSTER_HOME": str(clone / "data" / "dagster_home"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }


@pytest.fixture(scope="module")
def warm(clone: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment of a command: nothing is loaded but once."""
    programs = programs_of(clone, *DAGSTER)
    path = f"{programs}{os.pathsep}{environment['PATH']}"
    return {**environment, "PATH": path, "VENV": str(programs.parent)}


@pytest.fixture(scope="module")
def demo(clone: Path, warm: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The README's first command, which the how-tos build on."""
    return subprocess.run(
        ["make", "demo"],
        cwd=clone,
        env=warm,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.xdist_group("docs")
def test_make_demo_ends_well_and_every_row_adds_up(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "Every row accounted for" in demo.stdout
    assert "NO" not in demo.stdout.split()


@pytest.mark.xdist_group("docs")
@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_documented_command_works(command: str, clone: Path, warm: dict[str, str]) -> None:
    if command == "make demo":
        return  # the fixture ran it; its own test looks at the result
    served = [url for name, url in SERVERS.items() if f"{command} ".startswith(f"{name} ")]
    if served:
        assert_it_comes_up(command, served[0], clone, warm)
        return
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=clone,
        env=warm,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_it_comes_up(command: str, url: str, clone: Path, environment: dict[str, str]) -> None:
    port = urlsplit(url).port
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            pytest.skip(f"port {port} is in use on this machine")
    process = subprocess.Popen(
        command.split(),
        cwd=clone,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A group of its own, which what is forked elsewhere can join: it is of the same session.
        process_group=0,
    )
    try:
        assert answers(url)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        survivors = outlived(process)
    assert not survivors, f"Ctrl-C did not end: {survivors}"


def outlived(process: subprocess.Popen[bytes]) -> list[str]:
    """What of a process group is still there long after Ctrl-C, by its command; it is killed."""
    deadline = time.monotonic() + STOP_SECONDS
    while (alive := members(process.pid)) and time.monotonic() < deadline:
        process.poll()
        time.sleep(0.2)
    survivors = []
    for each in alive:
        # It may end while it is asked; once it is killed, it can no longer be.
        with contextlib.suppress(psutil.NoSuchProcess):
            survivors.append(" ".join(each.cmdline()))
    if alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=STOP_SECONDS)
    return survivors


def test_what_outlives_ctrl_c_is_told_by_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform_assets_tests.integration.test_docs.STOP_SECONDS", 1.0)
    deaf = "trap '' INT; echo deaf; sleep 600; true"
    process = subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE, process_group=0)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"
        os.killpg(process.pid, signal.SIGINT)
        assert f"sh -c {deaf}" in outlived(process)
        assert outlived(process) == []


def members(group: int) -> list[psutil.Process]:
    """The living processes of a group."""
    found = []
    for each in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(each.pid) == group and each.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def answers(url: str) -> bool:
    session = requests.Session()
    retry = requests.adapters.Retry(total=READY_SECONDS, backoff_factor=0.5, backoff_max=1)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    # The shop's API asks for the token that the Makefile gives it.
    return session.get(url, timeout=10, headers={"Authorization": "Bearer demo"}).ok


def test_what_is_not_run_here_is_still_documented() -> None:
    documented = {command for page in PAGES for command in commands_of(page)}
    assert set(STARTED_ELSEWHERE) <= documented | {"make bench"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize(("path", "text"), pages(app).items(), ids=lambda value: str(value)[:30])
def test_generated_pages_are_fresh(path: str, text: str) -> None:
    found = (ROOT / "docs" / "reference" / path).read_text(encoding="utf-8")
    assert found == text, "run: platform-assets reference"
