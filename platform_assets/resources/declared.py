"""The connections of ``sources.yaml`` as resources, and those of the code beside them.

Belongs here: from a connection's entry to a resource, its secrets as ``EnvVar``. Does not belong
here: the resources themselves (``connections``), datasets (``declared``).

A key of a connection is a field of its resource. A field that the resource does not show
(``repr=False``), or that is called like a secret, may only be ``{env: NAME}``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from dotenv import dotenv_values
from pydantic import Field, create_model

from platform_assets.declared.catalogue import declared_sources
from platform_assets.declared.kinds import named
from platform_assets.declared.sources import Sources
from platform_assets.documents.checking import FromEnvironment, Strict, checked, mapping_at
from platform_assets.documents.document import Document, Place
from platform_assets.errors import SettingsError
from platform_assets.resources.connections import ConnectionResource, FolderResource
from platform_assets.settings import load_settings

_HERE = "platform_assets.resources.connections"
_SERVER = ("host", "port", "database", "user", "password")
_SECRET = re.compile(r"(^|_)(password|secret|token|api_?key|access_?key|credentials?)(_|$)")


@dataclass(frozen=True)
class ConnectionKind:
    """One kind of connection.

    Attributes:
        resource: Module and class of its resource, as ``module:Class``.
        fixed: Fields that the kind itself tells.
        fields: The other fields that it has; empty: all.
    """

    resource: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


CONNECTION_KINDS: Mapping[str, ConnectionKind] = {
    "folder": ConnectionKind(f"{_HERE}:FolderResource"),
    "sqlite": ConnectionKind(f"{_HERE}:DatabaseResource", {"kind": "sqlite"}, ("path",)),
    "postgres": ConnectionKind(f"{_HERE}:DatabaseResource", {"kind": "postgres"}, _SERVER),
    "mysql": ConnectionKind(f"{_HERE}:DatabaseResource", {"kind": "mysql"}, _SERVER),
    "rest": ConnectionKind(f"{_HERE}:RestApiResource"),
    "s3": ConnectionKind(f"{_HERE}:BucketResource"),
}


class _Kind(Strict):
    """What every connection says."""

    kind: str


def all_connections(sources: Sources | None = None) -> dict[str, ConnectionResource]:
    """The connections of the code and of ``sources.yaml``, by name.

    Args:
        sources: What was read already; None: what the installation declares.

    Raises:
        SettingsError: A connection is not of the right form, or holds a secret.
    """
    sources = declared_sources() if sources is None else sources
    made: dict[str, ConnectionResource] = {
        "shop": FolderResource(path=str(load_settings().shop)),
    }
    if sources.document is not None:
        for name, place in sources.connections.items():
            made[name] = _resource(sources.document, place)
    return made


def opened(name: str, resource: ConnectionResource) -> object:
    """What a connection leads to, outside of a run: secrets are read from the environment now.

    Args:
        name: The connection's name.
        resource: Its resource.

    Raises:
        SettingsError: A variable that it names is not set.
    """
    # Dagster gives `.env` to the code location; a command has to do that itself.
    given = dotenv_values(".env") if Path(".env").is_file() else {}
    for variable in _variables(resource):
        value = os.environ.get(variable) or given.get(variable)
        if not value:
            raise SettingsError(
                "A connection needs an environment variable that is not set",
                where=f"connection {name!r}",
                expected=f"the environment variable {variable}, or a line of .env",
                found="nothing",
                fix=f"set {variable}",
            )
        os.environ.setdefault(variable, value)
    return resource.process_config_and_initialize().connection


def _variables(resource: ConnectionResource) -> list[str]:
    values = (getattr(resource, name) for name in type(resource).model_fields)
    return [
        value.env_var_name
        for value in values
        if isinstance(value, dg.EnvVar) or type(value).__name__ == "IntEnvVar"
    ]


def _kinds() -> tuple[str, ...]:
    return tuple(k for k, kind in CONNECTION_KINDS.items() if named(kind.resource) is not None)


def _resource(document: Document, place: Place) -> ConnectionResource:
    given = mapping_at(document, place, "A connection")
    kind = checked(
        document, place, _Kind, values={k: v for k, v in given.items() if k == "kind"}
    ).kind
    if kind not in _kinds():
        raise document.unknown(
            SettingsError,
            "There is no such kind of connection",
            (*place, "kind"),
            _kinds(),
            key=False,
        )
    chosen = CONNECTION_KINDS[kind]
    own = {key: value for key, value in given.items() if key != "kind"}
    for key, value in own.items():
        _refuse_secret(document, (*place, key), key, value, _hidden(kind))
    model = _model(kind)
    values = checked(document, place, model, values=own, also=("kind",), secretive=True)
    arguments = {key: _configured(getattr(values, key), kind, key) for key in own}
    make = named(chosen.resource)
    assert make is not None
    made: ConnectionResource = make(**chosen.fixed, **arguments)
    return made


def _fields(kind: str) -> dict[str, Any]:
    chosen = CONNECTION_KINDS[kind]
    resource = named(chosen.resource)
    assert resource is not None
    return {
        name: info
        for name, info in resource.model_fields.items()
        if name not in chosen.fixed and (not chosen.fields or name in chosen.fields)
    }


@cache
def _hidden(kind: str) -> frozenset[str]:
    """Fields of a kind that hold a secret."""
    return frozenset(n for n, info in _fields(kind).items() if not info.repr or _SECRET.search(n))


@cache
def _model(kind: str) -> type[Strict]:
    """The keys of a kind; any scalar may come from the environment instead."""
    fields: dict[str, Any] = {}
    for name, info in _fields(kind).items():
        default = Field() if info.is_required() else Field(default=None)
        fields[name] = (info.annotation | FromEnvironment, default)
    return create_model(f"{kind.capitalize()}Connection", __base__=Strict, **fields)


def _refuse_secret(
    document: Document, place: Place, key: str, value: object, hidden: frozenset[str]
) -> None:
    """Refuse a secret that is written down, at whatever depth."""
    if isinstance(value, dict) and set(value) != {"env"}:
        for name, inner in value.items():
            _refuse_secret(document, (*place, name), name, inner, hidden)
    elif (key in hidden or _SECRET.search(key)) and not isinstance(value, dict):
        raise document.error(
            SettingsError,
            "A secret is written in the file",
            place,
            expected=f"{key}: {{env: NAME}}, with the secret in that environment variable",
            found="a value (not shown)",
            fix="take it out, and change it at its system if the file was ever committed",
        )


def _configured(value: object, kind: str, key: str) -> object:
    if not isinstance(value, FromEnvironment):
        return value
    annotation = _fields(kind)[key].annotation
    whole = annotation is int or annotation == (int | None)
    return dg.EnvVar.int(value.env) if whole else dg.EnvVar(value.env)
