"""Which stream a process writes its log to: standard output, but where that is its answer.

Belongs here: that choice, for whoever starts a process. Does not belong here: the log (``logs``).
"""

from __future__ import annotations

from typing import Literal

Stream = Literal["stdout", "stderr"]
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
