"""Runs whose process was killed, with real processes: found, failed, their pool slot freed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest

from platform_assets.sensors.dead_runs import dead_runs, end_dead_runs
from platform_assets.workers import CREATED_TAG, HOST_TAG, PID_TAG, is_gone, worker_tags

POOL = "raw_things"
# A worker: takes a run as its own and a slot of a pool, says so, and waits to be killed.
WORKER = """
import sys
import dagster as dg
from platform_assets.workers import worker_tags

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    instance.add_run_tags(sys.argv[2], worker_tags())
    instance.event_log_storage.initialize_concurrency_limit_to_default(sys.argv[3])
    claim = instance.event_log_storage.claim_concurrency_slot(sys.argv[3], sys.argv[2], "step")
    print(claim.is_claimed, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nconcurrency: {pools: {default_limit: 1, granularity: op}}\n"
    )
    return folder


def started(instance: dg.DagsterInstance) -> str:
    """A run that has been started."""

    @dg.job
    def work() -> None:
        return

    run = instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTED)
    return run.run_id


def worker(home: Path, run_id: str) -> "subprocess.Popen[str]":
    """A process that does a run's work."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(home), run_id, POOL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def slots(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info(POOL).active_slot_count


def test_a_killed_run_is_ended_and_a_living_one_is_left_alone(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run_id = started(instance)
        process = worker(home, run_id)
        try:
            assert slots(instance) == 1
            assert end_dead_runs(instance) == []
            assert status(instance, run_id) is dg.DagsterRunStatus.STARTED
            assert slots(instance) == 1

            process.send_signal(signal.SIGKILL)
            # Not yet waited for: what is left of it is a zombie, as under a launcher.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
            result = dead_runs(dg.build_sensor_context(instance=instance))
        finally:
            process.kill()
            process.communicate()
        assert isinstance(result, dg.SkipReason)
        assert result.skip_message == f"ended 1 dead run(s): {run_id}"
        assert status(instance, run_id) is dg.DagsterRunStatus.FAILURE
        assert slots(instance) == 0
        # Said once.
        result = dead_runs(dg.build_sensor_context(instance=instance))
        assert isinstance(result, dg.SkipReason)
        assert result.skip_message == "ended 0 dead run(s): none"


def test_a_process_that_is_gone_altogether() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    tags = worker_tags() | {PID_TAG: str(process.pid)}
    process.wait()
    assert is_gone(tags)


def test_what_is_not_known_is_not_taken_for_dead() -> None:
    mine = worker_tags()
    assert not is_gone(mine)
    assert not is_gone({})
    # Of another machine, this one cannot tell.
    assert not is_gone(mine | {HOST_TAG: "elsewhere", PID_TAG: "1"})
    # The number belongs to another process by now.
    assert is_gone(mine | {CREATED_TAG: str(float(mine[CREATED_TAG]) - 60)})
