"""The kinds of datasets that ``sources.yaml`` knows: for each, the class that reads it.

Belongs here: the table of kinds, and what follows from a class's own signature. Does not belong
here: reading (``sources``). A new kind of source is one line of ``KINDS``.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast, get_type_hints

from pydantic import Field as ModelField
from pydantic import create_model

from platform_assets.documents.checking import Strict
from platform_assets.sources.base import WindowSource

_SOURCES = "platform_assets.sources"
_TABLES = f"{_SOURCES}.tables"


@dataclass(frozen=True)
class Kind:
    """One kind of dataset.

    Attributes:
        source: Module and class that read it, as ``module:Class``; imported when it is used.
        arguments: Keys of an entry that the source wants too, under the name that it uses.
    """

    source: str
    arguments: Mapping[str, str] = field(default_factory=dict)


KINDS: Mapping[str, Kind] = {
    "csv": Kind(f"{_SOURCES}.files:CsvFiles"),
    "ndjson": Kind(f"{_SOURCES}.ndjson:NdjsonFiles"),
    "json": Kind(f"{_SOURCES}.json_files:JsonFiles"),
    "parquet": Kind(f"{_SOURCES}.parquet:ParquetFiles"),
    "excel": Kind(f"{_SOURCES}.excel:ExcelFiles"),
    "table": Kind(f"{_TABLES}:FullTable"),
    "watermark": Kind(f"{_TABLES}:WatermarkTable", {"cursor": "watermark"}),
    "snapshot": Kind(f"{_TABLES}:SnapshotTable"),
    "rest": Kind(f"{_SOURCES}.rest_api:RestEndpoint"),
    "debezium": Kind(f"{_SOURCES}.change_log:DebeziumFiles"),
    "postgres_log": Kind(f"{_SOURCES}.postgres_changes:PostgresChanges"),
}


def named(path: str) -> Any | None:  # noqa: ANN401 # a class of whatever kind
    """What ``module:Name`` names; None where this version has no such module or name."""
    module, _, name = path.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that is there and lacks something of its own is a fault to be told.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        return None
    return getattr(found, name, None)


def available(kind: str) -> bool:
    """Whether there is a source of a kind; only its own module is imported to tell."""
    return kind in KINDS and named(KINDS[kind].source) is not None


@cache
def kinds() -> tuple[str, ...]:
    """The kinds whose source is there; for messages, as it imports every source."""
    return tuple(kind for kind in KINDS if available(kind))


@cache
def options_model(kind: str) -> type[Strict]:
    """The keys that an entry of a kind may have for its source, as the source declares them.

    Args:
        kind: One of ``kinds``.
    """
    source = named(KINDS[kind].source)
    assert source is not None
    hints = get_type_hints(source)
    taken = {"connection", *KINDS[kind].arguments.values()}
    fields: dict[str, Any] = {}
    for each in dataclasses.fields(source):
        if not each.init or each.name in taken:
            continue
        if each.default is not dataclasses.MISSING:
            default = ModelField(default=each.default)
        elif each.default_factory is not dataclasses.MISSING:
            default = ModelField(default_factory=each.default_factory)
        else:
            default = ModelField()
        fields[each.name] = (hints[each.name], default)
    return create_model(f"{kind.capitalize()}Options", __base__=Strict, **fields)


def build_source(kind: str, connection: str, arguments: Mapping[str, object]) -> WindowSource:
    """The source of an entry.

    Args:
        kind: One of ``kinds``.
        connection: Name of the connection.
        arguments: What the entry says for the source.

    Raises:
        ContractError: The source refuses an argument.
    """
    make = cast("Callable[..., WindowSource]", named(KINDS[kind].source))
    return make(**arguments, connection=connection)
