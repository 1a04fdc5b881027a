"""Reading a published schema: of small ones that are written here, in the layout of a checkout."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from platform_assets_tests.openlineage_published import ADDRESS, SpecificationError, published
from platform_assets_tests.openlineage_schema import CHECKER

CORE = f"{ADDRESS}9-0-0/OpenLineage.json"
SIZE = f"{ADDRESS}facets/1-0-0/SizeRunFacet.json"
EVENT: dict[str, Any] = {
    "schemaURL": f"{CORE}#/$defs/RunEvent",
    "eventTime": "2025-01-01T00:00:00+00:00",
    "run": {"facets": {"size": {"_schemaURL": f"{SIZE}#/$defs/Size", "rows": 1}}},
    "job": {},
    "inputs": [],
    "outputs": [],
}


def write(path: Path, schema: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A core schema that names a facet by its file, and the facet, which names the core."""
    facets = {"facets": {"properties": {"size": {"$ref": "facets/SizeRunFacet.json#/$defs/Size"}}}}
    core = {
        "RunEvent": {
            "properties": {
                "eventTime": {"type": "string", "format": "date-time"},
                "run": {"properties": facets},
            },
            "required": ["job"],
        },
        "Facet": {"required": ["_schemaURL"]},
    }
    size = {
        "allOf": [{"$ref": f"{CORE}#/$defs/Facet"}],
        "properties": {"rows": {"type": "integer"}},
        "required": ["rows"],
    }
    write(tmp_path / "OpenLineage.json", {"$id": CORE, "$defs": core})
    write(tmp_path / "facets" / "SizeRunFacet.json", {"$id": SIZE, "$defs": {"Size": size}})
    write(tmp_path / "tests" / "1.json", {"size": {"rows": 1}})  # no schema: it has no address
    return tmp_path


def examine(event: dict[str, Any], *folders: Path) -> list[str]:
    found = published(CHECKER, os.pathsep.join(map(str, folders)))
    assert found is not None
    return found.examine(event)


def changed(place: tuple[str, ...], value: object) -> dict[str, Any]:
    """The event with another value; None: without it."""
    event = copy.deepcopy(EVENT)
    holder: Any = event
    for step in place[:-1]:
        holder = holder[step]
    if value is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return event


def test_an_event_is_held_against_the_schemas_that_it_names(folder: Path) -> None:
    assert examine(EVENT, folder) == ["size"]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("run", "facets", "size", "rows"), "many", "is not of type 'integer'"),
        (("run", "facets", "size", "rows"), None, "'rows' is a required property"),
        (("eventTime",), "yesterday", "is not a 'date-time'"),
    ],
)
def test_what_breaks_them_is_refused(
    folder: Path, place: tuple[str, ...], value: object, said: str
) -> None:
    with pytest.raises(jsonschema.ValidationError, match=said):
        examine(changed(place, value), folder)


@pytest.mark.parametrize(
    ("place", "address"),
    [
        (("run", "facets", "size", "_schemaURL"), f"{ADDRESS}facets/1-0-1/SizeRunFacet.json#/x"),
        (("run", "facets", "size", "_schemaURL"), f"{SIZE}#/$defs/Other"),
        (("schemaURL",), f"{ADDRESS}9-0-1/OpenLineage.json#/$defs/RunEvent"),
    ],
)
def test_a_schema_that_is_not_there_is_named(
    folder: Path, place: tuple[str, ...], address: str
) -> None:
    with pytest.raises(SpecificationError) as raised:
        examine(changed(place, address), folder)
    assert address in str(raised.value)
    assert SIZE in str(raised.value)  # what is there


def test_what_a_schema_names_has_to_be_there_too(folder: Path) -> None:
    (folder / "facets" / "SizeRunFacet.json").rename(folder / "SizeRunFacet.json")
    with pytest.raises(SpecificationError, match=r"the event names .*refers to facets/Size"):
        examine(EVENT, folder)
    (folder / "OpenLineage.json").unlink()
    write(folder / "OpenLineage.json", {"$id": f"{ADDRESS}9-0-1/OpenLineage.json"})
    with pytest.raises(SpecificationError, match=f"facet size names .* refers to {CORE}"):
        examine(EVENT, folder)


def test_what_one_folder_does_not_have_is_taken_from_the_next(folder: Path) -> None:
    older = folder / "older"
    write(older / "facets" / "1-0-0" / "SizeRunFacet.json", {"$id": SIZE, "$defs": {"Size": False}})
    assert examine(EVENT, folder / "facets", folder) == ["size"]
    with pytest.raises(jsonschema.ValidationError):
        examine(EVENT, older, folder)


def test_a_wrong_folder_is_refused_and_none_is_none(folder: Path) -> None:
    with pytest.raises(SpecificationError, match=r"names .*nowhere, which is no folder"):
        published(CHECKER, str(folder / "nowhere"))
    with pytest.raises(SpecificationError, match=r"no file below .*facets is a core schema"):
        published(CHECKER, str(folder / "facets"))
    assert published(CHECKER, "") is None
