"""Sources of JSON, whose values may be objects: a contract names what is inside of one by a path.

Belongs here: which sources those are, and what a path leads into. Does not belong here: reading
JSON (``json_reading``, ``json_records``).
"""

from __future__ import annotations

import re

_STEP = re.compile(r"[.\[]")


class HasPaths:
    """A source of JSON, whose columns can be paths, such as ``price.amount`` or ``tags[0]``.

    What its schema tells are the names of the outermost values. A record that lacks one has null
    for it, and where there are no records there is no schema.
    """


def outermost(path: str) -> str:
    """The value that a path leads into."""
    return _STEP.split(path, maxsplit=1)[0]
