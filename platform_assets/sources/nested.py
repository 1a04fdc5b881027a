"""Sources of JSON, whose values may be objects: a contract names what is inside of one by a path.

Belongs here: which sources those are, and what a path leads into. Does not belong here: reading
JSON (``json_reading``, ``json_records``).
"""

from __future__ import annotations

import re

from platform_assets.errors import ContractError

_STEP = re.compile(r"[.\[]")
_SEGMENT = re.compile(r'([^."\\\[\]]+)((?:\[\d+\])*)')


class HasPaths:
    """A source of JSON, whose columns can be paths, such as ``price.amount`` or ``tags[0]``.

    What its schema tells are the names of the outermost values. A record that lacks one has null
    for it, and where there are no records there is no schema.
    """


def outermost(path: str) -> str:
    """The value that a path leads into."""
    return _STEP.split(path, maxsplit=1)[0]


def path_of(source: str) -> str:
    """The JSON path of a contract's name of a column.

    Args:
        source: Names with dots between them, such as ``price.amount``; ``lines[0].sku`` takes one
            of a list.

    Raises:
        ContractError: It is no such path.
    """
    segments = [_SEGMENT.fullmatch(part) for part in source.split(".")]
    if not all(each and each[1].strip("*") for each in segments):
        raise ContractError(
            "A column's source is not a path into a record",
            where=f"Field(source={source!r})",
            expected="names with dots between them, such as price.amount or lines[0].sku",
            found=source,
            fix="correct the path",
        )
    return "$" + "".join(f'."{each[1]}"{each[2]}' for each in segments if each)
