"""Fixtures that several tests share: an isolated installation, a lake, an instance."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg
import hypothesis
import pytest

from platform_assets.contracts import pii_session_variables
from platform_assets.settings import PREFIX, Settings, load_settings
from platform_assets.warehouse.lake import LakeConfig, connect
from platform_assets.warehouse.tables import ensure_platform_tables
from platform_assets_tests.support import PII_KEY, Site

# How long an example takes is the machine's affair: it fails no test.
hypothesis.settings.register_profile("platform_assets", deadline=None)
hypothesis.settings.load_profile("platform_assets")


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _tests_for_other_processes() -> Iterator[None]:
    """Have processes that tests start find the tests' own modules, which are not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        # Dagster's processes for steps take the first place that modules come from off the path.
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        yield


def pytest_collection_finish() -> None:
    """Leave what is loaded by now to itself: looking through it for garbage takes half a second."""
    gc.collect()
    gc.freeze()


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
    # As the product does for small lakes, and whatever the number of processors.
    monkeypatch.setenv(f"{PREFIX}THREADS", "1")
    monkeypatch.setenv("DAGSTER_HOME", str(bare_environment / "dagster_home"))
    settings = load_settings()
    put_empty_lake(settings.catalog, settings.files)
    return Installation(bare_environment, settings)


def lake_in(folder: Path) -> LakeConfig:
    """The configuration of a lake of its own, with the platform's tables and nothing in them."""
    config = LakeConfig(
        catalog=folder / "lake" / "catalog.sqlite",
        files=folder / "lake" / "files",
        scratch=folder / "scratch",
        memory_limit="500MB",
        threads=1,
        variables=pii_session_variables(PII_KEY.encode()),
    )
    put_empty_lake(config.catalog, config.files)
    return config


def put_empty_lake(catalog: Path, files: Path) -> None:
    """Put an empty lake's catalog where there is none.

    Making one takes 0.2 s, and more than a thousand tests and examples want one of their own.
    """
    if not catalog.exists():
        catalog.parent.mkdir(parents=True, exist_ok=True)
        copy_catalog(_empty_lake(), catalog, files)


def copy_catalog(made: Path, catalog: Path, files: Path) -> None:
    """Copy the catalog of a closed lake, for files that are elsewhere."""
    shutil.copyfile(made, catalog)
    _moved(catalog, files)


def _moved(catalog: Path, files: Path) -> None:
    """Tell a copied catalog, which remembers where its files were, where they are."""
    with closing(sqlite3.connect(catalog)) as copy, copy:
        copy.execute(
            "UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'", [f"{files}/"]
        )


@cache
def _empty_lake() -> Path:
    """The catalog of an empty lake, made once by each process that runs tests."""
    folder = Path(tempfile.mkdtemp(prefix="empty-lake-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    catalog = folder / "catalog.sqlite"
    with connect(LakeConfig(catalog, folder / "files", folder / "scratch")) as lake:
        ensure_platform_tables(lake)
    # Closed by its last connection, it is one file again.
    assert [each.name for each in folder.glob("catalog.sqlite-*")] == []
    return catalog


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


@dataclass(frozen=True)
class Prepared:
    """A site that something was done to once, of which each test has a copy of its own."""

    root: Path
    runs: int

    @classmethod
    def by(cls, work: Callable[[Site], object], root: Path) -> Prepared:
        """Do it, in an empty folder."""
        (root / "delivered").mkdir()
        with connect(lake_in(root)) as lake:
            site = Site(lake, root / "delivered")
            work(site)
        return cls(root, site.runs)

    @contextmanager
    def copy(self, to: Path) -> Iterator[Site]:
        """A copy of it, open; its lake is ``lake_in`` this folder."""
        shutil.copytree(self.root, to, dirs_exist_ok=True)
        _moved(to / "lake" / "catalog.sqlite", to / "lake" / "files")
        with connect(lake_in(to)) as lake:
            yield Site(lake, to / "delivered", self.runs)


@pytest.fixture(scope="module")
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A site that the module's ``prepare`` was done to, once for all of its tests."""
    return Prepared.by(request.module.prepare, tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def copied(prepared: Prepared, tmp_path: Path) -> Iterator[Site]:
    """A copy of what the module prepares, for one test."""
    with prepared.copy(tmp_path) as site:
        yield site


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on files, as a real one: runs, events and statuses are kept."""
    shutil.copytree(_empty_instance(), tmp_path / "dagster")
    with _instance_in(tmp_path / "dagster") as made:
        yield made


@cache
def _empty_instance() -> Path:
    """The databases of an empty instance, which Dagster takes 0.2 s to make."""
    folder = Path(tempfile.mkdtemp(prefix="empty-instance-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _instance_in(folder) as made:
        # Each of its storages is opened by its first use.
        made.get_runs(limit=1)
        made.all_instigator_state()
        made.all_asset_keys()
    return folder


def _instance_in(folder: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(
        str(folder),
        overrides={
            "telemetry": {"enabled": False},
            "event_log_storage": {
                "module": "platform_assets.event_log",
                "class": "PooledSqliteEventLogStorage",
                "config": {"base_dir": str(folder / "events")},
            },
        },
    )
