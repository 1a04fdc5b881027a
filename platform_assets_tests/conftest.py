"""Fixtures that several tests share: an isolated installation, a lake, an instance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import hypothesis
import pytest

from platform_assets.contracts import pii_session_variables
from platform_assets.settings import PREFIX, Settings, load_settings
from platform_assets.warehouse.lake import LakeConfig, connect
from platform_assets_tests.support import PII_KEY, Site

# How long an example takes is the machine's affair: it fails no test.
hypothesis.settings.register_profile("platform_assets", deadline=None)
hypothesis.settings.load_profile("platform_assets")


@dataclass(frozen=True)
class Installation:
    """An installation of the platform that nothing outside of the test reaches into."""

    root: Path
    settings: Settings


@pytest.fixture
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, no setting in the environment, none remembered."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIX) or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)
    root = tmp_path / "installation"
    root.mkdir()
    monkeypatch.chdir(root)
    load_settings.cache_clear()
    yield root
    load_settings.cache_clear()


@pytest.fixture
def installation(bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Settings of an installation of its own, with a key."""
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(bare_environment / "data"))
    monkeypatch.setenv(f"{PREFIX}PII_KEY", PII_KEY)
    monkeypatch.setenv(f"{PREFIX}THREADS", "2")
    monkeypatch.setenv("DAGSTER_HOME", str(bare_environment / "dagster_home"))
    return Installation(bare_environment, load_settings())


def lake_in(folder: Path) -> LakeConfig:
    """The configuration of a lake of its own."""
    return LakeConfig(
        catalog=folder / "lake" / "catalog.sqlite",
        files=folder / "lake" / "files",
        scratch=folder / "scratch",
        memory_limit="500MB",
        threads=2,
        variables=pii_session_variables(PII_KEY.encode()),
    )


@pytest.fixture
def lake_config(tmp_path: Path) -> LakeConfig:
    """Where a lake of the test's own is."""
    return lake_in(tmp_path)


@pytest.fixture
def site(tmp_path: Path, lake_config: LakeConfig) -> Iterator[Site]:
    """An open lake of the test's own and a folder for deliveries."""
    folder = tmp_path / "delivered"
    folder.mkdir()
    with connect(lake_config) as lake:
        yield Site(lake, folder)


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A lake that the tests of a module share; each uses a dataset of its own."""
    root = tmp_path_factory.mktemp("shared")
    (root / "delivered").mkdir()
    with connect(lake_in(root)) as lake:
        yield Site(lake, root / "delivered")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on files, as a real one: runs, events and statuses are kept."""
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(
        str(tmp_path / "dagster"),
        overrides={
            "telemetry": {"enabled": False},
            "event_log_storage": {
                "module": "platform_assets.event_log",
                "class": "PooledSqliteEventLogStorage",
                "config": {"base_dir": str(tmp_path / "dagster" / "events")},
            },
        },
    ) as made:
        yield made
