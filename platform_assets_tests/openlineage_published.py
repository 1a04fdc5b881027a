"""OpenLineage events held against the published JSON schema, which is in no package.

Belongs here: finding the published files in the folders that ``OPENLINEAGE_SPEC`` names, and
holding an event against them. Does not belong here: schemas that are made from openlineage-python's
types (``openlineage_schema``).

The files are found by their ``$id``, which holds their version: an event of another version than is
there is refused, never passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012

VARIABLE = "OPENLINEAGE_SPEC"
# Tests change the environment that the client sees: what is asked for is asked when all begins.
NAMED = os.environ.get(VARIABLE, "")
NOT_SET = f"{VARIABLE} is not set: it names the folders with the published schema of OpenLineage"
ADDRESS = "https://openlineage.io/spec/"
CORE = "OpenLineage.json"
FACETS = ("facets", "inputFacets", "outputFacets")


class SpecificationError(Exception):
    """The published schema that an event names is not in the folders."""


class Published:
    """The published schema.

    Args:
        folders: Folders with its files, such as ``spec`` of a checkout of OpenLineage. Of a file
            that several have, the first folder's is taken.
        checker: What formats are checked by.

    Raises:
        SpecificationError: One of them is no folder, or there is no core schema in them.
    """

    def __init__(self, folders: Sequence[Path], checker: jsonschema.FormatChecker) -> None:
        self.folders = tuple(folders)
        self._checker = checker
        self._validators: dict[str, jsonschema.Draft202012Validator] = {}
        self.schemas: Mapping[str, dict[str, Any]] = self._read()

    @property
    def _where(self) -> str:
        return os.pathsep.join(map(str, self.folders))

    def _read(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for folder in self.folders:
            if not folder.is_dir():
                raise SpecificationError(f"{VARIABLE} names {folder}, which is no folder")
            for path in sorted(folder.rglob("*.json")):
                schema = json.loads(path.read_text(encoding="utf-8"))
                address = schema.get("$id", "") if isinstance(schema, dict) else ""
                if address.startswith(ADDRESS):
                    found.setdefault(address, schema)
        if not any(address.endswith(f"/{CORE}") for address in found):
            raise SpecificationError(
                f"no file below {self._where} is a core schema: none has the $id "
                f"{ADDRESS}<version>/{CORE}"
            )
        return found

    @cached_property
    def _registry(self) -> Registry[Any]:
        resources = [
            (address, Resource.from_contents(schema, default_specification=DRAFT202012))
            for address, schema in self.schemas.items()
        ]
        registry: Registry[Any] = Registry(retrieve=self._beside_the_core)  # type: ignore[call-arg] # attrs makes it
        return registry.with_resources(resources)

    def _beside_the_core(self, address: str) -> Resource[Any]:
        """What the core schema names by ``facets/<file>``: the file, whatever its version is."""
        parts = address.removeprefix(ADDRESS).split("/")
        if len(parts) == 3 and parts[1] == "facets":
            for folder in self.folders:
                path = folder / "facets" / parts[2]
                if path.is_file():
                    schema = json.loads(path.read_text(encoding="utf-8"))
                    return Resource.from_contents(schema, default_specification=DRAFT202012)
        raise NoSuchResource(ref=address)  # type: ignore[call-arg] # as above

    def examine(self, event: dict[str, Any]) -> list[str]:
        """Hold a run event against the schemas that it and its facets name; the facets' names.

        Raises:
            jsonschema.ValidationError: It is not as they say.
            SpecificationError: It names one that is not there.
        """
        names = []
        for holder in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
            for kind in FACETS:
                for name, facet in holder.get(kind, {}).items():
                    self._hold(facet, facet["_schemaURL"], f"facet {name}")
                    names.append(name)
        self._hold(event, event["schemaURL"], "event")
        return names

    def _hold(self, told: dict[str, Any], address: str, what: str) -> None:
        validator = self._validators.get(address)
        if validator is None:
            validator = self._validators[address] = jsonschema.Draft202012Validator(
                {"$ref": address}, registry=self._registry, format_checker=self._checker
            )
        try:
            validator.validate(told)
        except Unresolvable as error:
            through = "" if error.ref == address else f", which refers to {error.ref}"
            raise SpecificationError(
                f"the {what} names {address}{through}: not in {self._where}, which has "
                f"{', '.join(self.schemas)}"
            ) from error


def published(checker: jsonschema.FormatChecker, named: str = NAMED) -> Published | None:
    """The published schema, where somebody says where it is.

    Args:
        checker: What formats are checked by.
        named: Folders, with ``os.pathsep`` between them; empty: nobody says.

    Raises:
        SpecificationError: It is not there.
    """
    if not named:
        return None
    return Published([Path(each) for each in named.split(os.pathsep)], checker)
