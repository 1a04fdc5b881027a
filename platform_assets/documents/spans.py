"""Spans of time as people write them: a number and a unit, such as ``30m``.

Belongs here: the one form that every file and option has. Does not belong here: how long a span may
be, and what is said of one that is wrong.
"""

from __future__ import annotations

import re
from datetime import timedelta

SPAN = re.compile(r"^([0-9]+)([dhms])$")
"""How a span is written: ``1d``, ``2h``, ``30m`` or ``20s``."""
EXPECTED = "a number and d, h, m or s"
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def read_span(text: str) -> timedelta | None:
    """The span that a text tells; None: it tells none.

    Args:
        text: The text.
    """
    found = SPAN.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def write_span(span: timedelta) -> str:
    """A span as ``read_span`` understands it, in the largest unit that it is a whole number of.

    Args:
        span: The span; parts of a second are left out.
    """
    for unit, length in _UNITS.items():
        if span >= length and not span % length:
            return f"{span // length}{unit}"
    return f"{span // _UNITS['s']}s"
