"""A run of dbt in this process: what it leaves of it, and how an interrupt goes on."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from platform_assets.assets import dbt
from platform_assets.assets.dbt_tests import DbtOutcome


class Runner:
    """Stands for dbt's own runner, which changes the process that it runs in."""

    outcome = SimpleNamespace(success=False, exception=None, result=None)

    def __init__(self, **_: Any) -> None:
        pass

    def invoke(self, arguments: list[str]) -> Any:
        """Change the process as dbt may, and come to the prepared outcome."""
        assert arguments[0] == "build"
        os.environ["LEFT_BY_DBT"] = "1"
        os.environ["KEPT"] = "changed"
        os.environ.pop("REMOVED", None)
        os.chdir("/")
        return self.outcome


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run of dbt that comes to an outcome."""
    monkeypatch.setattr(dbt, "dbtRunner", Runner)
    monkeypatch.setattr(dbt, "Manifest", SimpleNamespace(from_msgpack=lambda _: None))
    monkeypatch.setattr(dbt, "TARGET_DIR", tmp_path)
    (tmp_path / "partial_parse.msgpack").write_bytes(b"")

    def start(outcome: Any) -> DbtOutcome:
        monkeypatch.setattr(Runner, "outcome", outcome)
        with duckdb.connect(":memory:") as engine:
            return dbt.run_dbt(engine, [], [], [], manifest={}, target=tmp_path / "runs" / "one")

    return start


def outcome(**values: Any) -> Any:
    return SimpleNamespace(**{"success": False, "exception": None, "result": None, **values})


def test_the_process_is_as_it_was(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.setenv("REMOVED", "before")
    before, folder = dict(os.environ), Path.cwd()
    assert run(outcome(success=True)).stopped_by == ""
    assert dict(os.environ) == before
    assert Path.cwd() == folder


def test_an_interrupt_that_dbt_caught_goes_on(run: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(outcome(exception=KeyboardInterrupt()))


def test_an_error_without_a_result_is_told(run: Any) -> None:
    told = run(outcome(exception=RuntimeError("the profile is broken")))
    assert (told.stopped_by, told.message) == ("dbt", "the profile is broken")
