"""OpenLineage events held against their specification, as openlineage-python carries it.

Belongs here: JSON schemas of events and facets, made from the types that openlineage-python's own
generator has made from the published ones, each of which names its address and version. Does not
belong here: an assertion about the platform, and reading the published schema itself
(``openlineage_published``), which events are held against as well where somebody has it.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
import types
import typing
import uuid
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import attr
import jsonschema
from openlineage.client import generated
from openlineage.client.generated import base

from platform_assets_tests.openlineage_published import FACETS, Published, published

FORMATS = {
    "runId": "uuid",
    "eventTime": "date-time",
    "nominalStartTime": "date-time",
    "nominalEndTime": "date-time",
    "producer": "uri",
    "schemaURL": "uri",
    "_producer": "uri",
    "_schemaURL": "uri",
    "url": "uri",
}
CHECKER = jsonschema.FormatChecker()


@CHECKER.checks("uuid", raises=ValueError)
def _uuid(value: object) -> bool:
    return str(uuid.UUID(str(value))) == value


@CHECKER.checks("date-time", raises=ValueError)
def _time(value: object) -> bool:
    return datetime.fromisoformat(str(value)).tzinfo is not None


@CHECKER.checks("uri")
def _uri(value: object) -> bool:
    return bool(urlsplit(str(value)).scheme)


@cache
def facets_by_address() -> dict[str, type]:
    """Every type that names the address of its schema."""
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for each in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            # A subclass that has no schema of its own says its parent's.
            if attr.has(each) and "_get_schema" in vars(each):
                found[each._get_schema()] = each
    return found


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type."""
    simple = {str: "string", int: "integer", float: "number", bool: "boolean"}
    if kind in simple:
        return {"type": simple[kind]}
    if kind is Any or kind is object:
        return {}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(each) for each in arguments if each is not types.NoneType]}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [each.value for each in kind]}
    if attr.has(kind):
        return _object(kind)
    raise TypeError(kind)


@cache
def _object(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    fields = attr.fields(kind)
    # A field of a table may have fields of its own.
    own = {
        each.name: {"type": "array"}
        if kind in _named(hints[each.name])
        else _described(hints, each)
        for each in fields
    }
    for name, described in own.items():
        if name in FORMATS and described.get("type") == "string":
            described["format"] = FORMATS[name]
    required = [each.name for each in fields if each.default is attr.NOTHING]
    always = {"_producer", "_schemaURL", "producer", "schemaURL"} & own.keys()
    # A facet may say more than its schema; what holds facets is looked at one by one.
    return {"type": "object", "properties": own, "required": sorted({*required, *always})}


def _described(hints: dict[str, Any], field: Any) -> dict[str, Any]:
    return {**schema_of(hints[field.name])}


def _named(kind: Any) -> set[Any]:
    """Every type that a type names."""
    return {kind, *(name for each in typing.get_args(kind) for name in _named(each))}


@cache
def published_schema() -> Published | None:
    """The published schema; None: nobody says where it is."""
    return published(CHECKER)


def examine(event: dict[str, Any]) -> list[str]:
    """Hold a run event against the schemas; the facets that were found in it, by name.

    Raises:
        jsonschema.ValidationError: It is not as the specification says.
        SpecificationError: ``OPENLINEAGE_SPEC`` is set, and a schema of it is not there.
    """
    jsonschema.validate(event, schema_of(base.RunEvent), format_checker=CHECKER)
    holders = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    names = []
    for holder in holders:
        for kind in FACETS:
            for name, facet in holder.get(kind, {}).items():
                known = facets_by_address()[facet["_schemaURL"]]
                jsonschema.validate(facet, schema_of(known), format_checker=CHECKER)
                names.append(name)
    specification = published_schema()
    if specification is not None:
        assert specification.examine(event) == names
    return names
