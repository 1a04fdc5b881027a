"""Logs of one JSON object a line: the platform's, Dagster's and those of every library.

Belongs here: the format, its fields, and having all loggers of a process write it. Does not belong
here: when a run, a step or a stage begins (``run_log``, ``traces``), and what is logged.

Where the format is text nothing here is called, and loggers are as they were.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.processors import JSONRenderer, StackInfoRenderer, format_exc_info
from structlog.stdlib import LoggerFactory, ProcessorFormatter, add_logger_name

from platform_assets.observability import traces
from platform_assets.observability.output import LINE_FIELDS, log_stream
from platform_assets.observability.redaction import Redaction

FIELDS = (
    "time",
    "level",
    "logger",
    "message",
    "run_id",
    "asset",
    "partition",
    "trace_id",
    "span_id",
)
"""On every line, in this order; null where there is none."""
# Two lines that say nothing for each database that Dagster opens.
_CHATTY = ("alembic",)
Fields = MutableMapping[str, Any]


class JsonHandler(logging.StreamHandler[TextIO]):
    """Writes to what is standard output, or standard error, at the moment of writing."""

    def __init__(self, formatter: logging.Formatter) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(formatter)
        self.replaced: list[tuple[logging.Logger, logging.Handler]] = []
        self.level_before = logging.getLogger().level
        # Dagster has written these to the run's logger, which writes them here.
        self.addFilter(lambda record: not hasattr(record, "dagster_meta") or _has_fields(record))

    @property
    def stream(self) -> TextIO:
        """The stream: tests, and Dagster's capture of a step's output, exchange it."""
        stream: TextIO = getattr(sys, log_stream())
        return stream

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Do nothing: the name decides."""


_handler: JsonHandler | None = None
_at_work: dict[str, Any] = {}


def is_json() -> bool:
    """Whether this process writes its log as JSON."""
    return _handler is not None


def configure(secrets: Sequence[str]) -> JsonHandler:
    """Have all loggers of this process write one JSON object a line; the first call decides.

    Args:
        secrets: Values that are hidden wherever they stand, beside those of the environment.

    Returns:
        What writes the lines.
    """
    global _handler  # noqa: PLW0603 # a process has one, as it has one root logger
    if _handler is None:
        _handler = JsonHandler(_formatter(Redaction.of(os.environ, secrets)))
        _take_over(_handler)
        traces.bind_with(_bound)
    return _handler


def reset() -> None:
    """Write JSON no more: for whoever has configured it for a while, such as a test."""
    global _handler  # noqa: PLW0603 # as above
    if _handler is not None:
        root = logging.getLogger()
        root.removeHandler(_handler)
        root.setLevel(_handler.level_before)
        for logger, handler in _handler.replaced:
            logger.addHandler(handler)
        sys.excepthook = sys.__excepthook__
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        _rebind({})
        traces.bind_with(None)
        _handler = None


def bind(**fields: str) -> None:
    """Have every line of this thread carry fields, from here on.

    Args:
        **fields: By name; of one that is there already, the new value.
    """
    structlog.contextvars.bind_contextvars(**fields)
    _remember()


def _rebind(fields: Mapping[str, Any]) -> None:
    structlog.contextvars.clear_contextvars()
    bind(**fields)


class RunFields:
    """What the lines of a run and of its steps carry; as they did before, when it is over.

    To be made in the thread that does the run's work.
    """

    def __init__(self, run_id: str) -> None:
        self._before = structlog.contextvars.get_contextvars()
        self._run_id = run_id
        self.end_step()

    def begin_step(self, fields: Mapping[str, str]) -> None:
        """From here on, lines carry what is known of a step."""
        bind(**fields)

    def end_step(self) -> None:
        """Lines carry what is known of the run, and no more."""
        _rebind({"run_id": self._run_id})

    def leave(self) -> None:
        """Lines carry what they carried before the run."""
        _rebind(self._before)


def _remember() -> None:
    """Keep what the run's thread is at, for threads that it starts: dbt, for one, has its own."""
    global _at_work  # noqa: PLW0603 # a process works for one run at a time
    _at_work = {**structlog.contextvars.get_contextvars(), **_ids()}


def _ids() -> dict[str, str]:
    return dict(zip(("trace_id", "span_id"), traces.ids() or (), strict=False))


def _has_fields(record: logging.LogRecord) -> bool:
    return hasattr(record, LINE_FIELDS)


@contextmanager
def _bound(fields: Mapping[str, str]) -> Iterator[None]:
    try:
        with bound_contextvars(**fields):
            _remember()
            yield
    finally:
        _remember()


def _formatter(redaction: Redaction) -> ProcessorFormatter:
    def fields(_: object, __: str, event: Fields) -> Fields:
        record: logging.LogRecord = event["_record"]
        known = {
            **({} if "run_id" in event else _at_work),
            **event,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": event.pop("event", ""),
            **_ids(),
            **getattr(record, LINE_FIELDS, {}),
        }
        known.pop("event", None)
        told: Fields = {name: known.pop(name, None) for name in FIELDS}
        # What structlog keeps for itself is taken out by it.
        return {**told, **{name: value for name, value in known.items() if value is not None}}

    def redacted(_: object, __: str, event: Fields) -> Fields:
        return {name: redaction.value(value) for name, value in event.items()}

    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, add_logger_name],
        processors=[
            fields,
            ProcessorFormatter.remove_processors_meta,
            StackInfoRenderer(),
            format_exc_info,
            redacted,
            JSONRenderer(default=str, ensure_ascii=False),
        ],
    )


def _take_over(handler: JsonHandler) -> None:
    """Have the root logger write JSON, and no other logger write to the console."""
    root = logging.getLogger()
    named = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (root, *named):
        for other in list(logger.handlers):
            if _writes_to_console(other):
                logger.removeHandler(other)
                handler.replaced.append((logger, other))
                logger.propagate = True
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    structlog.configure(
        processors=[merge_contextvars, add_logger_name, ProcessorFormatter.wrap_for_formatter],
        logger_factory=LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _writes_to_console(handler: logging.Handler) -> bool:
    if not isinstance(handler, logging.StreamHandler):
        return False
    return handler.stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What ends the process is a line as well."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger(__name__).critical("The process ends", exc_info=(kind, error, trace))
