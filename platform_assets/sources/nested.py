"""Sources whose values may be objects: a contract names what is inside of one by a path.

Belongs here: which sources those are, and what a schema says of paths. Does not belong here:
reading JSON (``json_reading``, ``json_records``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from platform_assets.sources.base import SourceColumn

_STEP = re.compile(r"[.\[]")


class HasPaths:
    """A source of JSON, whose columns can be paths, such as ``price.amount`` or ``tags[0]``."""


def with_paths(
    source: object, found: tuple[SourceColumn, ...], names: Sequence[str]
) -> tuple[SourceColumn, ...]:
    """A schema with the paths that lead into what it has.

    A schema tells the names of the outermost values. Whether a value has what a path asks for is
    seen row by row; one that has not is null.

    Args:
        source: The source.
        found: Its columns.
        names: The columns that the contract names.
    """
    if not isinstance(source, HasPaths):
        return found
    there = {column.name for column in found}
    paths = [
        SourceColumn(name)
        for name in dict.fromkeys(names)
        if name not in there and _STEP.split(name, maxsplit=1)[0] in there
    ]
    return (*found, *paths)
