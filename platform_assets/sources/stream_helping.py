"""How far a stream was read, and how much of it the next load takes.

Belongs here: what the cursor of a stream says, and a load's bounds. Does not belong here: any
stream (``change_stream``), and what an event says (``envelope``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """How far a stream was read, as the cursor has it: ``17``, or ``17+2``.

    Attributes:
        after: The position up to which all events are kept; None: there is none.
        held: How many of the events after it are kept, which may not be all of their position.
    """

    after: int | None = None
    held: int = 0

    @classmethod
    def parse(cls, text: str | None) -> Standing:
        """What a cursor says; nothing where there is none.

        Args:
            text: The cursor.
        """
        after, _, held = (text or "").partition("+")
        return cls(int(after) if after else None, int(held or 0))

    def text(self) -> str:
        """The cursor."""
        after = "" if self.after is None else str(self.after)
        return f"{after}+{self.held}" if self.held else after


@dataclass
class Helping:
    """So much of a stream as one load takes.

    Attributes:
        most: Lines to take.
        deadline: When to stop, by the clock of ``time.monotonic``.
        stopped: Why it stopped before the stream's end; empty: it did not.
    """

    most: int
    deadline: float
    stopped: str = ""

    def of(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """What a load takes of a stream's bytes: whole lines, until a bound is reached.

        Args:
            lines: The bytes as they come.
        """
        left = self.most
        for chunk in lines:
            count = chunk.count(b"\n")
            if count >= left:
                yield b"\n".join(chunk.split(b"\n", left)[:left]) + b"\n"
                self.stopped = f"{self.most:,} events were taken"
                return
            left -= count
            yield chunk
            if time.monotonic() >= self.deadline:
                self.stopped = "its time was over"
                return
