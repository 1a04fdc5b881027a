"""The lake as a resource: one connection for the steps of a process, and none left behind."""

from typing import Any

import dagster as dg
import duckdb
import pytest

from platform_assets.resources import LakeResource
from platform_assets_tests.conftest import Installation


class Opened:
    """The connections that steps were given."""

    def __init__(self) -> None:
        self.seen: list[duckdb.DuckDBPyConnection] = []

    def asset(self, name: str, *, deps: tuple[str, ...] = (), fails: bool = False) -> Any:
        @dg.asset(name=name, deps=deps, required_resource_keys={"lake"})
        def step(context: dg.AssetExecutionContext) -> None:
            with context.resources.lake.get_connection() as connection:
                assert connection.execute("FROM lake.current_snapshot()").fetchone() is not None
                self.seen.append(connection)
                if fails:
                    raise ValueError("broken")

        return step

    def all_closed(self) -> bool:
        for connection in self.seen:
            with pytest.raises(duckdb.ConnectionException, match="closed"):
                connection.execute("SELECT 1")
        return True


@pytest.mark.usefixtures("installation")
def test_steps_of_a_process_share_a_connection_that_is_closed_at_the_end(
    instance: dg.DagsterInstance,
) -> None:
    opened = Opened()
    assets = [opened.asset("one"), opened.asset("two", deps=("one",))]
    assert dg.materialize(assets, resources={"lake": LakeResource()}, instance=instance).success
    first, second = opened.seen
    assert first is second
    assert opened.all_closed()


@pytest.mark.usefixtures("installation")
def test_after_an_error_the_next_step_gets_a_new_one(instance: dg.DagsterInstance) -> None:
    opened = Opened()
    assets = [opened.asset("bad", fails=True), opened.asset("good")]
    done = dg.materialize(
        assets, resources={"lake": LakeResource()}, instance=instance, raise_on_error=False
    )
    assert not done.success
    first, second = opened.seen
    assert first is not second
    assert opened.all_closed()


def test_outside_of_a_run_each_block_has_its_own(installation: Installation) -> None:
    resource = LakeResource()
    with resource.get_connection() as first, resource.get_connection() as second:
        assert first is not second
    with pytest.raises(duckdb.ConnectionException, match="closed"):
        first.execute("SELECT 1")
