"""The log of a run: where its trace, and the fields of its lines, begin and end.

Belongs here: what Dagster says of a run while it goes on, turned into spans and lines of JSON. Does
not belong here: how spans are sent and lines are written (``observability``), and what is said.

Dagster writes each message and event of a run to its default console logger, in each process that
works for the run, and asset by asset in the thread that does the work. That is the one place that
sees where a run and its steps begin and end, whoever launched it and whatever its assets are, so
that no asset has to say so itself. Where neither traces nor JSON are asked for, the logger is
Dagster's own.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

# Dagster has no setting for the logger of runs that name none, which are all that the UI launches:
# loggers of ``Definitions`` are used only where a run's config names them. test_traces.py and
# test_json_logs.py fail where an upgrade changes this.
from dagster._core.definitions.dependency import NodeHandle
from dagster._core.events import DagsterEvent
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARENT_RUN_ID_TAG,
    PARTITION_NAME_TAG,
)
from dagster._loggers import colored_console_logger

from platform_assets.observability import traces
from platform_assets.observability.output import LINE_FIELDS
from platform_assets.observability.traces import Recorder
from platform_assets.settings import load_settings

if TYPE_CHECKING:
    from platform_assets.observability.logs import RunFields

FLUSH_SECONDS = 2.0
"""The longest that a run waits at its end for a collector."""
REMEMBERED_RUNS = 100
TRACE_ID = "trace_id"
"""Metadata of a materialization, and tag of a run, where traces are on."""
TRACE_TAG = f"platform_assets/{TRACE_ID}"

_BEGIN = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}
_END = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}
_OVER = {
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
}


def install() -> None:
    """Have runs of this process write their log here."""
    colored_console_logger._logger_fn = _logger  # see the import


def is_json() -> bool:
    """Whether the log is to be JSON."""
    return load_settings().log_format == "json"


def start_json() -> None:
    """Have this process write its log as JSON, where that is asked for."""
    if is_json():
        _json_handler()


def _json_handler() -> logging.Handler:
    from platform_assets.observability import logs

    key = load_settings().pii_key
    return logs.configure([key.get_secret_value()] if key else [])


def trace_metadata(run_id: str) -> dict[str, str]:
    """What leads from a materialization to its trace; nothing where traces are off.

    Args:
        run_id: The run that made it.
    """
    return {TRACE_ID: traces.trace_id(run_id)} if traces.recorder() else {}


def trace_tags(run_id: str) -> dict[str, str]:
    """What leads from a run to its trace; nothing where traces are off.

    Args:
        run_id: The run.
    """
    return {TRACE_TAG: traces.trace_id(run_id)} if traces.recorder() else {}


def end_trace(run: dg.DagsterRun, *, started: float | None, error: str) -> None:
    """Keep the root of a run's trace whose own process could not, because it was killed.

    Args:
        run: The run, which is over.
        started: When it began, in seconds since 1970.
        error: Why it is over.
    """
    recorder = traces.start()
    if recorder is None:
        return
    now = time.time()
    recorder.end_run(
        run.run_id,
        started=started or now,
        ended=now,
        attributes=_of_run(run.run_id, run.job_name, run.tags),
        error=error,
        parent_run_id=run.tags.get(PARENT_RUN_ID_TAG, ""),
    )
    recorder.flush(FLUSH_SECONDS)


@dataclass
class _Run:
    """A run that this process works for.

    Attributes:
        began: When it began, where this process has begun it.
        fields: What its lines carry, where they are JSON.
        asset: The assets of the step that is going on.
        partition: The partitions that it is to work on.
        in_step: Whether one is.
    """

    began: float | None = None
    fields: RunFields | None = None
    asset: str = ""
    partition: Mapping[str, str] = field(default_factory=dict)
    in_step: bool = False


_runs: dict[str, _Run] = {}
_ended: deque[str] = deque(maxlen=REMEMBERED_RUNS)


def _logger(context: dg.InitLoggerContext) -> logging.Logger:
    """The logger of a run: Dagster's own, with what else its messages lead to."""
    recorder = traces.start()
    if context.run_id is None or (recorder is None and not is_json()):
        return _dagsters(context)
    if is_json():
        level = logging.getLevelName(str(context.logger_config["log_level"]).upper())
        console: list[tuple[int, logging.Handler]] = [(level, _json_handler())]
    else:
        own = _dagsters(context)
        console = [(own.level, handler) for handler in own.handlers]
    made = logging.Logger(str(context.logger_config["name"]), logging.DEBUG)
    made.addHandler(_RunLog(context.run_id, context.job_def, recorder, console))
    return made


_dagsters = colored_console_logger.logger_fn


class _RunLog(logging.Handler):
    """Takes a run's messages and events, in the order and the thread in which they come about."""

    def __init__(
        self,
        run_id: str,
        job: dg.JobDefinition | None,
        recorder: Recorder | None,
        console: list[tuple[int, logging.Handler]],
    ) -> None:
        super().__init__()
        self._run_id = run_id
        self._job = job
        self._recorder = recorder
        self._console = console
        self._is_json = is_json()
        self._steps: dict[str, tuple[list[str], bool]] = {}

    def _enter(self) -> _Run | None:
        """The run; None where it is over: Dagster makes a logger to look at one, too."""
        if self._run_id in _ended:
            return None
        # A run has two loggers, that of its steps and that of what is around them, in any order.
        if self._run_id not in _runs:
            fields = None
            if self._recorder:
                self._recorder.enter_run(self._run_id)
            if self._is_json:
                from platform_assets.observability.logs import RunFields

                fields = RunFields(self._run_id)
            _runs[self._run_id] = _Run(fields=fields)
        return _runs[self._run_id]

    def _leave(self, run: _Run) -> None:
        del _runs[self._run_id]
        _ended.append(self._run_id)
        if self._recorder:
            self._recorder.leave_run()
        if run.fields:
            run.fields.leave()

    def emit(self, record: logging.LogRecord) -> None:
        """Begin what begins with a message, write it, and end what ends with it."""
        try:
            self._take(record)
        except Exception:
            # As every handler does: what is wrong with a log is no reason for a run to fail.
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        run = self._enter()
        told: dict[str, Any] = getattr(record, "dagster_meta", {})
        event: DagsterEvent | None = told.get("dagster_event")
        kind = event.event_type if event else None
        tags: Mapping[str, str] = told.get("job_tags") or {}
        if run is not None:
            if kind is dg.DagsterEventType.RUN_START:
                run.began = record.created
            elif kind in _BEGIN:
                self._begin_step(run, str(told["step_key"]), tags)
        self._write(record, told)
        if run is not None and event is not None:
            if kind in _END:
                self._end_step(run, event, tags)
            elif kind in _OVER:
                self._end_run(run, event, record.created, tags)

    def _begin_step(self, run: _Run, step: str, tags: Mapping[str, str]) -> None:
        assets, is_cut = self._assets(step)
        run.asset, run.in_step = ", ".join(assets), True
        run.partition = _partition(tags) if is_cut else {}
        if self._recorder:
            attributes = {"step": step, "run_id": self._run_id, "asset": run.asset}
            self._recorder.begin_step(step, {**attributes, **run.partition})
        if run.fields:
            run.fields.begin_step({"step": step, "asset": run.asset, **_shown(run.partition)})

    def _end_step(self, run: _Run, event: DagsterEvent, tags: Mapping[str, str]) -> None:
        if not run.in_step:
            # The process of the step was killed, and has told of nothing.
            self._begin_step(run, str(event.step_key), tags)
        if self._recorder:
            self._recorder.end_step(_error(event))
            # A step in a process of its own is all that the process does.
            self._recorder.flush(FLUSH_SECONDS if run.began is None else 0)
        if run.fields:
            run.fields.end_step()
        run.asset, run.partition, run.in_step = "", {}, False

    def _end_run(self, run: _Run, event: DagsterEvent, now: float, tags: Mapping[str, str]) -> None:
        if run.in_step:
            # It was interrupted, and Dagster tells only of the run.
            self._end_step(run, event, tags)
        if self._recorder:
            is_good = event.event_type is dg.DagsterEventType.RUN_SUCCESS
            self._recorder.end_run(
                self._run_id,
                started=run.began or now,
                ended=now,
                attributes=_of_run(self._run_id, event.job_name, tags),
                error="" if is_good else (event.message or event.event_type_value),
                parent_run_id=tags.get(PARENT_RUN_ID_TAG, ""),
            )
        self._leave(run)
        if self._recorder:
            self._recorder.flush(FLUSH_SECONDS)

    def _write(self, record: logging.LogRecord, told: Mapping[str, Any]) -> None:
        if self._is_json:
            setattr(record, LINE_FIELDS, self._fields(told))
        for level, handler in self._console:
            if record.levelno >= level:
                handler.handle(record)

    def _assets(self, step: str) -> tuple[list[str], bool]:
        if step not in self._steps:
            self._steps[step] = _assets(self._job, step)
        return self._steps[step]

    def _fields(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """What Dagster knows of a message, which goes before what the thread works for."""
        event: DagsterEvent | None = told.get("dagster_event")
        step = told.get("step_key")
        error = getattr(event.event_specific_data, "error", None) if event else None
        fields = {
            "message": told.get("orig_message"),
            "run_id": self._run_id,
            "job": told.get("job_name"),
            "step": step,
            "event_type": event.event_type_value if event else None,
            "exception": error.to_string() if error is not None else None,
        }
        if step:
            assets, is_cut = self._assets(str(step))
            tags = told.get("job_tags") or {}
            fields |= {"asset": ", ".join(assets), **_shown(_partition(tags) if is_cut else {})}
        return {name: value for name, value in fields.items() if value is not None}


def _assets(job: dg.JobDefinition | None, step: str) -> tuple[list[str], bool]:
    """The assets of a step, or those that it checks; and whether they are partitioned."""
    if job is None:
        return [], True
    layer = job.asset_layer
    handle = NodeHandle.from_string(step)
    made: dg.AssetsDefinition | None = layer.get_assets_def_for_node(handle)
    if made is None:
        return [], True
    selected = layer.get_selected_entity_keys_for_node(handle)
    declared = [*made.keys, *made.check_keys]
    keys = [key for key in declared if key in selected] or declared
    assets = [key for key in keys if isinstance(key, dg.AssetKey)]
    checked = [key.asset_key for key in keys if isinstance(key, dg.AssetCheckKey)]
    named = sorted({key.to_user_string() for key in (assets or checked)})
    return named, made.partitions_def is not None


def _partition(tags: Mapping[str, str]) -> dict[str, str]:
    if PARTITION_NAME_TAG in tags:
        return {"partition": tags[PARTITION_NAME_TAG]}
    first, last = tags.get(ASSET_PARTITION_RANGE_START_TAG), tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first is None or last is None:
        return {}
    if first == last:
        return {"partition": first}
    return {"first_partition": first, "last_partition": last}


def _shown(partition: Mapping[str, str]) -> dict[str, str]:
    """Partitions as a field of a line: one, or the first and the last of a range."""
    return {"partition": "...".join(partition.values())} if partition else {}


def _of_run(run_id: str, job: str, tags: Mapping[str, str]) -> dict[str, str]:
    return {"run_id": run_id, "job": job, **_partition(tags)}


def _error(event: DagsterEvent) -> str:
    """Why a step failed, without a text that may quote a row's value; empty: it did not."""
    if event.event_type in (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.RUN_SUCCESS):
        return ""
    error = getattr(event.event_specific_data, "error", None)
    names: list[str] = []
    while error is not None:
        names.append(str(error.cls_name))
        error = error.cause
    return " from ".join(names) or event.event_type_value
