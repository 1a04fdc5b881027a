"""What may be said of a process's log without importing it: the stream, and a line's own fields.

Belongs here: what whoever starts a process, or writes a line, tells ``logs``. Does not belong here:
the log itself, which is imported only where it is JSON.
"""

from __future__ import annotations

from typing import Literal

Stream = Literal["stdout", "stderr"]
LINE_FIELDS = "platform_assets_fields"
"""Attribute of a record: fields of that line by name, which go before those of its thread; a field
``message`` stands for its text."""
_stream: Stream = "stdout"


def log_to(stream: Stream) -> None:
    """Have this process write its log to a stream, from its first line on.

    Args:
        stream: ``stderr`` for a command, whose standard output is its answer.
    """
    global _stream  # noqa: PLW0603 # a process has one log
    _stream = stream


def log_stream() -> Stream:
    """The stream that this process writes its log to."""
    return _stream
